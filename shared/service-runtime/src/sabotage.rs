//! Rules that can be broken on purpose, to see whether the simulator notices. Each is asked for in
//! one line where it is kept; only builds with the feature `sabotage` can answer anything but no,
//! and they do so on the threads that asked for it. The same for panics that tests plant.

/// A rule, by what breaking it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Records that were applied are decided again, and rejections leave no trace.
    DecideAgain,
    /// Positions say nothing of the log's life.
    OneGeneration,
    /// A step does not wait for the one before it.
    WriteAhead,
    /// Sessions of removed members go on.
    KeepLeavers,
    /// Frames of former owners are heard, and owners speak without a lease.
    HearAnybody,
    /// An owner that was silent or displaced does not claim again.
    NoNewClaim,
    /// Rows are replaced by whatever comes last.
    LastWriteWins,
    /// Read cursors are replaced by whatever comes last.
    CursorReplaced,
    /// Members see everything from the first event.
    FromTheFirst,
    /// A repeated creation gets a new id.
    FreshIds,
    /// An event's time is the log's.
    LogTime,
    /// Records of newer rules are decided by the old ones.
    GuessNewer,
    /// A damaged record is never done.
    StickAtDamage,
    /// Former members' repeats are turned away.
    TurnLeaversAway,
    /// Rejections are not remembered.
    ForgetRejections,
    /// Repeats are not recognized.
    NoDedup,
    /// A record counts as done before its work is durable.
    CommitFirst,
    /// What the link lost is not read from the store.
    NoRepair,
    /// The link's losses are not asked for.
    LossUnnoticed,
    /// A state is its snapshot, without the rows after it.
    NoTail,
    /// Sends are accepted before they are durable.
    AcceptEarly,
    /// Inboxes are not told of changed lists.
    NoInbox,
}

#[cfg(feature = "sabotage")]
mod switch {
    use std::cell::Cell;

    use super::Rule;

    thread_local! {
        static BROKEN: Cell<Option<Rule>> = const { Cell::new(None) };
        static MINES: Cell<u32> = const { Cell::new(0) };
    }

    /// What a message must contain to step on a mine.
    const MINE: &[u8] = b"step on a mine";

    /// Lays so many mines on this thread.
    pub fn lay_mines(count: u32) {
        MINES.set(count);
    }

    /// Panics where these bytes say so and a mine is left on this thread.
    ///
    /// # Panics
    /// That is what it is for.
    #[expect(clippy::panic, reason = "planted by a test")]
    pub fn tread(bytes: &[u8]) {
        let left = MINES.get();
        if left > 0 && bytes.windows(MINE.len()).any(|window| window == MINE) {
            MINES.set(left - 1);
            panic!("a mine that a test has laid");
        }
    }

    /// Is this rule broken on this thread?
    #[must_use]
    pub fn is_broken(rule: Rule) -> bool {
        BROKEN.get() == Some(rule)
    }

    /// Breaks a rule on this thread, or none. Gives back what was broken before.
    pub fn break_rule(rule: Option<Rule>) -> Option<Rule> {
        BROKEN.replace(rule)
    }
}

#[cfg(feature = "sabotage")]
pub use switch::{break_rule, is_broken, lay_mines, tread};

/// Is this rule broken? Never in this build.
#[cfg(not(feature = "sabotage"))]
#[must_use]
pub const fn is_broken(_: Rule) -> bool {
    false
}

/// Breaks a rule: not in this build.
#[cfg(not(feature = "sabotage"))]
pub const fn break_rule(_: Option<Rule>) -> Option<Rule> {
    None
}

/// Nothing is planted in this build.
#[cfg(not(feature = "sabotage"))]
pub const fn tread(_: &[u8]) {}
