//! The measurements' machinery: sessions by hand against the fake server, and the floor.

use std::path::Path;

use harkara_loadtest::{
    broadcast::{self, floor::Floor},
    figures::Measured,
    idle, ramp,
    raw::{self, Gate},
    sync,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::fake::{self, Manners};

#[tokio::test]
async fn the_floor_writes_to_every_socket_when_told() {
    let program = Path::new(env!("CARGO_BIN_EXE_harkara-loadtest"));
    let run = async {
        let mut floor = Floor::start_program(program, 20, 300).await.expect("a floor");
        floor.send(5).await.expect("five frames everywhere");
        let cost = floor.round(10).await.expect("ten more");
        assert!(cost.wall_us > 0.0);
    };
    tokio::task::LocalSet::new().run_until(run).await;
}

#[tokio::test]
async fn a_broadcast_gets_everywhere() {
    let dir = tempfile::tempdir().expect("directory");
    let out = dir.path().join("figures.json");
    let args = broadcast::Args {
        url: fake::start(Manners::default()).await,
        sessions: 40,
        messages: 3,
        bytes: 100,
        rounds: 2,
        server_pid: std::process::id(),
        floor: false,
        pin: None,
        out: Some(out.clone()),
    };
    assert!(broadcast::run(args).await.expect("a run"));
    let text = std::fs::read_to_string(out).expect("figures");
    let measured: Measured = serde_json::from_str(&text).expect("JSON");
    let figure = measured.figures.iter().find(|f| f.key == "broadcast.cpu_us_per_delivery");
    let rounds = &figure.expect("a figure").rounds;
    assert!(rounds.len() == 2 && rounds.iter().all(|&us| us > 0.0), "{rounds:?}");
}

#[tokio::test]
async fn idle_sessions_stay() {
    let args = idle::Args {
        url: fake::start(Manners::default()).await,
        sessions: 30,
        conversations: 3,
        server_pid: std::process::id(),
        settle: 0,
        window: 1,
        rounds: 2,
        traffic: 3,
        out: None,
    };
    let measured = idle::measure(&args).await.expect("nobody ended");
    let rounds = |key: &str| measured.figures.iter().find(|f| f.key == key).map(|f| f.rounds.len());
    assert_eq!(rounds("idle.cpu_us_per_session_second"), Some(2));
    assert_eq!(rounds("idle.bytes_per_session_after_traffic"), Some(1));
}

#[tokio::test]
async fn everybody_comes_and_comes_back() {
    let mut args = ramp::Args {
        url: fake::start(Manners::default()).await,
        sessions: 25,
        conversations: 3,
        rounds: 2,
        rate: None,
        at_once: 4,
        settle: 0,
        server_pid: vec![std::process::id()],
        pin: None,
        out: None,
    };
    for rate in [None, Some(500.0)] {
        args.rate = rate;
        let measured = ramp::measure(&args).await.expect("a run");
        assert!(measured.figures.iter().all(|f| f.rounds.len() == 2), "{:?}", measured.figures);
        let live = |line: usize| measured.plots[1].lines[line].points.last().map(|p| p.1);
        assert_eq!([live(0), live(1)], [Some(25.0); 2]);
    }
}

#[tokio::test]
async fn all_lists_are_whole() {
    // More members than users, and fewer: then there are more rooms than anybody is in.
    for members in [13, 5] {
        let args = sync::Args {
            url: fake::start(Manners::default()).await,
            users: 10,
            conversations: 12,
            members,
            rounds: 2,
            settle: 0,
            server_pid: vec![std::process::id()],
            pin: None,
            out: None,
        };
        let measured = sync::measure(&args).await.expect("a run");
        assert_eq!(measured.plots[0].lines.len(), 2);
        assert!(measured.plots[0].lines.iter().all(|line| line.points.len() == 10));
    }
}

#[tokio::test]
async fn a_session_that_is_refused_is_not_taken_for_live() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("ws://{}", listener.local_addr().expect("an address"));
    let refusing = async {
        let (mut socket, _) = listener.accept().await.expect("a client");
        let mut request = Vec::new();
        while !request.windows(4).any(|w| w == b"\r\n\r\n") {
            socket.read_buf(&mut request).await.expect("a request");
        }
        let text = br#"{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"no"}}"#;
        let mut answer = b"HTTP/1.1 101 Switching Protocols\r\n\r\n".to_vec();
        answer.extend(raw::frames::header(raw::frames::TEXT, text.len()));
        answer.extend(text);
        socket.write_all(&answer).await.expect("written");
        socket
    };
    let gate = Gate::of(&url).await.expect("an address");
    let (opened, _socket) = tokio::join!(gate.open(0, "token", "{}"), refusing);
    let error = opened.expect_err("refused").to_string();
    assert!(error.contains("session.start was refused") && error.contains("\"no\""), "{error}");
}
