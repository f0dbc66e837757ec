//! What looks odd and is well: verifying says so.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use harkara_domain::{Command, Partition, Role};
use harkara_fanout::Worker;
use harkara_service_runtime::{clock::SystemClock, entropy::SystemEntropy};

use super::world::{
    Dice, Dir, PARTITIONS, Standing, config, create, group, history, quiet, record, run, text, user,
};
use crate::moving::verify::verify;

/// Verifying beside a worker that is busy: nothing half-done looks wrong.
#[test]
fn a_worker_at_work_is_no_finding() {
    run(async {
        let dir = Arc::new(Dir::new());
        let (clock, entropy) = (SystemClock::shared(), SystemEntropy::shared());
        let worker = Worker::start(config(), dir.engines(), clock, entropy).await.expect("starts");
        let appending = {
            let dir = Arc::clone(&dir);
            actix::spawn(async move {
                for seed in 41..45 {
                    dir.append(&history(&mut Dice(seed), 150)).await;
                }
            })
        };
        let mut looks = 0;
        while !appending.is_finished() {
            let (store, log) = (dir.embedded.store_scan(), dir.embedded.log_scan());
            let report = verify(&*store, &*log, &quiet()).await.expect("reads");
            assert!(report.is_well(), "look {looks}: {:?}", report.findings());
            looks += 1;
        }
        appending.await.expect("appended");
        worker.stop().await;
        assert!(looks > 2, "only {looks} looks");
        dir.settle().await;
        assert!(dir.verify().await.is_well());
    });
}

/// A log whose old records are gone, with rejections that nobody remembers.
#[test]
fn what_the_log_and_the_snapshots_forgot_is_no_finding() {
    run(async {
        let hour = 3_600_000;
        let clock = Arc::new(Standing(AtomicU64::new(1_700_000_000_000)));
        let home = tempfile::tempdir().expect("a directory");
        let dir = Dir::at(home, Arc::clone(&clock) as _);
        // Refused for good, although 4 is a member later.
        let early = record(group(0), 4, 1, text("too early", None));
        dir.append(&[create(0, &[1]), early.clone()]).await;
        dir.settle().await;
        clock.0.fetch_add(2 * hour, Ordering::SeqCst);
        let add = Command::Add { users: vec![user(4)], role: Role::Member };
        dir.append(&[record(group(0), 0, 2, add), early]).await;
        dir.append(&[record(group(0), 4, 3, text("now", None))]).await;
        let noise = |n: u64| record(group(0), 9, 1_000 + n, text("let me in", None));
        dir.append(&(0..300).map(noise).collect::<Vec<_>>()).await;
        dir.settle().await;
        let partition = Partition::of(group(0), PARTITIONS);
        let log = dir.embedded.log_scan();
        // Swept in spare time.
        let mut first = 0;
        for _ in 0..3_000 {
            first = log.bounds(partition).await.expect("reads").first;
            if first > 0 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        assert!(first > 0, "nothing was swept");
        assert_eq!(dir.events(group(0)).await.len(), 3);
        let report = dir.verify().await;
        assert!(report.is_well(), "{:?}", report.findings());
        assert_eq!(report.counts().forgotten, 1, "{:?}", report.counts());
        assert!(report.counts().caused_rejections > 256);
        let archive = dir.path("archive");
        dir.export(&archive).await.expect("exports");
    });
}

/// More events than fit into a page, a step, a chunk or the window of repeats.
#[test]
fn long_conversations_are_carried_whole() {
    run(async {
        let source = Dir::new();
        let mut records = vec![create(0, &[1, 2])];
        records.extend((0..9_000).map(|n| record(group(0), n % 3, n, text("line", None))));
        // Beyond the window a repeat is not known any more, within it is.
        records.push(record(group(0), 0, 0, text("line", None)));
        records.push(record(group(0), 2, 8_999, text("line", None)));
        let log = source.embedded.log();
        let partition = Partition::of(group(0), PARTITIONS);
        let pending: Vec<_> = records
            .iter()
            .map(|one| {
                let bytes = harkara_protocol::record::encode(one);
                log.append(partition, group(0), bytes).expect("queued")
            })
            .collect();
        for one in pending {
            one.await.expect("durable");
        }
        source.settle().await;
        let events = source.events(group(0)).await;
        assert_eq!(events.len(), 9_002);
        let archive = source.path("archive");
        source.export(&archive).await.expect("exports");
        let archive = crate::moving::archive::Archive::open(&archive).expect("whole");
        let target = Dir::new();
        let file = source.path("progress");
        let store = target.embedded.store();
        crate::moving::import::import(&archive, &*store, &file, &quiet()).await.expect("imports");
        assert_eq!(target.events(group(0)).await, events);
        for dir in [&source, &target] {
            let report = dir.verify().await;
            assert!(report.is_well(), "{:?}", report.findings());
        }
        assert_eq!(source.verify().await.counts().repeats, 1);
    });
}
