//! What the sends of one thread's sessions come to: how many are under way, how long their outcomes
//! take ([`overload`]), and what is therefore given up or refused. Sessions and the hub ask here.
//!
//! Whoever pours is held back first: while the window is small, the sessions that have sends under
//! way share half of it and are not read from beyond their part; TCP does the rest. What then still
//! does not fit is refused.
//!
//! Nobody's flood costs the others their place. A conversation has at most twice as many sends under
//! way as still fit, and a tenant that is not alone four times as many: one that wants everything
//! gets two thirds of the window (four fifths), ten get as good as all of it, and there is always room
//! for who comes with little (dynamic thresholds: Choudhury and Hahne, 1998). [`books`] counts.

mod books;
pub mod overload;

use std::{cell::RefCell, fmt, rc::Rc, time::Duration};

use self::{books::Books, overload::Overload};
pub use self::{books::Entry, overload::Stage};
use crate::{Config, metrics::Metrics};

/// Sends that a conversation may have under way for each that still fits.
const CONVERSATION: usize = 2;

/// Sends that a tenant may, unless it is the only one.
const TENANT: usize = 4;

/// A tenant with nothing under way finds this part of the window besides.
const RESERVE: usize = 4;

/// Sends of a thread from their appending to their outcome.
pub struct Load {
    state: RefCell<State>,
    undecided_max: usize,
    session_max: usize,
    patience_ns: u64,
    metrics: Rc<Metrics>,
}

struct State {
    books: Books,
    overload: Overload,
    /// Sessions with sends under way, and how many those were lately: outcomes come in batches, and
    /// who is first after one may not take what is for all of them.
    busy: usize,
    lately_busy: usize,
}

impl State {
    fn has_room(&self, send: Entry) -> bool {
        if !self.overload.limits() {
            return true;
        }
        let (books, window) = (&self.books, self.overload.window());
        let (young, of_tenant) = (books.young(), books.of_tenant(send.tenant));
        if of_tenant == 0 {
            return young < window + window / RESERVE + 1;
        }
        let free = window.saturating_sub(young);
        let is_fair = of_tenant == young || of_tenant < TENANT * free;
        free > 0 && is_fair && books.of_conversation(send.conversation) < CONVERSATION * free
    }

    /// So many may be undecided of one session before it is not read from.
    fn session_max(&self, most: usize) -> usize {
        if !self.overload.limits() {
            return most;
        }
        (self.overload.aim() / 2 / self.lately_busy.max(1)).clamp(1, most)
    }
}

impl fmt::Debug for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Load").field("overload", &self.state.borrow().overload).finish()
    }
}

impl Load {
    /// Nothing is under way.
    #[must_use]
    pub fn new(config: &Config, metrics: Rc<Metrics>) -> Self {
        let (patience, target) = (config.outcome_timeout.into(), config.outcome_target.into());
        let overload = Overload::new(nanos(target), config.undecided_sends_max);
        Self {
            state: RefCell::new(State {
                books: Books::default(),
                overload,
                busy: 0,
                lately_busy: 0,
            }),
            undecided_max: config.undecided_sends_max,
            session_max: config.requests_in_flight_max,
            patience_ns: nanos(patience),
            metrics,
        }
    }

    /// Is this given up now?
    #[must_use]
    pub fn gives_up(&self, what: Stage, now: u64) -> bool {
        let gives_up = self.look(now) >= what;
        if gives_up {
            self.metrics.given_up(what);
        }
        gives_up
    }

    /// The stage at this time.
    pub fn look(&self, now: u64) -> Stage {
        let state = &mut *self.state.borrow_mut();
        state.books.advance(now);
        let before = state.overload.stage();
        if state.overload.tick(now, state.books.young()) {
            state.lately_busy = state.busy.max(state.lately_busy - state.lately_busy.div_ceil(4));
        }
        self.tell(before, state.overload.stage());
        state.overload.stage()
    }

    /// May this send be appended, where its session has so many under way? Always, where that is more
    /// than its part: it is about to be held back, and it is the window that has just become smaller.
    ///
    /// # Errors
    /// After how many milliseconds to ask again.
    pub fn admit(&self, send: Entry, own: usize) -> Result<(), u64> {
        self.look(send.since);
        let state = &mut *self.state.borrow_mut();
        let has_room = own >= state.session_max(self.session_max) || state.has_room(send);
        if has_room && state.books.all() < self.undecided_max {
            return Ok(());
        }
        let of = state.books.of_conversation(send.conversation);
        tracing::debug!(of, under_way = state.books.young(), load = ?state.overload, "refused");
        let before = state.overload.stage();
        state.overload.refused();
        self.tell(before, state.overload.stage());
        self.metrics.given_up(Stage::Sends);
        Err(state.overload.retry_ms())
    }

    fn tell(&self, before: Stage, now: Stage) {
        if before != now {
            self.metrics.stage(before, now);
        }
    }

    /// So many may be undecided of one session before it is not read from.
    #[must_use]
    pub fn session_max(&self) -> usize {
        self.state.borrow().session_max(self.session_max)
    }

    /// How long an outcome is waited for.
    #[must_use]
    pub const fn patience_ns(&self) -> u64 {
        self.patience_ns
    }

    /// Is nothing under way?
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.under_way() == 0
    }

    /// How many are.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.state.borrow().books.all()
    }

    /// A send is being appended.
    pub(crate) fn begun(&self, send: Entry) {
        let State { books, overload, .. } = &mut *self.state.borrow_mut();
        books.begin(send);
        overload.begun(books.young());
    }

    /// A session has its first send under way, or its last one is not any more.
    pub(crate) fn busy(&self, is_busy: bool) {
        let State { busy, lately_busy, .. } = &mut *self.state.borrow_mut();
        *busy = if is_busy { *busy + 1 } else { busy.saturating_sub(1) };
        *lately_busy = (*lately_busy).max(*busy);
    }

    /// It is not waited for any more.
    pub(crate) fn ended(&self, send: Entry) {
        self.state.borrow_mut().books.end(send);
    }

    /// It has its outcome.
    pub(crate) fn decided(&self, send: Entry, now: u64) {
        let State { books, overload, .. } = &mut *self.state.borrow_mut();
        books.end(send);
        overload.decided(send.since, now);
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
