//! When a thread has more to do than it can, and what it gives up, in which order. Pure: sends and
//! their outcomes go in with their times, a [`Stage`] and a window come out; [`super::Load`] asks.
//!
//! What is measured is the delay of outcomes, from a send's appending until it is told: all steps
//! of the way are in it, whichever of them is the slow one. Is it above the target for three looks
//! of 50 ms, no more sends may be under way than come out within the target: a window that shrinks by
//! what the delay is too long and grows while it is not, so that whatever limits the throughput
//! always has work, and never a queue (after CoDel, RFC 8289, with a window in the place of drops).
//! Whoever pours is held back by that and nothing is given up. Where it is not enough, the next stage
//! is entered with each look; where a send must be refused, the last one at once.

/// How long outcomes are looked at before something is decided.
pub const LOOK_NS: u64 = 50_000_000;

/// Looks above the target before anything is limited: a burst that is over in 150 ms is none of our
/// business.
const HOT_LOOKS: u64 = 3;

/// Looks without trouble before a stage is left: a quarter of a second, so that a load at the limit
/// does not switch what it drops with every burst.
const CALM_LOOKS: u64 = 5;

/// Longest time for what is under way to get down to a window that shrank.
const DRAIN_NS: u64 = 1_000_000_000;

/// Looks without any send before the window is forgotten: as many as it takes to leave all stages.
const IDLE_LOOKS: u64 = 5 * CALM_LOOKS;

/// So many times the target, nothing but sends being limited, is no matter of sends alone: history
/// and new sessions are given up as well. Below that, holding back those who pour is enough.
const FAR: u64 = 4;

/// With so few sends under way nothing waits because of this thread: what outcomes take then is
/// what the engines take.
const FEW: usize = 8;

/// Longest delay that is taken for the engines' own.
const TARGET_NS_MAX: u64 = 1_000_000_000;

/// Pause after a refusal where as much is refused as taken, milliseconds.
const RETRY_MS: u64 = 500;

/// That pause grows with what is refused for each that is taken, up to so many times.
const RETRIES_MAX: u64 = 9;

/// What is given up, each with all before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Nothing.
    Calm,
    /// Typing is not passed on.
    Typing,
    /// Read marks are kept, but not told live.
    Receipts,
    /// History is not read.
    History,
    /// Nobody new is let in.
    Connects,
    /// Sends beyond the window are refused.
    Sends,
}

impl Stage {
    /// All of them, in order.
    pub const ALL: [Self; 6] =
        [Self::Calm, Self::Typing, Self::Receipts, Self::History, Self::Connects, Self::Sends];

    /// 0 to 5.
    #[must_use]
    pub const fn number(self) -> usize {
        self as usize
    }

    fn next(self) -> Self {
        Self::ALL.get(self.number() + 1).copied().unwrap_or(Self::Sends)
    }

    fn before(self) -> Self {
        Self::ALL.get(self.number().wrapping_sub(1)).copied().unwrap_or(Self::Calm)
    }
}

/// What happened since the look before.
#[derive(Debug, Clone, Default)]
struct Look {
    begun: u64,
    refused: u64,
    /// Outcomes that count, and the sum of their delays.
    outcomes: u64,
    delays_ns: u64,
    /// Most sends under way.
    peak: usize,
}

