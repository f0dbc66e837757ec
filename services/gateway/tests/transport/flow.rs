//! Flow: clients that do not read, that ping without end, that are held back.

use std::sync::atomic::Ordering;

use harkara_gateway::{
    http::ServerConfig,
    transport::{Limits, SocketOptions},
};

use crate::{
    client::{Client, End, PING, PONG, TEXT, frame},
    server::{config, start, start_with},
};

#[test]
pub fn a_session_lives_on_and_resets_a_client_that_does_not_read() {
    let server = start();
    let mut client = Client::open_narrow(server.address);
    client.text("!flood 524288");
    server.until_stopped(1);
    let ticks = server.probe.ticks.load(Ordering::SeqCst);
    // 16 KiB a tick: the last half megabyte was queued while the socket took nothing.
    assert!(ticks >= 32, "timers ran on: {ticks}");
    assert!(server.probe.queued_highest.load(Ordering::SeqCst) > 524_288);
    // A late timer catches up, so the last tick may not be alone.
    assert!(server.probe.events()[1..].iter().all(|event| event == "reset"));
    assert_eq!(client.end(), End::Reset);
}

#[test]
pub fn the_hard_bound_resets_without_the_session() {
    let limits = Limits { queued_bytes_max: 256 * 1024, ..Limits::default() };
    let server = start_with(ServerConfig { limits, ..config() });
    let mut client = Client::open_narrow(server.address);
    client.text("!flood 999999999");
    server.until_stopped(1);
    assert!(server.probe.queued_highest.load(Ordering::SeqCst) <= 256 * 1024);
    assert_eq!(server.probe.events()[1], "overflow");
    assert_eq!(client.end(), End::Reset);
}

#[test]
pub fn a_close_that_can_not_be_flushed_is_a_reset_in_two_seconds() {
    let server = start();
    let mut client = Client::open_narrow(server.address);
    client.text("!fill 500");
    client.text("!close bye");
    server.until_stopped(1);
    // Nothing is read meanwhile, so the close frame stays where it is.
    let clock = harkara_service_runtime::clock::SystemClock::shared();
    let before = clock.elapsed_ns();
    let mut error = None;
    server.until("the reset", |_| {
        error = std::io::Write::write_all(client.wire.socket(), &frame(true, TEXT, b"x")).err();
        error.is_some()
    });
    assert_eq!(error.unwrap().kind(), std::io::ErrorKind::ConnectionReset);
    assert!(clock.elapsed_ns() - before < 4_000_000_000);
}

#[test]
pub fn the_kernel_cuts_a_client_that_never_reads() {
    let user_timeout = std::time::Duration::from_secs(1);
    let socket = SocketOptions { user_timeout, ..SocketOptions::default() };
    let server = start_with(ServerConfig { socket, ..config() });
    let mut client = Client::open_narrow(server.address);
    client.text("!fill 500");
    server.until_stopped(1);
    assert_eq!(server.probe.events(), ["start none"]);
}

#[test]
pub fn a_slow_client_gets_everything_in_order_and_the_session_learns_of_it() {
    let server = start();
    let mut client = Client::open_narrow(server.address);
    client.text("!fill 500");
    client.text("after");
    for _ in 0..500 {
        assert_eq!(client.read(), (TEXT, vec![b'f'; 1024]));
    }
    assert_eq!(client.read_text(), "after");
    server.until("drained", |probe| probe.events().contains(&"drained".to_owned()));
}

#[test]
pub fn a_ping_flood_is_a_breach() {
    let server = start();
    let mut client = Client::open(server.address);
    client.raw(&frame(true, PING, b"flood").repeat(1000));
    let pongs = std::iter::from_fn(|| Some(client.read())).take_while(|it| it.0 == PONG).count();
    assert!(pongs <= 2 * 64, "{pongs}");
    assert_eq!(client.end(), End::Closed);
    let events = server.probe.events();
    assert_eq!(events.last().unwrap(), "violation 1008 too many control frames");
}

#[test]
pub fn pongs_do_not_pile_up() {
    let limits = Limits { control_frames_per_second_max: u32::MAX, ..Limits::default() };
    let server = start_with(ServerConfig { limits, ..config() });
    let mut client = Client::open_narrow(server.address);
    client.text("!fill 500");
    for n in 0_u32..5000 {
        client.frame(true, PING, &n.to_be_bytes());
    }
    client.text("!ping end");
    let mut pongs = Vec::new();
    loop {
        match client.read() {
            (TEXT, _) => {}
            (PONG, payload) => pongs.push(payload),
            (_, payload) => break assert_eq!(payload, b"end"),
        }
    }
    client.frame(true, PING, b"last");
    while pongs.last().is_none_or(|pong| pong != b"last") {
        let (opcode, payload) = client.read();
        assert_eq!(opcode, PONG);
        pongs.push(payload);
    }
    // Those that came while the socket was stuck share one answer, the newest.
    assert!(pongs.len() < 4000, "{}", pongs.len());
}

#[test]
pub fn a_paused_session_reads_nothing_until_it_resumes() {
    let server = start();
    let mut client = Client::open(server.address);
    client.raw(&[frame(true, TEXT, b"!pause 50"), frame(true, TEXT, b"later")].concat());
    assert_eq!(client.read_text(), "later");
    assert_eq!(server.probe.events(), ["start none", "resumed"]);
}
