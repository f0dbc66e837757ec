//! Damaged files: refused with a sentence, never a panic, and nothing is made worse. And the
//! opposite: a journal that a crash cut off anywhere opens with a prefix of what was written.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use harkara_domain::{
    Body, ClientId, Content, ConversationId, DeviceId, Event, Fingerprint, Generation, Hash,
    Position, Salt, TenantId, UserId, limits::SEQ_MAX,
};
use harkara_engine::{LogError, store::Step};
use harkara_engine_embedded::{Embedded, OpenError};
use tempfile::TempDir;

use crate::support::{append, copy, open, options, read_all, try_open};

const RECORDS: u64 = 12;

/// Bytes between two flips: no divisor of a row's length, so that all fields are met.
const STEP: usize = 37;

fn conversation() -> ConversationId {
    ConversationId::from_bytes([1; 16])
}

fn journal(dir: &Path) -> PathBuf {
    dir.join("db/0.jnl")
}

/// Where the zeros begin that a fresh journal is filled with.
fn used(dir: &Path) -> usize {
    let bytes = fs::read(journal(dir)).expect("the journal");
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

fn event(seq: u64) -> Arc<Event> {
    let content = Content::from_canonical(Bytes::from(format!("{{\"text\":\"FJL\u{3} {seq}\"}}")));
    Arc::new(Event {
        tenant: TenantId::from_bytes([8; 16]),
        seq,
        ordinal: seq,
        at: seq,
        sender: UserId::from_bytes([2; 16]),
        device: DeviceId::from_bytes([3; 16]),
        client_id: ClientId::from_bytes([4; 16]),
        fingerprint: Fingerprint([5; 8]),
        position: Position { generation: Generation(1), offset: seq - 1 },
        body: Body::Message { content, reply_to: None, salt: Salt([6; 16]) },
        chain: Hash([7; 32]),
    })
}

/// A directory with some batches in its journal: appends, each followed by its event and its
/// commit. Also how long the journal was when the database was made.
async fn written() -> (TempDir, usize) {
    let dir = tempfile::tempdir().expect("a directory");
    let embedded = open(dir.path());
    let (log, store) = (embedded.log(), embedded.store());
    let made = used(dir.path());
    let mut assignments = log.consume().await.expect("consuming works");
    let mut reader = assignments.next().await.expect("a partition");
    for n in 1..=RECORDS {
        // A trailer of fjall's in a record must fool nobody.
        let record = Bytes::from(format!("record FJL\u{3} {n}"));
        append(&*log, 0, record).await.expect("appends work");
        let read = reader.next(9).await.expect("reading works").expect("it is ours");
        let step = Step { events: vec![event(n)], ..Step::default() };
        let tenant = TenantId::from_bytes([8; 16]);
        store.write(tenant, conversation(), step).await.expect("writes work");
        let next = read.last().expect("a record").offset + 1;
        reader.committer().commit(next).await.expect("commits work");
    }
    embedded.close().await.expect("closing works");
    (dir, made)
}

fn refused(result: Result<Embedded, OpenError>, what: &str) -> OpenError {
    let Err(error) = result else { panic!("{what}: must be refused") };
    assert!(matches!(error, OpenError::Corrupt { .. }), "{what}: {error:?}");
    let sentence = error.to_string();
    assert!(sentence.contains("nothing was changed"), "{sentence}");
    assert!(sentence.contains("restore a backup"), "{sentence}");
    error
}

#[tokio::test]
async fn a_flipped_byte_in_the_journal_is_noticed() {
    let (dir, made) = written().await;
    let whole = fs::read(journal(dir.path())).expect("the journal");
    let end = used(dir.path());
    let mut accepted = 0;
    // Here and there, and every byte of the last batch's end.
    for at in (made..end).step_by(STEP).chain(end - 13..end) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        fs::write(journal(dir.path()), &bytes).expect("the journal");
        match try_open(dir.path()) {
            Ok(embedded) => {
                // Sequence numbers of batches are not in fjall's checksum; a changed one that is
                // still in order changes nothing.
                let read = read_all(&*embedded.log(), 0).await;
                assert_eq!(read.len(), 0, "byte {at}: the commit must be there");
                let events = embedded.store().events(conversation(), 0, SEQ_MAX, 99).await;
                let events = events.expect("reading works");
                assert_eq!(events.len() as u64, RECORDS, "byte {at}: events must be there");
                accepted += 1;
            }
            error => {
                refused(error, &format!("byte {at}"));
                let after = fs::read(journal(dir.path())).expect("the journal");
                assert!(after == bytes, "byte {at}: the journal must be left as it is");
            }
        }
    }
    let flipped = (end - made).div_ceil(STEP) + 13;
    assert!(accepted * 10 < flipped, "{accepted} of {flipped} flips went unnoticed");
    fs::write(journal(dir.path()), &whole).expect("the journal");
    drop(open(dir.path()));
}