impl Look {
    fn mean_ns(&self) -> Option<u64> {
        self.delays_ns.checked_div(self.outcomes)
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Overload {
    target_ns: u64,
    most: usize,
    /// What outcomes take while few are under way.
    base_ns: u64,
    stage: Stage,
    window: usize,
    /// What was under way when the window shrank, in halves of a send, as long as that is more than
    /// the window: it falls by one half with each outcome, so that for every two that come out
    /// one may go in, and nobody stands before a closed door (proportional rate reduction, RFC 6937).
    draining: usize,
    look: Look,
    look_began: u64,
    hot_looks: u64,
    calm_looks: u64,
    /// Outcomes of sends from before the window shrank say nothing about it.
    shrunk_at: u64,
    /// Refused for each that was taken, lately.
    pressure: u64,
}

impl Overload {
    /// Calm, until outcomes take longer than `target_ns`; never more than `most` under way.
    #[must_use]
    pub fn new(target_ns: u64, most: usize) -> Self {
        Self {
            target_ns,
            most,
            base_ns: 0,
            stage: Stage::Calm,
            window: most,
            draining: 0,
            look: Look::default(),
            look_began: 0,
            hot_looks: 0,
            calm_looks: 0,
            shrunk_at: 0,
            pressure: 0,
        }
    }

    /// What is given up.
    #[must_use]
    pub const fn stage(&self) -> Stage {
        self.stage
    }

    /// How many sends may be under way. While it drains there is half a window of room besides: for
    /// those who have not even their part.
    #[must_use]
    pub fn window(&self) -> usize {
        match self.draining {
            0 => self.window,
            halves => self.window.max((self.window + halves) / 2),
        }
    }

    /// How many should be.
    #[must_use]
    pub const fn aim(&self) -> usize {
        self.window
    }

    /// Are fewer sends taken than memory has room for?
    #[must_use]
    pub const fn limits(&self) -> bool {
        self.window < self.most
    }

    /// The delay that is aimed at: the setting, or twice what outcomes take without a queue.
    #[must_use]
    pub fn target_ns(&self) -> u64 {
        (2 * self.base_ns).min(TARGET_NS_MAX).max(self.target_ns)
    }

    /// When what was refused may come again: later, the more is refused.
    #[must_use]
    pub const fn retry_ms(&self) -> u64 {
        RETRY_MS * (1 + self.pressure)
    }

    /// A send was taken; so many are under way now.
    pub fn begun(&mut self, under_way: usize) {
        self.look.begun += 1;
        self.look.peak = self.look.peak.max(under_way);
    }

    /// A send was refused: everything that is given up before sends is given up as well.
    pub fn refused(&mut self) {
        self.look.refused += 1;
        self.stage = Stage::Sends;
        self.calm_looks = 0;
    }

    /// A send has its outcome.
    pub fn decided(&mut self, since: u64, now: u64) {
        if self.draining > 0 {
            self.draining -= 1;
            self.end_drain(self.draining / 2 <= self.window, now);
        } else if since >= self.shrunk_at {
            self.look.outcomes += 1;
            self.look.delays_ns += now.saturating_sub(since);
        }
    }

    /// From the end of a drain on, delays say something about the window.
    fn end_drain(&mut self, is_over: bool, now: u64) {
        if is_over {
            (self.draining, self.shrunk_at) = (0, now);
        }
    }

    /// Time has passed, and so many sends are under way. True where a look has ended; cheap where
    /// not.
    pub fn tick(&mut self, now: u64, under_way: usize) -> bool {
        let looks = now.saturating_sub(self.look_began) / LOOK_NS;
        if looks == 0 {
            return false;
        }
        self.look_began += looks * LOOK_NS;
        let look = std::mem::take(&mut self.look);
        self.look.peak = under_way;
        if self.draining > 0 {
            // Outcomes that don't come are not waited for.
            let is_late = now > self.shrunk_at + DRAIN_NS;
            self.end_drain(is_late || under_way <= self.window, now);
        }
        self.judge(&look, now, under_way);
        if under_way == 0 {
            self.calm(looks - 1);
            if looks > IDLE_LOOKS {
                (self.window, self.shrunk_at) = (self.most, 0);
            }
        }
        true
    }

    fn judge(&mut self, look: &Look, now: u64, under_way: usize) {
        let quiet = look.peak <= FEW;
        if let Some(mean) = look.mean_ns().filter(|_| quiet) {
            // A pause of a disk is no new base, a slower disk is one within half a second.
            self.base_ns = mean.min(self.base_ns + self.base_ns / 4 + 1_000_000);
        }
        if look.begun + look.refused > 0 {
            self.pressure = (look.refused / look.begun.max(1)).min(RETRIES_MAX);
        }
        let was = self.stage;
        let called_for = self.called_for(look, quiet, under_way);
        if called_for < was {
            self.calm(1);
        } else {
            self.calm_looks = 0;
        }
        if called_for > was {
            self.stage = was.next();
        }
        if let Some(mean) = look.mean_ns() {
            let is_hot = mean > self.target_ns() && !quiet;
            self.hot_looks = if is_hot { self.hot_looks + 1 } else { 0 };
            self.steer(look, mean, now, under_way);
        }
    }

    fn called_for(&self, look: &Look, quiet: bool, under_way: usize) -> Stage {
        let target = self.target_ns();
        match look.mean_ns() {
            _ if look.refused > 0 => Stage::Sends,
            None if under_way > 0 => self.stage,
            Some(mean) if mean > FAR * target && !quiet && self.limits() => Stage::Sends,
            Some(mean) if mean > target / 4 * 3 && !quiet => Stage::Receipts,
            _ => Stage::Calm,
        }
    }

    /// Fits the window to the delay.
    fn steer(&mut self, look: &Look, mean: u64, now: u64, under_way: usize) {
        let target = self.target_ns();
        let room = if mean <= target && look.refused > 0 {
            self.window / 8 + 1
        } else if mean <= target / 2 || look.peak <= FEW {
            self.window / 4 + 1
        } else {
            0
        };
        self.window = self.window.saturating_add(room).min(self.most);
        if self.hot_looks == 0 || !(self.limits() || self.hot_looks >= HOT_LOOKS) {
            return;
        }
        // Where nothing was refused, the window may be far above what is under way; sessions that
        // are held back have half of it.
        let most = if look.refused > 0 { self.window } else { self.window.min(2 * look.peak) };
        let fits = (most as u128 * u128::from(target) / u128::from(mean)) as usize;
        let least = if self.limits() { most / 2 } else { 0 };
        self.window = fits.max(least).clamp(FEW.min(self.most), self.most);
        (self.draining, self.shrunk_at) = (2 * under_way, now);
        self.end_drain(under_way <= self.window, now);
    }

    /// So many looks had no trouble.
    fn calm(&mut self, looks: u64) {
        self.calm_looks = self.calm_looks.saturating_add(looks);
        while self.calm_looks >= CALM_LOOKS && self.stage > Stage::Calm {
            self.calm_looks -= CALM_LOOKS;
            self.stage = self.stage.before();
        }
    }
}

#[cfg(test)]
mod tests;
