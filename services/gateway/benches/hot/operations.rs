//! One event of a room to every session of a thread that listens, from the link's frame to the
//! queues. Counted by `tests/allocations.rs`, timed by the bench `hot`; [`ALLOCATIONS_MAX`] is the
//! bound, whatever the number of sessions.

#![expect(clippy::expect_used, reason = "samples are good ones")]

use std::{cell::Cell, rc::Rc, sync::Arc};

use bytes::Bytes;
use harkara_domain::{
    Body, ClientId, Content, ConversationId, DeviceId, Entry, Epoch, Event, Fingerprint, Kind,
    Partition, Position, Role, Salt, SessionId, TenantId, UserId, chain,
};
use harkara_engine::{Down, link::What};
use harkara_engine_embedded::{Embedded, Options};
use harkara_gateway::{
    Config,
    hub::{Hub, Parts},
    peer::{Outlet, Peer},
};
use harkara_service_runtime::clock::SystemClock;
use harkara_test_costs::Operation;

/// For the event's JSON and its frame. None of them is for a session.
const ALLOCATIONS_MAX: u64 = 13;

const TENANT: TenantId = TenantId::from_bytes([7; 16]);
const ROOM: ConversationId = ConversationId::from_bytes([0xc0; 16]);
const SENDER: [u8; 16] = [0xaa; 16];

/// A client's queue that counts what it is given.
#[derive(Default)]
struct Counter {
    bytes: Cell<usize>,
}

impl Outlet for Counter {
    fn send(&self, frame: Bytes) {
        self.bytes.set(self.bytes.get() + frame.len());
    }

    fn queued_bytes(&self) -> usize {
        0
    }

    fn close(&self, _: u16, _: &str) {}

    fn reset(&self) {}

    fn hold_reading(&self, _: bool) {}
}

/// A thread's hub with sessions that follow the room from its beginning.
struct Thread {
    _dir: tempfile::TempDir,
    _embedded: Embedded,
    hub: Rc<Hub>,
}

impl Thread {
    fn new(sessions: u32) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let options = Options { partitions: 1, ..Options::default() };
        let embedded = Embedded::open(dir.path(), options, SystemClock::shared()).expect("opens");
        let (endpoint, link, _) = embedded.link().gateway();
        let hub = Rc::new(Hub::new(Parts {
            config: Config::default(),
            store: embedded.store(),
            clock: SystemClock::shared(),
            metrics: Rc::default(),
            partitions: 1,
            endpoint: (endpoint, link),
        }));
        let thread = Self { _dir: dir, _embedded: embedded, hub };
        (0..sessions).for_each(|n| thread.join(n));
        thread
            .hub
            .take(&down(What::Subscribed { head: 0, entries: vec![(user(0), Some(entry()))] }));
        thread
    }

    fn join(&self, n: u32) {
        let id = *user(n).as_bytes();
        let peer = Peer::new(
            SessionId::from_bytes(id),
            (TENANT, user(n), DeviceId::from_bytes(id)),
            Rc::new(Counter::default()),
            Rc::default(),
            Rc::clone(&self.hub.load),
        );
        let key = self.hub.register(Rc::new(peer));
        self.hub.follow(key, ROOM, 1, 0);
    }
}

fn user(n: u32) -> UserId {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&n.to_be_bytes());
    UserId::from_bytes(id)
}

fn entry() -> Entry {
    Entry {
        tenant: TENANT,
        kind: Kind::Channel,
        title: None,
        role: Role::Member,
        from: 1,
        head: 0,
        read: 0,
        unread: 0,
        members: 10_000,
    }
}

fn down(what: What) -> Down {
    Down { partition: Partition(0), epoch: Epoch(1), conversation: ROOM, what }
}

/// A message of 200 bytes of text, as the link brings it.
fn message(seq: u64) -> Down {
    let json = format!(r#"{{"text":"{}","type":"text"}}"#, "x".repeat(200));
    let content = Content::from_canonical(Bytes::from(json));
    let event = Event {
        tenant: TENANT,
        seq,
        ordinal: seq,
        at: 1_795_338_000_123,
        sender: UserId::from_bytes(SENDER),
        device: DeviceId::from_bytes(SENDER),
        client_id: ClientId::from_bytes([2; 16]),
        fingerprint: Fingerprint::default(),
        position: Position { offset: seq, ..Position::default() },
        body: Body::Message { content, reply_to: None, salt: Salt([1; 16]) },
        chain: chain::start(ROOM),
    };
    down(What::Event(Arc::new(event)))
}

/// For threads with up to so many sessions.
pub fn operations(sessions_max: u32) -> Vec<Operation> {
    [
        ("an event to 1 session", 1),
        ("an event to 10 sessions", 10),
        ("an event to 1,000 sessions", 1_000),
        ("an event to 10,000 sessions", 10_000),
    ]
    .into_iter()
    .filter(|(_, sessions)| *sessions <= sessions_max)
    .map(|(name, sessions)| fan_out(name, sessions))
    .collect()
}

fn fan_out(name: &'static str, sessions: u32) -> Operation {
    let thread = Thread::new(sessions);
    let mut seq = 0;
    let next = move || {
        seq += 1;
        message(seq)
    };
    Operation::new(name, ALLOCATIONS_MAX, next, move |down| thread.hub.take(&down))
        .of(u64::from(sessions))
}
