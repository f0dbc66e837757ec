//! The state machine against a model of the server, on virtual time, with faults from a seed:
//! dropped connections, lost and doubled pushes, refusals, killed processes, long pauses. Whatever
//! happens, each event is shown once and in order, and each send has exactly one outcome.

#[path = "../../tests/integration/model.rs"]
mod model;

use std::collections::{BTreeMap, VecDeque};

use harkara_domain::{ClientId, ConversationId, DeviceId, UserId};
use harkara_protocol::client::{ErrorWord, RpcError};
use proptest::prelude::*;

use self::model::{Model, Session};
use super::{Effect, Ended, Failure, Machine, outbox::Draft, state::Phase};
use crate::{
    content::Content,
    error::Stopped,
    journal::{Entry, Saved},
    options::{Start, Tuning},
    update::{Outcome, Update, Why},
};

const ME: UserId = UserId::from_bytes([1; 16]);
const DEVICE: DeviceId = DeviceId::from_bytes([2; 16]);
const OTHER: UserId = UserId::from_bytes([3; 16]);

fn conversation(n: u64) -> ConversationId {
    ConversationId::from_bytes(u128::from(n % 3 + 1).to_be_bytes())
}

/// SplitMix64: small, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }
}

struct World {
    now: u64,
    dice: Dice,
    tuning: Tuning,
    machine: Machine,
    model: Model,
    link: Option<Session>,
    to_server: VecDeque<String>,
    to_client: VecDeque<String>,
    /// What the journal would hold.
    saved: Saved,
    shown: BTreeMap<ConversationId, Vec<u64>>,
    sent: BTreeMap<ConversationId, Vec<ClientId>>,
    outcomes: BTreeMap<ClientId, Vec<Outcome>>,
    accepted: BTreeMap<ClientId, usize>,
    stopped: Option<Stopped>,
}

impl World {
    fn new(seed: u64, tuning: Tuning) -> Self {
        let mut model = Model::new();
        (0..3).for_each(|n| model.add(conversation(n), &[ME, OTHER]));
        let (to_server, to_client, saved) = Default::default();
        let (shown, sent, outcomes, accepted) = Default::default();
        let machine = Machine::new(tuning, Start::Beginning, Saved::default());
        let (now, dice, link, stopped) = (1_000, Dice(seed), None, None);
        let mut world = Self {
            now,
            dice,
            tuning,
            machine,
            model,
            link,
            to_server,
            to_client,
            saved,
            shown,
            sent,
            outcomes,
            accepted,
            stopped,
        };
        world.step(|_, _| {});
        world
    }

    /// Lets the machine do something and carries out what it wants.
    fn step(&mut self, f: impl FnOnce(&mut Machine, u64)) {
        f(&mut self.machine, self.now);
        self.machine.tick(self.now);
        loop {
            let effects = self.machine.take_effects();
            if effects.is_empty() {
                let (wake, now) = (self.machine.wake_at(self.now), self.now);
                assert!(wake > now, "a timer that is due at once would never rest");
                return;
            }
            effects.into_iter().for_each(|effect| self.apply(effect));
        }
    }

    fn apply(&mut self, effect: Effect) {
        match effect {
            Effect::Connect { .. } => {}
            Effect::Transmit(frame) => self.to_server.push_back(frame),
            Effect::Disconnect => self.cut_quietly(Why::Silent),
            Effect::Update(update) => self.update(update),
            Effect::Note(Entry::Done(id)) => self.saved.sends.retain(|d| d.client_id != id),
            Effect::Stop(stopped) => self.stopped = Some(stopped),
            Effect::Ping => self.to_client.push_back("pong".to_owned()),
            Effect::Note(_) | Effect::Reply { .. } => {}
        }
    }

    fn update(&mut self, update: Update) {
        match update {
            Update::Event(event) => {
                self.shown.entry(event.conversation).or_default().push(event.seq);
                self.saved.cursors.insert(event.conversation, event.seq);
            }
            Update::Accepted { client_id, .. } => {
                assert!(!self.outcomes.contains_key(&client_id), "accepted after the outcome");
                *self.accepted.entry(client_id).or_default() += 1;
            }
            Update::Outcome { client_id, outcome, .. } => {
                self.outcomes.entry(client_id).or_default().push(outcome);
            }
            Update::Skipped { .. } | Update::Reset { .. } => {
                panic!("nothing is hidden: {update:?}")
            }
            _ => {}
        }
    }

