//! Handshakes in memory: who is believed, what is read again, and what bad files say.

mod certificates;

use std::{
    io,
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
};

use rustls::{ClientConnection, HandshakeKind, ServerConnection};
use tempfile::TempDir;

use self::certificates::Authority;
use super::*;
use crate::clock::Clock;

/// A clock that stands until it is told to go on.
#[derive(Default)]
struct Stopped(AtomicU64);

impl Stopped {
    fn go_on(&self) {
        self.0.fetch_add(1_000_000_000, Ordering::Relaxed);
    }
}

impl Clock for Stopped {
    fn now_ms(&self) -> u64 {
        0
    }

    fn elapsed_ns(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// An authority with its files, a server `chat.test` and a client `client.test` of it.
struct World {
    dir: TempDir,
    authority: Authority,
    clock: Arc<Stopped>,
    server: ServerTls,
    client: ClientTls,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::named("one");
        let ca = authority.file(dir.path(), "ca.crt");
        let (certificate, key) = authority.issue(dir.path(), "server", "chat.test");
        let server = ServerTls { certificate: Some(certificate), key: Some(key), client_ca: None };
        let client = ClientTls { enabled: true, ca: Some(ca), ..ClientTls::default() };
        Self { dir, authority, clock: Arc::default(), server, client }
    }

    fn clock(&self) -> SharedClock {
        self.clock.clone()
    }

    fn server(&self, peers: Peers) -> Arc<ServerConfig> {
        self.server.config(peers, &self.clock()).unwrap()
    }

    fn client(&self) -> Arc<ClientConfig> {
        self.client.config(&self.clock()).unwrap()
    }

    /// Both ends show certificates.
    fn mutual(mut self) -> Self {
        self.server.client_ca.clone_from(&self.client.ca);
        self.client_shows("client.test");
        self
    }

    fn client_shows(&mut self, name: &str) {
        let (certificate, key) = self.authority.issue(self.dir.path(), "client", name);
        (self.client.certificate, self.client.key) = (Some(certificate), Some(key));
    }
}

/// What each end says of a handshake: how it went, or why it failed.
type Ends = (Result<HandshakeKind, String>, Result<HandshakeKind, String>);

fn shake(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>, name: &str) -> Ends {
    let name = client::parsed(name).unwrap();
    let mut client = ClientConnection::new(Arc::clone(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::clone(server)).unwrap();
    let mut said: (Option<String>, Option<String>) = (None, None);
    // Also what follows the handshake: tickets, and alerts of the end that fails last.
    for _ in 0..8 {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut read = &wire[..];
        while !read.is_empty() && said.1.is_none() {
            server.read_tls(&mut read).unwrap();
            said.1 = server.process_new_packets().err().map(words);
        }
        wire.clear();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut read = &wire[..];
        while !read.is_empty() && said.0.is_none() {
            client.read_tls(&mut read).unwrap();
            said.0 = client.process_new_packets().err().map(words);
        }
    }
    let kind = |kind: Option<HandshakeKind>| kind.ok_or_else(|| "not done".to_owned());
    (
        said.0.map_or_else(|| kind(client.handshake_kind()), Err),
        said.1.map_or_else(|| kind(server.handshake_kind()), Err),
    )
}

fn words(error: rustls::Error) -> String {
    told(&io::Error::new(io::ErrorKind::InvalidData, error)).unwrap()
}

const FULL: Ends = (Ok(HandshakeKind::Full), Ok(HandshakeKind::Full));

fn says(said: Result<HandshakeKind, String>, what: &str) {
    let said = said.expect_err("it must fail");
    assert!(said.contains(what), "{said:?} does not say {what:?}");
}

#[test]
fn a_client_believes_its_authority_and_the_right_name() {
    let mut world = World::new();
    let server = world.server(Peers::Clients);
    assert_eq!(shake(&world.client(), &server, "chat.test"), FULL);
    let (client, end) = shake(&world.client(), &server, "other.test");
    says(client, "not valid for name \"other.test\"");
    says(end, "this end's certificate does not please it");

    // Servers that are dialed by address.
    world.client.server_name = Some("chat.test".to_owned());
    assert_eq!(shake(&world.client(), &server, "10.1.2.3"), FULL);

    for (authority, told) in [
        ("other", "it does not know the authority of this end's certificate"),
        ("one", "this end's certificate does not please it (DecryptError)"),
    ] {
        let ca = Authority::named(authority).file(world.dir.path(), "other-ca.crt");
        world.client.ca = Some(ca);
        let (client, end) = shake(&world.client(), &server, "chat.test");
        says(client, "an authority that is not known here");
        says(end, told);
    }
}

#[test]
fn clients_without_the_right_certificate_are_refused() {
    let mut world = World::new().mutual();
    let server = world.server(Peers::Processes(Some("client.test".to_owned())));
    assert_eq!(shake(&world.client(), &server, "chat.test"), FULL);

    world.client_shows("somebody.test");
    let (client, end) = shake(&world.client(), &server, "chat.test");
    says(end, "not valid for name \"client.test\"");
    says(client, "this end's certificate does not please it");
    // Where no name is asked for, the authority is enough.
    assert_eq!(shake(&world.client(), &world.server(Peers::Processes(None)), "chat.test"), FULL);

    let (certificate, key) =
        Authority::named("other").issue(world.dir.path(), "stranger", "client.test");
    (world.client.certificate, world.client.key) = (Some(certificate), Some(key));
    let (client, end) = shake(&world.client(), &server, "chat.test");
    says(end, "an authority that is not known here");
    says(client, "it does not know the authority of this end's certificate");

    (world.client.certificate, world.client.key) = (None, None);
    let (client, end) = shake(&world.client(), &server, "chat.test");
    says(end, "showed no certificate");
    says(client, "it asks for a certificate of this end");
}

#[test]
fn a_new_certificate_counts_from_the_next_handshake_and_a_broken_one_never() {
    let world = World::new();
    let (server, client) = (world.server(Peers::Clients), world.client());
    let (certificate, _) = world.authority.issue(world.dir.path(), "server", "new.test");
    assert_eq!(shake(&client, &server, "chat.test"), FULL, "not looked at yet");
    world.clock.go_on();
    assert_eq!(shake(&client, &server, "new.test"), FULL);

    std::fs::write(&certificate, "nonsense").unwrap();
    world.clock.go_on();
    assert_eq!(shake(&client, &server, "new.test"), FULL, "the last good one stays");
    std::fs::remove_file(&certificate).unwrap();
    world.clock.go_on();
    assert_eq!(shake(&client, &server, "new.test"), FULL, "the last good one stays");
    // A certificate without its key, as between two writes, and then with it.
    let third = tempfile::tempdir().unwrap();
    let (new, new_key) = world.authority.issue(third.path(), "server", "third.test");
    std::fs::copy(new, &certificate).unwrap();
    world.clock.go_on();
    assert_eq!(shake(&client, &server, "new.test"), FULL, "the last good one stays");
    std::fs::copy(new_key, world.server.key.as_ref().unwrap()).unwrap();
    world.clock.go_on();
    assert_eq!(shake(&client, &server, "third.test"), FULL);
}

#[test]
fn new_authorities_and_client_certificates_count_from_the_next_handshake() {
    let world = World::new().mutual();
    let (server, client) = (world.server(Peers::Processes(None)), world.client());
    assert_eq!(shake(&client, &server, "chat.test"), FULL);
    let new = Authority::named("other");
    new.issue(world.dir.path(), "client", "client.test");
    world.clock.go_on();
    says(shake(&client, &server, "chat.test").1, "an authority that is not known here");
    new.file(world.dir.path(), "ca.crt");
    world.clock.go_on();
    says(shake(&client, &server, "chat.test").0, "an authority that is not known here");
    new.issue(world.dir.path(), "server", "chat.test");
    world.clock.go_on();
    assert_eq!(shake(&client, &server, "chat.test"), FULL);
}

#[test]
fn sessions_resume_unless_certificates_are_shown() {
    let plain = World::new();
    let mutual = World::new().mutual();
    for (world, again) in [(plain, HandshakeKind::Resumed), (mutual, HandshakeKind::Full)] {
        let server = world.server(Peers::Clients);
        // A browser, which does remember.
        let mut client = (*world.client()).clone();
        client.resumption = rustls::client::Resumption::in_memory_sessions(4);
        let client = Arc::new(client);
        assert_eq!(shake(&client, &server, "chat.test"), FULL);
        assert_eq!(shake(&client, &server, "chat.test"), (Ok(again), Ok(again)));
    }
}

#[test]
fn old_clients_speak_with_the_gateway_and_not_on_the_link() {
    let world = World::new();
    let roots = files::authorities(
        world.client.ca.as_ref().unwrap(),
        &std::fs::read(world.client.ca.as_ref().unwrap()).unwrap(),
    );
    let old = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(roots.unwrap())
        .with_no_client_auth();
    let mut old = old;
    old.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let old = Arc::new(old);
    assert_eq!(shake(&old, &world.server(Peers::Clients), "chat.test"), FULL);
    says(
        shake(&old, &world.server(Peers::Processes(None)), "chat.test").0,
        "refused: ProtocolVersion",
    );
}

#[test]
fn bad_files_are_named() {
    let world = World::new();
    let file = |name: &str, text: &str| {
        let path = world.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        Some(path)
    };
    let (_, other) = world.authority.issue(world.dir.path(), "other", "chat.test");
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----";
    let broken = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    let good = &world.server;
    let missing: Option<PathBuf> = Some("/nowhere/key".into());
    for (certificate, key, client_ca, what) in [
        (&good.certificate, &missing, &None, "cannot read /nowhere/key: No such file"),
        (&good.certificate, &Some(other), &None, "other.key is not the key of the certificate in"),
        (&file("a", "hi"), &good.key, &None, "/a has no certificate: expected PEM"),
        (&file("b", broken), &good.key, &None, "/b has a certificate that cannot be read"),
        (&good.certificate, &file("c", ""), &None, "/c has no private key"),
        (&good.certificate, &file("d", encrypted), &None, "/d is encrypted: decrypt it"),
        (&good.certificate, &good.key, &file("e", ""), "/e has no certificate"),
        (
            &good.certificate,
            &good.key,
            &file("f", broken),
            "/f has a certificate that is of no use",
        ),
    ] {
        let (certificate, key) = (certificate.clone(), key.clone());
        let tls = ServerTls { certificate, key, client_ca: client_ca.clone() };
        let said = tls.config(Peers::Clients, &world.clock()).unwrap_err().to_string();
        assert!(said.contains(what), "{said:?} does not say {what:?}");
    }
}

#[test]
fn settings_that_do_not_go_together_are_named() {
    let path = || Some(PathBuf::from("x"));
    let keys = |problems: Vec<Problem>| -> Vec<String> {
        problems.into_iter().map(|problem| problem.key).collect()
    };
    let server = |certificate, key, client_ca| ServerTls { certificate, key, client_ca };
    for (tls, wrong) in [
        (ServerTls::default(), &[][..]),
        (server(path(), path(), path()), &[]),
        (server(path(), None, None), &["tls.key"]),
        (server(None, path(), None), &["tls.certificate"]),
        (server(None, None, path()), &["tls.client_ca"]),
        (server(Some(PathBuf::new()), path(), None), &["tls.certificate"]),
    ] {
        assert_eq!(keys(tls.problems("tls")), wrong);
    }
    let off = ClientTls::default();
    assert_eq!(keys(off.problems("x")), [""; 0]);
    assert_eq!(keys(ClientTls { enabled: true, ..off.clone() }.problems("x")), ["x.ca"]);
    let name = Some("not a name".to_owned());
    assert_eq!(keys(ClientTls { server_name: name, ..off }.problems("x")), ["x.server_name"]);
}
