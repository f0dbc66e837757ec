//! What a device's person does: writes, reads, opens rooms, adds and removes others, leaves, and
//! now and then writes where they are no member any more.

use std::{collections::BTreeMap, rc::Rc};

use harkara_client::{
    Call, CallError, Content,
    chance::Chance as _,
    journal::{Draft, Entry},
    machine::Machine,
};
use harkara_domain::{ClientId, ConversationId, Seq, UserId};
use harkara_protocol::client::{
    Id, SeqNo,
    fields::{Users, WireKind, WireRole},
    replies::{Changed, Created, TimelinePage},
    requests::{
        ConversationCreate, ConversationLeave, ConversationUpdate, MembersAdd, MembersRemove,
        MembersSetRole, ReadAdvance, TimelineRead, TypingSet,
    },
};
use serde_json::value::RawValue;

use super::{Around, Device, witness::Saw};
use crate::chance::{DeviceChance, Rng};

/// Bytes of a long message.
const LONG: usize = 6_000;

/// Messages that are written at once.
const BURST: usize = 5;

/// What an answer is the answer to.
enum Asked {
    Create(ClientId),
    Change(ConversationId, ClientId),
    Advance(ConversationId, Seq),
    Page(ConversationId),
    Nothing,
}

/// What a person is about to do.
pub struct Habits {
    around: Around,
    chance: DeviceChance,
    known: Vec<ConversationId>,
    /// Rooms that this person made, and may change.
    own: Vec<ConversationId>,
    asked: BTreeMap<u64, Asked>,
    tickets: u64,
    due_ms: u64,
    said: u64,
}

impl Habits {
    /// A person who knows no conversation; one who does nothing where `acts` is false.
    #[must_use]
    pub fn new(device: &Rc<Device>, around: &Around, acts: bool) -> Self {
        let first = around.world.now_ms() + device.dice.roll().between(100, around.pause_ms);
        let world = std::sync::Arc::clone(&around.world);
        Self {
            around: around.clone(),
            chance: DeviceChance { dice: device.dice.clone(), world },
            known: Vec::new(),
            own: Vec::new(),
            asked: BTreeMap::new(),
            tickets: 0,
            due_ms: if acts { first } else { u64::MAX },
            said: 0,
        }
    }

    /// These conversations are known from now on.
    pub fn remember(&mut self, conversations: impl IntoIterator<Item = ConversationId>) {
        for conversation in conversations {
            if !self.known.contains(&conversation) {
                self.known.push(conversation);
            }
        }
    }

    /// When the person does something next, milliseconds of virtual time.
    #[must_use]
    pub fn due(&self) -> u64 {
        if self.due_ms >= self.around.until_ms.get() { u64::MAX } else { self.due_ms }
    }

    /// The person does something.
    pub fn act(&mut self, device: &Rc<Device>, machine: &mut Machine) {
        let now = self.around.world.now_ms();
        let mut rng = device.dice.roll().clone();
        // The clone decides, so that what a decision takes does not depend on what it finds.
        device.dice.roll().number();
        self.due_ms = now + rng.between(20, 2 * self.around.pause_ms);
        let conversation = rng.pick(&self.known).copied();
        let Some(conversation) = conversation else {
            return self.create(&mut rng, device, machine);
        };
        if rng.below(100) < self.around.changes_percent {
            let mine = rng.permille(700);
            let own = rng.pick(&self.own).copied().filter(|_| mine);
            return self.change(&mut rng, own.unwrap_or(conversation), device, machine);
        }
        match rng.below(100) {
            0..64 => self.say(&mut rng, conversation, device, machine),
            64..74 => {
                (0..BURST).for_each(|_| self.say(&mut rng, conversation, device, machine));
            }
            74..86 => self.advance(conversation, device, machine),
            86..93 => self.page(&mut rng, conversation, device, machine),
            93..96 => self.create(&mut rng, device, machine),
            _ => {
                let call = TypingSet { conversation: Id(conversation), active: true };
                self.call(machine, Call::TypingSet(call), Asked::Nothing);
            }
        }
    }

    fn call(&mut self, machine: &mut Machine, call: Call, asked: Asked) {
        self.tickets += 1;
        self.asked.insert(self.tickets, asked);
        machine.call(self.around.world.now_ms(), self.tickets, call);
    }

    fn say(
        &mut self,
        rng: &mut Rng,
        conversation: ConversationId,
        device: &Rc<Device>,
        machine: &mut Machine,
    ) {
        self.said += 1;
        let mut text = format!("{} says {}", device.who.number, self.said);
        if rng.permille(20) {
            text.extend(std::iter::repeat_n('.', LONG));
        }
        let Ok(content) = Content::text(&text) else { return };
        let (client_id, floor) = (self.chance.client_id(), machine.floor(conversation));
        let reply_to = (rng.permille(100) && floor > 0).then(|| rng.between(1, floor));
        let draft = Draft { conversation, client_id, content, reply_to, floor };
        if let Ok(true) = machine.may_send(&draft) {
            device.kept.borrow_mut().write(Entry::Taken(draft.clone()));
            machine.send(self.around.world.now_ms(), draft);
        }
    }

