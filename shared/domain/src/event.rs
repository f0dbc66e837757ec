//! What happened in a conversation, in its order: the unit that is stored, pushed and hashed.

use bytes::Bytes;

use crate::{
    Millis, Ordinal, Seq, canonical,
    chain::Hash,
    command::Fingerprint,
    ids::{ClientId, DeviceId, TenantId, UserId},
    log::Position,
    roles::{Kind, Role},
};

/// 16 random bytes that travel with a message's body, so that its leaf hash can't be guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Salt(pub [u8; 16]);

/// A message's content: an opaque JSON object in canonical form, at most
/// [`CONTENT_BYTES_MAX`](crate::limits::CONTENT_BYTES_MAX) bytes. Only
/// `harkara_protocol::content` makes one from what a client sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content(Bytes);

impl Content {
    /// Wraps bytes that are canonical JSON already.
    #[must_use]
    pub fn from_canonical(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// The canonical JSON text, as bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// The canonical JSON text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("null")
    }
}

/// One event. `chain` covers everything above it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Whose data this is.
    pub tenant: TenantId,
    /// Place in the conversation, from 1.
    pub seq: Seq,
    /// Messages up to and including this event.
    pub ordinal: Ordinal,
    /// When: the log's append time, never before the event before.
    pub at: Millis,
    /// Who caused it.
    pub sender: UserId,
    /// From which device.
    pub device: DeviceId,
    /// The device's id for the request, by which a repeat is known.
    pub client_id: ClientId,
    /// Of the request that caused it; tells a repeat from a conflict. Goes when the body goes.
    pub fingerprint: Fingerprint,
    /// The log record that caused it.
    pub position: Position,
    /// What happened.
    pub body: Body,
    /// The hash chain up to and including this event.
    pub chain: Hash,
}

impl Event {
    /// The users who are no members any more because of it.
    #[must_use]
    pub fn leavers(&self) -> &[UserId] {
        match &self.body {
            Body::Removed { users } => users,
            Body::Left { .. } => std::slice::from_ref(&self.sender),
            _ => &[],
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// The conversation came to be; always sequence 1.
    Created {
        /// What it is for.
        kind: Kind,
        /// Its name, if any.
        title: Option<String>,
        /// Everybody in it, the creator (its owner) included, in rising order.
        members: Vec<UserId>,
    },
    /// The title changed.
    Updated {
        /// What the conversation is, unchanged.
        kind: Kind,
        /// The new name, or none.
        title: Option<String>,
    },
    /// Users became members.
    Added {
        /// Those who were not members before, in rising order.
        users: Vec<UserId>,
        /// The role all of them got.
        role: Role,
    },
    /// Members were removed.
    Removed {
        /// Those who were members, in rising order.
        users: Vec<UserId>,
    },
    /// The sender left.
    Left {
        /// Who became owner, where the last owner left others behind.
        successor: Option<UserId>,
    },
    /// Members got another role.
    RoleSet {
        /// Those whose role changed, in rising order.
        users: Vec<UserId>,
        /// Their role from now on.
        role: Role,
    },
    /// A message.
    Message {
        /// What it says.
        content: Content,
        /// The sequence it answers, if any.
        reply_to: Option<Seq>,
        /// Makes the leaf hash unguessable.
        salt: Salt,
    },
}

impl Body {
    /// The byte that stands for the kind of event in the hash chain and in stored forms. Numbers
    /// are never reused; 8 and up are free for edits, redactions and reactions.
    #[must_use]
    pub const fn tag(&self) -> u8 {
        match self {
            Self::Created { .. } => 1,
            Self::Updated { .. } => 2,
            Self::Added { .. } => 3,
            Self::Removed { .. } => 4,
            Self::Left { .. } => 5,
            Self::RoleSet { .. } => 6,
            Self::Message { .. } => 7,
        }
    }

    /// Does it count as unread for others?
    #[must_use]
    pub const fn is_message(&self) -> bool {
        matches!(self, Self::Message { .. })
    }

    /// The salt of a message's leaf.
    #[must_use]
    pub const fn salt(&self) -> Option<Salt> {
        match self {
            Self::Message { salt, .. } => Some(*salt),
            _ => None,
        }
    }

    /// The canonical JSON of the event's own members, as clients see them (the chain's `body`).
    #[must_use]
    pub fn canonical(&self) -> String {
        let mut out = String::with_capacity(128);
        match self {
            Self::Created { kind, title, members } => {
                out.push_str("{\"conversation_kind\":");
                canonical::string(&mut out, kind.word());
                out.push_str(",\"members\":");
                canonical::users(&mut out, members);
                push_title(&mut out, title.as_deref());
            }
            Self::Updated { kind, title } => {
                out.push_str("{\"conversation_kind\":");
                canonical::string(&mut out, kind.word());
                push_title(&mut out, title.as_deref());
            }
            Self::Added { users, role } => push_users(&mut out, "added", Some(*role), users),
            Self::Removed { users } => push_users(&mut out, "removed", None, users),
            Self::RoleSet { users, role } => push_users(&mut out, "role", Some(*role), users),
            Self::Left { successor } => {
                out.push_str("{\"action\":\"left\"");
                if let Some(user) = successor {
                    out.push_str(&format!(",\"successor\":\"{user}\""));
                }
            }
            Self::Message { content, reply_to, .. } => {
                out.push_str("{\"content\":");
                out.push_str(content.as_str());
                if let Some(seq) = reply_to {
                    out.push_str(&format!(",\"reply_to\":{seq}"));
                }
            }
        }
        out.push('}');
        out
    }
}

fn push_title(out: &mut String, title: Option<&str>) {
    out.push_str(",\"title\":");
    match title {
        Some(title) => canonical::string(out, title),
        None => out.push_str("null"),
    }
}

fn push_users(out: &mut String, action: &str, role: Option<Role>, users: &[UserId]) {
    out.push_str("{\"action\":");
    canonical::string(out, action);
    if let Some(role) = role {
        out.push_str(",\"role\":");
        canonical::string(out, role.word());
    }
    out.push_str(",\"users\":");
    canonical::users(out, users);
}
