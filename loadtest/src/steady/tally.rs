//! The books of a round: which message is where, how long it took, what is missing. Readers write
//! here ([`Sink`]), the driver ([`super::stage`]) begins and ends rounds.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet, VecDeque},
    rc::Rc,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use tokio::{sync::Notify, time::timeout};

use super::plan::Plan;
use crate::{
    system::{Sink, Stamp},
    times,
};

/// What a round's messages came to. All of it concerns messages that count, not the warm-up's,
/// except `stray`, `ended` and `arrived`.
#[derive(Debug, Clone)]
pub struct Counts {
    /// Send → deliver, microseconds since the intended time.
    pub deliver: Histogram<u64>,
    /// Send → confirmed, microseconds since the intended time.
    pub confirm: Histogram<u64>,
    /// How long after its intended time a message was handed to its session, microseconds.
    pub late: Histogram<u64>,
    /// Messages that were to be sent.
    pub messages: u64,
    /// Deliveries that there should be: messages × copies.
    pub expected: u64,
    /// Deliveries that came.
    pub delivered: u64,
    /// Messages that came to nobody, of those whose deliveries are missing.
    pub nowhere: u64,
    /// Rooms in which deliveries are missing.
    pub rooms_missing: u64,
    /// Deliveries beyond what there should be.
    pub surplus: u64,
    /// Messages that the system did not take, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Deliveries of messages of other rounds, which came after that round had ended.
    pub stray: u64,
    /// Sessions that ended, and why the first of them did.
    pub ended: (u64, Option<String>),
    /// All deliveries so far, also those of the warm-up.
    pub arrived: u64,
}

/// What happened within a second or so.
#[derive(Debug, Clone, Copy, Default)]
pub struct Second {
    /// Send → deliver, 50th and 99th percentile of what arrived, microseconds.
    pub quantiles: (u64, u64),
    /// How long ago the oldest message was to be sent that is not everywhere yet.
    pub age: Duration,
}

struct Round {
    plan: Plan,
    start: Instant,
    /// Number of the first message: numbers go on from round to round.
    first: u32,
    copies: u16,
    /// Copies that are still missing, per message.
    left: Vec<u16>,
    /// Sum of `left` over the messages that were handed over.
    outstanding: u64,
    /// Messages handed over so far, and the first of them that is not everywhere.
    handed: usize,
    oldest: usize,
    /// Sends without an answer, per session.
    unanswered: Vec<VecDeque<u32>>,
    counts: Counts,
    second: Histogram<u64>,
}

/// See the module.
pub struct Tally {
    round: RefCell<Option<Round>>,
    complete: Notify,
    progress: Cell<u64>,
}

/// Three digits, up to ten minutes in microseconds.
fn histogram() -> anyhow::Result<Histogram<u64>> {
    Ok(Histogram::new_with_max(600_000_000, 3)?)
}

