//! Frames between gateways and the owners of partitions: version byte 1, then the bincode of
//! [`Frame`]. `shared/engine-link` is the only user; it puts a length in front (`u32` big-endian)
//! and converts from and to the contract's types, which this layer does not know.
//!
//! The structs below *are* the form: nothing is removed, reordered or given another meaning; a new
//! variant stands at the end and is a new version. Ids are 16 bytes, kinds and roles are numbers.
//! An event's push is encoded once ([`encode_down`]) and follows the [`Frame::Push`] that names the
//! lanes of one gateway, so that all gateways share its bytes.

use harkara_domain as domain;
use harkara_domain::{Ordinal, Seq};
use serde::{Deserialize, Serialize};

pub use crate::binary::DecodeError;
use crate::{
    binary,
    record::{kind_code, kind_of, role_code, role_of},
    stored::{reject_code, reject_of},
};

/// The newest version of the forms on this page.
pub const VERSION: u8 = 1;

/// The conversation of the two ends: what they say when. Named in [`Frame::Hello`].
pub const PROTOCOL: u16 = 1;

/// Largest frame in bytes, version byte included. The largest that is ever made: 512 entries of
/// an answer × (1,024 bytes of title + 96) = 573 kB; 20,000 members × 17 bytes = 340 kB; an event
/// of 32 KiB content. 1 MiB leaves room to spare.
pub const FRAME_BYTES_MAX: usize = 1024 * 1024;

/// Users in one subscription, so that its answer is a frame; more are several subscriptions.
pub const USERS_MAX: usize = 512;

/// 16 bytes of an id.
pub type Raw = [u8; 16];

/// One frame, either way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each variant says what its fields are")]
pub enum Frame {
    /// The gateway's first frame: the protocol and the cluster it belongs to, and its number.
    Hello { protocol: u16, cluster: String, gateway: u64 },
    /// The worker's answer: the same of itself, and how many bytes of questions may wait per partition.
    Welcome { protocol: u16, cluster: String, window: u64 },
    /// The last frame, either way: why.
    Ended { reason: String },
    /// Still there, either way.
    Beat,
    /// To the worker: an endpoint exists.
    Opened { lane: u16 },
    /// To the worker: it exists no more.
    Closed { lane: u16 },
    /// To the worker: the lane has room again, go on pushing.
    Resume { lane: u16 },
    /// To the worker: a question or subscription, for the given serving of a partition.
    Ask { lane: u16, partition: u16, serving: u64, ask: Ask },
    /// To the gateway: the partition is served here, with this number; numbers only grow.
    Serving { partition: u16, serving: u64 },
    /// To the gateway: not any more.
    Released { partition: u16, serving: u64 },
    /// To the gateway: so many bytes of questions have left the queue.
    Credit { partition: u16, serving: u64, bytes: u64 },
    /// To the gateway: a frame for the lane was dropped; none follows until it resumes.
    Lost { lane: u16 },
    /// To the gateway: the lane gets frames again from here on.
    Resumed { lane: u16 },
    /// To the gateway: what follows ([`encode_down`]) is for these lanes.
    Push { lanes: Vec<u16> },
}

/// From a gateway's endpoint to the owner of a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the contract's `Up` says what its fields are")]
pub enum Ask {
    /// Wants a conversation's events.
    Subscribe { conversation: Raw, users: Vec<Raw> },
    /// Wants the news of an inbox.
    SubscribeInbox { conversation: Raw, user: Raw },
    /// Wants neither any more.
    Unsubscribe { conversation: Raw, users: Vec<Raw> },
    /// Has read up to here.
    Advance { request: u64, conversation: Raw, user: Raw, seq: Seq },
    /// A page of members.
    Members { request: u64, conversation: Raw, user: Raw, after: Option<Raw>, limit: u32 },
    /// The entry as it is now.
    Entry { request: u64, conversation: Raw, user: Raw },
    /// Typing, or not any more.
    Typing { conversation: Raw, user: Raw, active: bool },
}

/// From the owner of a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Down {
    /// Which partition speaks.
    pub partition: u16,
    /// The owner's claim (soundness S5).
    pub epoch: u64,
    /// About which conversation or inbox.
    pub conversation: Raw,
    /// What it says.
    pub what: What,
}

