//! What is in a row: values into columns and back. Numbers are not negative and fit a `bigint`
//! with room to spare; a timestamp is one of them, from 1 on.
//!
//! A snapshot's blob begins with what decides at equal timestamps, since then the larger bytes
//! hold: version, head u64, generation u64 and offset + 1 u64 of the last record (0: none), all
//! big endian, then the `stored` state.

use harkara_domain::{
    ConversationId, Cursor, Event, Membership, Profile, Rejection, Seq, State, TenantId, UserId,
    limits::TIMELINE_BUCKET_BITS,
};
use harkara_engine::StoreError;
use harkara_protocol::stored::{self, DecodeError};
use uuid::Uuid;

/// The version of a snapshot's blob. Old ones stay readable for ever.
const SNAPSHOT_VERSION: u8 = 1;

/// Bytes in front of the state.
const SNAPSHOT_HEADER: usize = 25;

/// Longest lower-cased name in the index: names have 256 bytes at most, and a lower-cased letter
/// is at most three times as long.
const NAME_INDEX_BYTES_MAX: usize = 768;

/// Characters of a lower-cased name that choose its partition.
const PREFIX_CHARS: usize = 2;

/// A number in a column. What does not fit is larger than everything that is stored.
pub(crate) fn column(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number as a timestamp. Two of a row never share one unless they are equal, or 0 and 1, where
/// the larger value holds as well.
pub(crate) fn timestamp(number: u64) -> i64 {
    column(number).max(1)
}

/// A number out of a column.
pub(crate) fn number(table: &str, column: i64) -> Result<u64, StoreError> {
    u64::try_from(column).map_err(|_| damaged(table, "a number is negative"))
}

/// A row that can't be what we wrote.
pub(crate) fn damaged(table: &str, what: &str) -> StoreError {
    StoreError::Stop(format!("a row of {table} is damaged ({what}): restore a backup"))
}

/// Reads a `stored` form.
fn form<T>(table: &str, read: Result<T, DecodeError>) -> Result<T, StoreError> {
    read.map_err(|error| match error {
        DecodeError::Newer { .. } => StoreError::Stop(format!("a row of {table}: {error}")),
        DecodeError::Malformed(what) => damaged(table, &what),
    })
}

/// The partition of the timeline that an event is in.
pub(crate) const fn bucket(seq: Seq) -> u64 {
    seq >> TIMELINE_BUCKET_BITS
}

/// The last sequence of a partition of the timeline.
pub(crate) const fn last_of(bucket: u64) -> Seq {
    (bucket << TIMELINE_BUCKET_BITS) | ((1 << TIMELINE_BUCKET_BITS) - 1)
}

pub(crate) type EventColumns = (Uuid, i64, i64, Vec<u8>, i64);

pub(crate) fn event(conversation: ConversationId, event: &Event) -> EventColumns {
    let (seq, bucket) = (column(event.seq), column(bucket(event.seq)));
    (conversation.uuid(), bucket, seq, stored::encode_event(event), timestamp(event.seq))
}

pub(crate) fn read_event((seq, bytes): (i64, Vec<u8>)) -> Result<Event, StoreError> {
    form("events", stored::decode_event(number("events", seq)?, &bytes))
}

pub(crate) type RejectionColumns = (Uuid, i64, i64, Vec<u8>);

pub(crate) fn rejection(conversation: ConversationId, of: &Rejection) -> RejectionColumns {
    let (generation, offset) = (column(of.position.generation.0), column(of.position.offset));
    (conversation.uuid(), generation, offset, stored::encode_rejection(of))
}

pub(crate) fn read_rejection((bytes,): (Vec<u8>,)) -> Result<Rejection, StoreError> {
    form("rejections", stored::decode_rejection(&bytes))
}

pub(crate) fn snapshot(conversation: ConversationId, state: &State) -> (Uuid, Vec<u8>, i64) {
    let (generation, offset) =
        state.applied.map_or((0, 0), |at| (at.generation.0, at.offset.saturating_add(1)));
    let encoded = stored::encode_state(state);
    let mut bytes = Vec::with_capacity(SNAPSHOT_HEADER + encoded.len());
    bytes.push(SNAPSHOT_VERSION);
    bytes.extend(state.head.to_be_bytes());
    bytes.extend(generation.to_be_bytes());
    bytes.extend(offset.to_be_bytes());
    bytes.extend(encoded);
    (conversation.uuid(), bytes, timestamp(state.head))
}

pub(crate) fn read_snapshot((bytes,): (Vec<u8>,)) -> Result<State, StoreError> {
    match bytes.first() {
        Some(&SNAPSHOT_VERSION) => {}
        Some(&found) if found > SNAPSHOT_VERSION => {
            return Err(StoreError::Stop(format!(
                "a row of snapshots is in version {found}, this build reads up to \
                 {SNAPSHOT_VERSION}: upgrade it"
            )));
        }
        _ => return Err(damaged("snapshots", "it has no version byte")),
    }
    let state = bytes.get(SNAPSHOT_HEADER..).unwrap_or_default();
    form("snapshots", stored::decode_state(state))
}

pub(crate) type MembershipColumns = (Uuid, Uuid, Vec<u8>, bool, i64, i64);

pub(crate) fn membership(of: &Membership) -> MembershipColumns {
    let conversation = of.conversation.as_bytes().to_vec();
    let (cause, at) = (column(of.cause), timestamp(of.cause));
    (of.tenant.uuid(), of.user.uuid(), conversation, of.present, cause, at)
}

pub(crate) fn read_membership(
    tenant: TenantId,
    user: UserId,
    (conversation, present, cause): (Vec<u8>, bool, i64),
) -> Result<Membership, StoreError> {
    let id = <[u8; 16]>::try_from(conversation);
    let id = id.map_err(|_| damaged("memberships", "its conversation is not 16 bytes"))?;
    let conversation = ConversationId::from_bytes(id);
    Ok(Membership { tenant, user, conversation, present, cause: number("memberships", cause)? })
}

pub(crate) type CursorColumns = (Uuid, Uuid, i64, i64, i64);

pub(crate) fn cursor(conversation: ConversationId, user: UserId, at: Cursor) -> CursorColumns {
    let (seq, ordinal) = (column(at.seq), column(at.ordinal));
    (conversation.uuid(), user.uuid(), seq, ordinal, timestamp(at.seq))
}

pub(crate) fn read_cursor(
    (member, seq, ordinal): (Uuid, i64, i64),
) -> Result<(UserId, Cursor), StoreError> {
    let cursor = Cursor { seq: number("cursors", seq)?, ordinal: number("cursors", ordinal)? };
    Ok((UserId::from_uuid(member), cursor))
}

pub(crate) fn profile(of: &Profile) -> (Uuid, Uuid, &str, i64, i64) {
    (of.tenant.uuid(), of.user.uuid(), &of.name, column(of.at), timestamp(of.at))
}

pub(crate) fn read_profile(
    tenant: TenantId,
    (person, name, at): (Uuid, String, i64),
) -> Result<Profile, StoreError> {
    Ok(Profile { tenant, user: UserId::from_uuid(person), name, at: number("profiles", at)? })
}

/// A name, or the beginning of one, as the index has it.
pub(crate) fn indexed(name: &str) -> String {
    let mut lower = name.to_lowercase();
    let mut end = lower.len().min(NAME_INDEX_BYTES_MAX);
    while !lower.is_char_boundary(end) {
        end -= 1;
    }
    lower.truncate(end);
    lower
}

/// The partition of a name that is as the index has it, and whether it is all of one: a shorter
/// text is the beginning of several.
pub(crate) fn prefix(indexed: &str) -> (&str, bool) {
    let mut ends = indexed.char_indices().map(|(at, letter)| at + letter.len_utf8());
    match ends.nth(PREFIX_CHARS - 1) {
        Some(end) => (indexed.get(..end).unwrap_or(indexed), true),
        None => (indexed, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_end_at_multiples_of_4096() {
        assert_eq!((bucket(1), bucket(4_095), bucket(4_096)), (0, 0, 1));
        assert_eq!((last_of(0), last_of(1)), (4_095, 8_191));
    }

    #[test]
    fn prefixes_are_two_characters() {
        let cases = [
            ("", "", false),
            ("a", "a", false),
            ("as", "as", true),
            ("asha", "as", true),
            ("आशा", "आश", true),
            ("李", "李", false),
        ];
        for (name, expected, whole) in cases {
            assert_eq!(prefix(name), (expected, whole), "{name}");
        }
    }
}
