//! Old records go when they are committed, and only then; offsets and times go on.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use harkara_engine::PartitionReader;
use harkara_engine_embedded::{Embedded, Options};

use crate::support::{ManualClock, append, eventually, options};

const DAY: u64 = 24 * 60 * 60 * 1000;

async fn reader(embedded: &Embedded, partition: usize) -> Box<dyn PartitionReader> {
    let mut assignments = embedded.log().consume().await.expect("consuming works");
    for _ in 0..partition {
        assignments.next().await.expect("a partition");
    }
    assignments.next().await.expect("a partition")
}

#[tokio::test]
async fn committed_records_go_when_they_are_old() {
    let dir = tempfile::tempdir().expect("a directory");
    let clock = ManualClock::at(100 * DAY);
    let options = Options { sweep_interval: Duration::from_secs(1), ..options() };
    let open = || Embedded::open(dir.path(), options.clone(), clock.shared()).expect("it opens");
    let embedded = open();
    let log = embedded.log();
    for n in 0..1_000 {
        let partition = n % 2;
        append(&*log, partition, Bytes::from(format!("{n}"))).await.expect("appends work");
    }
    reader(&embedded, 0).await.committer().commit(400).await.expect("commits work");

    clock.set(106 * DAY);
    append(&*log, 2, Bytes::from_static(b"x")).await.expect("appends work");
    assert_eq!(embedded.counts().swept, 0, "six days are not too old");
    clock.set(108 * DAY);
    eventually("400 records are committed and old", async || embedded.counts().swept == 400).await;

    let rest = reader(&embedded, 0).await.next(9_999).await.expect("reads").expect("it is ours");
    assert_eq!(rest.first().map(|entry| entry.offset), Some(400), "what is not committed stays");
    let all = reader(&embedded, 1).await.next(9_999).await.expect("reads").expect("it is ours");
    assert_eq!(all.len(), 500, "a partition without commits keeps everything");

    // Everything is committed and old; the newest record stays and holds offset and time.
    reader(&embedded, 0).await.committer().commit(500).await.expect("commits work");
    clock.set(118 * DAY);
    eventually("99 more go", async || embedded.counts().swept == 499).await;
    embedded.close().await.expect("closing works");
    drop(embedded);
    clock.set(99 * DAY);
    let embedded = open();
    let pending = embedded.log().append(
        harkara_domain::Partition(0),
        harkara_domain::ConversationId::from_bytes([1; 16]),
        Bytes::from_static(b"next"),
    );
    let appended = pending.expect("there is room").await.expect("appends work");
    assert_eq!(appended.offset, 500, "offsets go on after a restart");
    assert_eq!(appended.at, 100 * DAY, "a clock that stepped back does not take the time back");
}

/// Not only while it runs: a clock that steps back changes nothing in the order of times.
#[tokio::test]
async fn append_times_never_go_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let clock = ManualClock::at(5_000);
    let embedded = Embedded::open(dir.path(), options(), clock.shared()).expect("it opens");
    let log = embedded.log();
    let mut times = Vec::new();
    for now in [5_000, 7_000, 6_000, 1_000, 7_500] {
        clock.set(now);
        let key = harkara_domain::ConversationId::from_bytes([1; 16]);
        let pending = log.append(harkara_domain::Partition(0), key, Bytes::from_static(b"x"));
        times.push(pending.expect("there is room").await.expect("appends work").at);
    }
    assert_eq!(times, [5_000, 7_000, 7_000, 7_000, 7_500]);
    let _ = Arc::clone(&log);
}
