//! A panic ends what it is about: the partition is read again, and nobody else loses anything. A
//! record that panics each time keeps its conversation from going on, and nothing but that.

use std::{path::Path, sync::Arc, time::Duration};

use actix::Arbiter;
use harkara_domain::{ConversationId, Partition, Record, Seq};
use harkara_engine::{EndpointId, Up, link::Answer, link::What};
use harkara_engine_embedded::{Embedded, Options};
use harkara_fanout::{Config, Engines, Worker};
use harkara_protocol::record as wire;
use harkara_service_runtime::{clock::SystemClock, entropy::SystemEntropy, sabotage};

use crate::support::{create, record, text, user};

/// All conversations share it.
const ONLY: Partition = Partition(0);

const MINE: &str = "step on a mine";

/// A worker whose one thread has so many mines.
struct Mined {
    embedded: Embedded,
    worker: Worker,
    thread: Arbiter,
}

impl Mined {
    async fn start(dir: &Path, mines: u32) -> Self {
        let options = Options { partitions: 1, ..Options::default() };
        let embedded = Embedded::open(dir, options, SystemClock::shared()).expect("opens");
        let engines = Engines {
            log: embedded.log(),
            store: embedded.store(),
            link: embedded.link(),
            directory: embedded.directory(),
            address: String::new(),
        };
        let thread = Arbiter::new();
        thread.spawn_fn(move || sabotage::lay_mines(mines));
        let (clock, entropy) = (SystemClock::shared(), SystemEntropy::shared());
        let threads = vec![thread.handle()];
        let config = Config::default();
        let worker = Worker::start_on(threads, config, engines, clock, entropy);
        Self { worker: worker.await.expect("starts"), embedded, thread }
    }

    async fn append(&self, n: u8, mut record: Record) {
        record.conversation = group(n);
        let pending = self.embedded.log().append(ONLY, group(n), wire::encode(&record));
        pending.expect("queued").await.expect("durable");
    }

    /// Waits until a conversation has so many events.
    async fn reaches(&self, n: u8, head: usize) {
        let store = self.embedded.store();
        let read = async || store.events(group(n), 0, Seq::MAX, 100).await.expect("reads").len();
        let reached = async {
            while read().await < head {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(10), reached).await;
        assert!(waited.is_ok(), "group {n} has {} of {head} events", read().await);
        assert_eq!(read().await, head);
    }

    async fn committed(&self) -> u64 {
        self.embedded.log_scan().bounds(ONLY).await.expect("reads").committed
    }

    async fn commits(&self, next: u64) {
        let reached = async {
            while self.committed().await < next {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(10), reached).await;
        assert!(waited.is_ok(), "{} of {next}", self.committed().await);
    }

    async fn stop(self) {
        self.worker.stop().await;
        self.thread.stop();
        self.embedded.close().await.expect("closes");
    }
}

fn group(n: u8) -> ConversationId {
    ConversationId::from_bytes([n; 16])
}

fn in_system(test: impl Future<Output = ()>) {
    actix::System::new().block_on(test);
}

#[test]
fn a_panic_that_does_not_come_again_costs_a_moment() {
    in_system(async {
        let dir = tempfile::tempdir().expect("a directory");
        let mined = Mined::start(dir.path(), 1).await;
        for n in [1, 2] {
            mined.append(n, record(1, 1, create(&[2]))).await;
            mined.append(n, record(1, 2, text(MINE))).await;
            mined.append(n, record(1, 3, text("after it"))).await;
        }
        for n in [1, 2] {
            mined.reaches(n, 3).await;
        }
        // Two records for each of the two lists behind the six.
        mined.commits(10).await;
        mined.stop().await;
    });
}

#[test]
fn a_record_that_always_panics_keeps_its_conversation_and_no_other() {
    in_system(async {
        let dir = tempfile::tempdir().expect("a directory");
        let mined = Mined::start(dir.path(), u32::MAX).await;
        for n in [1, 2] {
            mined.append(n, record(1, 1, create(&[2]))).await;
            mined.reaches(n, 1).await;
        }
        mined.append(1, record(1, 2, text(MINE))).await;
        mined.append(1, record(1, 3, text("behind it"))).await;
        for n in 2..12 {
            mined.append(2, record(1, n, text("goes on"))).await;
        }
        mined.reaches(2, 11).await;
        mined.reaches(1, 1).await;
        let stuck = mined.committed().await;
        // Set aside by now: others don't even wait for the next try.
        for n in 12..22 {
            mined.append(2, record(1, n, text("goes on"))).await;
            mined.reaches(2, usize::try_from(n).expect("small")).await;
        }
        assert_eq!(mined.committed().await, stuck, "nothing accepted is passed over");
        assert_eq!(asked(&mined, 1).await, Answer::Unavailable);
        assert!(matches!(asked(&mined, 2).await, Answer::Entry(_)));
        mined.stop().await;

        // A build that does not panic there takes it up.
        let mended = Mined::start(dir.path(), 0).await;
        mended.reaches(1, 3).await;
        mended.reaches(2, 21).await;
        mended.commits(stuck + 22).await;
        mended.stop().await;
    });
}

/// What the owner says about an entry.
async fn asked(mined: &Mined, n: u8) -> Answer {
    let (_, link, mut frames): (EndpointId, Arc<_>, _) = mined.embedded.link().gateway();
    let entry = Up::Entry { request: 1, conversation: group(n), user: user(1) };
    link.send(ONLY, entry).expect("somebody owns it");
    let answered = async {
        loop {
            let frame = frames.recv().await.expect("the link is open");
            if let What::Answer { answer, .. } = &frame.what {
                return answer.clone();
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(5), answered).await.expect("an answer in time")
}
