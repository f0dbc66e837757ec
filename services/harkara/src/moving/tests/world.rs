//! Directories with histories of all kinds, made by a worker from records, and pictures of all
//! that can be read from one.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use harkara_domain::{
    ClientId, Command, Content, ConversationId, Cursor, DeviceId, Event, Kind, Membership,
    Partition, Profile, Record, Role, Salt, Seq, State, TenantId, UserId, command::RULES_VERSION,
};
use harkara_engine::{Store, StoreScan};
use harkara_engine_embedded::{Embedded, Options};
use harkara_fanout::{Config, Engines, conversation::load};
use harkara_protocol::record;
use harkara_service_runtime::{
    clock::{Clock, SharedClock, SystemClock},
    entropy::SystemEntropy,
};
use tempfile::TempDir;

use crate::moving::{Progress, archive::Counts, export, settle, verify};

pub const TENANT: TenantId = TenantId::from_bytes([7; 16]);
pub const PARTITIONS: u16 = 4;

/// A clock that is set, so that a log is made at a time of one's choice, and grows old.
pub struct Standing(pub AtomicU64);

impl Clock for Standing {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    fn elapsed_ns(&self) -> u64 {
        0
    }
}

pub fn user(n: u64) -> UserId {
    UserId::from_bytes([u8::try_from(n).expect("few users"); 16])
}

/// The same numbers from the same seed.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (self.0 >> 33) % bound
    }

    fn users(&mut self) -> Vec<UserId> {
        (0..=self.below(3)).map(|_| user(self.below(8))).collect()
    }

    fn command(&mut self) -> Command {
        let role = [Role::Member, Role::Admin, Role::Owner][self.below(3) as usize];
        match self.below(16) {
            0 => Command::Update { title: Some(format!("सभा {}", self.below(9))) },
            1 | 2 => Command::Add { users: self.users(), role },
            3 => Command::Remove { users: self.users() },
            4 => Command::SetRole { users: self.users(), role },
            5 if self.below(3) == 0 => Command::Leave,
            6 => text(&"long ".repeat(100), Some(self.below(6))),
            n => text(&format!("नमस्ते {n}"), (n == 7).then(|| self.below(20))),
        }
    }
}

