//! Sends from the moment they are taken to their outcome. Pure; `state` asks what to transmit
//! next and reports what came of it.
//!
//! Order is kept per conversation: a send that has to wait holds back the later ones, and the server
//! refuses what was in flight behind it.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use harkara_domain::{ClientId, ConversationId, Seq};

use crate::content::Content;

/// Pause after a refusal that names none, milliseconds, doubled with each one in a row.
const PAUSE_MS: u64 = 250;

/// Longest such pause, milliseconds.
const PAUSE_MS_MAX: u64 = 5_000;

/// A send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// To which conversation.
    pub conversation: ConversationId,
    /// The device's id for it.
    pub client_id: ClientId,
    /// What it says.
    pub content: Content,
    /// The sequence it answers.
    pub reply_to: Option<Seq>,
    /// The last sequence that was known when it was written: its event can only stand above.
    pub floor: Seq,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// To be transmitted.
    Queued,
    /// Transmitted, not answered.
    Sent,
    /// In the log; the outcome is due.
    Accepted { at: u64 },
}

#[derive(Debug)]
struct Item {
    draft: Draft,
    stage: Stage,
    created: u64,
    /// It may have reached the server at some time.
    tried: bool,
    /// The timeline was read up to the head after the last attempt.
    scanned: bool,
    /// The user knows that it is durable.
    told: bool,
    attempts: u32,
}

#[derive(Debug, Default)]
struct Lane {
    items: VecDeque<Item>,
    /// No item before this index is queued.
    first: usize,
    in_flight: usize,
    scanning: bool,
    not_before: u64,
}

/// What to transmit next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Read the timeline after this sequence up to its head: an old send may stand there.
    Scan { conversation: ConversationId, after: Seq },
    /// Send this.
    Send(Draft),
}

/// The rules of an outbox.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// Sends of one conversation without an answer at one time.
    pub(crate) in_flight_max: usize,
    /// After this long a repeat reads the timeline first, milliseconds.
    pub(crate) old_ms: u64,
    /// Sends kept, at most.
    pub(crate) kept_max: usize,
}

/// All sends without an outcome.
#[derive(Debug)]
pub(crate) struct Outbox {
    rules: Rules,
    lanes: BTreeMap<ConversationId, Lane>,
    /// Lanes with something queued.
    queued: BTreeSet<ConversationId>,
    homes: HashMap<ClientId, ConversationId>,
    not_before: u64,
}

impl Outbox {
    pub(crate) fn new(rules: Rules) -> Self {
        let (lanes, queued, homes) = Default::default();
        Self { rules, lanes, queued, homes, not_before: 0 }
    }

    /// How many wait for their outcome.
    pub(crate) fn len(&self) -> usize {
        self.homes.len()
    }

    /// Is there room for one more?
    pub(crate) fn has_room(&self) -> bool {
        self.len() < self.rules.kept_max
    }

    /// The send with this id, while it waits for its outcome.
    pub(crate) fn get(&self, client_id: ClientId) -> Option<&Draft> {
        let items = &self.lanes.get(self.homes.get(&client_id)?)?.items;
        items.iter().map(|item| &item.draft).find(|draft| draft.client_id == client_id)
    }

    /// Takes a send; `kept` says that it comes from a journal and may have been tried already.
    pub(crate) fn add(&mut self, now: u64, draft: Draft, kept: bool) {
        let conversation = draft.conversation;
        if self.homes.insert(draft.client_id, conversation).is_some() {
            return;
        }
        let created = if kept { 0 } else { now };
        let (stage, tried) = (Stage::Queued, kept);
        let item = Item { draft, stage, created, tried, scanned: false, told: false, attempts: 0 };
        self.lanes.entry(conversation).or_default().items.push_back(item);
        self.queued.insert(conversation);
    }

    /// What to transmit now. A returned item counts as transmitted.
    pub(crate) fn next(&mut self, now: u64) -> Option<Next> {
        if now < self.not_before {
            return None;
        }
        let rules = self.rules;
        let mut idle = Vec::new();
        let mut found = None;
        for conversation in &self.queued {
            let Some(lane) = self.lanes.get_mut(conversation) else { continue };
            match lane.next(now, rules) {
                Step::Nothing => idle.push(*conversation),
                Step::Wait => {}
                Step::Go(next) => {
                    found = Some(next);
                    break;
                }
            }
        }
        for conversation in idle {
            self.queued.remove(&conversation);
        }
        found
    }

    /// When [`Self::next`] may have something because time passes.
    pub(crate) fn due(&self, now: u64) -> Option<u64> {
        let lanes = self.queued.iter().filter_map(|id| self.lanes.get(id));
        let times = lanes.map(|lane| lane.not_before.max(self.not_before));
        times.filter(|at| *at > now).min()
    }

    /// The log has it. True the first time.
    pub(crate) fn accepted(&mut self, now: u64, client_id: ClientId) -> bool {
        self.change(client_id, |item| {
            item.stage = Stage::Accepted { at: now };
            item.attempts = 0;
            !std::mem::replace(&mut item.told, true)
        })
    }

