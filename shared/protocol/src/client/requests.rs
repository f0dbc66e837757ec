//! What a client may ask: one struct of params per method, and [`Call`], which is all of them.

use std::collections::BTreeMap;

use harkara_domain::{ClientId, ConversationId, UserId};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use super::fields::{Id, SeqNo, Users, WireKind, WireRole, cursors, limit};

/// `session.start`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SessionStart {
    /// The bearer token, unless it came with the upgrade.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// What an earlier session was given: stands in for the token while it is valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// Per conversation the last sequence the client has.
    #[serde(default, deserialize_with = "cursors", skip_serializing_if = "Option::is_none")]
    pub cursors: Option<BTreeMap<Id<ConversationId>, SeqNo>>,
}

/// `users.get`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UsersGet {
    /// Whose names.
    pub users: Users,
}

/// `users.find`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UsersFind {
    /// Beginning of the name, in any case.
    pub prefix: String,
    /// How many at most.
    #[serde(default, deserialize_with = "limit", skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
}

/// `conversation.create`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConversationCreate {
    /// The device's id for this request.
    pub client_id: Id<ClientId>,
    /// What it is for.
    pub kind: WireKind,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Its first members besides the creator.
    pub members: Users,
}

/// `conversation.get`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConversationGet {
    /// Which one.
    pub conversation: Id<ConversationId>,
}

/// `conversation.list`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ConversationList {
    /// `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Id<ConversationId>>,
    /// How many at most.
    #[serde(default, deserialize_with = "limit", skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
}

/// `conversation.update`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConversationUpdate {
    /// Which one.
    pub conversation: Id<ConversationId>,
    /// The device's id for this request.
    pub client_id: Id<ClientId>,
    /// The new name; null takes it away.
    #[serde(default)]
    pub title: Option<String>,
}

/// `members.add`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MembersAdd {
    /// To which conversation.
    pub conversation: Id<ConversationId>,
    /// The device's id for this request.
    pub client_id: Id<ClientId>,
    /// Whom.
    pub users: Users,
    /// As what; `member` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<WireRole>,
}

/// `members.remove`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MembersRemove {
    /// From which conversation.
    pub conversation: Id<ConversationId>,
    /// The device's id for this request.
    pub client_id: Id<ClientId>,
    /// Whom.
    pub users: Users,
}

/// `members.set_role`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MembersSetRole {
    /// In which conversation.
    pub conversation: Id<ConversationId>,
    /// The device's id for this request.
    pub client_id: Id<ClientId>,
    /// Whose.
    pub users: Users,
    /// To what.
    pub role: WireRole,
}

/// `conversation.leave`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConversationLeave {
    /// Which one.
    pub conversation: Id<ConversationId>,
    /// The device's id for this request.
    pub client_id: Id<ClientId>,
}

/// `members.list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MembersList {
    /// Of which conversation.
    pub conversation: Id<ConversationId>,
    /// `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Id<UserId>>,
    /// How many at most.
    #[serde(default, deserialize_with = "limit", skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
}

/// `message.send`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MessageSend {
    /// To which conversation.
    pub conversation: Id<ConversationId>,
    /// The device's id for this request.
    pub client_id: Id<ClientId>,
    /// What it says: checked by [`crate::content::canonical`].
    pub content: Box<RawValue>,
    /// The sequence it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<SeqNo>,
}

/// `timeline.read`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimelineRead {
    /// Of which conversation.
    pub conversation: Id<ConversationId>,
    /// Events above this sequence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<SeqNo>,
    /// Events below this sequence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<SeqNo>,
    /// How many at most.
    #[serde(default, deserialize_with = "limit", skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
}

/// `read.advance`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReadAdvance {
    /// In which conversation.
    pub conversation: Id<ConversationId>,
    /// Read up to here.
    pub seq: SeqNo,
}

/// `typing.set`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TypingSet {
    /// In which conversation.
    pub conversation: Id<ConversationId>,
    /// Typing, or not any more.
    pub active: bool,
}

/// Reads params. Remembering the path to each field costs a dozen allocations, so only bad ones are
/// read with it, a second time.
fn read_params<T: DeserializeOwned>(
    params: &RawValue,
) -> Result<T, serde_path_to_error::Error<serde_json::Error>> {
    serde_json::from_str(params.get()).or_else(|_| {
        serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(params.get()))
    })
}

macro_rules! calls {
    ($($(#[$doc:meta])* $name:ident($params:ty) = $method:literal,)*) => {
        /// A request: its method with its params.
        #[derive(Debug, Clone)]
        pub enum Call {
            $($(#[$doc])* $name($params),)*
        }

        impl Call {
            /// The method's name on the wire.
            #[must_use]
            pub fn method(&self) -> &'static str {
                match self { $(Self::$name(_) => $method,)* }
            }

            /// Reads the params of `method`; `None` where there is no such method here.
            pub(crate) fn read(
                method: &str,
                params: &RawValue,
            ) -> Option<Result<Self, serde_path_to_error::Error<serde_json::Error>>> {
                match method {
                    $($method => Some(read_params(params).map(Self::$name)),)*
                    _ => None,
                }
            }

            /// The params as JSON.
            pub(crate) fn params(&self) -> Result<Box<RawValue>, serde_json::Error> {
                match self { $(Self::$name(params) => serde_json::value::to_raw_value(params),)* }
            }
        }

        /// Every method that is answered with a result.
        pub const METHODS: &[&str] = &[$($method,)*];
    };
}

calls! {
    /// Authenticates and lists the user's conversations.
    SessionStart(SessionStart) = "session.start",
    /// Names of users.
    UsersGet(UsersGet) = "users.get",
    /// Users by the beginning of their name.
    UsersFind(UsersFind) = "users.find",
    /// A new conversation.
    ConversationCreate(ConversationCreate) = "conversation.create",
    /// One entry of the list.
    ConversationGet(ConversationGet) = "conversation.get",
    /// A page of the list.
    ConversationList(ConversationList) = "conversation.list",
    /// A new title.
    ConversationUpdate(ConversationUpdate) = "conversation.update",
    /// The user leaves.
    ConversationLeave(ConversationLeave) = "conversation.leave",
    /// New members.
    MembersAdd(MembersAdd) = "members.add",
    /// Fewer members.
    MembersRemove(MembersRemove) = "members.remove",
    /// Members with another role.
    MembersSetRole(MembersSetRole) = "members.set_role",
    /// A page of the members.
    MembersList(MembersList) = "members.list",
    /// A message.
    MessageSend(MessageSend) = "message.send",
    /// A page of events.
    TimelineRead(TimelineRead) = "timeline.read",
    /// The user has read up to here.
    ReadAdvance(ReadAdvance) = "read.advance",
    /// The user is typing.
    TypingSet(TypingSet) = "typing.set",
}

/// Methods of the protocol that this version answers with `unsupported`.
pub const UNSUPPORTED_METHODS: &[&str] = &[
    "message.edit",
    "message.redact",
    "message.react",
    "message.unreact",
    "presence.set",
    "presence.watch",
];
