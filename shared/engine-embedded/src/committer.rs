//! The one thread that writes: takes what waits, gives offsets, writes one batch, forces it to the
//! disk if anything in it needs that, answers. Between `queue` and `tail`.
//!
//! # What is forced to the disk, and why that is enough
//! Appends are, before they resolve: an accepted send is in the log. Cursors and profiles are,
//! since they are in no log. Steps and commits are not. They stand in the same journal as the
//! records, behind those that caused them, and a crash cuts the journal off at one place: if a
//! step is lost, so is every commit that was made after it, the worker reads the records again and
//! writes the same rows. So store rows are never behind the commit (the store's promise), and each
//! fsync for an append takes along everything that was written before it.
//!
//! # Failure
//! After a write or an fsync that failed nobody knows what is on the disk, and fjall takes no more
//! writes until it is opened again; neither do we. A disk that is merely getting full is noticed
//! before: then nothing is written, askers are told to try again, and it ends by itself.

use std::{io, path::PathBuf, sync::Arc, thread, time::Duration};

use fjall::{OwnedWriteBatch, PersistMode};
use harkara_domain::Millis;
use harkara_engine::{Appended, LogError, StoreError, log::Entry};
use tokio::sync::oneshot;

use crate::{
    CLOSED, Shared,
    merge::Staged,
    open::{Opened, PartitionStart},
    queue::Op,
    sweep::Sweep,
    tables::{Table, Tables, commit_key, join, log_key},
};

/// How long the thread sleeps at most: how soon it sees free space again and sweeps.
const TICK: Duration = Duration::from_millis(500);

/// Starts the thread. It ends when the queue is closed and empty.
pub(crate) fn start(shared: Arc<Shared>, opened: Opened) -> io::Result<thread::JoinHandle<()>> {
    let Opened { tables, partitions, dir, lock, .. } = opened;
    let guard = Guard(Arc::clone(&shared));
    let sweep = Sweep::new(&shared);
    let committer = Committer { shared, tables, partitions, dir, sweep };
    // A disk that is nearly full already is known before anybody asks whether we are ready.
    let _ = committer.writable();
    thread::Builder::new().name("committer".to_owned()).spawn(move || {
        committer.run();
        drop(guard);
        // Only now may another process have the directory.
        drop(lock);
    })
}

/// However the thread ends, nobody waits for it any more and the database is let go.
struct Guard(Arc<Shared>);

impl Drop for Guard {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.health.failed("its committer broke: restart, and report what the log says");
        }
        self.0.queue.abandon();
        self.0.group.send_replace(CLOSED);
        let tables =
            self.0.tables.write().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        drop(tables);
    }
}

struct Committer {
    shared: Arc<Shared>,
    tables: Tables,
    /// Where each partition goes on.
    partitions: Vec<PartitionStart>,
    dir: PathBuf,
    sweep: Sweep,
}

type Done<T, E> = (oneshot::Sender<Result<T, E>>, T);

/// A record that has its place, and who waits for it.
struct NewRecord {
    partition: u16,
    entry: Entry,
    done: oneshot::Sender<Result<Appended, LogError>>,
}

/// A batch being made, and whom to answer when.
struct Batch {
    rows: OwnedWriteBatch,
    staged: Staged,
    /// Forced to the disk before anybody of `appends` and `durable` is answered.
    sync: bool,
    appends: Vec<NewRecord>,
    commits: Vec<(u16, Done<(), LogError>)>,
    durable: Vec<Done<(), StoreError>>,
    quick: Vec<Done<(), StoreError>>,
    /// Given back when the batch is written.
    room: Vec<tokio::sync::OwnedSemaphorePermit>,
}

impl Committer {
    fn run(mut self) {
        loop {
            let wait = if self.sweep.pending() { Duration::ZERO } else { TICK };
            let taken = self.shared.queue.take(self.shared.options.batch_bytes_max, wait);
            let idle = taken.ops.is_empty();
            match self.writable() {
                Err(refusal) => taken.ops.into_iter().for_each(|op| refuse(op, &refusal)),
                Ok(()) if !idle => self.write(taken.ops),
                Ok(()) => {}
            }
            if taken.last {
                break;
            }
            if self.shared.health.failure().is_none() {
                self.sweep.step(&self.shared, &self.tables, &mut self.partitions);
            }
        }
        if self.shared.health.failure().is_none()
            && let Err(e) = self.tables.database.persist(PersistMode::SyncAll)
        {
            self.fail(&e);
        }
    }

    /// May we write now?
    fn writable(&self) -> Result<(), Refusal> {
        if let Some(reason) = self.shared.health.failure() {
            return Err(Refusal::Failed(reason));
        }
        let Ok(disk) = rustix::fs::statvfs(&self.dir) else { return Ok(()) };
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        let reserve = self.shared.options.disk_reserve_bytes;
        if free >= reserve {
            self.shared.health.fine();
            return Ok(());
        }
        let reason = format!(
            "the disk of {} is nearly full ({} MiB free, {} MiB are kept free): free some space, \
             writing goes on by itself",
            self.dir.display(),
            free >> 20,
            reserve >> 20,
        );
        self.shared.health.waiting(&reason);
        Err(Refusal::Waiting(reason))
    }

