//! The partition's actor: a thin shell that owns the slots of its conversations, drives each
//! through load → plan → write → tell, and never does two things to one conversation at once.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use actix::prelude::*;
use harkara_domain::{ConversationId, Epoch, Partition};
use harkara_engine::{EndpointId, Lease, Log, Store, Up, WorkerLink, log::Committer};
use harkara_service_runtime::{clock::SharedClock, entropy::SharedEntropy};
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::{cursors::Cursors, persist::Patience, progress::Progress};
use crate::{
    Config,
    conversation::{
        load,
        slot::{Next, Slot},
    },
    delivery::Delivery,
    metrics::Metrics,
    panics::AtWork,
};

/// How often cold conversations are looked for.
const TICK: Duration = Duration::from_secs(5);

/// How long a partition that is taken away may finish what it began: some writes with their
/// retries. Whatever is not finished then is read again by the next owner.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// What every partition of a worker shares.
#[derive(Clone)]
pub struct Context {
    /// Batches, bounds, timeouts.
    pub config: Arc<Config>,
    /// The truth.
    pub log: Arc<dyn Log>,
    /// History.
    pub store: Arc<dyn Store>,
    /// To the gateways.
    pub link: Arc<dyn WorkerLink>,
    /// For durations.
    pub clock: SharedClock,
    /// For jitter.
    pub entropy: SharedEntropy,
    /// What is counted.
    pub(crate) metrics: Metrics,
}

/// How an actor ends by a panic, seen from outside, and what the ones before it ended by.
pub(crate) struct Fate {
    /// Dropped with the actor.
    pub(crate) life: oneshot::Sender<()>,
    /// Whose the panic was.
    pub(crate) at_work: AtWork,
    /// Conversations that are left alone.
    pub(crate) aside: Arc<HashSet<ConversationId>>,
}

/// One partition while this worker owns it.
pub struct PartitionActor {
    pub(super) context: Context,
    pub(super) partition: Partition,
    pub(super) slots: HashMap<ConversationId, Slot>,
    pub(super) delivery: Delivery,
    pub(super) progress: Progress,
    pub(super) cursors: Cursors,
    pub(super) patience: Patience,
    /// One permit per record that may be in flight; the reader takes, finished records give back.
    pub(super) permits: Arc<Semaphore>,
    pub(super) stopped: bool,
    /// Nothing more is taken.
    pub(super) released: bool,
    /// Conversations that are left alone, and records of theirs that were met.
    pub(super) aside: Arc<HashSet<ConversationId>>,
    pub(super) aside_records: usize,
    pub(super) at_work: AtWork,
    /// Dropped with the actor: somebody waits for that.
    _life: oneshot::Sender<()>,
    committer: Arc<dyn Committer>,
    committing: bool,
    frames: Option<mpsc::Receiver<(EndpointId, Up)>>,
    ticks: u64,
}

impl PartitionActor {
    /// A partition that was just claimed with `epoch`.
    pub(crate) fn new(
        context: Context,
        (partition, epoch): (Partition, Epoch),
        (committer, lease, silenced): (Arc<dyn Committer>, Arc<dyn Lease>, Arc<AtomicBool>),
        frames: mpsc::Receiver<(EndpointId, Up)>,
        permits: Arc<Semaphore>,
        fate: Fate,
    ) -> Self {
        let Fate { life, at_work, aside } = fate;
        context.metrics.set_aside(i64::try_from(aside.len()).unwrap_or(0));
        let patience =
            Patience::new(&context.config, context.entropy.clone(), context.metrics.clone());
        Self {
            delivery: Delivery::new(partition, epoch, lease, silenced, Arc::clone(&context.link)),
            context,
            partition,
            slots: HashMap::new(),
            progress: Progress::default(),
            cursors: Cursors::default(),
            patience,
            permits,
            stopped: false,
            released: false,
            aside,
            aside_records: 0,
            at_work,
            _life: life,
            committer,
            committing: false,
            frames: Some(frames),
            ticks: 0,
        }
    }

    /// The slot of a conversation, new where it is cold.
    pub(super) fn slot(&mut self, conversation: ConversationId) -> &mut Slot {
        let (ticks, metrics) = (self.ticks, &self.context.metrics);
        let slot = self.slots.entry(conversation).or_insert_with(|| {
            metrics.hot(1);
            Slot::default()
        });
        slot.used = ticks;
        slot
    }

    /// Does whatever the conversation needs next, until it rests or waits.
    pub(super) fn drive(&mut self, conversation: ConversationId, ctx: &mut actix::Context<Self>) {
        self.at_work.begin(conversation);
        self.drive_on(conversation, ctx);
        self.at_work.end();
    }

    fn drive_on(&mut self, conversation: ConversationId, ctx: &mut actix::Context<Self>) {
        loop {
            let Some(slot) = self.slots.get_mut(&conversation) else { return };
            match slot.next() {
                Next::Wait => return,
                Next::Rest => return self.forget_nothing(conversation),
                Next::Load => return self.load(conversation, ctx),
                Next::LoadWindow => return self.load_window(conversation, ctx),
                Next::Answer => self.answer(conversation, ctx),
                Next::Plan => {
                    if self.plan(conversation, ctx) {
                        return;
                    }
                }
            }
        }
    }

    /// Ids that stand for nothing don't stay in memory, however many somebody asks for.
    fn forget_nothing(&mut self, conversation: ConversationId) {
        let ready = self.slots.get(&conversation).and_then(|slot| slot.ready());
        if ready.is_some_and(|r| !r.state.exists() && r.state.rejections.is_empty()) {
            self.slots.remove(&conversation);
            self.context.metrics.hot(-1);
        }
    }

