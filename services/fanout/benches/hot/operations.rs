//! What a worker does for every message: decide, evolve, plan, tell. The conversation has ten
//! members and a full dedup window. Counted by `tests/allocations.rs`, timed by the bench `hot`; the number in
//! each operation is the bound.

#![expect(clippy::expect_used, reason = "samples are good ones")]

use std::sync::{Arc, atomic::AtomicBool};

use bytes::Bytes;
use harkara_domain::{
    ClientId, Command, Content, ConversationId, DeviceId, Epoch, Event, Generation, Kind,
    Partition, Position, Record, Salt, State, TenantId, UserId, command::RULES_VERSION,
    limits::WINDOW_SENDS,
};
use harkara_engine::{Down, EndpointId, WorkerLink, link::What, log::Forever};
use harkara_fanout::{
    conversation::{
        decide::{Decision, decide},
        evolve,
        load::Loaded,
        slot::{Slot, Work},
        view::Cursors,
        window::Window,
    },
    delivery::Delivery,
};
use harkara_protocol::record;
use harkara_test_costs::Operation;

const ROOM: ConversationId = ConversationId::from_bytes([0xc0; 16]);
const AT: u64 = 1_795_338_000_123;
const MEMBERS: u8 = 10;
/// No snapshot falls due while something is counted.
const SNAPSHOT_EVERY: u64 = u64::MAX;

fn user(n: u8) -> UserId {
    UserId::from_bytes([n; 16])
}

fn record(n: u64, command: Command) -> Record {
    let mut id = [0; 16];
    id[8..].copy_from_slice(&n.to_be_bytes());
    Record {
        tenant: TenantId::from_bytes([7; 16]),
        conversation: ROOM,
        sender: user(1),
        device: DeviceId::from_bytes([1; 16]),
        client_id: ClientId::from_bytes(id),
        rules: RULES_VERSION,
        origin: 0,
        command,
    }
}

/// 200 bytes of text, as in the targets for what is stored.
fn send() -> Command {
    let json = format!(r#"{{"text":"{}","type":"text"}}"#, "x".repeat(200));
    let content = Content::from_canonical(Bytes::from(json));
    Command::Send { content, reply_to: None, salt: Salt([1; 16]) }
}

const fn position(offset: u64) -> Position {
    Position { generation: Generation(1), offset }
}

/// A conversation and the next records for it.
#[derive(Clone)]
struct Room {
    state: State,
    window: Window,
    next: u64,
}

impl Room {
    fn new() -> Self {
        let members = (1..=MEMBERS).map(user).collect();
        let create = Command::Create { kind: Kind::Group, title: None, members };
        let mut room = Self { state: State::empty(ROOM), window: Window::default(), next: 0 };
        room.take(create);
        // A window that is full forgets one for each it takes in.
        for _ in 0..=WINDOW_SENDS {
            room.take(send());
        }
        room
    }

    fn take(&mut self, command: Command) {
        let event = self.decide(command);
        evolve::event(&mut self.state, &event).expect("an event fits its state");
        self.window.push(&event);
    }

    fn decide(&mut self, command: Command) -> Box<Event> {
        self.next += 1;
        let record = record(self.next, command);
        match decide(&self.state, &self.window, &record, position(self.next), AT) {
            Decision::Event(event) => event,
            other => unreachable!("not an event: {other:?}"),
        }
    }

    /// The next messages as the log brings them.
    fn next_work(&mut self) -> Work {
        self.next += 1;
        Work { position: position(self.next), at: AT, record: record(self.next, send()) }
    }

    /// The same conversation as a worker holds it.
    fn slot(&self) -> Slot {
        let mut slot = Slot::default();
        let (state, cursors) = (self.state.clone(), Cursors::default());
        slot.loaded(Loaded { state, cursors, since_snapshot: 0 });
        slot.window_loaded(self.window.clone());
        slot
    }
}

pub fn operations() -> Vec<Operation> {
    let room = Room::new();
    vec![
        decide_message(room.clone()),
        evolve_message(room.clone()),
        find_repeat(room.clone()),
        plan_messages(room.clone(), "plan a message", 1, 8),
        // Six each, and the lists grow.
        plan_messages(room.clone(), "plan 64 messages", 64, 394),
        publish(room.clone(), "publish to 1 endpoint", 1),
        publish(room.clone(), "publish to 64 endpoints", 64),
        whole_way(room),
    ]
}

fn decide_message(mut room: Room) -> Operation {
    let work = room.next_work();
    Operation::new(
        "decide a message",
        3,
        || (),
        move |()| decide(&room.state, &room.window, &work.record, work.position, work.at),
    )
}

fn evolve_message(mut room: Room) -> Operation {
    let event = room.decide(send());
    let (head, before) = (room.state.head, room.state.chain);
    Operation::new(
        "evolve by a message",
        2,
        || (),
        move |()| {
            // Back by one event, so that it is the next one again.
            (room.state.head, room.state.chain) = (head, before);
            evolve::event(&mut room.state, &event)
        },
    )
}

fn find_repeat(room: Room) -> Operation {
    let repeat = record(room.next / 2, send());
    Operation::new(
        "decide a repeat",
        0,
        || (),
        move |()| decide(&room.state, &room.window, &repeat, position(u64::MAX), AT),
    )
}

fn plan_messages(
    mut room: Room,
    name: &'static str,
    messages: usize,
    allocations_max: u64,
) -> Operation {
    let mut slot = room.slot();
    let next = move || (0..messages).map(|_| room.next_work()).collect::<Vec<Work>>();
    let plan = move |works: Vec<Work>| {
        works.into_iter().for_each(|work| slot.push_work(work));
        slot.plan(messages, SNAPSHOT_EVERY)
    };
    Operation::new(name, allocations_max, next, plan).of(messages as u64)
}

/// A link that takes everything and hands it to nobody.
struct Nowhere;

impl WorkerLink for Nowhere {
    fn push(&self, _: &[EndpointId], _: Arc<Down>) -> Vec<EndpointId> {
        Vec::new()
    }
}

fn delivery(endpoints: u64) -> Delivery {
    let (silenced, link) = (Arc::new(AtomicBool::new(false)), Arc::new(Nowhere));
    let mut delivery = Delivery::new(Partition(0), Epoch(1), Arc::new(Forever), silenced, link);
    for endpoint in 0..endpoints {
        (1..=MEMBERS).for_each(|n| delivery.subscribe(ROOM, EndpointId(endpoint), user(n)));
    }
    delivery
}

/// However many listen, it is one list and one frame.
fn publish(mut room: Room, name: &'static str, endpoints: u64) -> Operation {
    let mut delivery = delivery(endpoints);
    let event: Arc<Event> = Arc::from(room.decide(send()));
    Operation::new(
        name,
        2,
        move || Arc::clone(&event),
        move |event| {
            delivery.publish(ROOM, What::Event(event));
        },
    )
}

/// From the log's bytes to the link, but for the store and the actor's own work.
fn whole_way(mut room: Room) -> Operation {
    let (mut slot, mut delivery) = (room.slot(), delivery(4));
    let next = move || {
        let work = room.next_work();
        (work.position, record::encode(&work.record))
    };
    Operation::new("record to push", 12, next, move |(position, bytes)| {
        let record = record::decode(&bytes).expect("a record");
        slot.push_work(Work { position, at: AT, record });
        let planned = slot.plan(64, SNAPSHOT_EVERY).expect("a loaded conversation");
        for event in planned.decided.iter().filter_map(|decided| decided.event.as_ref()) {
            delivery.publish(ROOM, What::Event(Arc::clone(event)));
        }
        planned
    })
}
