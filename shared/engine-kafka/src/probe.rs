//! Looks at topics from outside the group: shapes, offsets, markers, records. Every call blocks for
//! [`TIMEOUT`] at most, so it is for threads of our own and for `spawn_blocking`.

use std::{collections::BTreeMap, thread, time::Duration};

use bytes::Bytes;
use harkara_domain::{Generation, Millis};
use harkara_engine::{LogError, log::Entry};
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
    groups::GroupMemberInfo,
    message::{BorrowedMessage, Message as _, Timestamp},
    metadata::MetadataPartition,
};

use crate::{
    client::{self, Ear},
    config::Config,
    topics,
};

/// The longest wait for an answer: a broker that needs more is as good as away.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(5);

/// Lines that are heard at once: what a client writes in ten seconds without brokers.
const LISTEN_MAX: u32 = 64;

/// Tries to get an answer from those who lead, with [`SETTLE_PAUSE`] in between: five seconds, the
/// length of an election.
const SETTLE_TRIES: u32 = 50;
const SETTLE_PAUSE: Duration = Duration::from_millis(100);

/// Errors that are passed over while there may still be an answer: some seconds of an outage.
const ERRORS_MAX: u32 = 200;

/// Bytes of one partition in an answer to [`Probe::markers`]: the first record is a marker of some
/// hundred, and an answer holds all partitions: 1,024 × 4 KiB = 4 MB.
const MARKER_BYTES: &str = "4096";

/// A consumer outside the group.
pub(crate) struct Probe {
    consumer: BaseConsumer<Ear>,
}

/// A worker, as the group's brokers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Where it connects from.
    pub host: String,
    /// The rules that it knows; 0 where it does not say.
    pub rules: u16,
}

/// One partition of a topic, as brokers see it.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    /// Whether somebody leads it.
    pub(crate) led: bool,
    /// Copies that there should be.
    pub(crate) replicas: usize,
    /// Copies that have everything.
    pub(crate) insync: usize,
}

impl From<&MetadataPartition> for Shape {
    fn from(partition: &MetadataPartition) -> Self {
        let (replicas, insync) = (partition.replicas().len(), partition.isr().len());
        Self { led: partition.leader() >= 0, replicas, insync }
    }
}

impl Probe {
    /// Connects later: only settings can be wrong here.
    pub(crate) fn new(config: &Config) -> Result<Self, LogError> {
        Self::from_client(&client::reader(config))
    }

    /// For [`Probe::markers`]: takes little of each partition.
    pub(crate) fn for_markers(config: &Config) -> Result<Self, LogError> {
        let mut client = client::reader(config);
        client.set("max.partition.fetch.bytes", MARKER_BYTES).set("queued.min.messages", "1");
        Self::from_client(&client)
    }

    fn from_client(client: &ClientConfig) -> Result<Self, LogError> {
        let consumer: Result<BaseConsumer<Ear>, _> = client.create_with_context(Ear::default());
        let consumer = consumer.map_err(|error| Ear::default().trouble("connecting", &error))?;
        Ok(Self { consumer })
    }

    /// Hears what the client has to complain about, which waits in its queue until somebody does.
    pub(crate) fn listen(&self) {
        for _ in 0..LISTEN_MAX {
            let _ = self.consumer.poll(Duration::ZERO);
        }
    }

    fn trouble(&self, doing: &str, error: &KafkaError) -> LogError {
        self.listen();
        self.consumer.context().trouble(doing, error)
    }

    /// The names of all topics that this user sees.
    pub(crate) fn topics(&self) -> Result<Vec<String>, LogError> {
        let metadata = self.consumer.fetch_metadata(None, TIMEOUT);
        let metadata = metadata.map_err(|error| self.trouble("looking for topics", &error))?;
        self.consumer.context().forget();
        Ok(metadata.topics().iter().map(|topic| topic.name().to_owned()).collect())
    }

