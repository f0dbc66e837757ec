//! Looks at everything once a second while things break: what clients count, how late messages are,
//! how much memory processes use; and starts again what ended by itself, which is a finding.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use tokio::{task::JoinHandle, time::MissedTickBehavior};

use super::{cluster::Cluster, inject};
use crate::{
    out,
    replay::Run,
    times,
    wire::metrics::{Counters, Quantiles},
};

/// Between two looks.
pub const EVERY: Duration = Duration::from_secs(1);

/// Looks between two lines that say how it goes.
const TELL: usize = 30;

/// One look. Counts are those since the start.
#[derive(Debug, Clone)]
pub struct Sample {
    /// When.
    pub at: Instant,
    /// Sends that were accepted.
    pub accepted: u64,
    /// Events that clients got.
    pub deliveries: u64,
    /// Sessions that were lost and begun again.
    pub reconnects: u64,
    /// Errors by code.
    pub errors: BTreeMap<String, u64>,
    /// From a send to its own event, since the last look.
    pub latency: Option<Quantiles>,
    /// Per process: resident bytes when it was ready, and now.
    pub memory: Vec<(String, u64, u64)>,
}

/// What was seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// By time.
    pub samples: Vec<Sample>,
    /// Clients that listen all the time.
    pub crew: HashSet<u32>,
    /// Processes that ended by themselves.
    pub troubles: Vec<String>,
}

/// Looks until it is told to stop.
#[derive(Debug)]
pub struct Watch {
    seen: Arc<Mutex<Seen>>,
    tasks: [JoinHandle<()>; 2],
}

fn held(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watch {
    /// Begins.
    #[must_use]
    pub fn start(cluster: &Arc<Cluster>, run: &Arc<Run>) -> Self {
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let look = look(Arc::clone(&seen), Arc::clone(cluster), Arc::clone(run));
        let supervise = supervise(Arc::clone(&seen), Arc::clone(cluster));
        Self { seen, tasks: [tokio::spawn(look), tokio::spawn(supervise)] }
    }

    /// Everything so far.
    pub fn with<T>(&self, read: impl FnOnce(&Seen) -> T) -> T {
        read(&held(&self.seen))
    }

    /// Ends it.
    pub async fn stop(self) -> Seen {
        for task in self.tasks {
            task.abort();
            // It was told to end.
            let _ = task.await;
        }
        std::mem::take(&mut *held(&self.seen))
    }
}

async fn look(seen: Arc<Mutex<Seen>>, cluster: Arc<Cluster>, run: Arc<Run>) {
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let sample = sample(&cluster, &run);
        let crew = {
            let live = run.live.lock().unwrap_or_else(PoisonError::into_inner);
            live.values().flatten().map(|client| client.identity.number).collect::<Vec<_>>()
        };
        let mut seen = held(&seen);
        seen.crew.extend(crew);
        if seen.samples.len() % TELL == TELL - 1 {
            let Counters { accepted, deliveries, .. } = &run.settings.metrics.count;
            let (accepted, deliveries) = (accepted.load(Relaxed), deliveries.load(Relaxed));
            out::note(format!("{accepted} sends accepted, {deliveries} deliveries"));
        }
        seen.samples.push(sample);
    }
}

fn sample(cluster: &Cluster, run: &Run) -> Sample {
    let metrics = &run.settings.metrics;
    let parts = cluster.parts.iter();
    let memory = parts.filter_map(|part| {
        let (base, now) = part.memory()?;
        Some((part.name(), base, now))
    });
    Sample {
        at: times::now(),
        accepted: metrics.count.accepted.load(Relaxed),
        deliveries: metrics.count.deliveries.load(Relaxed),
        reconnects: metrics.count.reconnects.load(Relaxed),
        errors: metrics.errors(),
        latency: metrics.take_recent(),
        memory: memory.collect(),
    }
}

async fn supervise(seen: Arc<Mutex<Seen>>, cluster: Arc<Cluster>) {
    loop {
        tokio::time::sleep(EVERY).await;
        for trouble in inject::supervise(&cluster).await {
            out::note(&trouble);
            held(&seen).troubles.push(trouble);
        }
    }
}
