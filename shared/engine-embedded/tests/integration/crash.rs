//! kill -9 in the middle of writing: everything that was acknowledged is there afterwards.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use bytes::Bytes;
use harkara_domain::{ConversationId, Cursor, Partition, UserId};
use harkara_engine::Log;

use crate::support::{copy, open, read_all};

/// Set: this process is the one that is killed. The directory to write to.
const CHILD: &str = "HARKARA_TEST_CRASH_DIR";

const APPENDERS: u16 = 8;

fn conversation() -> ConversationId {
    ConversationId::from_bytes([1; 16])
}

/// Writes for ever and says what was acknowledged: `appender number` a line. Nothing to do where
/// the variable is not set, as in an ordinary run of the tests.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let embedded = open(Path::new(&dir));
        let first = read_all(&*embedded.log(), 3).await.len() as u64;
        let store = embedded.store();
        let appenders = (0..APPENDERS).map(|n| tokio::spawn(append(embedded.log(), n, first)));
        let appenders: Vec<_> = appenders.collect();
        for seq in first * 1_000_000.. {
            let cursor = Cursor { seq, ordinal: seq };
            let moved = store.advance(conversation(), vec![(user(), cursor)]).await;
            moved.expect("cursors can be written");
            say(&format!("cursor {seq}"));
        }
        drop(appenders);
    });
}

fn user() -> UserId {
    UserId::from_bytes([2; 16])
}

async fn append(log: Arc<dyn Log>, appender: u16, round: u64) {
    for n in 0_u64.. {
        let record = Bytes::from(format!("{round} {appender} {n}"));
        let pending = log.append(Partition(appender % 3), conversation(), record);
        pending.expect("there is room").await.expect("appends work");
        say(&format!("record {round} {appender} {n}"));
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // One write a line: a killed process leaves no half one that could be taken for a whole.
    out.write_all(format!("{line}\n").as_bytes()).expect("the parent listens");
}

fn start(dir: &Path) -> Child {
    Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "crash::child", "--nocapture", "--test-threads=1"])
        .env(CHILD, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("the child starts")
}

/// Runs a child until it has acknowledged some hundred records, kills it, and returns all lines.
fn killed(dir: &Path, lines: usize) -> Vec<String> {
    let mut child = start(dir);
    let out = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut said = Vec::new();
    for line in out.lines() {
        said.push(line.expect("lines are text"));
        if said.len() == lines {
            child.kill().expect("the child can be killed");
        }
    }
    child.wait().expect("the child ends");
    assert!(said.len() >= lines, "the child ended early: {said:?}");
    said
}

#[tokio::test]
async fn a_killed_process_loses_nothing_it_acknowledged() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut records, mut cursor) = (Vec::new(), 0);
    for round in 0..4 {
        for line in killed(dir.path(), 200 + 150 * round) {
            if let Some(record) = line.strip_prefix("record ") {
                records.push(record.to_owned());
            } else if let Some(seq) = line.strip_prefix("cursor ") {
                cursor = seq.parse().expect("a number");
            }
        }
        let embedded = open(dir.path());
        let (log, store) = (embedded.log(), embedded.store());
        let mut there = std::collections::BTreeSet::new();
        for partition in 0..3 {
            for entry in read_all(&*log, partition).await {
                there.insert(String::from_utf8_lossy(&entry.record).into_owned());
            }
        }
        let lost: Vec<_> = records.iter().filter(|record| !there.contains(*record)).collect();
        assert!(lost.is_empty(), "round {round}: {} acknowledged records are gone", lost.len());
        let cursors = store.cursors(conversation()).await.expect("reading works");
        let kept = cursors.first().map_or(0, |(_, cursor)| cursor.seq);
        assert!(kept >= cursor, "round {round}: cursor {cursor} was acknowledged, {kept} is there");
        // Partition 3 counts the rounds, by its `end` records.
        read_all(&*log, 3).await;
    }
}

/// The image that a running process leaves on the disk, without anything being closed.
#[tokio::test]
async fn a_directory_copied_while_it_is_used_opens() {
    let dir = tempfile::tempdir().expect("a directory");
    let embedded = open(dir.path());
    let log = embedded.log();
    for n in 0..50 {
        crate::support::append(&*log, 0, Bytes::from(format!("{n}"))).await.expect("appends work");
        if n % 10 == 9 {
            let image = tempfile::tempdir().expect("a directory");
            copy(dir.path(), image.path());
            let copied = open(image.path());
            assert_eq!(copied.generation(), embedded.generation(), "the same life of the log");
            assert_eq!(read_all(&*copied.log(), 0).await.len(), n + 1, "all that was acknowledged");
        }
    }
}
