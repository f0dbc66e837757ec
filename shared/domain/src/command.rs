//! What somebody asks of a conversation: the input of the state machine, carried by the log.

use crate::{
    Seq,
    event::{Content, Salt},
    ids::{ClientId, ConversationId, DeviceId, TenantId, UserId},
    roles::{Kind, Role},
};

/// A command with its author, as the log carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Whose data this is.
    pub tenant: TenantId,
    /// Which conversation is asked.
    pub conversation: ConversationId,
    /// Who asks.
    pub sender: UserId,
    /// From which device.
    pub device: DeviceId,
    /// The device's id for this request.
    pub client_id: ClientId,
    /// The rules version in force when it was written (soundness S11).
    pub rules: u16,
    /// The gateway endpoint that waits for the outcome. Only routing: no decision depends on it.
    pub origin: u64,
    /// What is asked.
    pub command: Command,
}

/// The rules that records are stamped with until an administrator raises them, and those that this
/// build knows. A worker that meets a higher version in the log stops (S11).
pub const RULES_VERSION: u16 = 1;

#[cfg(not(feature = "next-rules"))]
/// The newest rules that this build knows.
#[must_use]
pub const fn rules_known() -> u16 {
    RULES_VERSION
}

#[cfg(feature = "next-rules")]
pub use next::{know_next_rules, rules_known};

/// A build that comes after this one, for tests of upgrades: it knows one version more, in which
/// messages may be shorter only. Of no use to anybody, so that nobody misses it.
#[cfg(feature = "next-rules")]
mod next {
    use std::sync::atomic::{AtomicU16, Ordering};

    static KNOWN: AtomicU16 = AtomicU16::new(super::RULES_VERSION);

    /// The newest rules that this process knows.
    #[must_use]
    pub fn rules_known() -> u16 {
        KNOWN.load(Ordering::Relaxed)
    }

    /// From now on this process is one of the build that comes.
    pub fn know_next_rules() {
        KNOWN.store(super::RULES_VERSION + 1, Ordering::Relaxed);
    }
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Bring the conversation into being.
    Create {
        /// What it is for.
        kind: Kind,
        /// Its name, if any.
        title: Option<String>,
        /// Its first members; the creator is one without being named.
        members: Vec<UserId>,
    },
    /// Change the title (none takes it away).
    Update {
        /// The new name.
        title: Option<String>,
    },
    /// Make users members.
    Add {
        /// Who.
        users: Vec<UserId>,
        /// With which role.
        role: Role,
    },
    /// Remove members.
    Remove {
        /// Who.
        users: Vec<UserId>,
    },
    /// Leave.
    Leave,
    /// Change members' role.
    SetRole {
        /// Whose.
        users: Vec<UserId>,
        /// To which.
        role: Role,
    },
    /// Say something.
    Send {
        /// What.
        content: Content,
        /// The sequence it answers.
        reply_to: Option<Seq>,
        /// Chosen by the gateway; not part of the fingerprint.
        salt: Salt,
    },
    /// To a user's inbox: a conversation appeared in or left their list. The record's
    /// `conversation` is the inbox.
    Inbox {
        /// Whose inbox.
        user: UserId,
        /// Which conversation.
        conversation: ConversationId,
        /// The sequence of the event that caused it.
        cause: Seq,
        /// In the list from now on, or not.
        present: bool,
    },
}

/// Tells a repeat from a conflict: the first 8 bytes of BLAKE3 over what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Fingerprint(pub [u8; 8]);

impl Command {
    /// The fingerprint of what was asked; two requests are equal when theirs are.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let mut input = Input(blake3::Hasher::new());
        match self {
            Self::Create { kind, title, members } => {
                input.part(b"create").part(kind.word().as_bytes()).title(title).users(members)
            }
            Self::Update { title } => input.part(b"update").title(title),
            Self::Add { users, role } => {
                input.part(b"add").part(role.word().as_bytes()).users(users)
            }
            Self::Remove { users } => input.part(b"remove").users(users),
            Self::Leave => input.part(b"leave"),
            Self::SetRole { users, role } => {
                input.part(b"set_role").part(role.word().as_bytes()).users(users)
            }
            Self::Send { content, reply_to, .. } => input
                .part(b"send")
                .part(content.as_bytes())
                .part(&reply_to.unwrap_or_default().to_be_bytes()),
            Self::Inbox { user, conversation, cause, present } => input
                .part(b"inbox")
                .part(user.as_bytes())
                .part(conversation.as_bytes())
                .part(&cause.to_be_bytes())
                .part(&[u8::from(*present)]),
        };
        let mut first = [0; 8];
        first.copy_from_slice(&input.0.finalize().as_bytes()[..8]);
        Fingerprint(first)
    }
}

/// Hash input as length-prefixed parts, so that no two lists of parts run together.
struct Input(blake3::Hasher);

impl Input {
    fn part(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update(&(bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
        self
    }

    fn title(&mut self, title: &Option<String>) -> &mut Self {
        match title {
            Some(title) => self.part(b"title").part(title.as_bytes()),
            None => self.part(b"no title"),
        }
    }

    /// Order and repetition of users mean nothing.
    fn users(&mut self, users: &[UserId]) -> &mut Self {
        let mut sorted = users.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        self.part(&(sorted.len() as u64).to_be_bytes());
        for user in sorted {
            self.part(user.as_bytes());
        }
        self
    }
}
