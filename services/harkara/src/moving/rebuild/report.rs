//! What a rebuild did, and what it could not do: counts and sentences, printed by the command line.

use std::{
    io::{self, Write},
    sync::{Mutex, PoisonError},
};

use serde::Serialize;

/// Findings that are kept as sentences; more are only counted.
const KEPT: usize = 100;

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Partitions of the log.
    pub partitions: u64,
    /// Those of which the log holds no message any more, and of which the store may lack some.
    pub silent: u64,
    /// Records that the log still holds.
    pub records: u64,
    /// Conversations that were looked at.
    pub conversations: u64,
    /// Conversations that lacked something, which was written.
    pub rebuilt: u64,
    /// Events that came out of the log and were there.
    pub there: u64,
    /// Events that were written.
    pub events: u64,
    /// Rejections that were written.
    pub rejections: u64,
    /// Rows of lists that were written.
    pub memberships: u64,
    /// What the log does not reach.
    pub findings: u64,
}

/// Counts and findings.
#[derive(Debug, Default)]
pub struct Report(Mutex<(Counts, Vec<String>)>);

impl Report {
    /// Something is not reached.
    pub fn find(&self, finding: String) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.0.findings += 1;
        if inner.1.len() < KEPT {
            inner.1.push(finding);
        }
    }

    /// Something was done.
    pub fn count(&self, count: impl FnOnce(&mut Counts)) {
        count(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).0);
    }

    /// What was done.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    /// The first sentences about what is not reached.
    #[must_use]
    pub fn findings(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1.clone()
    }

    /// Was everything reached?
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.counts().findings == 0
    }

    /// Writes findings and summary, for people or as one object of JSON.
    ///
    /// # Errors
    /// Nobody reads it.
    pub fn write(&self, to: &mut impl Write, json: bool) -> io::Result<()> {
        let (counts, findings) = (self.counts(), self.findings());
        if json {
            let whole = self.is_whole();
            let object =
                serde_json::json!({ "whole": whole, "counts": counts, "findings": findings });
            return writeln!(to, "{object}");
        }
        for finding in &findings {
            writeln!(to, "not reached: {finding}")?;
        }
        let more = counts.findings.saturating_sub(findings.len() as u64);
        if more > 0 {
            writeln!(to, "not reached: and {more} more")?;
        }
        let Counts { partitions, records, conversations, there, .. } = counts;
        writeln!(
            to,
            "log: {partitions} partitions, {records} records; store: {conversations} \
             conversations, {there} events of these records were there"
        )?;
        let Counts { rebuilt, events, rejections, memberships, .. } = counts;
        writeln!(
            to,
            "written: {events} events, {rejections} rejections, {memberships} list rows, in \
             {rebuilt} conversations"
        )?;
        if counts.silent > 0 {
            writeln!(
                to,
                "of {} partitions the log holds no message any more: whether the store lacks some \
                 of them can't be seen",
                counts.silent
            )?;
        }
        if self.is_whole() {
            writeln!(to, "the store is at the log's end; `harkara verify` proves it")
        } else {
            writeln!(
                to,
                "{} findings: see above; what they name was left as it is",
                counts.findings
            )
        }
    }
}