    /// The partitions of a topic; none where there is no such topic.
    pub(crate) fn shape(&self, topic: &str) -> Result<Option<Vec<Shape>>, LogError> {
        let doing = || format!("looking at topic {topic}");
        let metadata = self.consumer.fetch_metadata(Some(topic), TIMEOUT);
        let metadata = metadata.map_err(|error| self.trouble(&doing(), &error))?;
        self.consumer.context().forget();
        let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else {
            return Ok(None);
        };
        match found.error().map(RDKafkaErrorCode::from) {
            None => Ok(Some(found.partitions().iter().map(Shape::from).collect())),
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                Ok(None)
            }
            Some(code) => Err(self.trouble(&doing(), &KafkaError::MetadataFetch(code))),
        }
    }

    /// The first offset ([`Offset::Beginning`]) or one more than the last ([`Offset::End`]) of
    /// partitions `0..count`.
    pub(crate) fn offsets(
        &self,
        topic: &str,
        count: u16,
        which: Offset,
    ) -> Result<Vec<u64>, LogError> {
        let doing = format!("looking for the ends of topic {topic}");
        self.settled(&doing, || {
            let mut wanted = list(topic, count);
            wanted.set_all_offsets(which)?;
            let found = numbers(&self.consumer.offsets_for_times(wanted, TIMEOUT)?, count);
            let all: Option<Vec<u64>> = found.into_iter().collect();
            all.ok_or(KafkaError::OffsetFetch(RDKafkaErrorCode::LeaderNotAvailable))
        })
    }

    /// Where one partition ends.
    pub(crate) fn end(&self, topic: &str, partition: u16) -> Result<u64, LogError> {
        self.settled(&format!("looking for the end of topic {topic}"), || {
            let bounds = self.consumer.fetch_watermarks(topic, i32::from(partition), TIMEOUT)?;
            Ok(u64::try_from(bounds.1).unwrap_or(0))
        })
    }

    /// The answer, once those who lead partitions know that they do: after a topic was made, and
    /// in an election, they deny it for a moment.
    fn settled<T>(
        &self,
        doing: &str,
        ask: impl Fn() -> Result<T, KafkaError>,
    ) -> Result<T, LogError> {
        use RDKafkaErrorCode as Code;
        let mut tries = SETTLE_TRIES;
        loop {
            let error = match ask() {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let code = error.rdkafka_error_code();
            let unsettled = matches!(
                code,
                Some(
                    Code::NotLeaderForPartition
                        | Code::LeaderNotAvailable
                        | Code::UnknownTopicOrPartition
                        | Code::UnknownPartition
                        | Code::UnknownLeaderEpoch
                        | Code::FencedLeaderEpoch
                )
            );
            if !unsettled || tries == 0 {
                return Err(self.trouble(doing, &error));
            }
            tries -= 1;
            thread::sleep(SETTLE_PAUSE);
        }
    }

    /// The consumers of a group.
    pub(crate) fn members(&self, group: &str) -> Result<Vec<Peer>, LogError> {
        let doing = "looking for the group's members";
        self.settled(doing, || {
            let groups = self.consumer.fetch_group_list(Some(group), TIMEOUT)?;
            let found = groups.groups().iter().find(|found| found.name() == group);
            let members = found.into_iter().flat_map(|found| found.members());
            let peer = |member: &GroupMemberInfo| Peer {
                host: member.client_host().trim_start_matches('/').to_owned(),
                rules: client::rules_of(member.client_id()),
            };
            Ok(members.map(peer).collect())
        })
    }

    /// What the group committed in partitions `0..count`.
    pub(crate) fn committed(&self, topic: &str, count: u16) -> Result<Vec<Option<u64>>, LogError> {
        let found = self.consumer.committed_offsets(list(topic, count), TIMEOUT);
        let found =
            found.map_err(|error| self.trouble("looking for the group's progress", &error))?;
        Ok(numbers(&found, count))
    }

    /// What stands at offset 0 of the partitions named: the generation of a marker, or none for
    /// anything else. Partitions must have a record there.
    pub(crate) fn markers(
        &self,
        topic: &str,
        partitions: &[u16],
    ) -> Result<BTreeMap<u16, Option<Generation>>, LogError> {
        let mut found = BTreeMap::new();
        let mut wanted = TopicPartitionList::new();
        for partition in partitions {
            let added =
                wanted.add_partition_offset(topic, i32::from(*partition), Offset::Offset(0));
            added.map_err(|error| self.trouble("looking for markers", &error))?;
        }
        self.assigned(&wanted, || {
            self.each("looking for markers", |message| {
                let Ok(partition) = u16::try_from(message.partition()) else { return false };
                if message.offset() == 0 {
                    found.insert(partition, topics::marks(message).marker.flatten());
                }
                found.len() == partitions.len()
            })
        })?;
        Ok(found)
    }

    /// Records of a partition from `from` on, below `end`, at most `max`; without markers.
    pub(crate) fn read(
        &self,
        topic: &str,
        partition: u16,
        from: u64,
        (end, max): (u64, usize),
    ) -> Result<Vec<Entry>, LogError> {
        let doing = format!("reading partition {partition}");
        let mut entries = Vec::new();
        let mut wanted = TopicPartitionList::new();
        let start = Offset::Offset(i64::try_from(from).unwrap_or(i64::MAX));
        let added = wanted.add_partition_offset(topic, i32::from(partition), start);
        added.map_err(|error| self.trouble(&doing, &error))?;
        self.assigned(&wanted, || {
            self.each(&doing, |message| {
                let offset = u64::try_from(message.offset()).unwrap_or(0);
                if offset < end {
                    entries.extend(entry(message));
                }
                offset + 1 >= end || entries.len() >= max
            })
        })?;
        Ok(entries)
    }

    /// Does something while partitions are assigned.
    fn assigned<T>(
        &self,
        wanted: &TopicPartitionList,
        mut work: impl FnMut() -> Result<T, LogError>,
    ) -> Result<T, LogError> {
        let assigned = self.consumer.assign(wanted);
        assigned.map_err(|error| self.trouble("reading", &error))?;
        let done = work();
        let _ = self.consumer.unassign();
        done
    }

    /// Messages until `enough` says so; an error after [`TIMEOUT`] without one.
    fn each(
        &self,
        doing: &str,
        mut enough: impl FnMut(&BorrowedMessage<'_>) -> bool,
    ) -> Result<(), LogError> {
        let mut errors = 0;
        loop {
            match self.consumer.poll(TIMEOUT) {
                Some(Ok(message)) if enough(&message) => return Ok(()),
                Some(Ok(_) | Err(KafkaError::PartitionEOF(_))) => {}
                // Also what happened before and was not heard yet: connections that broke.
                Some(Err(_)) if errors < ERRORS_MAX => errors += 1,
                Some(Err(error)) => return Err(self.trouble(doing, &error)),
                None => return Err(LogError::Unknown(format!("{doing}: no answer in time"))),
            }
        }
    }
}

/// Partitions `0..count` of a topic.
fn list(topic: &str, count: u16) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for partition in 0..count {
        list.add_partition(topic, i32::from(partition));
    }
    list
}

