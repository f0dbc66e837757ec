//! Directories that can't be used: each a sentence that says what to do, and nothing changed.

use std::{fs, os::unix::fs::PermissionsExt};

use bytes::Bytes;
use harkara_engine::LogError;
use harkara_engine_embedded::{Embedded, OpenError, Options};
use harkara_service_runtime::clock::SystemClock;

use crate::support::{append, open, options, read_all, try_open};

fn error(result: Result<Embedded, OpenError>) -> OpenError {
    result.err().expect("the directory must be refused")
}

#[tokio::test]
async fn a_second_opening_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let first = open(dir.path());
    let refused = error(try_open(dir.path()));
    assert!(matches!(refused, OpenError::InUse { .. }), "{refused:?}");
    let sentence = refused.to_string();
    assert!(sentence.contains(&dir.path().display().to_string()), "{sentence}");
    assert!(sentence.contains("stop that one first"), "{sentence}");
    append(&*first.log(), 0, Bytes::from_static(b"on")).await.expect("the first one goes on");
    first.close().await.expect("closing works");
    drop(open(dir.path()));
}

#[tokio::test]
async fn closing_ends_everything() {
    let dir = tempfile::tempdir().expect("a directory");
    let embedded = open(dir.path());
    let (log, store) = (embedded.log(), embedded.store());
    let pending = log
        .append(harkara_domain::Partition(0), conversation(), Bytes::from_static(b"last"))
        .expect("an open log takes a record");
    let mut assignments = log.consume().await.expect("consuming works");
    let mut reader = assignments.next().await.expect("a partition");
    embedded.close().await.expect("closing works");
    embedded.close().await.expect("closing twice works");
    assert!(pending.await.is_ok(), "what was queued must be written");
    while reader.next(9).await.is_ok_and(|read| read.is_some()) {}
    assert!(assignments.next().await.is_none(), "the partitions are gone");
    assert!(matches!(log.ready().await, Err(LogError::Stop(_))), "a closed log says so");
    assert!(store.ready().await.is_err() && log.consume().await.is_err(), "all say so");
    assert!(store.snapshot(conversation()).await.is_err(), "reads fail");
    let late = append(&*log, 0, Bytes::from_static(b"late")).await;
    assert!(matches!(late, Err(LogError::Stop(_))), "{late:?}");
    // The old handles still live, and the directory is free all the same.
    let embedded = open(dir.path());
    let texts: Vec<_> = read_all(&*embedded.log(), 0).await.into_iter().map(|e| e.record).collect();
    assert_eq!(texts, [Bytes::from_static(b"last")]);
}

fn conversation() -> harkara_domain::ConversationId {
    harkara_domain::ConversationId::from_bytes([1; 16])
}

#[test]
fn another_number_of_partitions_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    drop(open(dir.path()));
    let other = Options { partitions: 8, ..options() };
    let refused = error(Embedded::open(dir.path(), other, SystemClock::shared()));
    assert!(matches!(refused, OpenError::Partitions { found: 4, wanted: 8, .. }), "{refused:?}");
    assert!(refused.to_string().contains("set it back to 4"), "{refused}");
    drop(open(dir.path()));
}

#[test]
fn a_file_in_its_place_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("file");
    fs::write(&file, b"not a directory").expect("a file");
    for path in [file.clone(), file.join("below")] {
        let refused = error(try_open(&path));
        assert!(matches!(refused, OpenError::Unusable { .. }), "{refused:?}");
        assert!(refused.to_string().contains("choose another one"), "{refused}");
    }
    assert_eq!(fs::read(&file).expect("the file"), b"not a directory");
}

#[test]
fn an_unwritable_directory_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("data");
    fs::create_dir(&path).expect("a directory");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o555)).expect("permissions");
    if fs::write(path.join("probe"), b"").is_ok() {
        println!("SKIPPED: this user may write everywhere, so a kernel directory must do");
        let refused = error(try_open(std::path::Path::new("/proc/harkara")));
        assert!(matches!(refused, OpenError::Unusable { .. }), "{refused:?}");
        return;
    }
    let refused = error(try_open(&path));
    assert!(matches!(refused, OpenError::Unusable { .. }), "{refused:?}");
    assert!(refused.to_string().contains("this user may write"), "{refused}");
}

/// A making that was interrupted is begun anew.
#[tokio::test]
async fn an_unfinished_database_is_made_anew() {
    let dir = tempfile::tempdir().expect("a directory");
    let new = dir.path().join("db.new");
    fs::create_dir(&new).expect("a directory");
    fs::write(new.join("0.jnl"), b"half a journal").expect("a file");
    let embedded = open(dir.path());
    append(&*embedded.log(), 0, Bytes::from_static(b"on")).await.expect("appends work");
    assert!(!new.exists(), "what was left behind is gone");
}
