//! What a store write is, as bytes: made by `store` on the caller's thread, so that the
//! committer only compares and writes.
//!
//! Events and rejections are written as they are; they never differ. Everything else is *merged*:
//! the value is a version byte, then fields in big endian with the one that decides first, then
//! the rest. The larger bytes hold, whoever comes first, so a write never goes back and the order
//! of writers does not matter.
//!
//! | Row | Bytes behind the version byte |
//! |---|---|
//! | snapshot | head u64, applied generation u64, applied offset + 1 u64 (0: none), `stored` state |
//! | membership | cause u64, present u8 |
//! | cursor | seq u64, ordinal u64 |
//! | profile | at u64, name |

use harkara_domain::{
    ConversationId, Cursor, Membership, Position, Profile, Seq, State, TenantId, UserId,
};
use harkara_engine::{StoreError, store::Step};
use harkara_protocol::stored;

use crate::tables::{
    Table, cursor_key, event_key, join, last_id, membership_key, profile_key, rejection_key,
};

/// The version of merged rows. Evolution: fields are added at the end under a new version; old
/// versions stay readable for ever.
pub(crate) const VERSION: u8 = 1;

/// Bytes of a snapshot's row in front of the state.
const SNAPSHOT_HEADER: usize = 25;

/// One row to write.
pub(crate) enum Change {
    /// Write it.
    Put { table: Table, key: Vec<u8>, value: Vec<u8> },
    /// Write it if it is larger than what is there; for a snapshot `forget` is the key of the last
    /// rejection that is in it.
    Merge { table: Table, key: Vec<u8>, value: Vec<u8>, forget: Option<Vec<u8>> },
}

impl Change {
    /// Bytes of key and value.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Put { key, value, .. } | Self::Merge { key, value, .. } => {
                key.len() + value.len()
            }
        }
    }
}

/// The rows of a step.
pub(crate) fn step(conversation: ConversationId, step: &Step) -> Vec<Change> {
    let mut changes = Vec::with_capacity(step.events.len() + step.memberships.len() + 1);
    changes.extend(step.events.iter().map(|event| Change::Put {
        table: Table::Events,
        key: event_key(conversation, event.seq),
        value: stored::encode_event(event),
    }));
    changes.extend(step.rejections.iter().map(|rejection| Change::Put {
        table: Table::Rejections,
        key: rejection_key(conversation, rejection.position),
        value: stored::encode_rejection(rejection),
    }));
    changes.extend(step.memberships.iter().map(membership));
    changes.extend(step.snapshot.as_ref().map(|state| snapshot(conversation, state)));
    changes
}

fn snapshot(conversation: ConversationId, state: &State) -> Change {
    let (generation, offset) =
        state.applied.map_or((0, 0), |at| (at.generation.0, at.offset.saturating_add(1)));
    let value = join(&[
        &[VERSION],
        &state.head.to_be_bytes(),
        &generation.to_be_bytes(),
        &offset.to_be_bytes(),
        &stored::encode_state(state),
    ]);
    let forget = state.applied.map(|applied: Position| rejection_key(conversation, applied));
    Change::Merge { table: Table::Snapshots, key: conversation.as_bytes().to_vec(), value, forget }
}

fn merge(table: Table, key: Vec<u8>, value: Vec<u8>) -> Change {
    Change::Merge { table, key, value, forget: None }
}

fn membership(membership: &Membership) -> Change {
    let Membership { tenant, user, conversation, present, cause } = *membership;
    let value = join(&[&[VERSION], &cause.to_be_bytes(), &[u8::from(present)]]);
    merge(Table::Memberships, membership_key(tenant, user, conversation), value)
}

/// A cursor's row.
pub(crate) fn cursor(conversation: ConversationId, user: UserId, cursor: Cursor) -> Change {
    let value = join(&[&[VERSION], &cursor.seq.to_be_bytes(), &cursor.ordinal.to_be_bytes()]);
    merge(Table::Cursors, cursor_key(conversation, user), value)
}

