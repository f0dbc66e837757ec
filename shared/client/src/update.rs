//! What the SDK tells its user: owned events and everything else that arrives unasked, in the
//! order in which it is to be shown. `session` makes them, `Updates` hands them out.

use std::fmt;

use harkara_domain::{ClientId, ConversationId, DeviceId, Millis, Seq, UserId};
use harkara_protocol::{
    client::{
        ErrorWord, EventParams, Id,
        fields::{WireKind, WireRole},
        notifications::Change,
        replies::{ConversationEntry, Limits},
    },
    time,
};
use serde_json::value::RawValue;

use crate::{content::Content, error::Stopped};

/// An event, owned.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Where.
    pub conversation: ConversationId,
    /// Its place in the order, from 1 without gaps.
    pub seq: Seq,
    /// When: the log's append time.
    pub at: Millis,
    /// Who.
    pub sender: UserId,
    /// From which device.
    pub device: DeviceId,
    /// The device's id for the request.
    pub client_id: ClientId,
    /// What happened.
    pub what: What,
    /// The hash chain up to here, in hex.
    pub chain: String,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// A message.
    Message {
        /// What it says.
        content: Content,
        /// The sequence it answers.
        reply_to: Option<Seq>,
    },
    /// Members came, went or got another role.
    Member {
        /// `added`, `removed`, `left` or `role`.
        action: String,
        /// Whom it concerns.
        users: Vec<UserId>,
        /// The role from now on.
        role: Option<WireRole>,
        /// Who became owner because the last one left.
        successor: Option<UserId>,
    },
    /// The conversation came to be or changed.
    Conversation {
        /// What it is for.
        kind: Option<WireKind>,
        /// Its name.
        title: Option<String>,
        /// On creation: the first members.
        members: Vec<UserId>,
    },
    /// A kind of event that this version does not know: show it as "something happened".
    Other {
        /// The kind's word.
        kind: String,
    },
}

impl Event {
    /// Reads an item of `timeline.read`.
    pub(crate) fn from_json(item: &RawValue) -> Result<Self, serde_json::Error> {
        serde_json::from_str::<EventParams<'_>>(item.get()).map(Self::from)
    }
}

fn users(ids: Option<Vec<Id<UserId>>>) -> Vec<UserId> {
    ids.unwrap_or_default().into_iter().map(|id| id.0).collect()
}

impl From<EventParams<'_>> for Event {
    fn from(params: EventParams<'_>) -> Self {
        let what = match (&*params.kind, params.content) {
            ("message", Some(content)) => What::Message {
                content: Content::received(content),
                reply_to: params.reply_to.map(|seq| seq.0),
            },
            ("member", _) => What::Member {
                action: params.action.unwrap_or_default().into_owned(),
                users: users(params.users),
                role: params.role,
                successor: params.successor.map(|id| id.0),
            },
            ("conversation", _) => What::Conversation {
                kind: params.conversation_kind,
                title: params.title.flatten(),
                members: users(params.members),
            },
            (kind, _) => What::Other { kind: kind.to_owned() },
        };
        Self {
            conversation: params.conversation.0,
            seq: params.seq.0,
            at: time::parse(&params.at).unwrap_or_default(),
            sender: params.sender.0,
            device: params.device.0,
            client_id: params.client_id.0,
            what,
            chain: params.chain,
        }
    }
}

/// What came of a send. Each send has exactly one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It stands in the conversation.
    Settled {
        /// Where.
        seq: Seq,
    },
    /// It was refused for good and is nowhere.
    Rejected {
        /// Why, as a word; none for malformed requests.
        code: Option<ErrorWord>,
        /// Why, as a sentence.
        message: String,
    },
}

/// Who this client is, told by the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Me {
    /// The user.
    pub user: UserId,
    /// The device.
    pub device: DeviceId,
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// No connection came about.
    Unreachable(String),
    /// The server refused the upgrade for now.
    Refused {
        /// The HTTP status.
        status: u16,
    },
    /// The server closed the connection.
    Closed {
        /// The WebSocket close code.
        code: u16,
        /// Its words.
        reason: String,
    },
    /// The connection broke.
    Lost(String),
    /// The server has said nothing for too long.
    Silent,
    /// No token could be had.
    NoToken(String),
    /// The server did not start the session, for now.
    NotStarted(String),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(text) => write!(f, "the server can't be reached: {text}"),
            Self::Refused { status } => write!(f, "the server refuses for now (HTTP {status})"),
            Self::Closed { code, reason } if reason.is_empty() => {
                write!(f, "the server closed the connection (code {code})")
            }
            Self::Closed { code, reason } => {
                write!(f, "the server closed the connection (code {code}: {reason})")
            }
            Self::Lost(text) => write!(f, "the connection broke: {text}"),
            Self::Silent => f.write_str("the server has gone silent"),
            Self::NoToken(text) => write!(f, "no token: {text}"),
            Self::NotStarted(text) => write!(f, "the session was not started: {text}"),
        }
    }
}

/// Something to show or to note.
#[derive(Debug, Clone, PartialEq)]
pub enum Update {
    /// A session is live.
    Connected {
        /// Who this client is.
        me: Me,
        /// What the server takes.
        limits: Limits,
        /// The first page of the user's list; further pages follow as [`Update::Conversation`]
        /// with `Added` or `Changed`.
        conversations: Vec<ConversationEntry>,
    },
    /// There is no session any more (or none yet); the SDK goes on trying by itself. Told once.
    Disconnected {
        /// Why.
        why: Why,
    },
    /// The SDK has given up; nothing follows.
    Stopped(Stopped),
    /// The user's list changed.
    Conversation {
        /// How.
        change: Change,
        /// The entry; with nothing but the id where the server has forgotten the conversation.
        entry: ConversationEntry,
    },
    /// The next event of a conversation: each one once, in order, without holes.
    Event(Event),
    /// The server lost events this client had: everything known of the conversation is void and
    /// its events come again, starting with `from`.
    Reset {
        /// Which one.
        conversation: ConversationId,
        /// The sequence that comes next.
        from: Seq,
    },
    /// Events that this user may not see, or that the server no longer has, are left out.
    Skipped {
        /// Where.
        conversation: ConversationId,
        /// The first one left out.
        first: Seq,
        /// The last one left out.
        last: Seq,
    },
    /// A send is durable; its outcome follows.
    Accepted {
        /// Where.
        conversation: ConversationId,
        /// Which send.
        client_id: ClientId,
    },
    /// What came of a send.
    Outcome {
        /// Where.
        conversation: ConversationId,
        /// Which send.
        client_id: ClientId,
        /// The outcome.
        outcome: Outcome,
    },
    /// Somebody has read up to here.
    Read {
        /// Where.
        conversation: ConversationId,
        /// Who.
        user: UserId,
        /// Up to here.
        seq: Seq,
    },
    /// Somebody is typing, or not any more.
    Typing {
        /// Where.
        conversation: ConversationId,
        /// Who.
        user: UserId,
        /// Typing, or not any more.
        active: bool,
    },
}