    fn advance(
        &mut self,
        conversation: ConversationId,
        device: &Rc<Device>,
        machine: &mut Machine,
    ) {
        let seq = machine.floor(conversation);
        if seq > 0 {
            device.witness.note(Saw::Advancing(conversation, seq));
            let call = ReadAdvance { conversation: Id(conversation), seq: SeqNo(seq) };
            self.call(machine, Call::ReadAdvance(call), Asked::Advance(conversation, seq));
        }
    }

    fn page(
        &mut self,
        rng: &mut Rng,
        conversation: ConversationId,
        _device: &Rc<Device>,
        machine: &mut Machine,
    ) {
        let after = rng.below(machine.floor(conversation) + 2);
        let call = TimelineRead {
            conversation: Id(conversation),
            after: rng.permille(700).then_some(SeqNo(after)),
            before: None,
            limit: Some(30),
        };
        self.call(machine, Call::TimelineRead(call), Asked::Page(conversation));
    }

    fn create(&mut self, rng: &mut Rng, device: &Rc<Device>, machine: &mut Machine) {
        if self.known.len() >= self.around.rooms_max {
            return;
        }
        let client_id = self.chance.client_id();
        let direct = rng.permille(250);
        let other = |rng: &mut Rng| rng.pick(&self.around.users).copied();
        let members: Vec<UserId> = if direct {
            other(rng).filter(|user| *user != device.who.user).into_iter().collect()
        } else {
            self.around.users.iter().copied().filter(|_| rng.permille(700)).collect()
        };
        if members.is_empty() {
            return;
        }
        let call = ConversationCreate {
            client_id: Id(client_id),
            kind: if direct { WireKind::Direct } else { WireKind::Group },
            title: (!direct).then(|| format!("room of {}", device.who.number)),
            members: users(members),
        };
        self.call(machine, Call::ConversationCreate(call), Asked::Create(client_id));
    }

    fn change(
        &mut self,
        rng: &mut Rng,
        room: ConversationId,
        device: &Rc<Device>,
        machine: &mut Machine,
    ) {
        let client_id = self.chance.client_id();
        let (conversation, id) = (Id(room), Id(client_id));
        let Some(user) = rng.pick(&self.around.users).copied() else { return };
        let named = users(vec![user]);
        let call = match rng.below(100) {
            0..45 => Call::MembersAdd(MembersAdd {
                conversation,
                client_id: id,
                users: named,
                role: rng.permille(200).then_some(WireRole::Admin),
            }),
            45..75 if user != device.who.user => {
                Call::MembersRemove(MembersRemove { conversation, client_id: id, users: named })
            }
            75..82 => Call::MembersSetRole(MembersSetRole {
                conversation,
                client_id: id,
                users: named,
                role: if rng.permille(500) { WireRole::Admin } else { WireRole::Owner },
            }),
            82..88 => Call::ConversationLeave(ConversationLeave { conversation, client_id: id }),
            _ => Call::ConversationUpdate(ConversationUpdate {
                conversation,
                client_id: id,
                title: Some(format!("room {}", rng.below(1_000))),
            }),
        };
        self.call(machine, call, Asked::Change(room, client_id));
    }

    /// The machine has the answer to a request.
    pub fn answered(
        &mut self,
        device: &Rc<Device>,
        ticket: u64,
        result: Result<Box<RawValue>, CallError>,
    ) {
        let Some(asked) = self.asked.remove(&ticket) else { return };
        let witness = &device.witness;
        let answer = match (&asked, result) {
            (_, Ok(answer)) => answer,
            (Asked::Create(id) | Asked::Change(_, id), Err(CallError::Refused(error))) => {
                // What may be tried again has no outcome yet.
                if error.data.as_ref().is_some_and(|data| !data.retryable) {
                    witness.note(Saw::Refused(*id));
                }
                return;
            }
            _ => return,
        };
        match asked {
            Asked::Create(client_id) => {
                if let Ok(created) = serde_json::from_str::<Created>(answer.get()) {
                    let conversation = created.conversation.0;
                    self.remember([conversation]);
                    self.own.push(conversation);
                    witness.note(Saw::Changed(Some(conversation), client_id, created.seq.0));
                }
            }
            Asked::Change(room, client_id) => {
                if let Ok(changed) = serde_json::from_str::<Changed>(answer.get()) {
                    witness.note(Saw::Changed(Some(room), client_id, changed.seq.0));
                }
            }
            Asked::Advance(conversation, seq) => witness.note(Saw::Advanced(conversation, seq)),
            Asked::Page(conversation) => {
                if let Ok(page) = serde_json::from_str::<TimelinePage>(answer.get()) {
                    for event in &page.events {
                        if let Some((seq, chain)) = line_of(event.get()) {
                            witness.note(Saw::Page(conversation, seq, chain));
                        }
                    }
                }
            }
            Asked::Nothing => {}
        }
    }
}

fn users(users: Vec<UserId>) -> Users {
    Users(users.into_iter().map(Id).collect())
}

/// Sequence and chain of an event in a page.
fn line_of(json: &str) -> Option<(Seq, String)> {
    let event: harkara_protocol::client::EventParams<'_> = serde_json::from_str(json).ok()?;
    Some((event.seq.0, event.chain))
}
