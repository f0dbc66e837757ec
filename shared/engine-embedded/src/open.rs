//! Opens the data directory: lock, making, version, damage. Called by [`crate::Embedded::open`].
//!
//! The database is made under another name and renamed when it is complete, so one that is called
//! `db` was complete once, and what is missing in it is damage. Nothing in here repairs: a
//! directory that looks wrong is left as it is, with a sentence about what to do.

use std::{
    fs::{self, File, TryLockError},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use fjall::{Database, PersistMode};
use harkara_domain::{Generation, Millis};
use harkara_service_runtime::clock::SharedClock;

use crate::{
    journal,
    options::Options,
    tables::{Table, Tables, commit_key, log_key, log_offset, number},
};

/// Journal kept at the most, about: all of it is read at the start, 64 MiB in less than a second.
/// The least that fjall takes.
const JOURNAL_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The format of keys and values; raised when an older build could misread what we write.
const FORMAT: u64 = 1;

/// Fjall's mark of a complete database.
const MARKER: &str = "version";

/// What is wrong with a data directory.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process uses it.
    #[error(
        "the data directory {dir} is in use by another process: stop that one first, or choose \
         another directory"
    )]
    InUse {
        /// The data directory.
        dir: PathBuf,
    },
    /// It can't be read or written.
    #[error(
        "the data directory {dir} can't be used ({source}): check that it is a directory that \
         this user may write, on a disk with free space, or choose another one"
    )]
    Unusable {
        /// The data directory.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What is in it is damaged.
    #[error(
        "the database in {dir} is damaged ({what}): nothing was changed; copy the directory away, \
         check the disk, then restore a backup or start with an empty directory"
    )]
    Corrupt {
        /// The data directory.
        dir: PathBuf,
        /// What was found.
        what: String,
    },
    /// It was made with another number of partitions.
    #[error(
        "the database in {dir} was made with {found} partitions, the settings say {wanted}: \
         set it back to {found}, since the number can't be changed later"
    )]
    Partitions {
        /// The data directory.
        dir: PathBuf,
        /// Of the database.
        found: u64,
        /// Of the settings.
        wanted: u16,
    },
    /// A newer build wrote it.
    #[error(
        "the database in {dir} is in format {found}, this build knows up to {known}: run the \
         newer build that wrote it, or restore a backup from before the upgrade"
    )]
    NewerFormat {
        /// The data directory.
        dir: PathBuf,
        /// Of the database.
        found: u64,
        /// Of this build.
        known: u64,
    },
}

/// Where a partition goes on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PartitionStart {
    /// The next offset.
    pub(crate) next: u64,
    /// The append time of the newest record.
    pub(crate) at: Millis,
    /// Everything below is done.
    pub(crate) committed: u64,
    /// Everything below was removed. Not stored: after opening it is 0.
    pub(crate) swept: u64,
}

/// An open database, and the lock that must outlive it.
pub(crate) struct Opened {
    pub(crate) tables: Tables,
    pub(crate) generation: Generation,
    pub(crate) partitions: Vec<PartitionStart>,
    /// Where free space is asked for.
    pub(crate) dir: PathBuf,
    pub(crate) lock: File,
}

pub(crate) fn open(
    dir: &Path,
    options: &Options,
    clock: &SharedClock,
) -> Result<Opened, OpenError> {
    let unusable = |source| OpenError::Unusable { dir: dir.to_owned(), source };
    fs::create_dir_all(dir).map_err(unusable)?;
    let lock = lock(dir)?;
    let db = dir.join("db");
    if !db.try_exists().map_err(unusable)? {
        make(dir, &db, options, clock)?;
    }
    if !db.join(MARKER).try_exists().map_err(unusable)? {
        return Err(corrupt(dir, format!("{} has no file `{MARKER}`", db.display())));
    }
    if let Some(damage) = journal::check(&db).map_err(unusable)? {
        let journal::Damage { file, at } = damage;
        return Err(corrupt(dir, format!("{} from byte {at} on", file.display())));
    }
    let database = quiet(dir, || database(&db, options).open())?;
    if !Tables::complete(&database) {
        return Err(corrupt(dir, "a keyspace is missing".to_owned()));
    }
    let tables = quiet(dir, || Tables::open(database))?;
    let generation = check_meta(dir, &tables, options)?;
    let partitions = (0..options.partitions)
        .map(|partition| quiet(dir, || partition_start(&tables, partition)))
        .collect::<Result<_, _>>()?;
    Ok(Opened { tables, generation, partitions, dir: dir.to_owned(), lock })
}

fn corrupt(dir: &Path, what: String) -> OpenError {
    OpenError::Corrupt { dir: dir.to_owned(), what }
}

