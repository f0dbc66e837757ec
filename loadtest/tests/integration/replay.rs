//! Whole replays against the fake server.

use std::path::Path;

use harkara_loadtest::{
    check,
    replay::{self, Args, Speed},
};
use serde_json::Value;

use crate::fake::{self, Manners};

/// Three days with all forms of lines; nicks that come, go, come back and change.
fn write_logs(dir: &Path) {
    for day in 0..3 {
        let mut text = String::from("=== early [~e@host]  has joined #ubuntu\n");
        for i in 0..150 {
            let (hour, minute, nick) = (9 + i / 60, i % 60, i * 7 % 11);
            text +=
                &format!("[{hour:02}:{minute:02}] <nick{nick}> line {i} of day {day} \u{1f600}\n");
            match i % 30 {
                3 => text += &format!("=== nick{nick} [~n@host]  has left #ubuntu []\n"),
                11 => text += &format!("=== nick{nick} is now known as nick{nick}_\n"),
                17 => text += &format!("[{hour:02}:{minute:02}]  * nick{nick} yawns\n"),
                19 => text += &format!("=== nick{nick} was kicked off #ubuntu by op (op)\n"),
                23 => text += &format!("[{hour:02}:{minute:02}] <new{i}> nick{nick}: hello\n"),
                _ => {}
            }
        }
        std::fs::write(dir.join(format!("day-{day}.log")), text).expect("written");
    }
}

fn args(dir: &Path, url: String) -> Args {
    Args {
        dir: dir.join("logs"),
        url: vec![url],
        speed: Speed::Flat,
        readers: 2,
        days: usize::MAX,
        limit: usize::MAX,
        lanes: 2,
        pool: 5,
        window: 8,
        patience: 20,
        out: Some(dir.join("figures.json")),
        log_dir: Some(dir.join("journal")),
        no_check: false,
    }
}

async fn replay(manners: Manners) -> (tempfile::TempDir, String, bool) {
    let dir = tempfile::tempdir().expect("directory");
    std::fs::create_dir(dir.path().join("logs")).expect("directory");
    write_logs(&dir.path().join("logs"));
    let url = fake::start(manners).await;
    let clean = replay::run(args(dir.path(), url.clone())).await.expect("a run");
    (dir, url, clean)
}

fn figures(dir: &tempfile::TempDir) -> Value {
    let text = std::fs::read_to_string(dir.path().join("figures.json")).expect("figures");
    let figures: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(figures["check"].as_array().map(Vec::len), Some(10));
    figures["replay"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_against_an_honest_server_is_complete_and_clean() {
    let (dir, url, clean) = replay(Manners::default()).await;
    assert!(clean);
    let figures = figures(&dir);
    let messages = 3 * (150 + 5 + 5);
    assert_eq!(figures["logs"]["messages"], messages);
    assert_eq!(figures["own_events"], messages);
    assert_eq!(figures["reconnects"], 0);
    let again = check::Args { log_dir: dir.path().join("journal"), url, out: None };
    assert!(check::run(again).await.expect("a check"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_connections_lose_nothing_and_double_nothing() {
    let manners = Manners { drop_one_in: Some(12), ..Manners::default() };
    let (dir, _, clean) = replay(manners).await;
    assert!(clean);
    let figures = figures(&dir);
    assert!(figures["reconnects"].as_u64() > Some(10), "{figures}");
    assert_eq!(figures["intended"], figures["accepted"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_alters_history_is_found_out() {
    let (_dir, _, clean) = replay(Manners { tampers: true, ..Manners::default() }).await;
    assert!(!clean);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_lets_those_read_who_left_is_found_out() {
    let (_dir, _, clean) = replay(Manners { leaks: true, ..Manners::default() }).await;
    assert!(!clean);
}
