//! What a client has asked for and not got: a pure state machine that `super::worker` feeds with
//! answers and takes frames from.
//!
//! A request is done when it is answered; a send only when its outcome is known, which the answer
//! is not. After a reconnect everything that isn't done goes out again, in its first order and
//! with its first client id, so that doing so twice does no harm.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    sync::atomic::AtomicU64,
    time::{Duration, Instant},
};

use serde_json::{Map, Value, json};
use tokio::sync::oneshot;

use super::{
    frame::Failure,
    metrics::{Counters, Metrics},
};
use crate::{ids::Id, journal::How};

/// A send that was accepted and has no outcome for so long is sent again: the server answers a
/// repeat with `settled`. Counted, since it should not be needed.
const NUDGE_AFTER: Duration = Duration::from_secs(10);

/// Shortest pause before a request that may succeed later is repeated.
const RETRY_AFTER: Duration = Duration::from_millis(20);

/// The end of a send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// It stands at this sequence.
    At(u64),
    /// It was refused, at its place in the order or before.
    Refused(String),
    /// Nobody knows; the client waited long enough.
    GivenUp,
}

/// Why a request has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The server said no.
    Failed(String, String),
    /// The client waited long enough.
    GivenUp,
}

/// Who waits.
#[derive(Debug)]
pub enum Done {
    /// For the outcome of a send.
    Send(oneshot::Sender<Settled>),
    /// For the text of a result.
    Call(oneshot::Sender<Result<Box<str>, Refusal>>),
    /// The client itself, for a page of this conversation's timeline after this sequence.
    Page(Id, u64),
}

/// A request.
#[derive(Debug)]
pub struct Job {
    /// The method.
    pub method: &'static str,
    /// Its params.
    pub params: Map<String, Value>,
    /// By which repeats are known.
    pub client_id: Option<Id>,
    /// Who waits.
    pub done: Done,
    /// When the client wanted it.
    pub since: Instant,
    first_sent: Option<Instant>,
    /// When it was last accepted, if nothing has come since.
    accepted: Option<Instant>,
    counted: bool,
}

impl Job {
    /// A request that nobody has seen yet.
    #[must_use]
    pub fn new(
        method: &'static str,
        params: Value,
        client_id: Option<Id>,
        done: Done,
        since: Instant,
    ) -> Self {
        let params = match params {
            Value::Object(params) => params,
            _ => Map::new(),
        };
        Self {
            method,
            params,
            client_id,
            done,
            since,
            first_sent: None,
            accepted: None,
            counted: false,
        }
    }

    /// Counts it as accepted, once.
    fn count_accepted(&mut self, metrics: &Metrics) {
        if !std::mem::replace(&mut self.counted, true) {
            Counters::add(&metrics.count.accepted);
        }
    }

    fn is_send(&self) -> bool {
        matches!(self.done, Done::Send(_))
    }
}

/// What an answer meant.
#[derive(Debug)]
pub enum Effect {
    /// A send is durable; its outcome comes.
    Accepted(Id),
    /// A request is done; its text, if the client itself asked for it.
    Answered(Job, Box<str>),
    /// It was refused.
    Failed(Option<Id>, Failure),
    /// Nobody waits for it.
    Nothing,
}

/// See the module.
#[derive(Debug)]
pub struct Outbox {
    jobs: BTreeMap<u64, Job>,
    queue: VecDeque<u64>,
    waiting: HashMap<u64, u64>,
    by_client_id: HashMap<Id, u64>,
    delayed: Vec<(Instant, u64)>,
    next_key: u64,
    next_id: u64,
    in_flight_max: usize,
    metrics: Arc<Metrics>,
}

