//! What the store keeps, each form as version byte and bincode: events, rejections, snapshots.
//!
//! The key of an event's row holds conversation and sequence, so they are not in the value; every
//! store keeps the rest of the event in this form. Evolution: as in [`crate::record`], but for ever: history outlives the
//! log, so no version is ever dropped.

use bytes::Bytes;
use harkara_domain::{
    Body, ClientId, Content, DeviceId, Event, Fingerprint, Generation, Hash, Member, Millis,
    Ordinal, Position, RejectCode, Rejection, Salt, Seq, State, TenantId, UserId,
};
use serde::{Deserialize, Serialize};

pub use crate::binary::DecodeError;
use crate::{
    binary,
    record::{kind_code, kind_of, raw_users, role_code, role_of, users_of},
};

/// The newest version of the forms on this page.
pub const VERSION: u8 = 1;

type Raw = [u8; 16];

#[derive(Serialize, Deserialize)]
enum BodyV1 {
    Created { kind: u8, title: Option<String>, members: Vec<Raw> },
    Updated { kind: u8, title: Option<String> },
    Added { users: Vec<Raw>, role: u8 },
    Removed { users: Vec<Raw> },
    Left { successor: Option<Raw> },
    RoleSet { users: Vec<Raw>, role: u8 },
    Message { content: String, reply_to: Option<u64>, salt: Raw },
}

impl BodyV1 {
    fn new(body: &Body) -> Self {
        match body {
            Body::Created { kind, title, members } => Self::Created {
                kind: kind_code(*kind),
                title: title.clone(),
                members: raw_users(members),
            },
            Body::Updated { kind, title } => {
                Self::Updated { kind: kind_code(*kind), title: title.clone() }
            }
            Body::Added { users, role } => {
                Self::Added { users: raw_users(users), role: role_code(*role) }
            }
            Body::Removed { users } => Self::Removed { users: raw_users(users) },
            Body::Left { successor } => Self::Left { successor: successor.map(|u| *u.as_bytes()) },
            Body::RoleSet { users, role } => {
                Self::RoleSet { users: raw_users(users), role: role_code(*role) }
            }
            Body::Message { content, reply_to, salt } => Self::Message {
                content: content.as_str().to_owned(),
                reply_to: *reply_to,
                salt: salt.0,
            },
        }
    }

    fn body(self) -> Result<Body, DecodeError> {
        Ok(match self {
            Self::Created { kind, title, members } => {
                Body::Created { kind: kind_of(kind)?, title, members: users_of(members) }
            }
            Self::Updated { kind, title } => Body::Updated { kind: kind_of(kind)?, title },
            Self::Added { users, role } => {
                Body::Added { users: users_of(users), role: role_of(role)? }
            }
            Self::Removed { users } => Body::Removed { users: users_of(users) },
            Self::Left { successor } => Body::Left { successor: successor.map(UserId::from_bytes) },
            Self::RoleSet { users, role } => {
                Body::RoleSet { users: users_of(users), role: role_of(role)? }
            }
            Self::Message { content, reply_to, salt } => Body::Message {
                content: Content::from_canonical(Bytes::from(content)),
                reply_to,
                salt: Salt(salt),
            },
        })
    }
}

#[derive(Serialize, Deserialize)]
struct EventV1 {
    tenant: Raw,
    ordinal: Ordinal,
    at: Millis,
    sender: Raw,
    device: Raw,
    client_id: Raw,
    fingerprint: [u8; 8],
    generation: u64,
    offset: u64,
    chain: [u8; 32],
    body: BodyV1,
}

/// An event's body alone.
#[must_use]
pub fn encode_body(body: &Body) -> Vec<u8> {
    binary::encode(VERSION, &BodyV1::new(body))
}

/// Reads an event's body.
///
/// # Errors
/// [`DecodeError::Newer`] means stop, [`DecodeError::Malformed`] means damage.
pub fn decode_body(bytes: &[u8]) -> Result<Body, DecodeError> {
    let (_, body) = binary::version(bytes, VERSION)?;
    binary::decode::<BodyV1>(body)?.body()
}

/// A whole event without its sequence, which is in its key.
#[must_use]
pub fn encode_event(event: &Event) -> Vec<u8> {
    let form = EventV1 {
        tenant: *event.tenant.as_bytes(),
        ordinal: event.ordinal,
        at: event.at,
        sender: *event.sender.as_bytes(),
        device: *event.device.as_bytes(),
        client_id: *event.client_id.as_bytes(),
        fingerprint: event.fingerprint.0,
        generation: event.position.generation.0,
        offset: event.position.offset,
        chain: event.chain.0,
        body: BodyV1::new(&event.body),
    };
    binary::encode(VERSION, &form)
}

/// Reads a whole event.
///
/// # Errors
/// [`DecodeError::Newer`] means stop, [`DecodeError::Malformed`] means damage.
pub fn decode_event(seq: Seq, bytes: &[u8]) -> Result<Event, DecodeError> {
    let (_, body) = binary::version(bytes, VERSION)?;
    let form: EventV1 = binary::decode(body)?;
    Ok(Event {
        tenant: TenantId::from_bytes(form.tenant),
        seq,
        ordinal: form.ordinal,
        at: form.at,
        sender: UserId::from_bytes(form.sender),
        device: DeviceId::from_bytes(form.device),
        client_id: ClientId::from_bytes(form.client_id),
        fingerprint: Fingerprint(form.fingerprint),
        position: Position { generation: Generation(form.generation), offset: form.offset },
        body: form.body.body()?,
        chain: Hash(form.chain),
    })
}

