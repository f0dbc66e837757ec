//! Deliberately broken variants: proof that the simulator finds things. Each breaks one rule; tests
//! see that some of the first seeds notice those of [`NOTICED`].

use harkara_service_runtime::sabotage::Rule;

/// A broken variant.
#[derive(Debug, Clone, Copy)]
pub struct Variant {
    /// Its name on the command line.
    pub name: &'static str,
    /// The rule of `docs/architecture.md` that it breaks, by its number or in a word.
    pub breaks: &'static str,
    /// What is switched on.
    pub rule: Rule,
    /// Seeds within which it must be noticed.
    pub budget: u64,
}

const fn variant(name: &'static str, breaks: &'static str, rule: Rule, budget: u64) -> Variant {
    Variant { name, breaks, rule, budget }
}

/// Those that tests see noticed.
pub const NOTICED: [Variant; 20] = [
    variant("decide-again", "S1", Rule::DecideAgain, 100),
    variant("one-generation", "S2", Rule::OneGeneration, 100),
    variant("write-ahead", "S3", Rule::WriteAhead, 100),
    variant("keep-leavers", "S4", Rule::KeepLeavers, 100),
    variant("from-the-first", "S7", Rule::FromTheFirst, 100),
    variant("fresh-ids", "S8", Rule::FreshIds, 100),
    variant("last-write-wins", "S6", Rule::LastWriteWins, 100),
    variant("log-time", "S9", Rule::LogTime, 100),
    variant("guess-newer", "S11", Rule::GuessNewer, 100),
    variant("stick-at-damage", "S12", Rule::StickAtDamage, 100),
    variant("turn-leavers-away", "S13", Rule::TurnLeaversAway, 100),
    variant("forget-rejections", "S13", Rule::ForgetRejections, 100),
    variant("no-dedup", "D3", Rule::NoDedup, 100),
    variant("commit-first", "D4", Rule::CommitFirst, 100),
    variant("no-repair", "D8", Rule::NoRepair, 100),
    variant("loss-unnoticed", "D8", Rule::LossUnnoticed, 100),
    variant("no-tail", "D1", Rule::NoTail, 100),
    variant("no-inbox", "D10", Rule::NoInbox, 100),
    variant("no-new-claim", "S5", Rule::NoNewClaim, 100),
    variant("accept-early", "D4", Rule::AcceptEarly, 100),
];

/// Those that have not been seen noticed: either the rule is guarded twice, or faults that bring
/// it out are too rare. To be run by hand, and moved up when a budget of seeds notices them.
pub const OPEN: [Variant; 2] = [
    variant("hear-anybody", "S5", Rule::HearAnybody, 100),
    variant("cursor-replaced", "S6", Rule::CursorReplaced, 100),
];

/// The variant with this name.
#[must_use]
pub fn named(name: &str) -> Option<Variant> {
    NOTICED.into_iter().chain(OPEN).find(|variant| variant.name == name)
}