impl Outbox {
    /// Empty.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            jobs: BTreeMap::new(),
            queue: VecDeque::new(),
            waiting: HashMap::new(),
            by_client_id: HashMap::new(),
            delayed: Vec::new(),
            next_key: 0,
            next_id: 1,
            in_flight_max: 1,
            metrics,
        }
    }

    /// Requests that are not done.
    #[must_use]
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Is everything done?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Is the oldest send older than the client should re-send unseen?
    #[must_use]
    pub fn is_old(&self, now: Instant, age: Duration) -> bool {
        self.jobs.values().any(|job| {
            job.is_send() && job.first_sent.is_some_and(|at| now.duration_since(at) >= age)
        })
    }

    /// Takes a request; pages of the timeline go first.
    pub fn push(&mut self, job: Job) {
        let key = self.next_key;
        self.next_key += 1;
        if let Some(client_id) = job.client_id {
            self.by_client_id.insert(client_id, key);
        }
        if matches!(job.done, Done::Page(..)) {
            self.queue.push_front(key);
        } else {
            self.queue.push_back(key);
        }
        self.jobs.insert(key, job);
    }

    /// A new id for a request of the worker's own.
    pub fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id - 1
    }

    /// A new connection: everything that isn't done is to be sent (again).
    pub fn reconnected(&mut self, in_flight_max: usize) {
        self.in_flight_max = in_flight_max;
        self.waiting.clear();
        self.delayed.clear();
        self.jobs.retain(|_, job| !matches!(job.done, Done::Page(..)));
        self.queue = self.jobs.keys().copied().collect();
        self.jobs.values_mut().for_each(|job| job.accepted = None);
    }

    /// The next frame to send, with its client id. With `pages_only` nothing but the client's own
    /// reading goes out.
    pub fn next_frame(&mut self, now: Instant, pages_only: bool) -> Option<(String, Option<Id>)> {
        self.requeue(now);
        if self.waiting.len() >= self.in_flight_max {
            return None;
        }
        let key = *self.queue.front()?;
        let job = self.jobs.get_mut(&key)?;
        if pages_only && !matches!(job.done, Done::Page(..)) {
            return None;
        }
        self.queue.pop_front();
        if job.first_sent.is_some() {
            Counters::add(&self.metrics.count.retried);
        }
        job.first_sent.get_or_insert(now);
        let client_id = job.client_id;
        let frame = json!({
            "jsonrpc": "2.0", "id": self.next_id, "method": job.method, "params": job.params,
        });
        self.waiting.insert(self.next_id, key);
        self.next_id += 1;
        Some((frame.to_string(), client_id))
    }

    /// Brings back what waited for its time, and sends whose outcome is overdue.
    fn requeue(&mut self, now: Instant) {
        let queue = &mut self.queue;
        self.delayed.retain(|&(at, key)| {
            if at <= now {
                queue.push_back(key);
            }
            at > now
        });
    }

    /// Asks again about sends that were accepted long ago. To be called now and then.
    pub fn nudge(&mut self, now: Instant) {
        for (&key, job) in &mut self.jobs {
            if job.accepted.is_some_and(|at| now.duration_since(at) >= NUDGE_AFTER) {
                job.accepted = None;
                self.queue.push_back(key);
                Counters::add(&self.metrics.count.nudged);
            }
        }
    }

    /// An answer came.
    pub fn reply(&mut self, id: u64, result: Result<Box<str>, Failure>, now: Instant) -> Effect {
        let Some(key) = self.waiting.remove(&id) else { return Effect::Nothing };
        let Some(job) = self.jobs.get_mut(&key) else { return Effect::Nothing };
        match result {
            Err(failure) => self.failed(key, failure, now),
            Ok(_) if job.is_send() => {
                job.accepted = Some(now);
                if let (false, Some(at)) = (job.counted, job.first_sent) {
                    self.metrics.accepted_after(now.duration_since(at));
                }
                job.count_accepted(&self.metrics);
                job.client_id.map_or(Effect::Nothing, Effect::Accepted)
            }
            Ok(result) => match self.take(key) {
                Some(job) => Effect::Answered(job, result),
                None => Effect::Nothing,
            },
        }
    }

    fn failed(&mut self, key: u64, failure: Failure, now: Instant) -> Effect {
        let client_id = self.jobs.get(&key).and_then(|job| job.client_id);
        self.metrics.failed(&failure.code);
        if failure.retryable {
            let pause = RETRY_AFTER.max(Duration::from_millis(failure.retry_after_ms));
            self.delayed.push((now + pause, key));
        } else if let Some(job) = self.take(key) {
            finish(job, &self.metrics, Err(failure.clone()));
        }
        Effect::Failed(client_id, failure)
    }

    /// The outcome of a send is known: at a sequence or refused with a code. False if it was known
    /// already, or never asked for.
    pub fn outcome(
        &mut self,
        client_id: Id,
        how: How,
        end: Result<u64, String>,
        now: Instant,
    ) -> bool {
        let Some(&key) = self.by_client_id.get(&client_id) else { return false };
        if !self.jobs.get(&key).is_some_and(Job::is_send) {
            return false; // an answer will say it
        }
        let Some(mut job) = self.take(key) else { return false };
        if end.is_ok() {
            job.count_accepted(&self.metrics); // the answer may come after the event
        }
        let count = &self.metrics.count;
        Counters::add(counter(count, how));
        if let (How::Event, Some(at)) = (how, job.first_sent) {
            self.metrics.event_after(now.duration_since(at));
        }
        if let Done::Send(done) = job.done {
            // Whoever asked may not care any more.
            let _ = done.send(end.map_or_else(Settled::Refused, Settled::At));
        }
        true
    }

    fn take(&mut self, key: u64) -> Option<Job> {
        let job = self.jobs.remove(&key)?;
        if let Some(client_id) = job.client_id {
            self.by_client_id.remove(&client_id);
        }
        self.queue.retain(|&queued| queued != key);
        Some(job)
    }

    /// Gives everything up; the client ids whose fate is unknown.
    pub fn give_up(&mut self) -> Vec<Id> {
        let mut unknown = Vec::new();
        while let Some((_, job)) = self.jobs.pop_first() {
            unknown.extend(job.client_id);
            match job.done {
                Done::Send(done) => drop(done.send(Settled::GivenUp)),
                Done::Call(done) => drop(done.send(Err(Refusal::GivenUp))),
                Done::Page(..) => {}
            }
            Counters::add(&self.metrics.count.given_up);
        }
        self.queue.clear();
        unknown
    }
}

fn counter(count: &Counters, how: How) -> &AtomicU64 {
    match how {
        How::Event | How::Answered => &count.own_events,
        How::Settled => &count.settled,
        How::Rejected => &count.rejected,
    }
}

#[cfg(test)]
mod tests;

/// Tells whoever waits how a call ended.
pub fn finish(job: Job, metrics: &Metrics, end: Result<Box<str>, Failure>) {
    match (job.done, end) {
        (Done::Call(done), end) => {
            let _ = done.send(end.map_err(|f| Refusal::Failed(f.code, f.message)));
        }
        (Done::Send(done), Err(failure)) => {
            Counters::add(&metrics.count.refused);
            let _ = done.send(Settled::Refused(failure.code));
        }
        (Done::Send(_) | Done::Page(..), _) => {}
    }
}
