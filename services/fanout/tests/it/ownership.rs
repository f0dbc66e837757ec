//! Who may speak for a partition, and until when: leases, claims that cross, partitions that are
//! taken away. The log is the embedded one, with a lease and an end of ownership in the test's hands.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use harkara_domain::{ConversationId, Generation, Partition, Record, Seq};
use harkara_engine::{
    Assignments, Down, EndpointId, Entry, GatewayLink, Lease, Log, LogError, PartitionReader,
    Pending, Up, directory::Owners, link::What, log::Committer,
};
use harkara_engine_embedded::{Embedded, Options};
use harkara_fanout::{Config, Engines, Worker};
use harkara_protocol::record as wire;
use harkara_service_runtime::{clock::SystemClock, entropy::SystemEntropy};
use tokio::sync::{mpsc, watch};

use crate::support::{conversation, create, record, text, user};

/// The one partition of these tests.
const ONLY: Partition = Partition(0);

/// What the test decides.
#[derive(Clone)]
struct Hands {
    lease: Arc<AtomicBool>,
    taken: watch::Sender<bool>,
    /// Commits that were made, and that a reader was dropped.
    commits: Arc<Mutex<Vec<u64>>>,
    dropped: Arc<AtomicBool>,
}

impl Hands {
    fn new() -> Self {
        Self {
            lease: Arc::new(AtomicBool::new(true)),
            taken: watch::Sender::new(false),
            commits: Arc::default(),
            dropped: Arc::default(),
        }
    }
}

impl Lease for Hands {
    fn holds(&self) -> bool {
        self.lease.load(Ordering::Acquire)
    }

    fn over(&self) -> bool {
        *self.taken.borrow()
    }
}

struct Leased {
    inner: Arc<dyn Log>,
    hands: Hands,
}

#[async_trait]
impl Log for Leased {
    fn partitions(&self) -> u16 {
        self.inner.partitions()
    }

    fn generation(&self) -> Generation {
        self.inner.generation()
    }

    fn append(&self, to: Partition, key: ConversationId, it: Bytes) -> Result<Pending, LogError> {
        self.inner.append(to, key, it)
    }

    async fn consume(&self) -> Result<Box<dyn Assignments>, LogError> {
        let inner = self.inner.consume().await?;
        Ok(Box::new(Given { inner, hands: self.hands.clone() }))
    }

    async fn ready(&self) -> Result<(), LogError> {
        self.inner.ready().await
    }
}

struct Given {
    inner: Box<dyn Assignments>,
    hands: Hands,
}

#[async_trait]
impl Assignments for Given {
    async fn next(&mut self) -> Option<Box<dyn PartitionReader>> {
        let inner = self.inner.next().await?;
        let taken = self.hands.taken.subscribe();
        Some(Box::new(Reader { inner, taken, hands: self.hands.clone() }))
    }
}

struct Reader {
    inner: Box<dyn PartitionReader>,
    taken: watch::Receiver<bool>,
    hands: Hands,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.hands.dropped.store(true, Ordering::Release);
    }
}

#[async_trait]
impl PartitionReader for Reader {
    fn partition(&self) -> Partition {
        self.inner.partition()
    }

    async fn next(&mut self, max: usize) -> Result<Option<Vec<Entry>>, LogError> {
        tokio::select! {
            _ = self.taken.wait_for(|taken| *taken) => Ok(None),
            read = self.inner.next(max) => read,
        }
    }

    fn committer(&self) -> Box<dyn Committer> {
        Box::new(Noted { inner: self.inner.committer(), hands: self.hands.clone() })
    }

    fn lease(&self) -> Arc<dyn Lease> {
        Arc::new(self.hands.clone())
    }
}

struct Noted {
    inner: Box<dyn Committer>,
    hands: Hands,
}

#[async_trait]
impl Committer for Noted {
    async fn commit(&self, next_offset: u64) -> Result<(), LogError> {
        self.inner.commit(next_offset).await?;
        self.hands.commits.lock().expect("not poisoned").push(next_offset);
        Ok(())
    }
}

struct Cluster {
    hands: Hands,
    embedded: Embedded,
    worker: Worker,
    endpoint: EndpointId,
    link: Arc<dyn GatewayLink>,
    frames: mpsc::Receiver<Arc<Down>>,
    _dir: tempfile::TempDir,
}