fn lock(dir: &Path) -> Result<File, OpenError> {
    let unusable = |source| OpenError::Unusable { dir: dir.to_owned(), source };
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(dir.join("lock"))
        .map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { dir: dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(unusable(source)),
    }
}

/// How fjall is set up.
#[must_use]
pub fn database(path: &Path, options: &Options) -> fjall::DatabaseBuilder<Database> {
    // Two workers: one that flushes while the other compacts.
    Database::builder(path)
        .cache_size(options.cache_bytes)
        .max_journaling_size(JOURNAL_BYTES_MAX)
        .worker_threads(2)
}

/// Runs something of fjall's; its panics over files that make no sense become errors, too.
fn quiet<T>(dir: &Path, run: impl FnOnce() -> fjall::Result<T>) -> Result<T, OpenError> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(fjall::Error::Locked)) => Err(OpenError::InUse { dir: dir.to_owned() }),
        Ok(Err(fjall::Error::Io(e) | fjall::Error::Storage(fjall::LsmError::Io(e)))) => {
            Err(io_error(dir, e))
        }
        Ok(Err(fjall::Error::InvalidVersion(_))) => {
            Err(corrupt(dir, format!("its file `{MARKER}` is not one of fjall 3")))
        }
        Ok(Err(other)) => Err(corrupt(dir, format!("{other:?}"))),
        Err(_) => Err(corrupt(dir, "its files contradict each other".to_owned())),
    }
}

/// A file that is missing or ends early inside a database that was complete is damage; anything
/// else is the directory's or the disk's fault.
fn io_error(dir: &Path, source: io::Error) -> OpenError {
    match source.kind() {
        io::ErrorKind::NotFound
        | io::ErrorKind::UnexpectedEof
        | io::ErrorKind::InvalidData
        | io::ErrorKind::InvalidInput => corrupt(dir, source.to_string()),
        _ => OpenError::Unusable { dir: dir.to_owned(), source },
    }
}

/// Makes a database under another name and moves it into place.
fn make(dir: &Path, db: &Path, options: &Options, clock: &SharedClock) -> Result<(), OpenError> {
    let unusable = |source| OpenError::Unusable { dir: dir.to_owned(), source };
    let new = dir.join("db.new");
    if new.try_exists().map_err(unusable)? {
        // A making that was interrupted: nobody was ever told that anything is in it.
        fs::remove_dir_all(&new).map_err(unusable)?;
    }
    // Milliseconds and part of the nanoseconds: a log that is made anew, even at once after the
    // one before was lost, gets another and higher number.
    let generation = (clock.now_ms() << 20) | (clock.elapsed_ns() & 0xf_ffff);
    let write = || {
        let tables = Tables::open(database(&new, options).open()?)?;
        let meta = tables.of(Table::Meta);
        meta.insert("format", FORMAT.to_be_bytes())?;
        meta.insert("generation", generation.to_be_bytes())?;
        meta.insert("partitions", u64::from(options.partitions).to_be_bytes())?;
        tables.database.persist(PersistMode::SyncAll)
    };
    quiet(dir, write)?;
    fs::rename(&new, db).map_err(unusable)?;
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(unusable)
}

fn check_meta(dir: &Path, tables: &Tables, options: &Options) -> Result<Generation, OpenError> {
    let get = |word: &str| {
        let value = quiet(dir, || tables.get(Table::Meta, word.as_bytes()))?;
        value
            .and_then(|value| number(&value))
            .ok_or_else(|| corrupt(dir, format!("it does not say its {word}")))
    };
    let found = get("format")?;
    if found > FORMAT {
        return Err(OpenError::NewerFormat { dir: dir.to_owned(), found, known: FORMAT });
    }
    let found = get("partitions")?;
    if found != u64::from(options.partitions) {
        return Err(OpenError::Partitions {
            dir: dir.to_owned(),
            found,
            wanted: options.partitions,
        });
    }
    get("generation").map(Generation)
}

/// The newest record is never swept away, so it tells where its partition goes on.
fn partition_start(tables: &Tables, partition: u16) -> fjall::Result<PartitionStart> {
    let committed = tables.get(Table::Meta, &commit_key(partition))?;
    let committed = committed.and_then(|value| number(&value)).unwrap_or(0);
    let range = log_key(partition, 0)..=log_key(partition, u64::MAX);
    let newest = tables.of(Table::Log).range(range).next_back();
    let (next, at) = match newest.map(fjall::Guard::into_inner).transpose()? {
        Some((key, value)) => (
            log_offset(&key).map_or(0, |offset| offset + 1),
            value.first_chunk().map_or(0, |at| Millis::from_be_bytes(*at)),
        ),
        None => (0, 0),
    };
    Ok(PartitionStart { next: next.max(committed), at, committed, swept: 0 })
}
