//! What a gateway says unasked.

use std::borrow::Cow;

use harkara_domain::{Body, ClientId, ConversationId, DeviceId, Event, UserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    fields::{Id, SeqNo, WireKind, WireRole},
    replies::ConversationEntry,
    rpc::ErrorWord,
};
use crate::time;

/// Params of `event`, and the items of `timeline.read`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EventParams<'a> {
    /// Where.
    pub conversation: Id<ConversationId>,
    /// Its place in the order.
    pub seq: SeqNo,
    /// When, RFC 3339: the log's append time.
    pub at: String,
    /// Who.
    pub sender: Id<UserId>,
    /// From which device.
    pub device: Id<DeviceId>,
    /// `message`, `member` or `conversation`; unknown ones are to be shown as "something happened".
    #[serde(borrow)]
    pub kind: Cow<'a, str>,
    /// The device's id for the request.
    pub client_id: Id<ClientId>,
    /// Of a message.
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub content: Option<&'a RawValue>,
    /// Of a message: the sequence it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<SeqNo>,
    /// Of a message: 16 bytes in hex that go into the chain's leaf.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
    /// Of a member event: `added`, `removed`, `left` or `role`.
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub action: Option<Cow<'a, str>>,
    /// Of a member event: whom it concerns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<Vec<Id<UserId>>>,
    /// Of a member event: the role from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<WireRole>,
    /// Of a member event: who became owner because the last one left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successor: Option<Id<UserId>>,
    /// Of a conversation event: what the conversation is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation_kind: Option<WireKind>,
    /// Of a conversation event: the name, or null.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub title: Option<Option<String>>,
    /// Of the creation: the first members.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<Vec<Id<UserId>>>,
    /// The hash chain up to here, in hex.
    pub chain: String,
}

/// Tells a null from an absent field.
fn present<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<Option<String>>, D::Error> {
    Option::<String>::deserialize(d).map(Some)
}

fn wire(users: &[UserId]) -> Vec<Id<UserId>> {
    users.iter().copied().map(Id).collect()
}

impl<'a> EventParams<'a> {
    /// The wire form of an event.
    #[must_use]
    pub fn new(conversation: ConversationId, event: &'a Event) -> Self {
        let mut params = Self {
            conversation: Id(conversation),
            seq: SeqNo(event.seq),
            at: time::format(event.at),
            sender: Id(event.sender),
            device: Id(event.device),
            kind: Cow::Borrowed("member"),
            client_id: Id(event.client_id),
            content: None,
            reply_to: None,
            salt: None,
            action: None,
            users: None,
            role: None,
            successor: None,
            conversation_kind: None,
            title: None,
            members: None,
            chain: event.chain.to_string(),
        };
        params.fill(event);
        params
    }

    fn fill(&mut self, event: &'a Event) {
        match &event.body {
            Body::Created { kind, title, members } => {
                self.kind = "conversation".into();
                self.conversation_kind = Some((*kind).into());
                self.title = Some(title.clone());
                self.members = Some(wire(members));
            }
            Body::Updated { kind, title } => {
                self.kind = "conversation".into();
                self.conversation_kind = Some((*kind).into());
                self.title = Some(title.clone());
            }
            Body::Added { users, role } => self.member("added", wire(users), Some(*role)),
            Body::Removed { users } => self.member("removed", wire(users), None),
            Body::RoleSet { users, role } => self.member("role", wire(users), Some(*role)),
            Body::Left { successor } => {
                self.member("left", vec![Id(event.sender)], None);
                self.successor = successor.map(Id);
            }
            Body::Message { content, reply_to, salt } => {
                self.kind = "message".into();
                self.content = serde_json::from_str(content.as_str()).ok();
                self.reply_to = reply_to.map(SeqNo);
                self.salt = Some(hex::encode(salt.0));
            }
        }
    }

    fn member(
        &mut self,
        action: &'static str,
        users: Vec<Id<UserId>>,
        role: Option<harkara_domain::Role>,
    ) {
        self.action = Some(action.into());
        self.users = Some(users);
        self.role = role.map(Into::into);
    }
}

/// What happened to an entry of the user's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// It is new in the list.
    Added,
    /// It looks different.
    Changed,
    /// It is no longer in the list.
    Removed,
}

/// A notification: its method with its params.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "method", content = "params")]
pub enum Notification<'a> {
    /// Something happened in a conversation.
    #[serde(rename = "event", borrow)]
    Event(EventParams<'a>),
    /// A repeat: the first one stands at `seq`.
    #[serde(rename = "settled")]
    Settled {
        /// Where.
        conversation: Id<ConversationId>,
        /// Of the repeated request.
        client_id: Id<ClientId>,
        /// Where the first one stands.
        seq: SeqNo,
    },
    /// An accepted send that was refused at its place in the order.
    #[serde(rename = "rejected")]
    Rejected {
        /// Where.
        conversation: Id<ConversationId>,
        /// Of the refused request.
        client_id: Id<ClientId>,
        /// Why, as a word.
        code: ErrorWord,
        /// Why, as a sentence.
        message: String,
    },
    /// Somebody has read up to here.
    #[serde(rename = "read")]
    Read {
        /// Where.
        conversation: Id<ConversationId>,
        /// Who.
        user: Id<UserId>,
        /// Up to here.
        seq: SeqNo,
    },
    /// Somebody is typing, or not any more.
    #[serde(rename = "typing")]
    Typing {
        /// Where.
        conversation: Id<ConversationId>,
        /// Who.
        user: Id<UserId>,
        /// Typing, or not any more.
        active: bool,
    },
    /// The user's list changed.
    #[serde(rename = "conversation")]
    Conversation {
        /// Which one; `id` of the entry says the same.
        conversation: Id<ConversationId>,
        /// How.
        change: Change,
        /// The entry's fields.
        #[serde(flatten)]
        entry: ConversationEntry,
    },
    /// The server is about to close the session.
    #[serde(rename = "session.goaway")]
    GoAway {
        /// Come back after this many milliseconds.
        reconnect_after_ms: u64,
        /// Why.
        reason: String,
    },
}
