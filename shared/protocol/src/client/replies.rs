//! What a gateway answers: one struct of results per shape.

use harkara_domain::{ConversationId, DeviceId, Entry, SessionId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::fields::{Id, SeqNo, WireKind, WireRole};

/// One conversation in a user's list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConversationEntry {
    /// Which one.
    pub id: Id<ConversationId>,
    /// What it is for. Null while its owner can't be reached, like everything below.
    pub kind: Option<WireKind>,
    /// Its name, if any.
    pub title: Option<String>,
    /// The user's role.
    pub role: Option<WireRole>,
    /// The first sequence this member may see.
    pub from: Option<SeqNo>,
    /// The newest sequence.
    pub head: Option<SeqNo>,
    /// The user's read cursor.
    pub read: Option<SeqNo>,
    /// Messages behind the read cursor.
    pub unread: Option<u64>,
    /// How many members.
    pub members: Option<u32>,
    /// More than the documented number of events are missing after the client's cursor: none of
    /// them is sent, the client reads the timeline.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub behind: bool,
}

impl ConversationEntry {
    /// The wire form of what the owner said, or of its silence.
    #[must_use]
    pub fn new(id: ConversationId, entry: Option<&Entry>, behind: bool) -> Self {
        Self {
            id: Id(id),
            kind: entry.map(|e| e.kind.into()),
            title: entry.and_then(|e| e.title.clone()),
            role: entry.map(|e| e.role.into()),
            from: entry.map(|e| SeqNo(e.from)),
            head: entry.map(|e| SeqNo(e.head)),
            read: entry.map(|e| SeqNo(e.read)),
            unread: entry.map(|e| e.unread),
            members: entry.map(|e| e.members),
            behind,
        }
    }
}

/// What the server takes and how it behaves, told in `session.start`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Largest frame from the client, bytes.
    pub frame_bytes_max: u64,
    /// Largest content in canonical form, bytes.
    pub content_bytes_max: u64,
    /// Requests without an answer at one time.
    pub requests_in_flight_max: u64,
    /// Sends a second, on average; null where there is no limit.
    pub sends_per_second_max: Option<u64>,
    /// Conversations in one `session.start` or `conversation.list`.
    pub conversations_per_page_max: u64,
    /// Missing events after a cursor that are still pushed after `session.start`.
    pub catch_up_events_max: u64,
    /// Events in one `timeline.read`.
    pub timeline_page_max: u64,
    /// Users in one request.
    pub users_per_request_max: u64,
    /// Members of one conversation.
    pub members_max: u64,
    /// Last requests of a conversation within which a repeat is recognized.
    pub dedup_window: u64,
    /// The server pings this often, milliseconds.
    pub heartbeat_ms: u64,
}

/// Result of `session.start`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionStarted {
    /// This session.
    pub session: Id<SessionId>,
    /// Whose.
    pub user: Id<UserId>,
    /// On which device.
    pub device: Id<DeviceId>,
    /// The server's clock, RFC 3339.
    pub server_time: String,
    /// What the server takes.
    pub limits: Limits,
    /// The first page of the user's list.
    pub conversations: Vec<ConversationEntry>,
    /// `after` of the next page for `conversation.list`, or null.
    pub next: Option<Id<ConversationId>>,
    /// Conversations whose cursor was above the head.
    pub reset: Vec<Id<ConversationId>>,
    /// Conversations with a cursor that aren't the user's.
    pub unknown: Vec<Id<ConversationId>>,
    /// For the next `session.start`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
}

/// A user's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserEntry {
    /// Who.
    pub id: Id<UserId>,
    /// The name to show.
    pub name: String,
}

/// Result of `users.get` and `users.find`; users nobody has seen are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsersResult {
    /// Their names.
    pub users: Vec<UserEntry>,
}

/// Result of `conversation.create`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Created {
    /// The conversation.
    pub conversation: Id<ConversationId>,
    /// The sequence of its creation: 1.
    pub seq: SeqNo,
}

/// Result of requests that change a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Changed {
    /// The sequence of the change.
    pub seq: SeqNo,
}

/// Result of `conversation.list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConversationPage {
    /// A page of the user's list.
    pub conversations: Vec<ConversationEntry>,
    /// `after` of the next page, or null.
    pub next: Option<Id<ConversationId>>,
}

/// A member in `members.list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MemberEntry {
    /// Who.
    pub user: Id<UserId>,
    /// With which role.
    pub role: WireRole,
}

/// Result of `members.list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MembersPage {
    /// A page of members, in rising order of their ids.
    pub members: Vec<MemberEntry>,
    /// `after` of the next page, or null.
    pub next: Option<Id<UserId>>,
}

/// Result of `message.send`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// Always true: the log has it.
    pub accepted: bool,
}

/// Result of `timeline.read`; events are the params of `event` notifications, ready made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TimelinePage {
    /// In rising sequence.
    pub events: Vec<Box<RawValue>>,
    /// The newest sequence.
    pub head: SeqNo,
    /// Nothing is left in the direction asked for.
    pub complete: bool,
}

/// Result of requests that only succeed: `{}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {}
