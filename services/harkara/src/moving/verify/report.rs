//! What verifying found: counts of what was looked at, and sentences about what is wrong. Shared
//! by all parts of `verify`; printed by the command line.

use std::{
    io::{self, Write},
    sync::{Mutex, PoisonError},
};

use serde::Serialize;

/// Findings that are kept as sentences; more are only counted. One lost table has a finding a row.
const KEPT: usize = 100;

/// What was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Partitions of the log.
    pub partitions: u64,
    /// Conversations with events.
    pub conversations: u64,
    /// Events whose place, chain and ordinal were recomputed.
    pub events: u64,
    /// Records that the log still holds and that are done.
    pub records: u64,
    /// Records that were held against the event they caused.
    pub caused_events: u64,
    /// Records that were refused.
    pub caused_rejections: u64,
    /// Records that repeat another one.
    pub repeats: u64,
    /// Records that tell an inbox.
    pub inbox: u64,
    /// Records that can't be read and were put aside.
    pub put_aside: u64,
    /// Records about which nothing can be said any more: they have no event, and what they repeat
    /// was forgotten.
    pub forgotten: u64,
    /// Snapshots that are what the events come to.
    pub snapshots: u64,
    /// Rows of lists.
    pub memberships: u64,
    /// Read cursors.
    pub cursors: u64,
    /// All that is wrong.
    pub findings: u64,
}

/// Counts and findings.
#[derive(Debug, Default)]
pub struct Report(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    counts: Counts,
    kept: Vec<String>,
}

impl Report {
    /// Something is wrong.
    pub fn find(&self, finding: String) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.counts.findings += 1;
        if inner.kept.len() < KEPT {
            inner.kept.push(finding);
        }
    }

    /// Something was looked at.
    pub fn count(&self, count: impl FnOnce(&mut Counts)) {
        count(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).counts);
    }

    /// What was looked at.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).counts
    }

    /// The first sentences about what is wrong.
    #[must_use]
    pub fn findings(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).kept.clone()
    }

    /// Is all well?
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.counts().findings == 0
    }

    /// Writes findings and summary, for people or as one object of JSON.
    ///
    /// # Errors
    /// Nobody reads it.
    pub fn write(&self, to: &mut impl Write, json: bool) -> io::Result<()> {
        let (counts, findings) = (self.counts(), self.findings());
        if json {
            let well = self.is_well();
            let object =
                serde_json::json!({ "well": well, "counts": counts, "findings": findings });
            return writeln!(to, "{object}");
        }
        for finding in &findings {
            writeln!(to, "finding: {finding}")?;
        }
        let more = counts.findings.saturating_sub(findings.len() as u64);
        if more > 0 {
            writeln!(to, "finding: and {more} more")?;
        }
        let Counts { conversations, events, snapshots, memberships, cursors, .. } = counts;
        writeln!(
            to,
            "store: {conversations} conversations, {events} events, {snapshots} snapshots, \
             {memberships} list rows, {cursors} read cursors"
        )?;
        let Counts { partitions, records, caused_events, caused_rejections, .. } = counts;
        let Counts { repeats, inbox, put_aside, forgotten, .. } = counts;
        writeln!(
            to,
            "log: {partitions} partitions, {records} records: {caused_events} events, \
             {caused_rejections} rejections, {repeats} repeats, {inbox} to inboxes, {put_aside} \
             put aside, {forgotten} forgotten"
        )?;
        if self.is_well() {
            writeln!(to, "all is well: every chain is unbroken, store and log agree")
        } else {
            writeln!(to, "{} findings: see above", counts.findings)
        }
    }
}