/// A profile's row; the committer keeps the index of names beside it.
pub(crate) fn profile(profile: &Profile) -> Change {
    let value = join(&[&[VERSION], &profile.at.to_be_bytes(), profile.name.as_bytes()]);
    merge(Table::Profiles, profile_key(profile.tenant, profile.user), value)
}

/// What is behind the version byte of a merged row.
///
/// # Errors
/// A newer version, or no bytes at all.
pub(crate) fn body(table: Table, value: &[u8]) -> Result<&[u8], StoreError> {
    match value.split_first() {
        Some((&VERSION, body)) => Ok(body),
        Some((&found, _)) if found > VERSION => Err(StoreError::Stop(format!(
            "a row of {table:?} is in version {found}, this build reads up to {VERSION}: upgrade it"
        ))),
        _ => Err(damaged(table, "it has no version byte")),
    }
}

/// A row that can't be what we wrote.
pub(crate) fn damaged(table: Table, what: &str) -> StoreError {
    StoreError::Stop(format!("a row of {table:?} is damaged ({what}): restore a backup"))
}

/// Reads a `stored` form.
pub(crate) fn form<T>(table: Table, read: Result<T, stored::DecodeError>) -> Result<T, StoreError> {
    read.map_err(|e| match e {
        stored::DecodeError::Newer { .. } => StoreError::Stop(format!("a row of {table:?}: {e}")),
        stored::DecodeError::Malformed(what) => damaged(table, &what),
    })
}

fn fields<const N: usize>(table: Table, value: &[u8]) -> Result<(&[u8; N], &[u8]), StoreError> {
    body(table, value)?.split_first_chunk().ok_or_else(|| damaged(table, "it is too short"))
}

/// The state in a snapshot's row.
pub(crate) fn read_snapshot(value: &[u8]) -> Result<State, StoreError> {
    body(Table::Snapshots, value)?;
    let state = value.get(SNAPSHOT_HEADER..).unwrap_or_default();
    form(Table::Snapshots, stored::decode_state(state))
}

/// Whether a membership's row says present, and its cause.
pub(crate) fn read_membership(
    tenant: TenantId,
    user: UserId,
    key: &[u8],
    value: &[u8],
) -> Result<Membership, StoreError> {
    let (cause, rest) = fields::<8>(Table::Memberships, value)?;
    let id = last_id(key).ok_or_else(|| damaged(Table::Memberships, "its key is too short"))?;
    Ok(Membership {
        tenant,
        user,
        conversation: ConversationId::from_bytes(id),
        present: rest.first() == Some(&1),
        cause: Seq::from_be_bytes(*cause),
    })
}

/// A cursor and whose it is.
pub(crate) fn read_cursor(key: &[u8], value: &[u8]) -> Result<(UserId, Cursor), StoreError> {
    let (seq, rest) = fields::<8>(Table::Cursors, value)?;
    let ordinal = rest.first_chunk().ok_or_else(|| damaged(Table::Cursors, "it is too short"))?;
    let id = last_id(key).ok_or_else(|| damaged(Table::Cursors, "its key is too short"))?;
    let cursor = Cursor { seq: u64::from_be_bytes(*seq), ordinal: u64::from_be_bytes(*ordinal) };
    Ok((UserId::from_bytes(id), cursor))
}

/// A profile.
pub(crate) fn read_profile(
    tenant: TenantId,
    user: UserId,
    value: &[u8],
) -> Result<Profile, StoreError> {
    let (at, _) = fields::<8>(Table::Profiles, value)?;
    Ok(Profile { tenant, user, name: profile_name(value)?.to_owned(), at: u64::from_be_bytes(*at) })
}

/// The name in a profile's row.
pub(crate) fn profile_name(value: &[u8]) -> Result<&str, StoreError> {
    let (_, name) = fields::<8>(Table::Profiles, value)?;
    std::str::from_utf8(name).map_err(|_| damaged(Table::Profiles, "its name is not text"))
}