/// What an owner says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the contract's `What` says what its fields are")]
pub enum What {
    /// A stored event, in the form of `stored::encode_event`.
    Event {
        seq: Seq,
        #[serde(with = "octets")]
        event: Vec<u8>,
    },
    /// The answer to a subscription.
    Subscribed { head: Seq, entries: Vec<(Raw, Option<Entry>)> },
    /// A record became the event at this sequence.
    Applied { device: Raw, client_id: Raw, seq: Seq },
    /// A record repeats the one whose event stands at this sequence.
    Settled { device: Raw, client_id: Raw, seq: Seq },
    /// A record was refused.
    Rejected { device: Raw, client_id: Raw, code: RejectCode },
    /// A user's list changed.
    Inbox { user: Raw, conversation: Raw, cause: Seq, present: bool },
    /// Somebody has read up to here.
    Read { user: Raw, seq: Seq, ordinal: Ordinal },
    /// Somebody is typing, or not any more.
    Typing { user: Raw, active: bool },
    /// The answer to a question.
    Answer { request: u64, answer: Answer },
}

/// The answer to a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// No member, or no such conversation.
    NotFound,
    /// The cursor is beyond the head, which is this.
    BeyondHead(Seq),
    /// The cursor is written.
    Advanced,
    /// A page of members, and whether there are more.
    Members(Vec<(Raw, Role)>, bool),
    /// The asker's entry.
    Entry(Entry),
    /// The owner can't say now.
    Unavailable,
}

/// A role's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role(u8);

/// A reject code's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectCode(u8);

/// One conversation in a user's list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    tenant: Raw,
    kind: u8,
    title: Option<String>,
    role: u8,
    from: Seq,
    head: Seq,
    read: Seq,
    unread: u64,
    members: u32,
}

impl From<domain::Role> for Role {
    fn from(role: domain::Role) -> Self {
        Self(role_code(role))
    }
}

impl TryFrom<Role> for domain::Role {
    type Error = DecodeError;

    fn try_from(role: Role) -> Result<Self, DecodeError> {
        role_of(role.0)
    }
}

impl From<domain::RejectCode> for RejectCode {
    fn from(code: domain::RejectCode) -> Self {
        Self(reject_code(code))
    }
}

impl TryFrom<RejectCode> for domain::RejectCode {
    type Error = DecodeError;

    fn try_from(code: RejectCode) -> Result<Self, DecodeError> {
        reject_of(code.0)
    }
}

impl From<&domain::Entry> for Entry {
    fn from(entry: &domain::Entry) -> Self {
        Self {
            tenant: *entry.tenant.as_bytes(),
            kind: kind_code(entry.kind),
            title: entry.title.clone(),
            role: role_code(entry.role),
            from: entry.from,
            head: entry.head,
            read: entry.read,
            unread: entry.unread,
            members: entry.members,
        }
    }
}

impl TryFrom<Entry> for domain::Entry {
    type Error = DecodeError;

    fn try_from(form: Entry) -> Result<Self, DecodeError> {
        Ok(Self {
            tenant: domain::TenantId::from_bytes(form.tenant),
            kind: kind_of(form.kind)?,
            title: form.title,
            role: role_of(form.role)?,
            from: form.from,
            head: form.head,
            read: form.read,
            unread: form.unread,
            members: form.members,
        })
    }
}

/// A frame's bytes, without a length in front.
#[must_use]
pub fn encode(frame: &Frame) -> Vec<u8> {
    binary::encode(VERSION, frame)
}

/// Reads a frame, and what follows it, which is [`decode_down`]'s and empty but for a push.
///
/// # Errors
/// [`DecodeError`]: either way the connection is of no use.
pub fn decode(bytes: &[u8]) -> Result<(Frame, &[u8]), DecodeError> {
    let (_, body) = binary::version(bytes, VERSION)?;
    let (frame, rest) = binary::decode_first(body)?;
    if !rest.is_empty() && !matches!(frame, Frame::Push { .. }) {
        return Err(DecodeError::Malformed(format!("{} bytes too many", rest.len())));
    }
    Ok((frame, rest))
}

/// What an owner says, to be put behind a [`Frame::Push`] of each gateway.
#[must_use]
pub fn encode_down(down: &Down) -> Vec<u8> {
    binary::encode(VERSION, down)
}

/// Reads what an owner says.
///
/// # Errors
/// [`DecodeError`]: either way the connection is of no use.
pub fn decode_down(bytes: &[u8]) -> Result<Down, DecodeError> {
    let (_, body) = binary::version(bytes, VERSION)?;
    binary::decode(body)
}

/// Bytes as one piece: serde's own form of a list goes through them one by one.
mod octets {
    use std::fmt;

    use serde::{Deserializer, Serializer, de::Visitor};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        deserializer.deserialize_byte_buf(Octets)
    }

    struct Octets;

    impl Visitor<'_> for Octets {
        type Value = Vec<u8>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("bytes")
        }

        fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
            Ok(bytes)
        }

        fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
            Ok(bytes.to_vec())
        }
    }
}
