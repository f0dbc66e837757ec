//! The measurements' machinery: sessions by hand against the fake server, and the floor.

use std::path::Path;

use harkara_loadtest::{
    broadcast::{self, floor::Floor},
    idle,
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
        pin: false,
        out: Some(out.clone()),
    };
    assert!(broadcast::run(args).await.expect("a run"));
    let text = std::fs::read_to_string(out).expect("figures");
    let figures: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(figures["rounds"].as_array().map(Vec::len), Some(2));
    assert!(figures["frame_bytes"].as_u64() > Some(100));
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
        out: None,
    };
    assert!(idle::run(args).await.expect("a run"), "sessions ended");
}