impl Cluster {
    async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let options = Options { partitions: 1, ..Options::default() };
        let embedded = Embedded::open(dir.path(), options, SystemClock::shared()).expect("opens");
        let hands = Hands::new();
        let engines = Engines {
            log: Arc::new(Leased { inner: embedded.log(), hands: hands.clone() }),
            store: embedded.store(),
            link: embedded.link(),
            directory: embedded.directory(),
            address: "us".to_owned(),
        };
        let config = Config { workers: 1, ..Config::default() };
        let clock = SystemClock::shared();
        let worker = Worker::start(config, engines, clock, SystemEntropy::shared()).await;
        let (endpoint, link, frames) = embedded.link().gateway();
        let worker = worker.expect("starts");
        Self { hands, embedded, worker, endpoint, link, frames, _dir: dir }
    }

    /// A conversation that a user listens to.
    async fn with_a_listener() -> Self {
        let mut cluster = Self::start().await;
        cluster.append(record(1, 1, create(&[2]))).await;
        cluster.stored(1).await;
        let up = Up::Subscribe { conversation: conversation(), users: vec![user(2)] };
        cluster.link.send(ONLY, up).expect("served");
        cluster.frame(|what| matches!(what, What::Subscribed { .. })).await;
        cluster
    }

    async fn append(&self, mut record: Record) -> u64 {
        record.origin = self.endpoint.0;
        let (key, bytes) = (record.conversation, wire::encode(&record));
        let pending = self.embedded.log().append(ONLY, key, bytes).expect("queued");
        pending.await.expect("durable").offset
    }

    async fn frame(&mut self, wanted: impl Fn(&What) -> bool) -> Arc<Down> {
        let search = async {
            loop {
                let frame = self.frames.recv().await.expect("the link is open");
                if wanted(&frame.what) {
                    return frame;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(5), search).await.expect("a frame in time")
    }

    /// Waits until so many events are stored.
    async fn stored(&self, count: usize) {
        let store = self.embedded.store();
        until("events are stored", async || {
            let events = store.events(conversation(), 0, Seq::MAX, 10_000).await;
            events.expect("reads").len() >= count
        })
        .await;
    }
}

async fn until(what: &str, is: impl AsyncFn() -> bool) {
    for _ in 0..1_000 {
        if is().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{what}: not within five seconds");
}

fn in_system(test: impl Future<Output = ()>) {
    actix::System::new().block_on(test);
}

/// [S5] A worker whose lease is over may write what it has begun, and says nothing.
#[test]
fn without_a_lease_an_owner_says_nothing() {
    in_system(async {
        let mut cluster = Cluster::with_a_listener().await;
        cluster.append(record(1, 2, text("heard"))).await;
        cluster.frame(|what| matches!(what, What::Event(_))).await;
        while cluster.frames.try_recv().is_ok() {}

        let first = cluster.embedded.directory().watch().borrow()[0].as_ref().map(|o| o.epoch);
        let first = first.expect("claimed");
        cluster.hands.lease.store(false, Ordering::Release);
        let unheard = cluster.append(record(1, 3, text("unheard"))).await;
        // Commits come after the telling.
        until("it is committed", async || {
            cluster.hands.commits.lock().expect("not poisoned").last() > Some(&unheard)
        })
        .await;
        let up = Up::Subscribe { conversation: conversation(), users: vec![user(2)] };
        cluster.link.send(ONLY, up.clone()).expect("queued");

        // Frames keep their order: whatever comes first now was said after the lease came back.
        cluster.hands.lease.store(true, Ordering::Release);
        cluster.append(record(1, 4, text("heard again"))).await;
        let next = cluster.frame(|what| matches!(what, What::Event(_))).await;
        let What::Event(event) = &next.what else { panic!("an event") };
        assert_eq!(event.seq, 4, "the event without a lease was stored and not told");

        // A new claim tells everybody that they may have missed something.
        let mut owners = cluster.embedded.directory().watch();
        let later = |owners: &Owners| owners[0].as_ref().is_some_and(|o| o.epoch > first);
        let again = tokio::time::timeout(Duration::from_secs(5), owners.wait_for(later)).await;
        assert!(again.is_ok(), "claimed again");
        cluster.worker.stop().await;
    });
}

/// [S5] A frozen worker's claim that arrives late is answered by the true owner's next one.
#[test]
fn a_displaced_owner_claims_again() {
    in_system(async {
        let mut cluster = Cluster::with_a_listener().await;
        let directory = cluster.embedded.directory();
        let zombie = directory.claim(ONLY, "a zombie").await.expect("claimed");
        let mut owners = directory.watch();
        let ours = |owners: &Owners| {
            owners[0].as_ref().is_some_and(|o| o.address == "us" && o.epoch > zombie)
        };
        let again = tokio::time::timeout(Duration::from_secs(5), owners.wait_for(ours)).await;
        let epoch = again.expect("in time").expect("open")[0].as_ref().map(|o| o.epoch);
        cluster.append(record(1, 2, text("with the new epoch"))).await;
        let said = cluster.frame(|what| matches!(what, What::Event(_))).await;
        assert_eq!(Some(said.epoch), epoch);
        cluster.worker.stop().await;
    });
}

/// What was read before a partition is taken away is finished and committed, then let go.
#[test]
fn what_is_taken_away_is_finished_first() {
    in_system(async {
        let cluster = Cluster::with_a_listener().await;
        let mut last = 0;
        for n in 0..50 {
            last = cluster.append(record(1, 10 + n, text("x"))).await;
        }
        cluster.stored(20).await;
        cluster.hands.taken.send_replace(true);
        until("the reader is let go", async || cluster.hands.dropped.load(Ordering::Acquire)).await;
        let committed = cluster.hands.commits.lock().expect("not poisoned").last().copied();
        let store = cluster.embedded.store();
        let events = store.events(conversation(), 0, Seq::MAX, 1_000).await.expect("reads");
        let newest = events.last().expect("events").position.offset;
        assert_eq!(committed, Some(newest + 1), "everything stored is committed ({last} is last)");
        cluster.worker.stop().await;
    });
}

/// The same when the worker itself leaves.
#[test]
fn a_worker_that_leaves_commits_what_it_stored() {
    in_system(async {
        let cluster = Cluster::with_a_listener().await;
        for n in 0..200 {
            cluster.append(record(1, 10 + n, text("x"))).await;
        }
        cluster.stored(50).await;
        cluster.worker.stop().await;
        let committed = cluster.hands.commits.lock().expect("not poisoned").last().copied();
        let store = cluster.embedded.store();
        let events = store.events(conversation(), 0, Seq::MAX, 1_000).await.expect("reads");
        let newest = events.last().expect("events").position.offset;
        assert_eq!(committed, Some(newest + 1));
        assert!(cluster.hands.dropped.load(Ordering::Acquire), "the reader is let go");
    });
}
