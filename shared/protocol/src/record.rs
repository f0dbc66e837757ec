//! What the log carries: version byte 1, then the bincode of the struct below.
//!
//! Evolution: fields are never removed, reordered or given another meaning within a version. A
//! new command is a new enum variant at the end, and a new version, since an old worker must stop
//! in front of what it can't read (soundness S12). Old versions stay readable for as long as the
//! log keeps records, and longer than any rollback.

use bytes::Bytes;
use harkara_domain::{
    ClientId, Command, Content, ConversationId, DeviceId, Kind, Record, Role, Salt, TenantId,
    UserId,
};
use serde::{Deserialize, Serialize};

use crate::binary;
pub use crate::binary::DecodeError;

/// The newest version of the record form.
pub const VERSION: u8 = 1;

type Raw = [u8; 16];

#[derive(Serialize, Deserialize)]
struct RecordV1 {
    rules: u16,
    tenant: Raw,
    conversation: Raw,
    sender: Raw,
    device: Raw,
    client_id: Raw,
    origin: u64,
    command: CommandV1,
}

#[derive(Serialize, Deserialize)]
enum CommandV1 {
    Create { kind: u8, title: Option<String>, members: Vec<Raw> },
    Update { title: Option<String> },
    Add { users: Vec<Raw>, role: u8 },
    Remove { users: Vec<Raw> },
    Leave,
    SetRole { users: Vec<Raw>, role: u8 },
    Send { content: String, reply_to: Option<u64>, salt: Raw },
    Inbox { user: Raw, conversation: Raw, cause: u64, present: bool },
}

pub(crate) const fn kind_code(kind: Kind) -> u8 {
    match kind {
        Kind::Direct => 1,
        Kind::Group => 2,
        Kind::Channel => 3,
    }
}

pub(crate) fn kind_of(code: u8) -> Result<Kind, DecodeError> {
    match code {
        1 => Ok(Kind::Direct),
        2 => Ok(Kind::Group),
        3 => Ok(Kind::Channel),
        other => Err(DecodeError::Malformed(format!("no kind of conversation {other}"))),
    }
}

pub(crate) const fn role_code(role: Role) -> u8 {
    match role {
        Role::Member => 1,
        Role::Admin => 2,
        Role::Owner => 3,
    }
}

pub(crate) fn role_of(code: u8) -> Result<Role, DecodeError> {
    match code {
        1 => Ok(Role::Member),
        2 => Ok(Role::Admin),
        3 => Ok(Role::Owner),
        other => Err(DecodeError::Malformed(format!("no role {other}"))),
    }
}

pub(crate) fn raw_users(users: &[UserId]) -> Vec<Raw> {
    users.iter().map(|user| *user.as_bytes()).collect()
}

pub(crate) fn users_of(raw: Vec<Raw>) -> Vec<UserId> {
    raw.into_iter().map(UserId::from_bytes).collect()
}

/// The bytes the log carries.
#[must_use]
pub fn encode(record: &Record) -> Bytes {
    let command = match &record.command {
        Command::Create { kind, title, members } => CommandV1::Create {
            kind: kind_code(*kind),
            title: title.clone(),
            members: raw_users(members),
        },
        Command::Update { title } => CommandV1::Update { title: title.clone() },
        Command::Add { users, role } => {
            CommandV1::Add { users: raw_users(users), role: role_code(*role) }
        }
        Command::Remove { users } => CommandV1::Remove { users: raw_users(users) },
        Command::Leave => CommandV1::Leave,
        Command::SetRole { users, role } => {
            CommandV1::SetRole { users: raw_users(users), role: role_code(*role) }
        }
        Command::Send { content, reply_to, salt } => CommandV1::Send {
            content: content.as_str().to_owned(),
            reply_to: *reply_to,
            salt: salt.0,
        },
        Command::Inbox { user, conversation, cause, present } => CommandV1::Inbox {
            user: *user.as_bytes(),
            conversation: *conversation.as_bytes(),
            cause: *cause,
            present: *present,
        },
    };
    let form = RecordV1 {
        rules: record.rules,
        tenant: *record.tenant.as_bytes(),
        conversation: *record.conversation.as_bytes(),
        sender: *record.sender.as_bytes(),
        device: *record.device.as_bytes(),
        client_id: *record.client_id.as_bytes(),
        origin: record.origin,
        command,
    };
    Bytes::from(binary::encode(VERSION, &form))
}

/// Reads what the log carried.
///
/// # Errors
/// [`DecodeError::Newer`] means stop, [`DecodeError::Malformed`] means put it aside.
pub fn decode(bytes: &[u8]) -> Result<Record, DecodeError> {
    let (_, body) = binary::version(bytes, VERSION)?;
    let form: RecordV1 = binary::decode(body)?;
    Ok(Record {
        tenant: TenantId::from_bytes(form.tenant),
        conversation: ConversationId::from_bytes(form.conversation),
        sender: UserId::from_bytes(form.sender),
        device: DeviceId::from_bytes(form.device),
        client_id: ClientId::from_bytes(form.client_id),
        rules: form.rules,
        origin: form.origin,
        command: command_of(form.command)?,
    })
}

fn command_of(command: CommandV1) -> Result<Command, DecodeError> {
    Ok(match command {
        CommandV1::Create { kind, title, members } => {
            Command::Create { kind: kind_of(kind)?, title, members: users_of(members) }
        }
        CommandV1::Update { title } => Command::Update { title },
        CommandV1::Add { users, role } => {
            Command::Add { users: users_of(users), role: role_of(role)? }
        }
        CommandV1::Remove { users } => Command::Remove { users: users_of(users) },
        CommandV1::Leave => Command::Leave,
        CommandV1::SetRole { users, role } => {
            Command::SetRole { users: users_of(users), role: role_of(role)? }
        }
        CommandV1::Send { content, reply_to, salt } => Command::Send {
            content: Content::from_canonical(Bytes::from(content)),
            reply_to,
            salt: Salt(salt),
        },
        CommandV1::Inbox { user, conversation, cause, present } => Command::Inbox {
            user: UserId::from_bytes(user),
            conversation: ConversationId::from_bytes(conversation),
            cause,
            present,
        },
    })
}
