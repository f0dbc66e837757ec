//! A worker on the embedded engines: what is appended is stored, told and committed; damage is
//! put aside; a newer record stops its partition and nothing else; a restart goes on.

use std::{path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use harkara_domain::{
    Command, ConversationId, Event, Partition, Position, Record, Seq, State, TenantId,
};
use harkara_engine::{
    Down, EndpointId, GatewayLink, Up,
    link::{Outcome, What},
    store::Step,
};
use harkara_engine_embedded::{Embedded, Options};
use harkara_fanout::{
    Config, Engines, Worker,
    conversation::{
        decide::{Decision, decide},
        window::Window,
    },
};
use harkara_protocol::record as wire;
use harkara_service_runtime::{clock::SystemClock, entropy::SystemEntropy};
use tokio::sync::mpsc;

use crate::support::{TENANT, add, conversation, create, record, remove, text, user};

const PARTITIONS: u16 = 4;

struct Process {
    embedded: Embedded,
    worker: Worker,
    endpoint: EndpointId,
    link: Arc<dyn GatewayLink>,
    frames: mpsc::Receiver<Arc<Down>>,
}

impl Process {
    async fn start(dir: &Path) -> Self {
        Self::start_with(dir, Config { workers: 1, snapshot_every: 4, ..Config::default() }).await
    }

    async fn start_with(dir: &Path, config: Config) -> Self {
        let options = Options { partitions: PARTITIONS, ..Options::default() };
        let embedded = Embedded::open(dir, options, SystemClock::shared()).expect("opens");
        let engines = Engines {
            log: embedded.log(),
            store: embedded.store(),
            link: embedded.link(),
            directory: embedded.directory(),
            address: String::new(),
        };
        let worker = Worker::start(config, engines, SystemClock::shared(), SystemEntropy::shared());
        let worker = worker.await.expect("starts");
        let (endpoint, link, frames) = embedded.link().gateway();
        Self { embedded, worker, endpoint, link, frames }
    }

    async fn append(&self, mut record: Record) {
        record.origin = self.endpoint.0;
        self.append_bytes(record.conversation, wire::encode(&record)).await;
    }

    async fn append_bytes(&self, conversation: ConversationId, bytes: Bytes) {
        let partition = Partition::of(conversation, PARTITIONS);
        let pending = self.embedded.log().append(partition, conversation, bytes).expect("queued");
        pending.await.expect("durable");
    }

    /// The next frame of interest, within five seconds.
    async fn expect<T>(&mut self, mut wanted: impl FnMut(&Down) -> Option<T>) -> T {
        let search = async {
            loop {
                let frame = self.frames.recv().await.expect("the link is open");
                if let Some(found) = wanted(&frame) {
                    return found;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(5), search).await.expect("a frame in time")
    }

    async fn outcome(&mut self) -> Outcome {
        self.expect(|down| match down.what {
            What::Outcome { outcome, .. } => Some(outcome),
            _ => None,
        })
        .await
    }

    async fn event(&mut self) -> Arc<Event> {
        self.expect(|down| match &down.what {
            What::Event(event) => Some(Arc::clone(event)),
            _ => None,
        })
        .await
    }

    /// Subscribes, again until the worker serves the partition.
    async fn subscribe(&mut self, n: u8) -> (Seq, bool) {
        let users = vec![user(n)];
        let up = Up::Subscribe { conversation: conversation(), users };
        let partition = Partition::of(conversation(), PARTITIONS);
        let deadline = tokio::time::timeout(Duration::from_secs(5), async {
            while self.link.send(partition, up.clone()).is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        deadline.await.expect("served in time");
        self.expect(|down| match &down.what {
            What::Subscribed { head, entries } => {
                Some((*head, entries.iter().any(|(_, entry)| entry.is_some())))
            }
            _ => None,
        })
        .await
    }

    async fn history(&self) -> Vec<Event> {
        self.embedded.store().events(conversation(), 0, Seq::MAX, 10_000).await.expect("reads")
    }

    async fn stop(self) {
        self.worker.stop().await;
        self.embedded.close().await.expect("closes");
    }
}

fn in_system(test: impl Future<Output = ()>) {
    actix::System::new().block_on(test);
}

#[test]
fn what_is_appended_is_stored_and_told() {
    in_system(async {
        let dir = tempfile::tempdir().expect("a directory");
        let mut process = Process::start(dir.path()).await;
        process.append(record(1, 1, create(&[2]))).await;
        assert_eq!(process.outcome().await, Outcome::Applied(1));
        assert_eq!(process.subscribe(2).await, (1, true));
        assert_eq!(process.subscribe(9).await, (1, false), "an outsider is not subscribed");
        for n in 0..10 {
            process.append(record(1, 10 + n, text("x"))).await;
            assert_eq!(process.event().await.seq, 2 + n);
        }
        process.append(record(1, 10, text("x"))).await;
        assert_eq!(process.outcome().await, Outcome::Settled(2));
        let lists = process.embedded.store();
        let rows = lists.memberships(TENANT, user(2), None, 10).await.expect("a list");
        assert_eq!(rows.iter().map(|row| row.conversation).collect::<Vec<_>>(), [conversation()]);
        process.append(record(1, 40, remove(&[2]))).await;
        assert_eq!(process.event().await.seq, 12, "the removed one is told");
        process.append(record(1, 41, text("among us"))).await;
        process.append(record(1, 41, text("among us"))).await;
        assert_eq!(process.outcome().await, Outcome::Applied(12));
        assert_eq!(process.outcome().await, Outcome::Settled(13));
        assert!(process.frames.try_recv().is_err(), "members_only: nothing after the removal");
        let rows = lists.memberships(TENANT, user(2), None, 10).await.expect("a list");
        assert!(rows.is_empty(), "it left the list");
        process.stop().await;
    });
}

#[test]
fn a_restart_goes_on_where_it_was() {
    in_system(async {
        let dir = tempfile::tempdir().expect("a directory");
        let mut before = Vec::new();
        for round in 0..4u64 {
            let mut process = Process::start(dir.path()).await;
            process.append(record(1, 1, create(&[2]))).await;
            process.outcome().await;
            process.subscribe(2).await;
            assert_eq!(process.history().await[..before.len()], before[..], "history stands");
            for n in 0..7 {
                process.append(record(1, 100 * round + n + 10, text("x"))).await;
            }
            while process.event().await.seq < 1 + 7 * (round + 1) {}
            before = process.history().await;
            assert_eq!(before.len() as u64, 1 + 7 * (round + 1));
            process.stop().await;
        }
        let mut hash = harkara_domain::chain::start(conversation());
        for event in &before {
            hash = harkara_domain::chain::link(hash, event);
            assert_eq!(event.chain, hash, "chain_is_unbroken");
        }
    });
}

/// [S12] Nonsense is put aside and the partition goes on.
#[test]
fn a_damaged_record_is_put_aside() {
    in_system(async {
        let dir = tempfile::tempdir().expect("a directory");
        let mut process = Process::start(dir.path()).await;
        for nonsense in [&b""[..], b"\x01", b"\x01garbage", &[1; 300]] {
            process.append_bytes(conversation(), Bytes::from_static(nonsense)).await;
        }
        process.append(record(1, 1, create(&[2]))).await;
        assert_eq!(process.outcome().await, Outcome::Applied(1));
        process.stop().await;
    });
}

/// [S11, S12] A newer record stops its partition: what comes behind it is left alone.
#[test]
fn a_newer_record_stops_its_partition_only() {
    in_system(async {
        let dir = tempfile::tempdir().expect("a directory");
        let mut process = Process::start(dir.path()).await;
        process.append(record(1, 1, create(&[2]))).await;
        assert_eq!(process.outcome().await, Outcome::Applied(1));
        process.subscribe(2).await;
        let mut newer = record(1, 2, text("of another time"));
        newer.rules = harkara_domain::command::RULES_VERSION + 1;
        process.append(newer).await;
        process.append(record(1, 3, text("behind it"))).await;
        // Another partition goes on.
        let other = (0..=255u8)
            .map(|n| ConversationId::from_bytes([n; 16]))
            .find(|id| Partition::of(*id, PARTITIONS) != Partition::of(conversation(), PARTITIONS));
        let mut elsewhere = record(1, 4, create(&[2]));
        elsewhere.conversation = other.expect("four partitions");
        process.append(elsewhere).await;
        assert_eq!(process.outcome().await, Outcome::Applied(1));
        assert_eq!(process.history().await.len(), 1);
        process.stop().await;
    });
}

/// A record of another tenant finds nothing.
#[test]
fn tenants_are_apart() {
    in_system(async {
        let dir = tempfile::tempdir().expect("a directory");
        let mut process = Process::start(dir.path()).await;
        process.append(record(1, 1, create(&[2]))).await;
        process.outcome().await;
        let mut foreign = record(1, 2, text("hello"));
        foreign.tenant = TenantId::from_bytes([8; 16]);
        process.append(foreign).await;
        let outcome = process.outcome().await;
        assert_eq!(outcome, Outcome::Rejected(harkara_domain::RejectCode::NotFound));
        process.stop().await;
    });
}

/// A list's news reach the inbox of everybody concerned.
#[test]
fn inboxes_are_told() {
    in_system(async {
        let dir = tempfile::tempdir().expect("a directory");
        let mut process = Process::start(dir.path()).await;
        process.append(record(1, 1, create(&[2]))).await;
        process.outcome().await;
        let inbox = ConversationId::inbox(TENANT, user(5));
        let partition = Partition::of(inbox, PARTITIONS);
        let up = Up::SubscribeInbox { conversation: inbox, user: user(5) };
        let served = tokio::time::timeout(Duration::from_secs(5), async {
            while process.link.send(partition, up.clone()).is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        served.await.expect("served in time");
        process.expect(|down| (down.conversation == inbox).then_some(())).await;
        process.append(record(1, 2, add(&[5]))).await;
        let told = process.expect(|down| match down.what {
            What::Inbox { user, conversation, cause, present } => {
                Some((user, conversation, cause, present))
            }
            _ => None,
        });
        assert_eq!(told.await, (user(5), conversation(), 2, true));
        let repeat =
            Command::Inbox { user: user(5), conversation: conversation(), cause: 2, present: true };
        let mut forged = record(1, 3, repeat);
        forged.conversation = conversation();
        process.append(forged).await;
        process.stop().await;
    });
}

/// [D10] A worker ended between storing an event and telling the inboxes: the next one tells.
#[test]
fn a_takeover_tells_what_was_left_untold() {
    in_system(async {
        let dir = tempfile::tempdir().expect("a directory");
        let create = record(1, 1, create(&[2]));
        {
            // What the worker before left behind: the row, but neither news nor commit.
            let options = Options { partitions: PARTITIONS, ..Options::default() };
            let clock = SystemClock::shared();
            let embedded = Embedded::open(dir.path(), options, clock).expect("opens");
            let partition = Partition::of(conversation(), PARTITIONS);
            let log = embedded.log();
            let appended = log.append(partition, conversation(), wire::encode(&create));
            let appended = appended.expect("queued").await.expect("durable");
            let generation = embedded.generation();
            let position = Position { generation, offset: appended.offset };
            let (state, window) = (State::empty(conversation()), Window::default());
            let decision = decide(&state, &window, &create, position, appended.at);
            let Decision::Event(event) = decision else { panic!("{decision:?}") };
            let step = Step { events: vec![Arc::from(event)], ..Step::default() };
            embedded.store().write(TENANT, conversation(), step).await.expect("written");
            embedded.close().await.expect("closes");
        }
        let process = Process::start(dir.path()).await;
        // The create, and the news for both members.
        let told = async {
            while process.embedded.counts().appended < 2 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), told).await.expect("told in time");
        assert_eq!(process.history().await.len(), 1, "visible_once");
        process.stop().await;
    });
}

/// Who names nobody ends the endpoint's whole subscription.
#[test]
fn a_subscription_ends_with_its_endpoint() {
    in_system(async {
        let dir = tempfile::tempdir().expect("a directory");
        let mut process = Process::start(dir.path()).await;
        process.append(record(1, 1, create(&[2]))).await;
        process.outcome().await;
        process.subscribe(2).await;
        let up = Up::Unsubscribe { conversation: conversation(), users: Vec::new() };
        let partition = Partition::of(conversation(), PARTITIONS);
        process.link.send(partition, up).expect("served");
        process.append(record(1, 2, text("unheard"))).await;
        process.append(record(1, 2, text("unheard"))).await;
        assert_eq!(process.outcome().await, Outcome::Settled(2));
        process.append(record(1, 3, add(&[5]))).await;
        let first = process.expect(|down| match down.what {
            What::Event(_) | What::Outcome { .. } => Some(matches!(down.what, What::Event(_))),
            _ => None,
        });
        assert!(!first.await, "no event after the end of the subscription");
        process.stop().await;
    });
}

/// [S2] A store that belongs to another life of the log is not touched.
#[test]
fn a_store_of_another_log_is_refused() {
    in_system(async {
        let open = |dir: &tempfile::TempDir| {
            let options = Options { partitions: PARTITIONS, ..Options::default() };
            Embedded::open(dir.path(), options, SystemClock::shared()).expect("opens")
        };
        let dirs = [tempfile::tempdir(), tempfile::tempdir()].map(|dir| dir.expect("a directory"));
        let (one, other) = (open(&dirs[0]), open(&dirs[1]));
        let engines = Engines {
            log: one.log(),
            store: other.store(),
            link: one.link(),
            directory: one.directory(),
            address: String::new(),
        };
        let config = Config { workers: 1, ..Config::default() };
        let clock = SystemClock::shared();
        let started = Worker::start(config, engines, clock, SystemEntropy::shared()).await;
        let refusal = started.err().expect("refused").to_string();
        assert!(refusal.contains("belong together"), "{refusal}");
    });
}
