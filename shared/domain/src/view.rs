//! What is derived from events: a member's view of a conversation, cursors, lists, profiles.

use crate::{
    Millis, Ordinal, Seq,
    command::Fingerprint,
    ids::{ClientId, ConversationId, DeviceId, TenantId, UserId},
    log::Position,
    roles::{Kind, Role},
};

/// One conversation in a user's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Whose conversation it is. Only sessions of this tenant may see anything of it.
    pub tenant: TenantId,
    /// What it is for.
    pub kind: Kind,
    /// Its name, if any.
    pub title: Option<String>,
    /// The user's role.
    pub role: Role,
    /// The first sequence this member may see.
    pub from: Seq,
    /// The sequence of the newest event.
    pub head: Seq,
    /// The user's read cursor.
    pub read: Seq,
    /// Messages behind the read cursor.
    pub unread: u64,
    /// How many members.
    pub members: u32,
}

/// How far a user has read. Only moves forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Cursor {
    /// Up to this sequence.
    pub seq: Seq,
    /// Messages up to there.
    pub ordinal: Ordinal,
}

/// A conversation's place in a user's list. Of two, the one with the higher cause holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Membership {
    /// Whose data this is.
    pub tenant: TenantId,
    /// Whose list.
    pub user: UserId,
    /// Which conversation.
    pub conversation: ConversationId,
    /// In the list, or not any more.
    pub present: bool,
    /// The sequence of the event that caused it.
    pub cause: Seq,
}

/// What others may know of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Whose user.
    pub tenant: TenantId,
    /// Who.
    pub user: UserId,
    /// The name to show.
    pub name: String,
    /// When it was last taken from a token: the newer one holds.
    pub at: Millis,
}

/// Why a command was refused at its place in the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RejectCode {
    /// The sender is not a member.
    NotAMember,
    /// The sender's role does not allow it.
    Forbidden,
    /// The same client id came before with another body.
    Conflict,
    /// There is no such conversation.
    NotFound,
    /// The content or a reference in it makes no sense here.
    InvalidContent,
    /// A limit of the conversation is reached.
    TooLarge,
    /// This build does not do that.
    Unsupported,
}

impl RejectCode {
    /// The word clients see.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::NotAMember => "not_a_member",
            Self::Forbidden => "forbidden",
            Self::Conflict => "conflict",
            Self::NotFound => "not_found",
            Self::InvalidContent => "invalid_content",
            Self::TooLarge => "too_large",
            Self::Unsupported => "unsupported",
        }
    }
}

/// A command that was refused, as the conversation remembers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejection {
    /// The record that was refused.
    pub position: Position,
    /// The device that sent it.
    pub device: DeviceId,
    /// The device's id for it.
    pub client_id: ClientId,
    /// Of what was asked.
    pub fingerprint: Fingerprint,
    /// Why.
    pub code: RejectCode,
}
