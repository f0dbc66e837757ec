//! The floor under the embedded engine: a bare loop over fjall that makes the same promise, and
//! nothing else. `harkara-loadtest floor` starts it in turns with a server and divides.
//!
//! ```text
//! cargo build --release -p harkara-engine-embedded --example embedded-floor
//! embedded-floor --dir DIR --rate 500        one append, then one insert, for each message
//! embedded-floor --dir DIR --in-flight 4096  appends alone, as many as it takes
//! ```
//!
//! Included: the database's settings and those of its keyspaces (taken from the engine), keys and
//! values of the length and compressibility of ours, one fsync for whatever waits at that moment
//! (4 MiB at most), an append that counts as done after its fsync; and for the insert a second
//! batch that is given to the operating system, not forced to the disk, as the engine does with
//! rows that the log can make again.
//!
//! Left out: everything between a socket and this, encoding and hashes, readers of the log, lists,
//! snapshots, commits, the look at free disk space. The database begins empty and lives in a
//! directory of its own below `DIR`, which should be on the disk of the server's data. Times count
//! from the moment a message was due (see `harkara_test_engines::floor`).

use std::{
    fs,
    io::Write as _,
    path::Path,
    process,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use fjall::{Database, Keyspace, PersistMode};
use harkara_engine_embedded::{
    Options,
    bare::{Table, database},
};
use harkara_service_runtime::clock::{SharedClock, SystemClock};
use harkara_test_engines::floor::{Arguments, Load, Message, Messages, Plan, Seen};

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let arguments = Arguments::read()?;
    let (plan, messages) = (arguments.plan()?, arguments.messages()?);
    let dir = Path::new(arguments.text("dir")?).join(format!("floor-{}", process::id()));
    fs::create_dir_all(&dir)?;
    let line = Floor::open(&dir).and_then(|floor| floor.measure(&plan, messages));
    fs::remove_dir_all(&dir)?;
    writeln!(std::io::stdout(), "{}", line?)?;
    Ok(())
}

/// A message and the moments at which it was due and at which the log had it.
struct Due {
    message: Message,
    due: u64,
    appended: u64,
}

struct Floor {
    options: Options,
    clock: SharedClock,
    database: Database,
    log: Keyspace,
    events: Keyspace,
    appends: Seen,
    inserts: Seen,
    both: Seen,
}

impl Floor {
    fn open(dir: &Path) -> Result<Self, Failure> {
        let options = Options::default();
        let database = database(&dir.join("db"), &options).open()?;
        let keyspace = |table: Table| database.keyspace(table.name(), || table.options());
        let (log, events) = (keyspace(Table::Log)?, keyspace(Table::Events)?);
        let [appends, inserts, both] = <[Seen; 3]>::default();
        let clock = SystemClock::shared();
        Ok(Self { options, clock, database, log, events, appends, inserts, both })
    }

    /// Three threads: one is told what is due, one appends, one inserts.
    fn measure(&self, plan: &Plan, mut messages: Messages) -> Result<String, Failure> {
        let in_flight = plan.in_flight();
        // A place for each message that is under way; taken out again when it is done.
        let (enter, leave) = sync_channel(in_flight);
        let (to_log, for_log) = sync_channel::<Due>(in_flight);
        let (to_store, for_store) = sync_channel::<Vec<Due>>(in_flight);
        // Both threads own it: when they end early, nobody waits for a place any more.
        let leave = Arc::new(Mutex::new(leave));
        let flat_out = matches!(plan.load, Load::FlatOut(_));
        thread::scope(|scope| {
            let to_store = (!flat_out).then_some(to_store);
            let places = Arc::clone(&leave);
            let log = scope.spawn(move || self.append(&for_log, to_store, &places));
            let store = scope.spawn(move || self.insert(&for_store, &leave));
            let now = || self.clock.elapsed_ns();
            let ran = plan.run(now, &[&self.appends, &self.inserts, &self.both], |due| {
                enter.send(())?;
                let message = messages.make();
                to_log.send(Due { message, due, appended: 0 })?;
                Ok::<_, Failure>(())
            });
            drop(to_log);
            let broken = |_| Failure::from("a thread broke");
            log.join().map_err(broken)??;
            store.join().map_err(broken)??;
            ran
        })?;
        let appends = ("append", &self.appends);
        let all = [appends, ("insert", &self.inserts), ("both", &self.both)];
        Ok(plan.line("embedded", if flat_out { &all[..1] } else { &all }))
    }

    /// One batch and one fsync for all that waits.
    fn append(
        &self,
        from: &Receiver<Due>,
        to: Option<SyncSender<Vec<Due>>>,
        leave: &Mutex<Receiver<()>>,
    ) -> Result<(), Failure> {
        let partitions = usize::from(self.options.partitions);
        let mut next = vec![0_u64; partitions];
        while let Ok(first) = from.recv() {
            let group = gather(first, from, self.options.batch_bytes_max);
            let mut rows = self.database.batch();
            for Due { message, due, .. } in &group {
                let partition = message.room % partitions;
                let offset = next.get_mut(partition).ok_or("no such partition")?;
                let number = u16::try_from(partition)?.to_be_bytes();
                let key = [&number[..], &offset.to_be_bytes()].concat();
                *offset += 1;
                rows.insert(&self.log, key, [&due.to_be_bytes(), &message.record[..]].concat());
            }
            rows.durability(None).commit()?;
            self.database.persist(PersistMode::SyncAll)?;
            let now = self.clock.elapsed_ns();
            group.iter().for_each(|due| self.appends.done(due.due, due.due, now));
            match &to {
                Some(to) => {
                    to.send(group.into_iter().map(|d| Due { appended: now, ..d }).collect())?
                }
                None => gone(leave, group.len())?,
            }
        }
        Ok(())
    }

    /// One batch for all that was appended together.
    fn insert(
        &self,
        from: &Receiver<Vec<Due>>,
        leave: &Mutex<Receiver<()>>,
    ) -> Result<(), Failure> {
        while let Ok(group) = from.recv() {
            let mut rows = self.database.batch();
            for Due { message, .. } in &group {
                let (bucket, seq) = ((message.seq >> 12).to_be_bytes(), message.seq.to_be_bytes());
                let key = [&message.conversation[..], &bucket, &seq].concat();
                rows.insert(&self.events, key, message.event.clone());
            }
            rows.durability(Some(PersistMode::Buffer)).commit()?;
            let now = self.clock.elapsed_ns();
            for Due { due, appended, .. } in &group {
                self.inserts.done(*due, *appended, now);
                self.both.done(*due, *due, now);
            }
            gone(leave, group.len())?;
        }
        Ok(())
    }
}

/// The first one and what waits behind it, up to so many bytes.
fn gather(first: Due, from: &Receiver<Due>, bytes_max: usize) -> Vec<Due> {
    let mut bytes = first.message.record.len();
    let mut group = vec![first];
    while bytes < bytes_max
        && let Ok(more) = from.try_recv()
    {
        bytes += more.message.record.len();
        group.push(more);
    }
    group
}

/// Room for as many new ones.
fn gone(leave: &Mutex<Receiver<()>>, count: usize) -> Result<(), Failure> {
    let leave = leave.lock().unwrap_or_else(PoisonError::into_inner);
    (0..count).try_for_each(|_| leave.recv()).map_err(Failure::from)
}