    fn write(&mut self, ops: Vec<Op>) {
        let mut batch = Batch {
            rows: self.tables.database.batch(),
            staged: Staged::default(),
            sync: false,
            appends: Vec::with_capacity(ops.len()),
            commits: Vec::new(),
            durable: Vec::new(),
            quick: Vec::new(),
            room: Vec::new(),
        };
        let now = self.shared.clock.now_ms();
        for op in ops {
            self.add(&mut batch, now, op);
        }
        if let Err(e) = self.commit(batch) {
            self.fail(&e);
        }
    }

    fn add(&mut self, batch: &mut Batch, now: Millis, op: Op) {
        match op {
            Op::Append { partition, record, done } => {
                // The queue's side has checked the partition.
                let Some(start) = self.partitions.get_mut(usize::from(partition)) else { return };
                let (offset, at) = (start.next, start.at.max(now));
                (start.next, start.at) = (offset + 1, at);
                let value = join(&[&at.to_be_bytes(), &record]);
                batch.rows.insert(self.tables.of(Table::Log), log_key(partition, offset), value);
                batch.sync = true;
                let entry = Entry { offset, at, record, trace: None };
                batch.appends.push(NewRecord { partition, entry, done });
            }
            Op::Commit { partition, next, done } => {
                let Some(start) = self.partitions.get_mut(usize::from(partition)) else { return };
                let next = next.min(start.next);
                if next > start.committed {
                    start.committed = next;
                    let value = next.to_be_bytes().to_vec();
                    batch.staged.put(Table::Meta, commit_key(partition), value);
                }
                batch.commits.push((partition, (done, ())));
            }
            Op::Write { changes, durable, room, done, .. } => {
                match batch.staged.write(&self.tables, changes) {
                    Ok(()) if durable => batch.durable.push((done, ())),
                    Ok(()) => batch.quick.push((done, ())),
                    Err(e) => drop(done.send(Err(e))),
                }
                batch.sync |= durable;
                batch.room.push(room);
            }
        }
    }

    /// Writes the batch and answers. Whoever is not answered because of an error learns that the
    /// outcome is unknown when his waiter is dropped.
    fn commit(&self, batch: Batch) -> fjall::Result<()> {
        let Batch { mut rows, staged, sync, appends, commits, durable, quick, room } = batch;
        staged.finish(&self.tables, &mut rows);
        // Unforced rows go to the operating system at least, which outlives a kill.
        let mode = (!sync).then_some(PersistMode::Buffer);
        rows.durability(mode).commit()?;
        for (partition, (done, ())) in commits {
            if let Some(tail) = self.shared.tails.get(usize::from(partition)) {
                tail.commit(self.partitions.get(usize::from(partition)).map_or(0, |p| p.committed));
            }
            let _ = done.send(Ok(()));
        }
        self.shared.stats.stored((quick.len() + durable.len()) as u64);
        answer(quick);
        drop(room);
        if sync {
            self.tables.database.persist(PersistMode::SyncAll)?;
        }
        self.shared.stats.batch(sync);
        answer(durable);
        self.publish(appends);
        Ok(())
    }

    /// The records are durable: readers may have them, then appenders may know.
    fn publish(&self, appends: Vec<NewRecord>) {
        let mut bytes = 0;
        let mut entries: Vec<Vec<Entry>> = Vec::new();
        entries.resize_with(self.partitions.len(), Vec::new);
        let mut waiters = Vec::with_capacity(appends.len());
        for NewRecord { partition, entry, done } in appends {
            bytes += entry.record.len() as u64;
            waiters.push((done, Appended { offset: entry.offset, at: entry.at }));
            if let Some(entries) = entries.get_mut(usize::from(partition)) {
                entries.push(entry);
            }
        }
        for (tail, entries) in self.shared.tails.iter().zip(entries) {
            tail.publish(entries);
        }
        self.shared.stats.appended(waiters.len() as u64, bytes);
        answer(waiters);
    }

    fn fail(&self, error: &fjall::Error) {
        tracing::error!(?error, dir = %self.dir.display(), "the database can't be written");
        self.shared.health.failed(&format!(
            "the database in {} can't be written ({error:?}): check the disk and its free space, \
             then restart",
            self.dir.display(),
        ));
    }
}

fn answer<T, E>(waiters: Vec<Done<T, E>>) {
    for (done, value) in waiters {
        // Nobody has to wait for the answer.
        let _ = done.send(Ok(value));
    }
}

enum Refusal {
    /// For now.
    Waiting(String),
    /// For good.
    Failed(String),
}

impl Refusal {
    fn log(&self) -> LogError {
        match self {
            Self::Waiting(reason) => LogError::Unknown(reason.clone()),
            Self::Failed(reason) => LogError::Stop(reason.clone()),
        }
    }

    fn store(&self) -> StoreError {
        match self {
            Self::Waiting(reason) => StoreError::Retry(reason.clone()),
            Self::Failed(reason) => StoreError::Stop(reason.clone()),
        }
    }
}

fn refuse(op: Op, refusal: &Refusal) {
    match op {
        Op::Append { done, .. } => drop(done.send(Err(refusal.log()))),
        Op::Commit { done, .. } => drop(done.send(Err(refusal.log()))),
        Op::Write { done, .. } => drop(done.send(Err(refusal.store()))),
    }
}
