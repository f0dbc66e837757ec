//! The consumer thread: one member of the workers' group (step 4 of the message path).
//!
//! One thread polls, because everything about a librdkafka consumer is served by polling; split
//! queues and the asynchronous consumer are known to stall. A turn of the thread: take what came,
//! do what the group decided, commit, hand partitions out, let go of those that are finished.
//!
//! - **Coming** (`member/arrive.rs`): read where the group left off, begin there, and hand the
//!   partition out once the group has confirmed a commit, so that its lease holds from the start.
//! - **Going** (`member/leave.rs`): the reader ends; the partition is given back when reader and
//!   committers are dropped, or patience ends, after their last commit.
//! - **Commits** (`member/commits.rs`) are also the sign of life that leases are made of.
//! - **Fetching** (`member/fetch.rs`): bounded buffers, order checked record by record, and a
//!   watchdog for partitions that stand still.
//!
//! Danger: nothing here may wait for longer than [`Member::wait`], or leases of all partitions end.

mod arrive;
mod commits;
mod context;
mod fetch;
mod leave;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Weak,
        atomic::{
            AtomicBool,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use async_trait::async_trait;
use harkara_engine::{Assignments, LogError, PartitionReader};
use rdkafka::{
    TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
};
use tokio::sync::mpsc;

use self::{
    commits::{Commits, Committer},
    context::{Turn, Turns},
};
use crate::{
    client,
    shared::Shared,
    slot::{Confirmed, Hold, Slot},
    stats::count,
};

/// The longest wait for a broker on the consumer thread: less than half of what a lease of 4s allows.
const WAIT: Duration = Duration::from_millis(1_500);

/// The longest wait for messages: how late the thread may be for everything else. 20 turns a
/// second cost nothing.
const TURN: Duration = Duration::from_millis(50);

/// Between two tries to make a consumer.
const AGAIN: Duration = Duration::from_secs(1);

/// A partition of ours, as the thread sees it.
struct Part {
    slot: Arc<Slot>,
    /// Who works on it; none before it was handed out.
    hold: Option<Weak<Hold>>,
    /// The thread's clock when it came.
    since_ns: u64,
    /// The thread's clock when it may be handed out.
    due_ns: u64,
    /// The next offset to come.
    next: u64,
    /// What the group has confirmed.
    committed: Option<u64>,
    /// It can't be read any further.
    failed: bool,
    /// A jump that was seen: if it comes again after a seek, there is nothing in between.
    jump: Option<u64>,
    /// Since when the thread's clock says that there is something to read and nothing comes.
    behind_ns: Option<u64>,
}

impl Part {
    /// Whether somebody may still work on it.
    fn is_held(&self) -> bool {
        self.hold.as_ref().is_some_and(|hold| hold.strong_count() > 0)
    }
}

/// Why a consumer was given up.
enum End {
    /// It was asked to leave.
    Left,
    /// It can't go on; another one can.
    Rejoin,
}

/// A member of the group, seen from its thread.
struct Member {
    shared: Arc<Shared>,
    confirmed: Arc<Confirmed>,
    leave: Arc<AtomicBool>,
    out: mpsc::Sender<Box<dyn PartitionReader>>,
    parts: BTreeMap<u16, Part>,
    paused: BTreeSet<u16>,
    /// What the group wants back, and until when (thread's clock) it can wait.
    going: Option<(Vec<u16>, u64)>,
    /// What the group gave and is not begun yet.
    coming: Option<Vec<u16>>,
    commits: Commits,
    /// Somebody else may have owned what we hold, and we were not told.
    was_replaced: bool,
    /// When the thread turned last.
    turned_ns: u64,
    /// When partitions are looked at next.
    watch_ns: u64,
    /// When patience with those who work on partitions ends, once it is leaving.
    left_ns: Option<u64>,
}

type Consumer = BaseConsumer<Turns>;

/// A running member. Dropping it asks it to leave.
pub(crate) struct Handle {
    leave: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Handle {
    /// Asks the member to give everything back and to leave.
    pub(crate) fn leave(&self) {
        self.leave.store(true, Release);
    }

    /// Waits until it has left. Blocks.
    pub(crate) fn join(&mut self) {
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the consumer thread ended early: see the log");
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.leave();
    }
}

/// The partitions of a member, over time. Dropping it leaves the group.
pub(crate) struct Given {
    readers: mpsc::Receiver<Box<dyn PartitionReader>>,
    leave: Arc<AtomicBool>,
}

#[async_trait]
impl Assignments for Given {
    async fn next(&mut self) -> Option<Box<dyn PartitionReader>> {
        self.readers.recv().await
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        self.leave.store(true, Release);
    }
}

/// Starts a member, which joins when `before` has left.
pub(crate) fn start(
    shared: &Arc<Shared>,
    before: Option<Handle>,
) -> Result<(Handle, Given), LogError> {
    let leave = Arc::new(AtomicBool::new(false));
    // Each partition once, and once more when its reader was dropped.
    let (out, readers) = mpsc::channel(2 * usize::from(shared.partitions));
    let member = Member {
        shared: Arc::clone(shared),
        confirmed: Arc::new(Confirmed::new(shared.clock.clone())),
        leave: Arc::clone(&leave),
        out,
        parts: BTreeMap::new(),
        paused: BTreeSet::new(),
        going: None,
        coming: None,
        commits: Commits::default(),
        was_replaced: false,
        turned_ns: shared.clock.elapsed_ns(),
        watch_ns: 0,
        left_ns: None,
    };
    let thread = thread::Builder::new().name("kafka-member".into()).spawn(move || {
        if let Some(mut before) = before {
            before.leave();
            before.join();
        }
        member.run();
    });
    let thread = thread
        .map_err(|error| LogError::Unknown(format!("no thread for the consumer: {error}")))?;
    let given = Given { readers, leave: Arc::clone(&leave) };
    Ok((Handle { leave, thread: Some(thread) }, given))
}

impl Member {
    fn run(mut self) {
        while !self.is_leaving() {
            self.turned_ns = self.now();
            match self.join() {
                Ok(End::Left) => return,
                Ok(End::Rejoin) => count(&self.shared.stats.rejoins),
                Err(error) => {
                    tracing::error!(%error, "can't join the workers' group, will try again");
                }
            }
            if !self.is_leaving() {
                thread::sleep(AGAIN);
            }
        }
    }

    /// Is a member until it leaves or the consumer is of no use any more.
    fn join(&mut self) -> Result<End, LogError> {
        let consumer = Arc::new(self.connect()?);
        let committer = Committer::start(&consumer)
            .map_err(|error| LogError::Unknown(format!("no thread for commits: {error}")))?;
        let end = self.serve(&consumer, &committer);
        if matches!(end, End::Rejoin) {
            self.let_go();
        }
        self.close(&consumer);
        // The last hand on a consumer closes it, which must be this thread's.
        committer.join();
        drop(consumer);
        Ok(end)
    }

    fn connect(&self) -> Result<Consumer, LogError> {
        let client = client::member(&self.shared.config);
        let consumer: Result<Consumer, _> = client.create_with_context(Turns::default());
        let consumer =
            consumer.map_err(|error| client::Ear::default().trouble("joining", &error))?;
        let subscribed = consumer.subscribe(&[&self.shared.topic]);
        subscribed.map_err(|error| consumer.context().ear.trouble("joining", &error))?;
        Ok(consumer)
    }

    fn serve(&mut self, consumer: &Consumer, committer: &Committer) -> End {
        loop {
            let fetched = self.fetch(consumer);
            if let Err(error) = fetched {
                tracing::error!(%error, "the consumer is made anew");
                return End::Rejoin;
            }
            if self.was_frozen() {
                tracing::warn!("this process stood still for longer than its session: rejoining");
                return End::Rejoin;
            }
            while let Some(turn) = consumer.context().take() {
                self.turn(turn);
            }
            self.arrive(consumer);
            self.resume(consumer);
            self.commit(consumer, committer);
            if std::mem::take(&mut self.was_replaced) {
                tracing::warn!(
                    "the group had not heard of this process for its session: rejoining"
                );
                return End::Rejoin;
            }
            self.hand_out(consumer);
            self.give_back(consumer);
            self.watch(consumer);
            if self.shared.health.stopped().is_some() {
                self.fail_all();
            }
            if self.has_left() {
                return End::Left;
            }
        }
    }

    /// What the group decided.
    fn turn(&mut self, turn: Turn) {
        count(&self.shared.stats.rebalances);
        match turn {
            Turn::Assign(partitions) => {
                if !partitions.is_empty() {
                    tracing::info!(count = partitions.len(), "partitions come");
                }
                self.coming = Some(partitions);
            }
            Turn::Revoke(partitions) if self.confirmed.holds() => {
                tracing::info!(count = partitions.len(), "partitions go");
                self.drain(&partitions);
                let patience = self.shared.config.drain.as_millis().saturating_mul(1_000_000);
                self.going = Some((partitions, self.now().saturating_add(patience)));
            }
            // The group may have given them to somebody already, while it did not hear of us.
            Turn::Revoke(partitions) => {
                self.lose(&partitions);
                self.going = Some((partitions, 0));
            }
            Turn::Lost(partitions) => {
                self.lose(&partitions);
                self.coming = None;
                self.going = None;
            }
        }
    }

    /// The session of whoever does not turn for so long is over.
    fn was_frozen(&mut self) -> bool {
        let now = self.now();
        let stood = Duration::from_nanos(now.saturating_sub(self.turned_ns));
        self.turned_ns = now;
        stood > self.shared.config.session_timeout.get()
    }

    /// The longest wait for a broker.
    fn wait(&self) -> Duration {
        WAIT.min(self.shared.config.session_timeout.get() / 4)
    }

    fn is_leaving(&self) -> bool {
        self.leave.load(Acquire)
    }

    fn now(&self) -> u64 {
        self.shared.clock.elapsed_ns()
    }

    /// How many partitions are ours, for whoever counts.
    fn count_parts(&self) {
        self.shared.stats.assigned.store(self.parts.len(), Relaxed);
    }

    fn list(&self, partitions: &[u16]) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            list.add_partition(&self.shared.topic, i32::from(*partition));
        }
        list
    }
}