fn us(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl Tally {
    /// No round yet.
    #[must_use]
    pub fn new() -> Rc<Self> {
        Rc::new(Self { round: RefCell::new(None), complete: Notify::new(), progress: Cell::new(0) })
    }

    /// Begins a round at `start` whose first message has the number `first`.
    ///
    /// # Errors
    /// When the plan is out of range.
    pub fn begin(
        &self,
        plan: Plan,
        start: Instant,
        first: u32,
        copies: usize,
    ) -> anyhow::Result<()> {
        let (messages, copies) = (plan.messages(), u16::try_from(copies)?);
        let counting = (0..messages).filter(|&n| plan.counts(n)).count() as u64;
        let counts = Counts {
            deliver: histogram()?,
            confirm: histogram()?,
            late: histogram()?,
            messages: counting,
            expected: counting * u64::from(copies),
            delivered: 0,
            nowhere: 0,
            rooms_missing: 0,
            surplus: 0,
            refused: BTreeMap::new(),
            stray: 0,
            ended: (0, None),
            arrived: 0,
        };
        *self.round.borrow_mut() = Some(Round {
            left: vec![copies; messages as usize],
            unanswered: vec![VecDeque::new(); plan.shape.sessions],
            second: histogram()?,
            outstanding: 0,
            handed: 0,
            oldest: 0,
            plan,
            start,
            first,
            copies,
            counts,
        });
        Ok(())
    }

    /// The next message is handed to its session; messages are handed over in their order.
    pub fn handed(&self, n: u32) {
        self.with(|round| {
            let late = round.start.elapsed_since(round.plan.intended(n));
            if round.plan.counts(n) {
                round.counts.late.saturating_record(us(late));
            }
            round.handed = n as usize + 1;
            round.outstanding += u64::from(round.copies);
            round.unanswered[round.plan.sender(n)].push_back(round.first + n);
        });
    }

    /// What happened since the last call, and all deliveries so far.
    pub fn second(&self) -> (Second, u64) {
        let mut result = (Second::default(), 0);
        self.with(|round| {
            let quantile = |q| round.second.value_at_quantile(q);
            let quantiles = (quantile(0.5), quantile(0.99));
            round.second.reset();
            result = (Second { quantiles, age: round.age() }, round.counts.arrived);
        });
        result
    }

    /// Waits until every message that was taken is everywhere, as long as deliveries still come.
    pub async fn drained(&self, patience: Duration) {
        loop {
            let complete = self.complete.notified();
            if self.outstanding() == 0 {
                return;
            }
            let before = self.progress.get();
            if timeout(patience, complete).await.is_err() && self.progress.get() == before {
                return;
            }
        }
    }

    /// Ends the round; what still comes of it is stray in the next.
    pub fn finish(&self) -> Option<Counts> {
        self.round.borrow_mut().take().map(Round::finish)
    }

    fn outstanding(&self) -> u64 {
        self.round.borrow().as_ref().map_or(0, |round| round.outstanding)
    }

    fn with(&self, act: impl FnOnce(&mut Round)) {
        if let Some(round) = self.round.borrow_mut().as_mut() {
            let before = round.outstanding;
            act(round);
            if round.outstanding != before {
                self.progress.set(self.progress.get() + 1);
            }
            if round.outstanding == 0 && before > 0 {
                self.complete.notify_waiters();
            }
        }
    }
}

/// Time since a point that lies `after` behind this one.
trait ElapsedSince {
    fn elapsed_since(&self, after: Duration) -> Duration;
}

impl ElapsedSince for Instant {
    fn elapsed_since(&self, after: Duration) -> Duration {
        times::now().saturating_duration_since(*self).saturating_sub(after)
    }
}

impl Round {
    /// The place of a message in this round, if it is one of it.
    fn place(&self, number: u32) -> Option<u32> {
        let n = number.checked_sub(self.first)?;
        ((n as usize) < self.handed).then_some(n)
    }

    fn delivered(&mut self, stamp: Stamp) {
        let Some(n) = self.place(stamp.number) else {
            self.counts.stray += 1;
            return;
        };
        self.counts.arrived += 1;
        let took = us(self.start.elapsed_since(Duration::from_nanos(stamp.intended)));
        self.second.saturating_record(took);
        let counts = self.plan.counts(n);
        let left = &mut self.left[n as usize];
        if *left == 0 {
            self.counts.surplus += u64::from(counts);
            return;
        }
        *left -= 1;
        self.outstanding -= 1;
        if counts {
            self.counts.delivered += 1;
            self.counts.deliver.saturating_record(took);
        }
    }

    fn answered(&mut self, number: u32, outcome: Result<(), &str>) {
        let Some(n) = self.place(number) else { return };
        let counts = self.plan.counts(n);
        match outcome {
            Ok(()) if counts => {
                let took = self.start.elapsed_since(self.plan.intended(n));
                self.counts.confirm.saturating_record(us(took));
            }
            Ok(()) => {}
            Err(why) => {
                // Nothing more is waited for, and what is missing stays missing.
                self.outstanding -= u64::from(std::mem::take(&mut self.left[n as usize]));
                if counts {
                    *self.counts.refused.entry(why.to_owned()).or_default() += 1;
                }
            }
        }
    }

    /// What is missing where; messages that were not taken are told apart.
    fn finish(mut self) -> Counts {
        let mut rooms = BTreeSet::new();
        for (n, &left) in (0..).zip(&self.left) {
            if left > 0 && self.plan.counts(n) {
                self.counts.nowhere += u64::from(left == self.copies);
                rooms.insert(self.plan.sender(n) / self.plan.shape.room);
            }
        }
        self.counts.rooms_missing = rooms.len() as u64;
        self.counts
    }

    fn age(&mut self) -> Duration {
        while self.oldest < self.handed && self.left[self.oldest] == 0 {
            self.oldest += 1;
        }
        match u32::try_from(self.oldest) {
            Ok(oldest) if self.oldest < self.handed => {
                self.start.elapsed_since(self.plan.intended(oldest))
            }
            _ => Duration::ZERO,
        }
    }
}

impl Sink for Tally {
    fn delivered(&self, _session: usize, stamp: Stamp) {
        self.with(|round| round.delivered(stamp));
    }

    fn confirmed(&self, session: usize) {
        self.with(|round| {
            let oldest = round.unanswered.get_mut(session).and_then(VecDeque::pop_front);
            if let Some(number) = oldest {
                round.answered(number, Ok(()));
            }
        });
    }

    fn answered(&self, session: usize, number: u32, outcome: Result<(), &str>) {
        self.with(|round| {
            let Some(unanswered) = round.unanswered.get_mut(session) else { return };
            let found = unanswered.iter().position(|&one| one == number);
            if found.is_some_and(|place| unanswered.remove(place).is_some()) {
                round.answered(number, outcome);
            }
        });
    }

    fn ended(&self, _session: usize, why: &str) {
        self.with(|round| {
            let (ended, first) = &mut round.counts.ended;
            *ended += 1;
            first.get_or_insert_with(|| why.to_owned());
        });
    }
}

#[cfg(test)]
mod tests;
