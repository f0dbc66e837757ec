//! The log's side of `rebuild`: what a partition still holds, and its records a bounded piece at a
//! time. A partition may hold more than fits into memory, and a conversation's records stand
//! anywhere in it, so it is read once to be measured, and once more for each [`GROUP_BYTES`] of
//! contents.

use std::collections::{BTreeSet, HashMap};

use harkara_domain::{Command, ConversationId, Partition, Position, Record, command::rules_known};
use harkara_engine::{LogScan, log::Entry, scan::Bounds};
use harkara_fanout::conversation::slot::Work;
use harkara_protocol::record::{self, DecodeError};

use crate::moving::patiently;

/// Records read at a time: 1,024 × ~330 bytes.
const READ: usize = 1_024;

/// Bytes of records in memory at once, and about as much again for their decoded form. A
/// conversation that has more is alone.
const GROUP_BYTES: u64 = 128 * 1024 * 1024;

/// What a partition of the log holds.
pub struct Tail {
    /// Which.
    pub partition: Partition,
    /// The place of the oldest record.
    pub first: Position,
    /// Records of conversations.
    pub records: u64,
    /// The first record that this build can't decide.
    pub newer: Option<u64>,
    bounds: Bounds,
    /// Bytes of each conversation.
    bytes: HashMap<ConversationId, u64>,
}

impl Tail {
    /// Reads a partition to its end of now.
    ///
    /// # Errors
    /// The log can't be read.
    pub async fn look(log: &dyn LogScan, partition: Partition) -> anyhow::Result<Self> {
        let bounds = patiently("read the log's bounds", || log.bounds(partition)).await?;
        let first = Position { generation: log.generation(), offset: bounds.first };
        let bytes = HashMap::new();
        let mut tail = Self { partition, first, records: 0, newer: None, bounds, bytes };
        let mut from = bounds.first;
        while let Some(entries) = tail.page(log, from).await? {
            from = entries.last().map_or(bounds.end, |last| last.offset + 1);
            for entry in entries {
                tail.measure(&entry);
            }
        }
        Ok(tail)
    }

    async fn page(&self, log: &dyn LogScan, from: u64) -> anyhow::Result<Option<Vec<Entry>>> {
        let end = self.bounds.end;
        if from >= end {
            return Ok(None);
        }
        let read = || log.read(self.partition, from, READ);
        let mut entries = patiently("read records", read).await?;
        entries.retain(|entry| entry.offset < end);
        let at = entries.first().map(|entry| entry.offset);
        anyhow::ensure!(
            from > self.bounds.first || at.is_none_or(|at| at == from),
            "records of partition {} were removed while they were read: run this again",
            self.partition
        );
        Ok((!entries.is_empty()).then_some(entries))
    }

    fn measure(&mut self, entry: &Entry) {
        match decoded(entry) {
            Ok(Some(record)) => {
                self.records += 1;
                *self.bytes.entry(record.conversation).or_default() += entry.record.len() as u64;
            }
            Ok(None) => {}
            Err(Newer) => self.newer = self.newer.or(Some(entry.offset)),
        }
    }

    /// Conversations that have records.
    pub fn conversations(&self) -> impl Iterator<Item = ConversationId> {
        self.bytes.keys().copied()
    }

    /// Does the log go back to a row that comes from here? Nothing is missing of a log that still
    /// has its first record.
    pub fn reached_by(&self, newest: Option<u64>) -> bool {
        self.is_whole() || newest.is_some_and(|newest| newest + 1 >= self.bounds.first)
    }

    /// Does it still have its first record?
    pub const fn is_whole(&self) -> bool {
        self.bounds.first <= self.bounds.start
    }

    /// Does it go back to the last row of a conversation?
    pub fn reached_from(&self, applied: Option<Position>) -> bool {
        let here = applied.filter(|applied| applied.generation == self.first.generation);
        self.reached_by(here.map(|applied| applied.offset))
    }

    /// What lies between the store and the log, in words.
    pub fn gap(&self, newest: Option<u64>) -> String {
        let Self { partition, bounds: Bounds { first, start, .. }, .. } = *self;
        let (after, since) = match newest {
            Some(newest) => (format!("comes from the record at {newest}"), newest + 1),
            None => ("comes from before this log".to_owned(), start),
        };
        format!(
            "partition {partition}: the store's newest row {after}, the log begins at {first}: \
             what the {} records in between came to can't be made again if it is missing; a later \
             backup may have it",
            first.saturating_sub(since)
        )
    }

    /// Conversations whose records fit into memory together.
    pub fn groups(&self, ids: &BTreeSet<ConversationId>) -> Vec<BTreeSet<ConversationId>> {
        let mut groups: Vec<BTreeSet<ConversationId>> = Vec::new();
        let mut room = 0;
        for id in ids {
            let bytes = self.bytes.get(id).copied().unwrap_or_default();
            match groups.last_mut() {
                Some(group) if bytes <= room => {
                    room -= bytes;
                    group.insert(*id);
                }
                _ => {
                    room = GROUP_BYTES.saturating_sub(bytes);
                    groups.push(BTreeSet::from([*id]));
                }
            }
        }
        groups
    }

    /// The records of these conversations, in the log's order.
    ///
    /// # Errors
    /// The log can't be read.
    pub async fn read(
        &self,
        log: &dyn LogScan,
        of: &BTreeSet<ConversationId>,
    ) -> anyhow::Result<HashMap<ConversationId, Vec<Work>>> {
        let mut found: HashMap<ConversationId, Vec<Work>> = HashMap::new();
        if !of.iter().any(|id| self.bytes.contains_key(id)) {
            return Ok(found);
        }
        let mut from = self.bounds.first;
        while let Some(entries) = self.page(log, from).await? {
            from = entries.last().map_or(self.bounds.end, |last| last.offset + 1);
            for entry in entries {
                let Ok(Some(record)) = decoded(&entry) else { continue };
                if of.contains(&record.conversation) {
                    let position = Position { offset: entry.offset, ..self.first };
                    let conversation = record.conversation;
                    let work = Work { position, at: entry.at, record };
                    found.entry(conversation).or_default().push(work);
                }
            }
        }
        Ok(found)
    }
}

/// A record that this build can't decide.
struct Newer;

/// A record that changes a conversation; none for what is told to inboxes, and for what a worker
/// puts aside.
fn decoded(entry: &Entry) -> Result<Option<Record>, Newer> {
    match record::decode(&entry.record) {
        Ok(record) if record.rules > rules_known() => Err(Newer),
        Ok(record) if matches!(record.command, Command::Inbox { .. }) => Ok(None),
        Ok(record) => Ok(Some(record)),
        Err(DecodeError::Newer { .. }) => Err(Newer),
        Err(DecodeError::Malformed(_)) => Ok(None),
    }
}