/// The offsets in a list, by partition.
fn numbers(list: &TopicPartitionList, count: u16) -> Vec<Option<u64>> {
    let mut numbers = vec![None; usize::from(count)];
    for element in list.elements() {
        let place = usize::try_from(element.partition()).ok().and_then(|at| numbers.get_mut(at));
        if let (Some(place), Offset::Offset(offset), Ok(())) =
            (place, element.offset(), element.error())
        {
            *place = u64::try_from(offset).ok();
        }
    }
    numbers
}

/// A record as read; none for a marker.
pub(crate) fn entry(message: &BorrowedMessage<'_>) -> Option<Entry> {
    let marks = topics::marks(message);
    if marks.marker.is_some() {
        return None;
    }
    let record = Bytes::copy_from_slice(message.payload().unwrap_or_default());
    let offset = u64::try_from(message.offset()).ok()?;
    Some(Entry {
        offset,
        at: appended_at(message.timestamp()).unwrap_or(0),
        record,
        trace: marks.trace,
    })
}

/// The brokers' time; none where it is not theirs.
pub(crate) fn appended_at(timestamp: Timestamp) -> Option<Millis> {
    match timestamp {
        Timestamp::LogAppendTime(at) => Millis::try_from(at).ok(),
        Timestamp::CreateTime(_) | Timestamp::NotAvailable => None,
    }
}
