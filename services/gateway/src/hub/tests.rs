//! The hub on the embedded link and store, with a test in the owner's place.

mod gaps;
mod inboxes;
mod members;
mod panics;
mod sends;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use harkara_domain::{
    Body, ClientId, Content, ConversationId, DeviceId, Entry, Epoch, Event, Fingerprint, Kind,
    Partition, Position, Role, Salt, Seq, SessionId, State, TenantId, UserId, chain,
};
use harkara_engine::{Down, EndpointId, Up, link::What, store::Step};
use harkara_engine_embedded::{Embedded, Options};
use harkara_service_runtime::clock::SystemClock;
use tokio::{sync::mpsc, task::LocalSet};

use super::{Hub, Key, Parts};
use crate::{
    Config,
    metrics::Metrics,
    peer::{Outlet, Peer},
};

const TENANT: TenantId = TenantId::from_bytes([7; 16]);
const ROOM: ConversationId = ConversationId::from_bytes([0xc0; 16]);

/// A client that notes what it is sent.
#[derive(Default)]
struct Client {
    frames: RefCell<Vec<String>>,
    queued: Cell<usize>,
    held: Cell<bool>,
    /// Panics at what it is sent.
    mined: Cell<bool>,
    closed: Cell<Option<u16>>,
}

impl Outlet for Client {
    fn send(&self, frame: Bytes) {
        assert!(!self.mined.get(), "a mine that a test has laid");
        // Past the WebSocket header: the JSON begins at the first brace.
        let start = frame.iter().position(|b| *b == b'{').expect("a JSON frame");
        let json = String::from_utf8(frame[start..].to_vec()).expect("UTF-8");
        self.frames.borrow_mut().push(json);
    }

    fn queued_bytes(&self) -> usize {
        self.queued.get()
    }

    fn close(&self, code: u16, _: &str) {
        self.closed.set(Some(code));
    }

    fn reset(&self) {}

    fn hold_reading(&self, hold: bool) {
        self.held.set(hold);
    }
}

impl Client {
    /// The sequences of the events it was sent, in order.
    fn events(&self) -> Vec<Seq> {
        let frames = self.frames.borrow();
        let seq = |json: &String| {
            let rest = json.split_once("\"method\":\"event\"")?.1.split_once("\"seq\":")?.1;
            rest.split(',').next()?.parse().ok()
        };
        frames.iter().filter_map(seq).collect()
    }

    fn heard(&self, what: &str) -> bool {
        self.frames.borrow().iter().any(|json| json.contains(what))
    }
}

/// One thread with its hub, and the owner of the room's partition.
struct Thread {
    _dir: tempfile::TempDir,
    embedded: Embedded,
    hub: Rc<Hub>,
    frames: Option<mpsc::Receiver<Arc<Down>>>,
    endpoint: EndpointId,
    owner: mpsc::Receiver<(EndpointId, Up)>,
    state: State,
}

impl Thread {
    fn new() -> Self {
        Self::with_queue(1_000)
    }

