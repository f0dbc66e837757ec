//! The form of a chunk: a header, then rows. Numbers are big endian.
//!
//! ```text
//! chunk = "harkara\0" version u8, row*
//! row   = length u32 (of what follows), kind u8, fields
//! ```
//!
//! | Kind | Row | Fields |
//! |---|---|---|
//! | 1 | conversation | id, tenant, head u64, chain at the head |
//! | 2 | event | seq u64, `stored` event |
//! | 3 | memberships | (user, present u8, cause u64)* |
//! | 4 | cursors | (user, seq u64, ordinal u64)* |
//! | 5 | state | `stored` state |
//! | 6 | profile | tenant, user, at u64, name |
//!
//! A conversation is its row, its events in order, then memberships, cursors and state. Where a
//! chunk ends in the middle of one, the next chunk begins with the conversation's row again.
//! Evolution: as in `harkara_protocol::stored`; a new kind is a new version.

use anyhow::{Context as _, bail, ensure};
use harkara_domain::{
    ConversationId, Cursor, Event, Hash, Membership, Profile, Seq, State, TenantId, UserId,
};
use harkara_protocol::stored;

const MAGIC: &[u8; 8] = b"harkara\0";
const VERSION: u8 = 1;

/// Longest row: the state of 20,000 members takes 1.3 MB, the rows of lists 25 bytes for each
/// user who ever was a member; 64 MiB is the mark of nonsense.
const ROW_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A conversation begins, or goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Which.
    pub conversation: ConversationId,
    /// Whose.
    pub tenant: TenantId,
    /// Its newest event.
    pub head: Seq,
    /// The hash chain there.
    pub chain: Hash,
}

/// One row of a chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    /// What follows belongs to this conversation.
    Conversation(Head),
    /// The next event.
    Event(Box<Event>),
    /// The rows of lists that the events come to; tenant and conversation are the head's.
    Memberships(Vec<(UserId, bool, Seq)>),
    /// Everybody's read cursor.
    Cursors(Vec<(UserId, Cursor)>),
    /// The state after the last event: the conversation is complete.
    State(Box<State>),
    /// A user's name.
    Profile(Profile),
}

impl Head {
    /// A row of somebody's list.
    #[must_use]
    pub fn membership(&self, (user, present, cause): (UserId, bool, Seq)) -> Membership {
        let Self { tenant, conversation, .. } = *self;
        Membership { tenant, user, conversation, present, cause }
    }
}

/// A chunk being made.
#[derive(Default)]
pub struct Builder {
    bytes: Vec<u8>,
    rows: u64,
}

impl Builder {
    /// Adds a row: how many bytes it took.
    ///
    /// # Errors
    /// It is longer than any row of ours.
    pub fn push(&mut self, row: &Row) -> anyhow::Result<u64> {
        if self.bytes.is_empty() {
            self.bytes.extend_from_slice(MAGIC);
            self.bytes.push(VERSION);
        }
        let (kind, fields) = encode(row);
        ensure!(fields.len() < ROW_BYTES_MAX, "a row of {} bytes is too long", fields.len());
        let length = u32::try_from(fields.len() + 1)?;
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.push(kind);
        self.bytes.extend_from_slice(&fields);
        self.rows += 1;
        Ok(u64::from(length) + 4)
    }

    /// Bytes so far.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Is nothing in it?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The chunk's bytes, and how many rows they are.
    #[must_use]
    pub fn finish(self) -> (Vec<u8>, u64) {
        (self.bytes, self.rows)
    }
}