    fn load(&mut self, conversation: ConversationId, ctx: &mut actix::Context<Self>) {
        self.slot(conversation).begin();
        let (store, patience) = (Arc::clone(&self.context.store), self.patience.clone());
        let start = self.context.clock.elapsed_ns();
        let loading = async move {
            patience.store("load a conversation", || load::state(&*store, conversation)).await
        };
        let loading = self.at_work.clone().at(conversation, loading);
        ctx.spawn(loading.into_actor(self).map(move |loaded, actor, ctx| {
            actor.at_work.begin(conversation);
            let nanos = actor.context.clock.elapsed_ns().saturating_sub(start);
            actor.context.metrics.step(harkara_service_runtime::Step::Load, nanos);
            actor.slot(conversation).loaded(loaded);
            actor.drive(conversation, ctx);
        }));
    }

    fn load_window(&mut self, conversation: ConversationId, ctx: &mut actix::Context<Self>) {
        let slot = self.slot(conversation);
        slot.begin();
        let head = slot.ready().map_or(0, |ready| ready.state.head);
        let (store, patience) = (Arc::clone(&self.context.store), self.patience.clone());
        let loading = async move {
            patience.store("load a window", || load::window(&*store, conversation, head)).await
        };
        let loading = self.at_work.clone().at(conversation, loading);
        ctx.spawn(loading.into_actor(self).map(move |window, actor, ctx| {
            actor.at_work.begin(conversation);
            actor.slot(conversation).window_loaded(window);
            actor.drive(conversation, ctx);
        }));
    }

    /// Commits as far as everything is done; one commit at a time, the newest one wins.
    pub(super) fn commit(&mut self, ctx: &mut actix::Context<Self>) {
        if self.committing {
            return;
        }
        let Some(next) = self.progress.take_commit() else { return self.end_if_drained(ctx) };
        self.committing = true;
        let committer = Arc::clone(&self.committer);
        let commit = async move { committer.commit(next).await };
        ctx.spawn(commit.into_actor(self).map(|result, actor, ctx| {
            actor.committing = false;
            if let Err(error) = result {
                // Not committed means read again after a restart: harmless, and the next one
                // that succeeds covers it.
                tracing::warn!(partition = %actor.partition, %error, "progress not committed");
            }
            actor.commit(ctx);
        }));
    }

    /// Ends once everything that was begun is done and committed.
    fn end_if_drained(&mut self, ctx: &mut actix::Context<Self>) {
        let open = self.progress.in_flight().saturating_sub(self.aside_records);
        let busy = (open > 0 && !self.stopped) || self.cursors.busy();
        if self.released && (!busy || !self.delivery.speaks()) {
            ctx.stop();
        }
    }

    /// Forgets conversations that rest and are cold, and the coldest where too many are hot.
    fn tick(&mut self) {
        self.ticks += 1;
        let config = &self.context.config;
        let patience: Duration = config.passivate_after.into();
        let cold = self.ticks.saturating_sub(patience.as_secs() / TICK.as_secs());
        let fair = config.hot_conversations_max / usize::from(self.context.log.partitions().max(1));
        let mut resting: Vec<_> = self
            .slots
            .iter()
            .filter(|(id, slot)| slot.next() == Next::Rest && !self.cursors.moving(**id))
            .map(|(id, slot)| (slot.used, *id))
            .collect();
        resting.sort_unstable();
        let surplus = self.slots.len().saturating_sub(fair.max(1));
        for (i, (used, id)) in resting.into_iter().enumerate() {
            if used < cold || i < surplus {
                self.slots.remove(&id);
                self.context.metrics.hot(-1);
            }
        }
    }
}

impl Actor for PartitionActor {
    type Context = actix::Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(TICK, |actor, _| actor.tick());
        if let Some(mut frames) = self.frames.take() {
            ctx.add_stream(futures_util::stream::poll_fn(move |cx| frames.poll_recv(cx)));
        }
    }
}

impl Drop for PartitionActor {
    /// After a panic, too.
    fn drop(&mut self) {
        let count = |n: usize| i64::try_from(n).unwrap_or(0);
        let metrics = &self.context.metrics;
        metrics.hot(-count(self.slots.len()));
        metrics.in_flight(-count(self.progress.in_flight()));
        metrics.set_aside(-count(self.aside.len()));
        metrics.stopped(-i64::from(self.stopped));
    }
}

/// The partition was taken away, or the worker drains: nothing new is taken. The actor ends when
/// what was begun is done, or can't be.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Release;

impl Handler<Release> for PartitionActor {
    type Result = ();

    fn handle(&mut self, _: Release, ctx: &mut Self::Context) {
        self.released = true;
        ctx.run_later(DRAIN_MAX, |actor, ctx| {
            let (partition, in_flight) = (actor.partition, actor.progress.in_flight());
            tracing::warn!(%partition, in_flight, "partition handed over with work unfinished");
            ctx.stop();
        });
        self.commit(ctx);
    }
}

/// The partition was claimed again, because somebody who no longer owns it had claimed it late.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Claimed(pub Epoch);

impl Handler<Claimed> for PartitionActor {
    type Result = ();

    fn handle(&mut self, claimed: Claimed, _: &mut Self::Context) {
        self.delivery.claimed(claimed.0);
    }
}