/// Every row of a batch stands before its commit in the journal, so whatever a crash cuts off,
/// the store is never behind the commit.
#[tokio::test]
async fn a_journal_cut_off_anywhere_opens_with_a_prefix() {
    let (dir, made) = written().await;
    let end = used(dir.path());
    for at in (made..end).step_by(29) {
        let cut = tempfile::tempdir().expect("a directory");
        copy(dir.path(), cut.path());
        let mut bytes = fs::read(journal(cut.path())).expect("the journal");
        bytes[at..].fill(0);
        fs::write(journal(cut.path()), &bytes).expect("the journal");
        let embedded = try_open(cut.path()).unwrap_or_else(|e| panic!("cut off at {at}: {e}"));
        let (log, store) = (embedded.log(), embedded.store());
        let events = store.events(conversation(), 0, SEQ_MAX, 99).await.expect("reading works");
        let seqs: Vec<_> = events.iter().map(|event| event.seq).collect();
        let stored = seqs.len() as u64;
        assert_eq!(seqs, (1..=stored).collect::<Vec<_>>(), "cut off at {at}: a prefix");
        let left = read_all(&*log, 0).await;
        let committed = left.first().map_or(stored, |entry| entry.offset);
        assert!(committed <= stored, "cut off at {at}: commit {committed}, stored {stored}");
    }
}

#[tokio::test]
async fn missing_and_foreign_files_are_noticed() {
    let (dir, _) = written().await;
    let db = |dir: &Path| dir.join("db");
    type Harm<'a> = &'a dyn Fn(&Path);
    let cases: [(&str, Harm<'_>); 6] = [
        ("no marker", &|dir| fs::remove_file(db(dir).join("version")).expect("removing")),
        ("another marker", &|dir| fs::write(db(dir).join("version"), b"abcdef").expect("writing")),
        ("an empty marker", &|dir| fs::write(db(dir).join("version"), b"").expect("writing")),
        ("no keyspaces", &|dir| fs::remove_dir_all(db(dir).join("keyspaces")).expect("removing")),
        ("a keyspace is missing", &|dir| {
            fs::remove_dir_all(db(dir).join("keyspaces/2")).expect("removing");
        }),
        ("keyspaces are files", &|dir| {
            fs::remove_dir_all(db(dir).join("keyspaces")).expect("removing");
            fs::write(db(dir).join("keyspaces"), b"").expect("writing");
        }),
    ];
    for (what, damage) in cases {
        let damaged = tempfile::tempdir().expect("a directory");
        copy(dir.path(), damaged.path());
        damage(damaged.path());
        let error = try_open(damaged.path()).err().unwrap_or_else(|| panic!("{what}: refused"));
        assert!(
            matches!(error, OpenError::Corrupt { .. } | OpenError::Unusable { .. }),
            "{what}: {error:?}"
        );
        assert!(journal(damaged.path()).exists(), "{what}: the journal must be left");
    }
}

/// Enough records that fjall sorts them into files; a damaged block is told, not returned.
#[tokio::test]
async fn a_flipped_byte_in_a_table_is_noticed() {
    let dir = tempfile::tempdir().expect("a directory");
    let embedded = open(dir.path());
    let log = embedded.log();
    // 40 MB: more than the log's 32 MiB in memory. Noise, so that nothing is compressed away.
    let mut pending = Vec::new();
    for n in 0..640_u32 {
        let mut record = vec![0; 64 * 1024];
        fill(&mut record, n);
        let key = conversation();
        let queued = log.append(harkara_domain::Partition(0), key, Bytes::from(record));
        pending.push(queued.expect("there is room"));
    }
    for pending in pending {
        pending.await.expect("appends work");
    }
    let tables = || find_tables(&dir.path().join("db/keyspaces"));
    crate::support::eventually("fjall flushes", async || {
        tables().iter().any(|table| fs::metadata(table).is_ok_and(|meta| meta.len() > 16 << 20))
    })
    .await;
    drop(embedded);
    for table in tables() {
        let mut bytes = fs::read(&table).expect("the table");
        if bytes.len() > 16 << 20 {
            bytes[8 << 20] ^= 0xff;
            fs::write(&table, bytes).expect("the table");
        }
    }
    match Embedded::open(
        dir.path(),
        options(),
        harkara_service_runtime::clock::SystemClock::shared(),
    ) {
        Err(error) => drop(refused(Err(error), "a damaged table")),
        Ok(embedded) => {
            let log = embedded.log();
            let mut assignments = log.consume().await.expect("consuming works");
            let mut reader = assignments.next().await.expect("a partition");
            let mut read = 0;
            let error = loop {
                match reader.next(10).await {
                    Ok(entries) => read += entries.expect("it is ours").len(),
                    Err(error) => break error,
                }
                assert!(read < 640, "a damaged block must not be read as if it were whole");
            };
            assert!(matches!(&error, LogError::Stop(why) if why.contains("backup")), "{error:?}");
        }
    }
}

/// Bytes that do not compress, the same for the same number.
fn fill(bytes: &mut [u8], n: u32) {
    let mut state = u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for chunk in bytes.chunks_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        chunk.copy_from_slice(&state.to_le_bytes()[..chunk.len()]);
    }
}

fn find_tables(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = dir.read_dir() else { return Vec::new() };
    let mut all = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            all.extend(find_tables(&path));
        } else if path.parent().is_some_and(|parent| parent.ends_with("tables")) {
            all.push(path);
        }
    }
    all
}