    fn cut_quietly(&mut self, why: Why) {
        self.link = None;
        self.to_server.clear();
        self.to_client.clear();
        let roll = self.dice.roll(u64::MAX);
        self.machine.closed(self.now, Ended(why), roll);
    }

    fn cut(&mut self) {
        if self.link.is_some() {
            self.cut_quietly(Why::Lost("cut".to_owned()));
            self.step(|_, _| {});
        }
    }

    /// Time passes; a machine that wants to connect does, or fails.
    fn pass(&mut self, ms: u64, faults: bool) {
        self.now += ms;
        self.model.now_ms = self.now;
        self.step(|_, _| {});
        if self.machine.phase == Phase::Connecting && self.link.is_none() {
            if faults && self.dice.roll(4) == 0 {
                let roll = self.dice.roll(u64::MAX);
                let failure = Failure::Status { status: 503, retry_after_ms: Some(300) };
                self.step(|machine, now| machine.failed(now, failure, roll));
            } else {
                self.link = Some(Session::new(ME, DEVICE));
                self.step(Machine::opened);
            }
        }
    }

    fn server_reads(&mut self) {
        let Some(session) = &mut self.link else { return };
        if let Some(frame) = self.to_server.pop_front() {
            self.to_client.extend(self.model.request(session, &frame));
        }
    }

    fn server_pushes(&mut self, faults: bool) {
        let Some(session) = &mut self.link else { return };
        for frame in self.model.pump(session) {
            match if faults { self.dice.roll(12) } else { 9 } {
                0 => {}
                1 => self.to_client.extend([frame.clone(), frame]),
                _ => self.to_client.push_back(frame),
            }
        }
    }

    fn client_reads(&mut self) {
        if let Some(frame) = self.to_client.pop_front() {
            self.step(|machine, now| match frame.as_str() {
                "pong" => machine.heard(now),
                frame => machine.frame(now, frame),
            });
        }
    }

    fn send(&mut self) {
        let conversation = conversation(self.dice.roll(3));
        let n = self.sent.values().map(Vec::len).sum::<usize>() as u128 + 1;
        let client_id = ClientId::from_bytes((n << 64).to_be_bytes());
        let content = Content::text(&format!("message {n}")).unwrap();
        let floor = self.machine.floor(conversation);
        let draft = Draft { conversation, client_id, content, reply_to: None, floor };
        assert!(self.machine.may_send(&draft).unwrap());
        self.saved.sends.push(draft.clone());
        self.sent.entry(conversation).or_default().push(client_id);
        self.step(|machine, now| machine.send(now, draft));
    }

    /// The process is killed and started again with what its journal kept.
    fn kill(&mut self) {
        self.link = None;
        self.to_server.clear();
        self.to_client.clear();
        self.accepted.clear();
        self.machine = Machine::new(self.tuning, Start::Beginning, self.saved.clone());
        self.step(|_, _| {});
    }

    fn act(&mut self) {
        match self.dice.roll(40) {
            0 => self.cut(),
            1 => self.kill(),
            2 => {
                // Longer than the server recognizes repeats.
                self.cut();
                self.pass(model::WINDOW_MS + 60_000, true);
            }
            3 => {
                let refusal = match self.dice.roll(3) {
                    0 => RpcError::word(ErrorWord::RateLimited, "slower").retry_after_ms(70),
                    1 => RpcError::word(ErrorWord::Unavailable, "not now"),
                    _ => RpcError::rpc(-32603, "a fault"),
                };
                self.model.refuse_sends.push(refusal);
            }
            4..=9 => self.send(),
            10..=14 => {
                let to = conversation(self.dice.roll(3));
                self.model.other(to, OTHER, "hello");
            }
            15..=18 => self.server_pushes(true),
            19..=26 => self.server_reads(),
            27..=34 => self.client_reads(),
            _ => {
                let ms = self.dice.roll(400);
                self.pass(ms, true);
            }
        }
    }

