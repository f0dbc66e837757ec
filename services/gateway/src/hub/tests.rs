//! The hub on the embedded link and store, with a test in the owner's place. What the link loses
//! is healed from the store (architecture D8); what a removed member must not see stays away (S4);
//! what an owner of the past says is dropped (S5).

use std::{cell::RefCell, rc::Rc, sync::Arc, time::Duration};

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
}

impl Outlet for Client {
    fn send(&self, frame: Bytes) {
        // Past the WebSocket header: the JSON begins at the first brace.
        let start = frame.iter().position(|b| *b == b'{').expect("a JSON frame");
        let json = String::from_utf8(frame[start..].to_vec()).expect("UTF-8");
        self.frames.borrow_mut().push(json);
    }

    fn queued_bytes(&self) -> usize {
        0
    }

    fn close(&self, _: u16, _: &str) {}

    fn reset(&self) {}
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
        let dir = tempfile::tempdir().expect("a directory");
        let options = Options { partitions: 1, endpoint_frames: 8, ..Options::default() };
        let embedded = Embedded::open(dir.path(), options, SystemClock::shared()).expect("opens");
        let owner = embedded.link().serve(Partition(0));
        let (endpoint, link, frames) = embedded.link().gateway();
        let hub = Rc::new(Hub::new(Parts {
            config: Config::default(),
            store: embedded.store(),
            clock: SystemClock::shared(),
            metrics: Metrics::default(),
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
        let peer =
            Peer::new(session, who, Rc::clone(&client) as Rc<dyn Outlet>, Metrics::default());
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

#[test]
fn what_the_queue_lost_comes_from_the_store() {
    on_a_thread(async {
        let mut thread = Thread::new();
        let (key, client) = thread.session(1);
        thread.run_hub();
        thread.follow(key).await;
        let mut events = Vec::new();
        for _ in 0..100 {
            events.push(thread.message().await);
        }
        // The queue holds 8 frames, and the hub has no turn in between.
        for event in events {
            thread.push(1, What::Event(event));
        }
        // It notices the loss by itself and asks for the head.
        thread.answer(1).await;
        eventually(|| client.events().len() == 100).await;
        assert_eq!(client.events(), (1..=100).collect::<Vec<_>>(), "sequence_is_gapless");
    });
}

#[test]
fn a_gap_is_read_before_what_follows_it() {
    on_a_thread(async {
        let mut thread = Thread::new();
        thread.run_hub();
        let (key, client) = thread.session(1);
        thread.follow(key).await;
        for pushed in [true, false, false, true, true, false, true] {
            let event = thread.message().await;
            if pushed {
                thread.push(1, What::Event(Arc::clone(&event)));
                // A repeat changes nothing.
                thread.push(1, What::Event(event));
            }
        }
        eventually(|| client.events().len() >= 7).await;
        assert_eq!(client.events(), (1..=7).collect::<Vec<_>>(), "order_is_shared");
    });
}

#[test]
fn a_cursor_is_caught_up_before_live_events() {
    on_a_thread(async {
        let mut thread = Thread::new();
        thread.run_hub();
        for _ in 0..500 {
            thread.message().await;
        }
        let (key, client) = thread.session(1);
        let (live_key, live) = thread.session(2);
        thread.follow(live_key).await;
        // The one comes back with a cursor, the other is at the head.
        thread.follow_after(key, 100).await;
        for _ in 0..20 {
            let event = thread.message().await;
            thread.push(1, What::Event(event));
        }
        eventually(|| client.events().len() >= 420 && live.events().len() >= 20).await;
        assert_eq!(client.events(), (101..=520).collect::<Vec<_>>());
        assert_eq!(live.events(), (501..=520).collect::<Vec<_>>());
    });
}

/// [S4] After a removal nothing more goes out, not even what comes in the same batch.
#[test]
fn a_removed_member_gets_nothing_more() {
    on_a_thread(async {
        let mut thread = Thread::new();
        thread.run_hub();
        let ((one, gone), (two, stays)) = (thread.session(1), thread.session(2));
        thread.follow(one).await;
        thread.follow(two).await;
        let removal =
            thread.store(Body::Removed { users: vec![UserId::from_bytes([1; 16])] }).await;
        let secret = thread.message().await;
        thread.push(1, What::Event(removal));
        thread.push(1, What::Event(secret));
        eventually(|| stays.events() == [1, 2]).await;
        assert_eq!(gone.events(), [1], "members_only");
        assert_eq!(thread.hub.access(one, ROOM), None);
        assert!(thread.hub.access(two, ROOM).is_some());
    });
}

/// [S4] A removal that fell between the owner's answer and the first event given out.
#[test]
fn catching_up_ends_at_the_removal() {
    on_a_thread(async {
        let mut thread = Thread::new();
        thread.run_hub();
        let ((one, gone), (two, stays)) = (thread.session(1), thread.session(2));
        thread.follow(two).await;
        let removal =
            thread.store(Body::Removed { users: vec![UserId::from_bytes([1; 16])] }).await;
        let secret = thread.message().await;
        thread.push(1, What::Event(removal));
        thread.push(1, What::Event(secret));
        eventually(|| stays.events() == [1, 2]).await;
        thread.hub.follow(one, ROOM, 1, 0);
        eventually(|| gone.events() == [1] && thread.hub.access(one, ROOM).is_none()).await;
        let event = thread.message().await;
        thread.push(1, What::Event(event));
        eventually(|| stays.events() == [1, 2, 3]).await;
        assert_eq!(gone.events(), [1], "members_only");
    });
}

/// [S5] Once a later owner has spoken, an earlier one is not heard.
#[test]
fn an_owner_of_the_past_is_not_heard() {
    on_a_thread(async {
        let mut thread = Thread::new();
        thread.run_hub();
        let (key, client) = thread.session(1);
        thread.follow(key).await;
        let event = thread.message().await;
        thread.push(7, What::Typing { user: UserId::from_bytes([2; 16]), active: true });
        thread.push(6, What::Typing { user: UserId::from_bytes([3; 16]), active: true });
        thread.push(7, What::Event(event));
        eventually(|| client.events() == [1]).await;
        assert!(client.heard("02020202"), "the later owner is heard");
        assert!(!client.heard("03030303"), "the earlier one is not");
    });
}

/// The owner says that a user is no member any more: their sessions are told and get nothing.
#[test]
fn a_membership_that_ended_unseen_is_noticed() {
    on_a_thread(async {
        let mut thread = Thread::new();
        thread.run_hub();
        let (key, client) = thread.session(1);
        thread.follow(key).await;
        let user = UserId::from_bytes([1; 16]);
        thread.push(1, thread.subscribed(&[user], |_| false));
        eventually(|| client.heard("\"change\":\"removed\"")).await;
        assert_eq!(thread.hub.access(key, ROOM), None);
    });
}

/// Another session of the user ends between the owner's answer and the new one's following: the
/// owner was told that the user is gone, so it is asked again.
#[test]
fn a_session_that_ends_takes_no_other_with_it() {
    on_a_thread(async {
        let mut thread = Thread::new();
        thread.run_hub();
        let ((old, _), (new, client)) = (thread.session(1), thread.session(1));
        thread.follow(old).await;
        let hub = Rc::clone(&thread.hub);
        let asked = tokio::task::spawn_local(async move { hub.subscribe(new, ROOM).await });
        thread.answer(1).await;
        let entry = asked.await.expect("joins").expect("an owner").expect("a member");
        thread.hub.unregister(old, ConversationId::from_bytes([1; 16]));
        let end = thread.owner.recv().await.expect("told").1;
        assert!(matches!(end, Up::Unsubscribe { .. }), "{end:?}");
        thread.hub.follow(new, ROOM, entry.from, entry.head);
        // What was stored while nobody listened is not lost either.
        let _unheard = thread.message().await;
        thread.answer(1).await;
        let event = thread.message().await;
        thread.push(1, What::Event(event));
        eventually(|| client.events() == [1, 2]).await;
    });
}