    /// Not now: again in `ms` (0: in a pause that grows), and what comes after it in its
    /// conversation (or anywhere) waits too. Gives back how often that happened in a row.
    pub(crate) fn again(
        &mut self,
        now: u64,
        client_id: ClientId,
        ms: u64,
        everywhere: bool,
    ) -> u32 {
        let mut attempts: u32 = 0;
        self.change(client_id, |item| {
            item.stage = Stage::Queued;
            item.attempts += 1;
            attempts = item.attempts;
            true
        });
        let pause = (PAUSE_MS << attempts.saturating_sub(1).min(8)).min(PAUSE_MS_MAX);
        let ms = if ms == 0 { pause } else { ms };
        let Some(conversation) = self.homes.get(&client_id) else { return 0 };
        self.queued.insert(*conversation);
        if everywhere {
            self.not_before = self.not_before.max(now + ms);
        } else if let Some(lane) = self.lanes.get_mut(conversation) {
            lane.not_before = lane.not_before.max(now + ms);
        }
        attempts
    }

    /// It has its outcome: forgets it. False where it is not (or no longer) known there.
    pub(crate) fn settle(&mut self, conversation: ConversationId, client_id: ClientId) -> bool {
        if self.homes.get(&client_id) != Some(&conversation) {
            return false;
        }
        self.homes.remove(&client_id);
        let Some(lane) = self.lanes.get_mut(&conversation) else { return false };
        lane.remove(client_id);
        if lane.items.is_empty() {
            self.lanes.remove(&conversation);
            self.queued.remove(&conversation);
        }
        true
    }

    /// The conversation was read from below its old sends up to its head.
    pub(crate) fn scanned(&mut self, conversation: ConversationId) {
        let Some(lane) = self.lanes.get_mut(&conversation) else { return };
        lane.scanning = false;
        for item in lane.items.iter_mut().filter(|item| item.stage == Stage::Queued) {
            item.scanned = true;
        }
    }

    /// The reading failed and makes sense again in `ms`.
    pub(crate) fn scan_failed(&mut self, now: u64, conversation: ConversationId, ms: u64) {
        let Some(lane) = self.lanes.get_mut(&conversation) else { return };
        lane.scanning = false;
        lane.not_before = lane.not_before.max(now + ms);
    }

    /// The connection is gone: everything without an outcome is to be sent again, in its order.
    pub(crate) fn disconnected(&mut self) {
        self.not_before = 0;
        for (conversation, lane) in &mut self.lanes {
            *lane = Lane { items: std::mem::take(&mut lane.items), ..Lane::default() };
            for item in &mut lane.items {
                item.stage = Stage::Queued;
                item.attempts = 0;
            }
            self.queued.insert(*conversation);
        }
    }

    /// Sends that were accepted before `limit` and have no outcome are to be sent again.
    pub(crate) fn overdue(&mut self, limit: u64) {
        for (conversation, lane) in &mut self.lanes {
            for item in &mut lane.items {
                if matches!(item.stage, Stage::Accepted { at } if at <= limit) {
                    item.stage = Stage::Queued;
                    lane.first = 0;
                    self.queued.insert(*conversation);
                }
            }
        }
    }

    fn change(&mut self, client_id: ClientId, f: impl FnOnce(&mut Item) -> bool) -> bool {
        let lane = self.homes.get(&client_id).and_then(|home| self.lanes.get_mut(home));
        let Some(lane) = lane else { return false };
        let at = lane.items.iter().position(|item| item.draft.client_id == client_id);
        let Some((at, item)) = at.and_then(|at| Some((at, lane.items.get_mut(at)?))) else {
            return false;
        };
        let was_sent = item.stage == Stage::Sent;
        let done = f(item);
        let is_sent = item.stage == Stage::Sent;
        if item.stage == Stage::Queued {
            lane.first = lane.first.min(at);
        }
        if was_sent && !is_sent {
            lane.in_flight = lane.in_flight.saturating_sub(1);
        }
        done
    }
}

enum Step {
    Nothing,
    Wait,
    Go(Next),
}

impl Lane {
    fn next(&mut self, now: u64, rules: Rules) -> Step {
        let queued = |item: &Item| item.stage == Stage::Queued;
        let Some(at) = (self.first..self.items.len()).find(|i| queued(&self.items[*i])) else {
            self.first = self.items.len();
            return Step::Nothing;
        };
        self.first = at;
        if self.scanning || now < self.not_before || self.in_flight >= rules.in_flight_max {
            return Step::Wait;
        }
        let item = &mut self.items[at];
        let old = item.tried && now.saturating_sub(item.created) >= rules.old_ms;
        // Journaled sends count as old whatever this process's clock says.
        let kept = item.tried && item.created == 0;
        if (old || kept) && !item.scanned {
            let floors = self.items.iter().filter(|item| queued(item)).map(|i| i.draft.floor);
            let (conversation, after) = (self.items[at].draft.conversation, floors.min());
            self.scanning = true;
            return Step::Go(Next::Scan { conversation, after: after.unwrap_or(0) });
        }
        (item.stage, item.tried, item.scanned) = (Stage::Sent, true, false);
        let draft = item.draft.clone();
        self.in_flight += 1;
        self.first = at + 1;
        Step::Go(Next::Send(draft))
    }

    fn remove(&mut self, client_id: ClientId) {
        let at = self.items.iter().position(|item| item.draft.client_id == client_id);
        let Some(item) = at.and_then(|at| self.items.remove(at)) else { return };
        if item.stage == Stage::Sent {
            self.in_flight = self.in_flight.saturating_sub(1);
        }
        if at.is_some_and(|at| at < self.first) {
            self.first -= 1;
        }
    }
}
