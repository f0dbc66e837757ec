//! Leaving: new sessions are refused, open ones counted to the last.

use crate::{
    client::{Client, HANDSHAKE},
    server::start,
};

#[test]
pub fn a_drain_refuses_the_new_and_waits_for_the_old() {
    let mut server = start();
    let mut client = Client::open(server.address);
    client.text("x");
    assert_eq!(client.read_text(), "x");
    server.drain();
    server.until("the drain", |probe| probe.events().contains(&"draining with 1".to_owned()));
    let (status, answer) = Client::answer(server.address, &format!("{HANDSHAKE}\r\n"));
    assert_eq!(status, 503, "{answer}");
    client.text("still served");
    assert_eq!(client.read_text(), "still served");
    client.text("!close");
    client.closed();
    drop(client);
    server.until("the end", |probe| probe.events().contains(&"drained".to_owned()));
}

#[test]
pub fn stopping_ends_sessions_that_stayed() {
    let server = start();
    let mut client = Client::open(server.address);
    let (address, probe) = (server.address, std::sync::Arc::clone(&server.probe));
    drop(server);
    client.end();
    assert_eq!(probe.stopped.load(std::sync::atomic::Ordering::SeqCst), 1);
    assert!(std::net::TcpStream::connect(address).is_err(), "the listener is closed");
}
