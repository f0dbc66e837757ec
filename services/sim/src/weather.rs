//! What fails at this moment: the engines ask here before each thing they do. The schedule brings
//! troubles and takes them away.

use std::{collections::BTreeMap, time::Duration};

use crate::{chance::Rng, process::Node};

/// Something that is wrong for a while. Numbers out of a thousand say how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// Appends are lost, unconfirmed, late or doubled.
    Appends(u64),
    /// Commits fail.
    Commits(u64),
    /// Reads and writes of the store fail, are unconfirmed, partial or late.
    Store(u64),
    /// Claims fail.
    Claims(u64),
    /// A process can't reach the log, nor its group.
    CutFromLog(Node),
    /// A process reaches the log, but not its group.
    NoGroup(Node),
    /// A process can't reach the store.
    CutFromStore(Node),
    /// Two processes can't reach each other.
    CutLink(Node, Node),
    /// Frames of the link take up to so many milliseconds more.
    SlowLink(u64),
    /// A process learns of claims so many milliseconds late.
    LateDirectory(Node, u64),
    /// Everything takes up to so many milliseconds more.
    Slow(u64),
}

/// What becomes of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Append {
    /// It lands and is confirmed.
    Well,
    /// It does not land; nobody knows.
    Lost,
    /// It lands; nobody knows.
    Unconfirmed,
    /// It is given up, and lands after so many milliseconds.
    Late(u64),
    /// It lands, and once more after so many milliseconds.
    Twice(u64),
}

/// What becomes of a write to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// It lands and is confirmed.
    Well,
    /// It does not land, and fails.
    Lost,
    /// It lands, and fails.
    Unconfirmed,
    /// It fails, and lands after so many milliseconds.
    Late(u64),
}

/// The latest that something lands after it was given up.
const LATE_MS_MAX: u64 = 12_000;

/// What is wrong now.
#[derive(Debug, Default)]
pub struct Weather {
    latency_ms: (u64, u64),
    troubles: BTreeMap<usize, Trouble>,
    log_clock_ms: i64,
}

impl Weather {
    /// Nothing takes time, nothing fails.
    #[must_use]
    pub fn calm() -> Self {
        Self::default()
    }

    /// Messages take from `low` to `high` milliseconds.
    #[must_use]
    pub fn with_latency(low: u64, high: u64) -> Self {
        Self { latency_ms: (low, high), ..Self::default() }
    }

    /// A trouble begins.
    pub fn begin(&mut self, number: usize, trouble: Trouble) {
        self.troubles.insert(number, trouble);
    }

    /// It is over.
    pub fn end(&mut self, number: usize) {
        self.troubles.remove(&number);
    }

    /// All troubles are over.
    pub fn clear(&mut self) {
        self.troubles.clear();
    }

    /// The clock that stamps records jumps.
    pub fn jump_log_clock(&mut self, by_ms: i64) {
        self.log_clock_ms += by_ms;
    }

    /// How wrong the clock is that stamps records.
    #[must_use]
    pub const fn log_clock_is_off_by(&self) -> i64 {
        self.log_clock_ms
    }

    fn most(&self, of: impl Fn(&Trouble) -> Option<u64>) -> u64 {
        self.troubles.values().filter_map(of).max().unwrap_or(0)
    }

    /// How long a message takes, at least and at most.
    #[must_use]
    pub fn latency_ms(&self) -> (u64, u64) {
        let more = self.most(|t| if let Trouble::Slow(ms) = t { Some(*ms) } else { None });
        (self.latency_ms.0, self.latency_ms.1 + more)
    }

    /// The same on the link.
    #[must_use]
    pub fn link_latency(&self, rng: &mut Rng) -> Duration {
        let more = self.most(|t| if let Trouble::SlowLink(ms) = t { Some(*ms) } else { None });
        let (low, high) = self.latency_ms();
        Duration::from_millis(if high + more == 0 { 0 } else { rng.between(low, high + more) })
    }

    /// How late a process learns of claims.
    #[must_use]
    pub fn directory_late(&self, node: Node) -> Duration {
        Duration::from_millis(self.most(|t| match t {
            Trouble::LateDirectory(of, ms) if *of == node => Some(*ms),
            _ => None,
        }))
    }

    /// Is a process cut off from the log?
    #[must_use]
    pub fn cut_from_log(&self, node: Node) -> bool {
        self.troubles.values().any(|t| *t == Trouble::CutFromLog(node))
    }

    /// Is a process cut off from its group?
    #[must_use]
    pub fn cut_from_group(&self, node: Node) -> bool {
        self.cut_from_log(node) || self.troubles.values().any(|t| *t == Trouble::NoGroup(node))
    }

    /// Is a process cut off from the store?
    #[must_use]
    pub fn cut_from_store(&self, node: Node) -> bool {
        self.troubles.values().any(|t| *t == Trouble::CutFromStore(node))
    }

    /// Are two processes cut off from each other?
    #[must_use]
    pub fn cut_link(&self, a: Node, b: Node) -> bool {
        let is = |t: &Trouble| matches!(t, Trouble::CutLink(x, y) if (*x, *y) == (a, b));
        self.troubles.values().any(is)
    }

    /// Does a commit fail?
    #[must_use]
    pub fn commit_fails(&self, rng: &mut Rng) -> bool {
        let often = self.most(|t| if let Trouble::Commits(n) = t { Some(*n) } else { None });
        often > 0 && rng.permille(often)
    }

    /// Does a claim fail?
    #[must_use]
    pub fn claim_fails(&self, rng: &mut Rng) -> bool {
        let often = self.most(|t| if let Trouble::Claims(n) = t { Some(*n) } else { None });
        often > 0 && rng.permille(often)
    }

    /// What becomes of an append?
    #[must_use]
    pub fn append(&self, rng: &mut Rng) -> Append {
        let often = self.most(|t| if let Trouble::Appends(n) = t { Some(*n) } else { None });
        if often == 0 || !rng.permille(often) {
            return Append::Well;
        }
        match rng.below(4) {
            0 => Append::Lost,
            1 => Append::Unconfirmed,
            2 => Append::Late(rng.below(LATE_MS_MAX)),
            _ => Append::Twice(rng.below(LATE_MS_MAX)),
        }
    }

    fn store(&self, rng: &mut Rng) -> bool {
        let often = self.most(|t| if let Trouble::Store(n) = t { Some(*n) } else { None });
        often > 0 && rng.permille(often)
    }

    /// Does a read of the store fail?
    #[must_use]
    pub fn read_fails(&self, rng: &mut Rng) -> bool {
        self.store(rng)
    }

    /// What becomes of a write to the store?
    #[must_use]
    pub fn write(&self, rng: &mut Rng) -> Write {
        if !self.store(rng) {
            return Write::Well;
        }
        match rng.below(3) {
            0 => Write::Lost,
            1 => Write::Unconfirmed,
            _ => Write::Late(rng.below(LATE_MS_MAX)),
        }
    }
}
