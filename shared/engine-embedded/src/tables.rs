//! The keyspaces of the database and how their keys look. Written by the committer alone, read by
//! log and store. Numbers in keys are big endian, so that bytes sort as numbers do.
//!
//! | Keyspace | Key | Value | Serves |
//! |---|---|---|---|
//! | `meta` | a word, or `commit` and a partition | a number | opening, commits |
//! | `log` | partition u16, offset u64 | append time u64, record | readers |
//! | `events` | conversation, seq >> 12 u64, seq u64 | `stored` event | timeline, rebuild |
//! | `rejections` | conversation, generation u64, offset u64 | `stored` rejection | rebuild |
//! | `snapshots` | conversation | see `rows` | rebuild |
//! | `memberships` | tenant, user, conversation | see `rows` | a user's list |
//! | `cursors` | conversation, user | see `rows` | unread, read marks |
//! | `profiles` | tenant, user | see `rows` | names |
//! | `names` | tenant, lower-cased name, 0, user | nothing | search by name |

use fjall::{
    Database, Keyspace, KeyspaceCreateOptions, Slice,
    config::{BloomConstructionPolicy, FilterPolicy, FilterPolicyEntry},
};
use harkara_domain::{
    ConversationId, Position, Seq, TenantId, UserId, limits::TIMELINE_BUCKET_BITS,
};

/// Which keyspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    /// Format, generation, partitions, commits.
    Meta,
    /// Records.
    Log,
    /// Timelines.
    Events,
    /// Refused commands.
    Rejections,
    /// States.
    Snapshots,
    /// Lists.
    Memberships,
    /// Read cursors.
    Cursors,
    /// Names of users.
    Profiles,
    /// Users by name.
    Names,
}

impl Table {
    const ALL: [Self; 9] = [
        Self::Meta,
        Self::Log,
        Self::Events,
        Self::Rejections,
        Self::Snapshots,
        Self::Memberships,
        Self::Cursors,
        Self::Profiles,
        Self::Names,
    ];

    /// The keyspace's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Log => "log",
            Self::Events => "events",
            Self::Rejections => "rejections",
            Self::Snapshots => "snapshots",
            Self::Memberships => "memberships",
            Self::Cursors => "cursors",
            Self::Profiles => "profiles",
            Self::Names => "names",
        }
    }

    /// Bytes in memory before they are sorted into a file. Up to twice this is held while a flush
    /// runs: (2 × 16 + 7 × 8) × 2 = 176 MiB at the very worst, a third of it in practice. What is
    /// in memory is in the journal too, and is read again at the next start.
    const fn memtable_bytes(self) -> u64 {
        match self {
            Self::Log | Self::Events => 16 * 1024 * 1024,
            _ => 8 * 1024 * 1024,
        }
    }

    /// How the keyspace is set up.
    #[must_use]
    pub fn options(self) -> KeyspaceCreateOptions {
        let options = KeyspaceCreateOptions::default().max_memtable_size(self.memtable_bytes());
        match self {
            // Read by range only, where a filter never answers: save its memory.
            Self::Log | Self::Events | Self::Rejections | Self::Names => {
                options.filter_policy(FilterPolicy::all(FilterPolicyEntry::None))
            }
            _ => options.filter_policy(FilterPolicy::all(FilterPolicyEntry::Bloom(
                BloomConstructionPolicy::BitsPerKey(10.0),
            ))),
        }
    }
}

/// Handles of all keyspaces; clones share them.
#[derive(Clone)]
pub(crate) struct Tables {
    pub(crate) database: Database,
    keyspaces: [Keyspace; 9],
}

impl Tables {
    /// Opens the keyspaces, making those that are missing.
    pub(crate) fn open(database: Database) -> fjall::Result<Self> {
        let open = |table: Table| database.keyspace(table.name(), || table.options());
        let [a, b, c, d, e, f, g, h, i] = Table::ALL;
        let keyspaces = [
            open(a)?,
            open(b)?,
            open(c)?,
            open(d)?,
            open(e)?,
            open(f)?,
            open(g)?,
            open(h)?,
            open(i)?,
        ];
        Ok(Self { database, keyspaces })
    }

    /// Are all keyspaces there already?
    pub(crate) fn complete(database: &Database) -> bool {
        Table::ALL.iter().all(|table| database.keyspace_exists(table.name()))
    }

    pub(crate) fn of(&self, table: Table) -> &Keyspace {
        &self.keyspaces[table as usize]
    }

    pub(crate) fn get(&self, table: Table, key: &[u8]) -> fjall::Result<Option<Slice>> {
        self.of(table).get(key)
    }
}

/// Joins the parts of a key.
pub(crate) fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

pub(crate) fn log_key(partition: u16, offset: u64) -> [u8; 10] {
    let mut key = [0; 10];
    key[..2].copy_from_slice(&partition.to_be_bytes());
    key[2..].copy_from_slice(&offset.to_be_bytes());
    key
}

/// The offset in a key of the log.
pub(crate) fn log_offset(key: &[u8]) -> Option<u64> {
    key.get(2..).and_then(number)
}

pub(crate) fn commit_key(partition: u16) -> Vec<u8> {
    join(&[b"commit", &partition.to_be_bytes()])
}

/// A value that is one number.
pub(crate) fn number(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_be_bytes)
}

pub(crate) fn event_key(conversation: ConversationId, seq: Seq) -> Vec<u8> {
    let bucket = seq >> TIMELINE_BUCKET_BITS;
    join(&[conversation.as_bytes(), &bucket.to_be_bytes(), &seq.to_be_bytes()])
}

/// The sequence in a key of an event.
pub(crate) fn event_seq(key: &[u8]) -> Option<Seq> {
    key.get(24..).and_then(number)
}

pub(crate) fn rejection_key(conversation: ConversationId, position: Position) -> Vec<u8> {
    let Position { generation, offset } = position;
    join(&[conversation.as_bytes(), &generation.0.to_be_bytes(), &offset.to_be_bytes()])
}

pub(crate) fn membership_key(
    tenant: TenantId,
    user: UserId,
    conversation: ConversationId,
) -> Vec<u8> {
    join(&[tenant.as_bytes(), user.as_bytes(), conversation.as_bytes()])
}

pub(crate) fn cursor_key(conversation: ConversationId, user: UserId) -> Vec<u8> {
    join(&[conversation.as_bytes(), user.as_bytes()])
}

pub(crate) fn profile_key(tenant: TenantId, user: UserId) -> Vec<u8> {
    join(&[tenant.as_bytes(), user.as_bytes()])
}

/// Longest piece of a lower-cased name that is in the index; names are 256 bytes at most, and a
/// lower-cased letter is at most three times as long.
const NAME_INDEX_BYTES_MAX: usize = 768;

/// What the index has of a name or of a prefix that is looked for.
pub(crate) fn indexed(name: &str) -> String {
    let mut lower = name.to_lowercase();
    let mut end = lower.len().min(NAME_INDEX_BYTES_MAX);
    while !lower.is_char_boundary(end) {
        end -= 1;
    }
    lower.truncate(end);
    lower
}

pub(crate) fn name_key(tenant: &[u8], name: &str, user: &[u8]) -> Vec<u8> {
    join(&[tenant, indexed(name).as_bytes(), &[0], user])
}

/// The last 16 bytes of a key: the id it ends in.
pub(crate) fn last_id(key: &[u8]) -> Option<[u8; 16]> {
    key.last_chunk().copied()
}