    /// No more faults: everything comes to rest.
    fn heal(&mut self) {
        self.model.refuse_sends.clear();
        self.cut();
        self.rest();
    }

    fn rest(&mut self) {
        for _ in 0..3_000 {
            while !self.to_server.is_empty() || !self.to_client.is_empty() {
                self.server_reads();
                self.server_pushes(false);
                self.client_reads();
            }
            self.server_pushes(false);
            self.pass(100, false);
        }
    }

    fn check(&self, strict_order: bool) {
        assert_eq!(self.stopped, None);
        for (id, conversation) in &self.model.conversations {
            let all: Vec<u64> = (1..=conversation.events.len() as u64).collect();
            assert_eq!(self.shown.get(id), Some(&all), "each event once, in order");
        }
        for (id, sent) in &self.sent {
            let stands: Vec<u64> =
                sent.iter().map(|client_id| self.stands(*id, *client_id)).collect();
            if strict_order {
                assert!(stands.is_sorted(), "sends keep their order: {stands:?}");
            }
        }
        assert_eq!(self.machine.outbox.len(), 0);
        assert_eq!(self.saved.sends, []);
        assert!(self.accepted.values().all(|times| *times == 1));
    }

    /// Where a send stands: once, and its one outcome says so.
    fn stands(&self, conversation: ConversationId, client_id: ClientId) -> u64 {
        let sends = &self.model.conversations[&conversation].sends;
        let places: Vec<u64> = sends
            .iter()
            .filter(|(_, c, _, _)| *c == client_id)
            .map(|(_, _, _, seq)| *seq)
            .collect();
        assert_eq!(places.len(), 1, "a send stands once");
        let outcome = Outcome::Settled { seq: places[0] };
        assert_eq!(self.outcomes.get(&client_id), Some(&vec![outcome]), "one outcome");
        places[0]
    }
}

fn run(seed: u64, steps: usize, in_flight: usize) {
    let tuning = Tuning { sends_in_flight_max: in_flight, ..Tuning::default() };
    let mut world = World::new(seed, tuning);
    for _ in 0..steps {
        world.act();
    }
    world.heal();
    world.check(in_flight == 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn every_event_once_and_every_send_one_outcome(
        seed: u64,
        steps in 50_usize..900,
        in_flight in 1_usize..6,
    ) {
        run(seed, steps, in_flight);
    }
}

#[test]
fn a_refused_token_ends_it_only_when_it_is_fresh() {
    let mut world = World::new(1, Tuning::default());
    world.pass(0, false);
    world.heal();
    assert!(world.machine.is_live());
    let refused = || Failure::Status { status: 401, retry_after_ms: None };
    world.cut();
    world.step(|machine, now| machine.failed(now, refused(), 0));
    assert_eq!(world.stopped, None, "the old token may just have expired");
    world.now += 60_000;
    world.step(|_, _| {});
    world.step(|machine, now| machine.failed(now, refused(), 0));
    assert!(matches!(world.stopped, Some(Stopped::Unauthenticated(_))));
}

#[test]
fn a_rejection_is_an_outcome() {
    let mut world = World::new(2, Tuning::default());
    world.heal();
    world.model.refuse_sends.push(RpcError::word(ErrorWord::Forbidden, "only admins write here"));
    world.send();
    world.rest();
    let outcomes: Vec<_> = world.outcomes.values().flatten().cloned().collect();
    let message = "only admins write here".to_owned();
    assert_eq!(outcomes, [Outcome::Rejected { code: Some(ErrorWord::Forbidden), message }]);
}

#[test]
fn a_silent_server_is_left() {
    let mut world = World::new(3, Tuning::default());
    world.heal();
    assert!(world.machine.is_live());
    // The link swallows everything from now on: no pong comes back.
    for _ in 0..700 {
        world.now += 100;
        world.to_client.clear();
        world.step(|_, _| {});
    }
    assert!(!world.machine.is_live());
}