pub fn text(text: &str, reply_to: Option<Seq>) -> Command {
    let json = format!(r#"{{"text":"{text}","type":"text"}}"#);
    let content = Content::from_canonical(Bytes::from(json));
    Command::Send { content, reply_to, salt: Salt([9; 16]) }
}

pub fn record(conversation: ConversationId, sender: u64, id: u64, command: Command) -> Record {
    let mut client_id = [0; 16];
    client_id[8..].copy_from_slice(&id.to_be_bytes());
    Record {
        tenant: TENANT,
        conversation,
        sender: user(sender),
        device: DeviceId::from_bytes([0x40 + u8::try_from(sender).expect("few users"); 16]),
        client_id: ClientId::from_bytes(client_id),
        rules: RULES_VERSION,
        origin: 0,
        command,
    }
}

pub fn group(n: u64) -> ConversationId {
    let device = DeviceId::from_bytes([0x40; 16]);
    let mut client_id = [1; 16];
    client_id[..8].copy_from_slice(&n.to_be_bytes());
    ConversationId::created(TENANT, device, ClientId::from_bytes(client_id))
}

pub fn create(n: u64, members: &[u64]) -> Record {
    let members = members.iter().map(|n| user(*n)).collect();
    let command = Command::Create { kind: Kind::Group, title: Some(format!("group {n}")), members };
    record(group(n), 0, 1_000_000 + n, command)
}

fn direct(a: u64, b: u64, id: u64) -> Record {
    let conversation = ConversationId::direct(TENANT, user(a), user(b));
    let members = vec![user(a), user(b)];
    record(conversation, a, id, Command::Create { kind: Kind::Direct, title: None, members })
}

/// Everything that may happen, in some order: groups and directs opened from both sides, sends,
/// replies, removals, returns, repeats, conflicts, refusals.
pub fn history(dice: &mut Dice, records: u64) -> Vec<Record> {
    let mut all: Vec<Record> = (0..6).map(|n| create(n, &[1, 2, 3])).collect();
    all.extend([direct(1, 2, 2_000_001), direct(2, 1, 2_000_002), direct(3, 4, 2_000_003)]);
    for _ in 0..records {
        let of = match dice.below(8) {
            6 => ConversationId::direct(TENANT, user(1), user(2)),
            // One that nobody ever makes.
            7 => group(99),
            n => group(n),
        };
        // Few ids: some are repeats, some conflicts.
        let id = dice.below(records * 2);
        let (sender, command) = (dice.below(8), dice.command());
        let one = record(of, sender, id, command);
        all.push(one.clone());
        if dice.below(10) == 0 {
            all.push(one);
        }
    }
    // More refusals than are remembered.
    all.extend((0..300).map(|n| record(group(5), 9, 3_000_000 + n, text("let me in", None))));
    all
}

/// An open directory.
pub struct Dir {
    pub home: TempDir,
    pub embedded: Embedded,
}

impl Dir {
    /// With a log that was made now.
    pub fn new() -> Self {
        Self::at(tempfile::tempdir().expect("a directory"), SystemClock::shared())
    }

    /// With a log that was made at a time.
    pub fn made_at(millis: u64) -> Self {
        let clock = Arc::new(Standing(AtomicU64::new(millis)));
        Self::at(tempfile::tempdir().expect("a directory"), clock)
    }

    /// With a clock, and a log that keeps records for an hour.
    pub fn at(home: TempDir, clock: SharedClock) -> Self {
        let options = Options {
            partitions: PARTITIONS,
            retention: Duration::from_secs(3_600),
            sweep_interval: Duration::ZERO,
            ..Options::default()
        };
        let embedded = Embedded::open(&home.path().join("data"), options, clock).expect("opens");
        Self { home, embedded }
    }

    /// With a long history that became events, names and cursors.
    pub async fn full(seed: u64) -> Self {
        let dir = Self::new();
        dir.fill(&mut Dice(seed), 400).await;
        dir
    }

    pub async fn fill(&self, dice: &mut Dice, records: u64) {
        self.append(&history(dice, records)).await;
        let garbage = Bytes::from_static(b"\x01garbage");
        self.append_bytes(group(1), garbage).await;
        self.settle().await;
        for n in 0..8 {
            let name = format!("उपयोगकर्ता {n}");
            let profile = Profile { tenant: TENANT, user: user(n), name, at: 5 + n };
            self.embedded.store().put_profile(profile).await.expect("written");
        }
        for n in 0..6 {
            let events = self.events(group(n)).await;
            for _ in 0..3 {
                let event = &events[dice.below(events.len() as u64) as usize];
                let cursor = Cursor { seq: event.seq, ordinal: event.ordinal };
                let cursors = vec![(user(dice.below(8)), cursor)];
                self.embedded.store().advance(group(n), cursors).await.expect("written");
            }
        }
    }

    pub async fn append(&self, records: &[Record]) {
        for one in records {
            self.append_bytes(one.conversation, record::encode(one)).await;
        }
    }

    pub async fn append_bytes(&self, conversation: ConversationId, bytes: Bytes) {
        let partition = Partition::of(conversation, PARTITIONS);
        let pending = self.embedded.log().append(partition, conversation, bytes).expect("queued");
        pending.await.expect("durable");
    }

    pub fn engines(&self) -> Engines {
        Engines {
            log: self.embedded.log(),
            store: self.embedded.store(),
            link: self.embedded.link(),
            directory: self.embedded.directory(),
            address: String::new(),
        }
    }

    /// Lets a worker do what was appended.
    pub async fn settle(&self) -> u64 {
        let (engines, config) = (self.engines(), config());
        let (clock, entropy) = (SystemClock::shared(), SystemEntropy::shared());
        let log = self.embedded.log_scan();
        settle::settle(&*log, engines, config, clock, entropy).await.expect("settles")
    }

    pub async fn events(&self, conversation: ConversationId) -> Vec<Event> {
        let store = self.embedded.store();
        store.events(conversation, 0, Seq::MAX, usize::MAX).await.expect("reads")
    }

    /// Exports with small chunks.
    pub async fn export(&self, to: &Path) -> anyhow::Result<Counts> {
        let (store, log) = (self.embedded.store_scan(), self.embedded.log_scan());
        export::export(&*store, &*log, to, CHUNK, &quiet()).await
    }

    pub async fn verify(&self) -> verify::Report {
        let (store, log) = (self.embedded.store_scan(), self.embedded.log_scan());
        verify::verify(&*store, &*log, &quiet()).await.expect("reads")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }
}

/// A worker that takes snapshots often.
pub fn config() -> Config {
    Config { workers: 1, snapshot_every: 40, ..Config::default() }
}

/// Bytes of a chunk in tests: some dozen chunks for a history.
pub const CHUNK: usize = 4 * 1024;

pub fn quiet() -> Progress {
    Progress::silent()
}

/// All of a conversation.
type Whole = (Vec<Event>, State, Vec<(UserId, Cursor)>);

/// All that can be read from a store.
#[derive(Debug, PartialEq)]
pub struct Picture {
    pub conversations: BTreeMap<ConversationId, Whole>,
    pub memberships: BTreeSet<(UserId, ConversationId, bool, Seq)>,
    pub lists: BTreeMap<UserId, Vec<Membership>>,
    pub profiles: Vec<Profile>,
    pub found: Vec<Profile>,
}

impl Picture {
    pub async fn of(dir: &Dir) -> Self {
        let store = dir.embedded.store_scan();
        let store: &dyn StoreScan = &*store;
        let plain: &dyn Store = store;
        let mut conversations = BTreeMap::new();
        for id in store.all_conversations(None, 1_000).await.expect("reads").rows {
            let loaded = load::state(plain, id).await.expect("loads");
            let mut cursors = store.cursors(id).await.expect("reads");
            cursors.sort_unstable();
            conversations.insert(id, (dir.events(id).await, loaded.state, cursors));
        }
        let rows = store.all_memberships(None, 1_000).await.expect("reads").rows;
        let memberships = rows.iter().map(|m| (m.user, m.conversation, m.present, m.cause));
        let mut lists = BTreeMap::new();
        for n in 0..8 {
            let list = store.memberships(TENANT, user(n), None, 1_000).await.expect("reads");
            lists.insert(user(n), list);
        }
        Self {
            conversations,
            memberships: memberships.collect(),
            lists,
            profiles: store.all_profiles(None, 1_000).await.expect("reads").rows,
            found: store.find_profiles(TENANT, "उप", 100).await.expect("reads"),
        }
    }
}

/// Runs a test with the threads that a worker needs.
pub fn run(test: impl Future<Output = ()>) {
    actix::System::new().block_on(test);
}
