//! The log's side of `verify`: what a partition still holds, without the contents of messages
//! (their fingerprints stand for them).

use std::collections::HashMap;

use harkara_domain::{
    ClientId, Command, Content, ConversationId, DeviceId, Fingerprint, Generation, Millis,
    Partition, Position, Record, Salt, Seq, TenantId, UserId, command::rules_known,
};
use harkara_engine::{LogScan, log::Entry};
use harkara_protocol::record::{self, DecodeError};

use super::report::Report;
use crate::moving::patiently;

/// Records read at a time: 1,024 × ~330 bytes.
const READ: usize = 1_024;

/// A record of a conversation, as much as deciding needs.
#[derive(Debug)]
pub struct Seen {
    /// Its place.
    pub offset: u64,
    /// The log's append time.
    pub at: Millis,
    tenant: TenantId,
    sender: UserId,
    /// Who sent it.
    pub device: DeviceId,
    /// And its id.
    pub client_id: ClientId,
    /// Of what was asked.
    pub fingerprint: Fingerprint,
    /// The rules that hold for it.
    rules: u16,
    asked: Asked,
}

#[derive(Debug)]
enum Asked {
    Send { bytes: u32, reply_to: Option<Seq>, salt: Salt },
    Other(Box<Command>),
}

/// A record that tells a user's inbox.
#[derive(Debug)]
pub struct Told {
    /// Its place.
    pub offset: u64,
    /// The inbox, as the record says.
    pub inbox: ConversationId,
    /// The record's own id.
    pub client_id: ClientId,
    /// Whose list.
    pub tenant: TenantId,
    /// Whose list.
    pub user: UserId,
    /// Which conversation.
    pub conversation: ConversationId,
    /// The event that caused it.
    pub cause: Seq,
}

/// What a partition holds.
#[derive(Debug)]
pub struct Records {
    /// Which.
    pub partition: Partition,
    /// Of which life of the log.
    pub generation: Generation,
    /// The first offset that was read.
    pub first: u64,
    /// Everything below is done.
    pub committed: u64,
    /// Nothing at or above was read.
    pub end: u64,
    /// Records that tell inboxes, those that are done.
    pub told: Vec<Told>,
    of: HashMap<ConversationId, Vec<Seen>>,
}

impl Records {
    /// Reads a partition to its end of now.
    ///
    /// # Errors
    /// The log can't be read.
    pub async fn read(
        log: &dyn LogScan,
        partition: Partition,
        report: &Report,
    ) -> anyhow::Result<Self> {
        let bounds = patiently("read the log's bounds", || log.bounds(partition)).await?;
        let generation = log.generation();
        let (committed, end) = (bounds.committed, bounds.end);
        let (told, of) = (Vec::new(), HashMap::new());
        let mut records =
            Self { partition, generation, first: bounds.first, committed, end, told, of };
        let mut from = bounds.first;
        while from < end {
            let entries = patiently("read records", || log.read(partition, from, READ)).await?;
            let Some(last) = entries.last() else { break };
            if from == bounds.first {
                // Retention may have taken some since the bounds were read.
                records.first = entries.first().map_or(from, |entry| entry.offset);
            }
            from = last.offset + 1;
            for entry in entries.into_iter().filter(|entry| entry.offset < end) {
                records.take(&entry, log.partitions(), report);
            }
        }
        Ok(records)
    }

    /// The place of an offset in this log.
    #[must_use]
    pub fn position(&self, offset: u64) -> Position {
        Position { generation: self.generation, offset }
    }

    /// Conversations that have records.
    pub fn conversations(&self) -> impl Iterator<Item = ConversationId> {
        self.of.keys().copied()
    }

    /// A conversation's records in the log's order.
    #[must_use]
    pub fn of(&self, conversation: ConversationId) -> &[Seen] {
        self.of.get(&conversation).map_or(&[], Vec::as_slice)
    }

    fn take(&mut self, entry: &Entry, partitions: u16, report: &Report) {
        let (partition, offset) = (self.partition, entry.offset);
        let done = offset < self.committed;
        if done {
            report.count(|counts| counts.records += 1);
        }
        let record = match record::decode(&entry.record) {
            Ok(record) if record.rules <= rules_known() => record,
            Err(DecodeError::Malformed(_)) if done => {
                return report.count(|counts| counts.put_aside += 1);
            }
            Err(DecodeError::Malformed(_)) => return,
            Ok(_) | Err(DecodeError::Newer { .. }) => {
                return report.find(format!(
                    "record {partition}/{offset} is newer than this build: verify with the build \
                     that serves"
                ));
            }
        };
        if Partition::of(record.conversation, partitions) != partition {
            return report.find(format!(
                "record {partition}/{offset} of conversation {} stands in the wrong partition",
                record.conversation
            ));
        }
        if let Command::Inbox { user, conversation, cause, .. } = record.command {
            let Record { tenant, conversation: inbox, client_id, .. } = record;
            if done {
                let told = Told { offset, inbox, client_id, tenant, user, conversation, cause };
                self.told.push(told);
            }
            return;
        }
        let conversation = record.conversation;
        self.of.entry(conversation).or_default().push(Seen::new(entry, record));
    }
}

impl Seen {
    fn new(entry: &Entry, record: Record) -> Self {
        let fingerprint = record.command.fingerprint();
        let asked = match record.command {
            Command::Send { content, reply_to, salt } => {
                let bytes = u32::try_from(content.as_bytes().len()).unwrap_or(u32::MAX);
                Asked::Send { bytes, reply_to, salt }
            }
            other => Asked::Other(Box::new(other)),
        };
        let Record { tenant, sender, device, client_id, rules, .. } = record;
        let Entry { offset, at, .. } = *entry;
        Self { offset, at, tenant, sender, device, client_id, fingerprint, rules, asked }
    }

    /// The record again, with this content where it is a message. Where it has another
    /// fingerprint, the content is not that of the record.
    #[must_use]
    pub fn record(&self, conversation: ConversationId, content: Option<&Content>) -> Record {
        let command = match &self.asked {
            Asked::Send { bytes, reply_to, salt } => {
                // Deciding looks at a content's length and at nothing else of it.
                let blank = || Content::from_canonical(vec![b' '; *bytes as usize].into());
                let content = content.cloned().unwrap_or_else(blank);
                Command::Send { content, reply_to: *reply_to, salt: *salt }
            }
            Asked::Other(command) => (**command).clone(),
        };
        Record {
            tenant: self.tenant,
            conversation,
            sender: self.sender,
            device: self.device,
            client_id: self.client_id,
            rules: self.rules,
            origin: 0,
            command,
        }
    }
}