    /// With so many frames between the owner and the hub.
    fn with_queue(endpoint_frames: usize) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let options = Options { partitions: 1, endpoint_frames, ..Options::default() };
        let embedded = Embedded::open(dir.path(), options, SystemClock::shared()).expect("opens");
        let owner = embedded.link().serve(Partition(0));
        let (endpoint, link, frames) = embedded.link().gateway();
        let hub = Rc::new(Hub::new(Parts {
            config: Config::default(),
            store: embedded.store(),
            clock: SystemClock::shared(),
            metrics: Rc::new(Metrics::default()),
            partitions: 1,
            endpoint: (endpoint, link),
        }));
        let state = State::empty(ROOM);
        Self { _dir: dir, embedded, hub, frames: Some(frames), endpoint, owner, state }
    }

    /// Lets the hub run from now on.
    fn run_hub(&mut self) {
        if let Some(frames) = self.frames.take() {
            tokio::task::spawn_local(Rc::clone(&self.hub).run(frames));
        }
    }

    fn session(&self, user: u8) -> (Key, Rc<Client>) {
        let client = Rc::new(Client::default());
        let device = DeviceId::from_bytes([user; 16]);
        let who = (TENANT, UserId::from_bytes([user; 16]), device);
        let session = SessionId::from_bytes([user; 16]);
        let peer = Peer::new(
            session,
            who,
            Rc::clone(&client) as Rc<dyn Outlet>,
            Rc::new(Metrics::default()),
            Rc::clone(&self.hub.load),
        );
        (self.hub.register(Rc::new(peer)), client)
    }

    /// Stores the next event of the room.
    async fn store(&mut self, body: Body) -> Arc<Event> {
        let seq = self.state.head + 1;
        let mut event = Event {
            tenant: TENANT,
            seq,
            ordinal: seq,
            at: seq,
            sender: UserId::from_bytes([9; 16]),
            device: DeviceId::from_bytes([9; 16]),
            client_id: ClientId::caused(ROOM, seq, UserId::from_bytes([9; 16])),
            fingerprint: Fingerprint::default(),
            position: Position { offset: seq, ..Position::default() },
            body,
            chain: self.state.chain,
        };
        event.chain = chain::link(self.state.chain, &event);
        (self.state.head, self.state.chain) = (seq, event.chain);
        let event = Arc::new(event);
        let step = Step { events: vec![Arc::clone(&event)], ..Step::default() };
        self.embedded.store().write(TENANT, ROOM, step).await.expect("written");
        event
    }

    async fn message(&mut self) -> Arc<Event> {
        let content = Content::from_canonical(Bytes::from_static(br#"{"text":"x","type":"text"}"#));
        self.store(Body::Message { content, reply_to: None, salt: Salt([0; 16]) }).await
    }

    fn push(&self, epoch: u64, what: What) {
        let (partition, epoch) = (Partition(0), Epoch(epoch));
        let down = Down { partition, epoch, conversation: ROOM, what };
        self.embedded.link().worker().push(&[self.endpoint], Arc::new(down));
    }

    fn subscribed(&self, users: &[UserId], members: impl Fn(UserId) -> bool) -> What {
        let head = self.state.head;
        let entry = |user: &UserId| members(*user).then(|| self.entry());
        What::Subscribed { head, entries: users.iter().map(|u| (*u, entry(u))).collect() }
    }

    fn entry(&self) -> Entry {
        let head = self.state.head;
        let (kind, role) = (Kind::Group, Role::Member);
        Entry {
            tenant: TENANT,
            kind,
            title: None,
            role,
            from: 1,
            head,
            read: 0,
            unread: 0,
            members: 2,
        }
    }

    /// Answers the next subscription to the room as the owner.
    async fn answer(&mut self, epoch: u64) {
        loop {
            let asked = tokio::time::timeout(Duration::from_secs(5), self.owner.recv()).await;
            if let (_, Up::Subscribe { users, .. }) = asked.expect("asked in time").expect("open") {
                let what = self.subscribed(&users, |_| true);
                return self.push(epoch, what);
            }
        }
    }

    /// The session follows the room from its head on.
    async fn follow(&mut self, key: Key) {
        self.follow_after(key, self.state.head).await;
    }

    async fn follow_after(&mut self, key: Key, at: Seq) {
        let hub = Rc::clone(&self.hub);
        let asked = tokio::task::spawn_local(async move { hub.subscribe(key, ROOM).await });
        self.answer(1).await;
        let entry = asked.await.expect("joins").expect("an owner").expect("a member");
        self.hub.follow(key, ROOM, entry.from, at);
    }
}

/// Polls until it holds, for at most five seconds.
async fn eventually(mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), waiting).await.expect("in time");
}

fn on_a_thread(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    LocalSet::new().block_on(&runtime.expect("a runtime"), test);
}
