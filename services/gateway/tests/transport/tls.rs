//! TLS on the clients' port: who gets in, slow and broken handshakes, certificates that change.

use std::{
    io::{Read as _, Write as _},
    time::Duration,
};

use harkara_gateway::http::ServerConfig;
use harkara_service_runtime::{clock::SystemClock, tls::ServerTls};

use crate::{
    client::{Client, HANDSHAKE, Wire},
    log,
    server::{Fixture, config, start_with},
    tls_files::{self, Authority},
};

fn start(handshake_timeout: Duration) -> Fixture {
    let tls = Some(tls_files::server());
    start_with(ServerConfig { tls, handshake_timeout, ..config() })
}

fn secure(server: &Fixture) -> Client {
    Client { wire: Wire::secure(Client::socket(server.address), &tls_files::client()) }
}

#[test]
fn a_client_without_tls_is_told_so_and_closed() {
    let server = start(Duration::from_secs(5));
    let mut client = Client::bare(server.address);
    client.raw(format!("{HANDSHAKE}\r\n").as_bytes());
    let mut alert = Vec::new();
    client.wire.read_to_end(&mut alert).unwrap();
    assert_eq!(alert[..3], [21, 3, 3], "an alert");
    assert!(server.probe.events().is_empty());
    secure(&server).upgrade();
}

#[test]
fn a_client_that_believes_another_authority_does_not_get_in() {
    let server = start(Duration::from_secs(5));
    let dir = tempfile::tempdir().unwrap();
    let stranger = Authority::named("stranger").client(dir.path());
    let mut client = Client { wire: Wire::secure(Client::socket(server.address), &stranger) };
    let error = client.wire.write_all(HANDSHAKE.as_bytes()).unwrap_err();
    assert!(error.to_string().contains("UnknownIssuer"), "{error}");
    assert!(server.probe.events().is_empty());
    secure(&server).upgrade();
}

#[test]
fn clients_show_certificates_where_an_authority_is_named() {
    let (dir, authority) = (tempfile::tempdir().unwrap(), Authority::named("mutual"));
    let client = authority.client(dir.path());
    let tls = authority.issue(dir.path());
    let tls = ServerTls { client_ca: Some(dir.path().join("ca.crt")), ..tls };
    let tls = Some(tls_files::reloading(&tls));
    let server = start_with(ServerConfig { tls, ..config() });
    let mut without = Wire::secure(Client::socket(server.address), &client);
    // The client's part is done before the server has looked.
    let _ = without.write_all(format!("{HANDSHAKE}\r\n").as_bytes());
    let error = without.read(&mut [0; 1]).unwrap_err();
    assert!(error.to_string().contains("CertificateRequired"), "{error}");
    let with = authority.client_with_certificate(dir.path());
    Client { wire: Wire::secure(Client::socket(server.address), &with) }.upgrade();
}

#[test]
fn slow_handshakes_end_in_time_and_hold_up_nobody() {
    let timeout = Duration::from_millis(500);
    let server = start(timeout);
    let clock = SystemClock::shared();
    let before = clock.elapsed_ns();
    let mut slow: Vec<_> = (0..50).map(|_| Client::bare(server.address)).collect();
    for (index, client) in slow.iter_mut().enumerate() {
        // Nothing, or the beginning of a hello.
        client.raw(&[22, 3, 1, 0, 200, 1][..index % 7]);
    }
    let mut good = secure(&server);
    good.upgrade();
    good.text("served meanwhile");
    assert_eq!(good.read_text(), "served meanwhile");
    for client in &mut slow {
        client.end();
    }
    let took = Duration::from_nanos(clock.elapsed_ns() - before);
    assert!(took >= timeout && took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn a_new_certificate_counts_from_the_next_connection_and_old_sessions_live() {
    let dir = tempfile::tempdir().unwrap();
    let old = Authority::named("old");
    let tls = Some(tls_files::reloading(&old.issue(dir.path())));
    let server = start_with(ServerConfig { tls, ..config() });
    let open = |client: &std::sync::Arc<rustls::ClientConfig>| {
        let mut wire = Wire::secure(Client::socket(server.address), client);
        let said = wire.write_all(format!("{HANDSHAKE}\r\n").as_bytes());
        said.map(|()| {
            let mut client = Client { wire };
            client.upgraded();
            client
        })
    };
    let believes_old = old.client(dir.path());
    let mut early = open(&believes_old).unwrap();

    let new = Authority::named("new");
    new.issue(dir.path());
    let believes_new = new.client(dir.path());
    let mut late = None;
    // Files are looked at once a second at most.
    server.until("the new certificate", |_| {
        late = open(&believes_new).ok();
        late.is_some()
    });
    let mut late = late.unwrap();
    assert!(open(&believes_old).is_err(), "the old one is gone");

    log::collect();
    std::fs::write(dir.path().join("server.crt"), "half a cert").unwrap();
    server.until("a broken one is told", |_| {
        open(&believes_new).unwrap();
        log::has("changed and not taken", "server.crt has no certificate")
    });
    open(&believes_new).unwrap();
    for client in [&mut early, &mut late] {
        client.text("still here");
        assert_eq!(client.read_text(), "still here");
    }
}

#[test]
fn an_unencrypted_word_in_between_ends_a_session() {
    let server = start(Duration::from_secs(5));
    let mut client = secure(&server);
    client.upgrade();
    client.wire.socket().write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    server.until_stopped(1);
}