fn encode(row: &Row) -> (u8, Vec<u8>) {
    match row {
        Row::Conversation(head) => {
            let ids = [head.conversation.as_bytes().as_slice(), head.tenant.as_bytes()].concat();
            (1, [&ids, head.head.to_be_bytes().as_slice(), &head.chain.0].concat())
        }
        Row::Event(event) => {
            (2, [event.seq.to_be_bytes().as_slice(), &stored::encode_event(event)].concat())
        }
        Row::Memberships(rows) => {
            let one = |(user, present, cause): &(UserId, bool, Seq)| {
                [user.as_bytes().as_slice(), &[u8::from(*present)], &cause.to_be_bytes()].concat()
            };
            (3, rows.iter().flat_map(one).collect())
        }
        Row::Cursors(rows) => {
            let one = |(user, cursor): &(UserId, Cursor)| {
                let (seq, ordinal) = (cursor.seq.to_be_bytes(), cursor.ordinal.to_be_bytes());
                [user.as_bytes().as_slice(), &seq, &ordinal].concat()
            };
            (4, rows.iter().flat_map(one).collect())
        }
        Row::State(state) => (5, stored::encode_state(state)),
        Row::Profile(profile) => {
            let ids = [profile.tenant.as_bytes().as_slice(), profile.user.as_bytes()].concat();
            (6, [&ids, profile.at.to_be_bytes().as_slice(), profile.name.as_bytes()].concat())
        }
    }
}

/// All rows of a chunk.
///
/// # Errors
/// It is not one, or of a newer build.
pub fn read(bytes: &[u8]) -> anyhow::Result<Vec<Row>> {
    let mut rest = bytes.strip_prefix(MAGIC).context("it does not begin as a chunk does")?;
    let version = take::<1>(&mut rest)?[0];
    ensure!(
        version <= VERSION,
        "it has the form {version}, this build reads up to {VERSION}: use the build that wrote it, \
         or a newer one"
    );
    let mut rows = Vec::new();
    let mut conversation = None;
    while !rest.is_empty() {
        let length = usize::try_from(u32::from_be_bytes(take(&mut rest)?))?;
        let (row, after) = rest.split_at_checked(length).context("its last row is cut off")?;
        rest = after;
        let (kind, fields) = row.split_first().context("a row is empty")?;
        let row = decode(*kind, fields, conversation)?;
        if let Row::Conversation(head) = &row {
            conversation = Some(head.conversation);
        }
        rows.push(row);
    }
    Ok(rows)
}

fn decode(
    kind: u8,
    mut fields: &[u8],
    conversation: Option<ConversationId>,
) -> anyhow::Result<Row> {
    ensure!(
        matches!(kind, 1 | 6) || conversation.is_some(),
        "a row of kind {kind} belongs to no conversation"
    );
    let rest = &mut fields;
    Ok(match kind {
        1 => Row::Conversation(Head {
            conversation: ConversationId::from_bytes(take(rest)?),
            tenant: TenantId::from_bytes(take(rest)?),
            head: number(rest)?,
            chain: Hash(take(rest)?),
        }),
        2 => {
            let seq = number(rest)?;
            Row::Event(Box::new(stored::decode_event(seq, rest)?))
        }
        3 => Row::Memberships(many(rest, |rest| {
            let user = UserId::from_bytes(take(rest)?);
            Ok((user, take::<1>(rest)? == [1], number(rest)?))
        })?),
        4 => Row::Cursors(many(rest, |rest| {
            let user = UserId::from_bytes(take(rest)?);
            Ok((user, Cursor { seq: number(rest)?, ordinal: number(rest)? }))
        })?),
        5 => Row::State(Box::new(stored::decode_state(rest)?)),
        6 => Row::Profile(Profile {
            tenant: TenantId::from_bytes(take(rest)?),
            user: UserId::from_bytes(take(rest)?),
            at: number(rest)?,
            name: String::from_utf8(rest.to_vec()).context("a name is not text")?,
        }),
        other => bail!("there is no row of kind {other}"),
    })
}

fn take<const N: usize>(rest: &mut &[u8]) -> anyhow::Result<[u8; N]> {
    let (first, after) = rest.split_first_chunk().context("a row is too short")?;
    *rest = after;
    Ok(*first)
}

fn number(rest: &mut &[u8]) -> anyhow::Result<u64> {
    Ok(u64::from_be_bytes(take(rest)?))
}

fn many<T>(
    rest: &mut &[u8],
    one: impl Fn(&mut &[u8]) -> anyhow::Result<T>,
) -> anyhow::Result<Vec<T>> {
    let mut found = Vec::new();
    while !rest.is_empty() {
        found.push(one(rest)?);
    }
    Ok(found)
}