#[derive(Serialize, Deserialize)]
struct RejectionV1 {
    generation: u64,
    offset: u64,
    device: Raw,
    client_id: Raw,
    fingerprint: [u8; 8],
    code: u8,
}

impl From<&Rejection> for RejectionV1 {
    fn from(rejection: &Rejection) -> Self {
        Self {
            generation: rejection.position.generation.0,
            offset: rejection.position.offset,
            device: *rejection.device.as_bytes(),
            client_id: *rejection.client_id.as_bytes(),
            fingerprint: rejection.fingerprint.0,
            code: reject_code(rejection.code),
        }
    }
}

impl TryFrom<RejectionV1> for Rejection {
    type Error = DecodeError;

    fn try_from(form: RejectionV1) -> Result<Self, DecodeError> {
        Ok(Self {
            position: Position { generation: Generation(form.generation), offset: form.offset },
            device: DeviceId::from_bytes(form.device),
            client_id: ClientId::from_bytes(form.client_id),
            fingerprint: Fingerprint(form.fingerprint),
            code: reject_of(form.code)?,
        })
    }
}

pub(crate) const fn reject_code(code: RejectCode) -> u8 {
    match code {
        RejectCode::NotAMember => 1,
        RejectCode::Forbidden => 2,
        RejectCode::Conflict => 3,
        RejectCode::NotFound => 4,
        RejectCode::InvalidContent => 5,
        RejectCode::TooLarge => 6,
        RejectCode::Unsupported => 7,
    }
}

pub(crate) fn reject_of(code: u8) -> Result<RejectCode, DecodeError> {
    match code {
        1 => Ok(RejectCode::NotAMember),
        2 => Ok(RejectCode::Forbidden),
        3 => Ok(RejectCode::Conflict),
        4 => Ok(RejectCode::NotFound),
        5 => Ok(RejectCode::InvalidContent),
        6 => Ok(RejectCode::TooLarge),
        7 => Ok(RejectCode::Unsupported),
        other => Err(DecodeError::Malformed(format!("no reject code {other}"))),
    }
}

/// A rejection.
#[must_use]
pub fn encode_rejection(rejection: &Rejection) -> Vec<u8> {
    binary::encode(VERSION, &RejectionV1::from(rejection))
}

/// Reads a rejection.
///
/// # Errors
/// [`DecodeError::Newer`] means stop, [`DecodeError::Malformed`] means damage.
pub fn decode_rejection(bytes: &[u8]) -> Result<Rejection, DecodeError> {
    let (_, body) = binary::version(bytes, VERSION)?;
    binary::decode::<RejectionV1>(body)?.try_into()
}

#[derive(Serialize, Deserialize)]
struct StateV1 {
    tenant: Raw,
    kind: u8,
    title: Option<String>,
    head: Seq,
    ordinal: Ordinal,
    at: Millis,
    chain: [u8; 32],
    applied: Option<(u64, u64)>,
    members: Vec<(Raw, u8, Seq, Seq, Ordinal)>,
    rejections: Vec<RejectionV1>,
}

/// A conversation's snapshot.
#[must_use]
pub fn encode_state(state: &State) -> Vec<u8> {
    let form = StateV1 {
        tenant: *state.tenant.as_bytes(),
        kind: kind_code(state.kind),
        title: state.title.clone(),
        head: state.head,
        ordinal: state.ordinal,
        at: state.at,
        chain: state.chain.0,
        applied: state.applied.map(|p| (p.generation.0, p.offset)),
        members: state
            .members
            .iter()
            .map(|(u, m)| (*u.as_bytes(), role_code(m.role), m.from, m.sent, m.sent_ordinal))
            .collect(),
        rejections: state.rejections.iter().map(RejectionV1::from).collect(),
    };
    binary::encode(VERSION, &form)
}

/// Reads a conversation's snapshot.
///
/// # Errors
/// [`DecodeError::Newer`] means stop, [`DecodeError::Malformed`] means damage.
pub fn decode_state(bytes: &[u8]) -> Result<State, DecodeError> {
    let (_, body) = binary::version(bytes, VERSION)?;
    let form: StateV1 = binary::decode(body)?;
    let member = |(user, role, from, sent, sent_ordinal): (Raw, u8, Seq, Seq, Ordinal)| {
        Ok((UserId::from_bytes(user), Member { role: role_of(role)?, from, sent, sent_ordinal }))
    };
    Ok(State {
        tenant: TenantId::from_bytes(form.tenant),
        kind: kind_of(form.kind)?,
        title: form.title,
        head: form.head,
        ordinal: form.ordinal,
        at: form.at,
        chain: Hash(form.chain),
        applied: form
            .applied
            .map(|(generation, offset)| Position { generation: Generation(generation), offset }),
        members: form.members.into_iter().map(member).collect::<Result<_, DecodeError>>()?,
        rejections: form
            .rejections
            .into_iter()
            .map(Rejection::try_from)
            .collect::<Result<_, DecodeError>>()?,
    })
}
