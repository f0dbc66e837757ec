//! Ends of sessions: by the client, by the session, by accident.

use crate::{
    client::{CLOSE, Client, End, TEXT, frame},
    server::start,
};

fn close(code: u16, reason: &str) -> Vec<u8> {
    frame(true, CLOSE, &[&code.to_be_bytes()[..], reason.as_bytes()].concat())
}

#[test]
pub fn a_close_is_echoed_with_code_and_reason() {
    let server = start();
    for (code, reason) in [(1000, ""), (1001, "tab closed"), (3000, "फिर मिलेंगे"), (4999, "x")]
    {
        let mut client = Client::open(server.address);
        client.raw(&close(code, reason));
        assert_eq!(client.closed(), (code, reason.to_owned()));
    }
    let mut client = Client::open(server.address);
    client.frame(true, CLOSE, b"");
    assert_eq!(client.closed(), (1005, String::new()));
    server.until_stopped(5);
}

#[test]
pub fn what_came_before_a_close_is_answered_and_nothing_after() {
    let server = start();
    let mut client = Client::open(server.address);
    let packet = [frame(true, TEXT, b"one"), close(1000, ""), frame(true, TEXT, b"two")].concat();
    client.raw(&packet);
    assert_eq!(client.read_text(), "one");
    assert_eq!(client.closed().0, 1000);
}

#[test]
pub fn a_session_closes_behind_what_it_sent() {
    let server = start();
    let mut client = Client::open(server.address);
    client.raw(&[frame(true, TEXT, b"last words"), frame(true, TEXT, b"!close enough")].concat());
    assert_eq!(client.read_text(), "last words");
    assert_eq!(client.closed(), (4000, "enough".to_owned()));
    server.until_stopped(1);
}

#[test]
pub fn a_close_frame_arrives_although_the_client_goes_on_sending() {
    let server = start();
    let mut client = Client::open(server.address);
    let packet: Vec<u8> =
        [frame(true, 3, b""), frame(true, TEXT, &[b'x'; 300]).repeat(500)].concat();
    client.raw(&packet);
    assert_eq!(client.closed().0, 1002);
}

#[test]
pub fn a_client_that_ignores_the_close_is_left_within_two_seconds() {
    let server = start();
    let clock = harkara_service_runtime::clock::SystemClock::shared();
    let mut client = Client::open(server.address);
    client.text("!close bye");
    // Neither answers nor closes; the session ends at once, the socket after its timeout.
    assert_eq!(client.closed().0, 4000);
    server.until_stopped(1);
    let before = clock.elapsed_ns();
    server.until("the end of the socket", |_| {
        std::io::Write::write_all(&mut client.wire, &frame(true, TEXT, b"x")).is_err()
    });
    assert!(clock.elapsed_ns() - before < 4_000_000_000);
}

#[test]
pub fn a_session_that_stops_without_a_word_closes_with_1011() {
    let server = start();
    let mut client = Client::open(server.address);
    client.text("!stop");
    assert_eq!(client.closed().0, 1011);
}

#[test]
pub fn a_panic_ends_one_session_only() {
    let server = start();
    let (mut first, mut second) = (Client::open(server.address), Client::open(server.address));
    first.text("!panic");
    first.end();
    second.text("still here");
    assert_eq!(second.read_text(), "still here");
}

#[test]
pub fn a_vanished_client_stops_its_session() {
    let server = start();
    drop(Client::open(server.address));
    server.until_stopped(1);
    let mut half = Client::open(server.address);
    half.wire.half_close();
    assert_ne!(half.end(), End::Reset, "an end without a close frame is an end");
    server.until_stopped(2);
}
