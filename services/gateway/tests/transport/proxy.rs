//! The PROXY protocol in front of connections: whose they are, who may say so, and who must.

use std::{io::Write as _, time::Duration};

use harkara_gateway::{config::Network, http::ServerConfig};

use crate::{
    client::{Client, HANDSHAKE, Wire},
    log,
    server::{Fixture, config, start_with},
    tls_files,
};

/// A header that says that the client is 192.0.2.7:12345.
fn header(command: u8, extensions: &[u8]) -> Vec<u8> {
    header_of(7, command, extensions)
}

fn header_of(client: u8, command: u8, extensions: &[u8]) -> Vec<u8> {
    let addresses = [192, 0, 2, client, 10, 0, 0, 1, 0x30, 0x39, 0x1f, 0x90];
    let length = u16::try_from(addresses.len() + extensions.len()).unwrap().to_be_bytes();
    let signature = b"\r\n\r\n\0\r\nQUIT\n";
    [&signature[..], &[command, 0x11], &length, &addresses, extensions].concat()
}

fn trusting(networks: &[&str]) -> ServerConfig {
    let networks: Vec<Network> = networks.iter().map(|it| it.parse().unwrap()).collect();
    ServerConfig { proxies: Some(networks), ..config() }
}

fn connect(server: &Fixture, header: &[u8]) -> Client {
    let mut socket = Client::socket(server.address);
    socket.write_all(header).unwrap();
    Client { wire: Wire::over(socket) }
}

fn the_header_names_the_client() {
    let server = start_with(trusting(&["10.0.0.0/8", "127.0.0.0/8"]));
    let mut client = connect(&server, &header(0x21, &[]));
    client.upgrade();
    client.text("hello");
    assert_eq!(client.read_text(), "hello");
    // Extensions, as balancers add them.
    connect(&server, &header(0x21, &[0x20, 0, 3, 1, 2, 3])).upgrade();
    // A health check speaks for itself.
    connect(&server, &header(0x20, &[])).upgrade();
    let named = "start none from 192.0.2.7:12345";
    assert_eq!(server.probe.events(), [named, named, "start none"]);
}

#[test]
fn over_plain_sockets() {
    the_header_names_the_client();
}

#[test]
fn over_tls() {
    tls_files::over_tls(the_header_names_the_client);
}

#[test]
fn a_header_may_come_in_pieces_and_with_the_request() {
    let server = start_with(trusting(&["127.0.0.1"]));
    let mut client = connect(&server, &[]);
    for byte in header(0x21, &[9; 40]) {
        client.raw(&[byte]);
    }
    client.upgrade();
    let whole = [&header(0x21, &[])[..], HANDSHAKE.as_bytes(), b"\r\n"].concat();
    connect(&server, &whole).upgraded();
    // The name counts where addresses do.
    let page = HANDSHAKE.to_owned() + "origin: http://localhost:3000\r\n\r\n";
    let mut client = connect(&server, &header(0x21, &[]));
    client.raw(page.as_bytes());
    assert!(client.head().starts_with("HTTP/1.1 403 "), "a page on the machine of somebody else");
}

#[test]
fn proxies_must_send_it_and_nobody_else_may_connect() {
    log::collect();
    let timeout = Duration::from_millis(500);
    let server =
        start_with(ServerConfig { handshake_timeout: timeout, ..trusting(&["127.0.0.1"]) });
    let long = header(0x21, &[0; 5_000]);
    let cut = &header(0x21, &[])[..20];
    let request = format!("{HANDSHAKE}\r\n");
    for bytes in [request.as_bytes(), b"PROXY TCP4 1.2.3.4 10.0.0.1 1 2\r\n", &long, cut, b""] {
        connect(&server, bytes).end();
    }
    drop(Client::socket(server.address));
    let strict = start_with(trusting(&["10.0.0.0/8", "::1"]));
    connect(&strict, &header(0x21, &[])).end();
    assert!(server.probe.events().is_empty() && strict.probe.events().is_empty());
    for what in [
        "there is no PROXY header of version 2",
        "has 5012 bytes behind its beginning",
        "took too long",
        "ended without a word",
        "not in gateway.trusted_proxies",
    ] {
        log::says("127.0.0.1", what);
    }
    connect(&server, &header_of(8, 0x21, &[])).upgrade();
    log::says("upgraded", "192.0.2.8:12345");
    let refused = HANDSHAKE.to_owned() + "authorization: Bearer bad\r\n\r\n";
    let mut client = connect(&server, &header_of(9, 0x21, &[]));
    client.raw(refused.as_bytes());
    client.end();
    log::says("upgrade refused", "192.0.2.9:12345");
}

#[test]
fn a_header_is_no_request_where_none_is_expected() {
    let server = start_with(config());
    let mut client = connect(&server, &header(0x21, &[]));
    client.raw(format!("{HANDSHAKE}\r\n").as_bytes());
    assert!(client.head().starts_with("HTTP/1.1 400 "));
    assert!(server.probe.events().is_empty());
}
