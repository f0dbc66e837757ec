//! A fanout worker: joins the group of the log's consumers, claims each partition it is given,
//! and runs one actor for it until it is taken away.

use std::sync::Arc;

use actix::prelude::*;
use harkara_domain::Epoch;
use harkara_engine::{
    Assignments, Directory, EndpointId, Link, Log, LogError, PartitionReader, Store, Up,
};
use harkara_service_runtime::{clock::SharedClock, entropy::SharedEntropy};
use tokio::sync::{Semaphore, mpsc};

use crate::{
    Config,
    metrics::Metrics,
    partition::{Context, PartitionActor, actor::Release, records::Batch},
};

/// The engines a worker works with.
#[derive(Clone)]
pub struct Engines {
    /// The truth.
    pub log: Arc<dyn Log>,
    /// History.
    pub store: Arc<dyn Store>,
    /// To the gateways.
    pub link: Arc<dyn Link>,
    /// Who owns what.
    pub directory: Arc<dyn Directory>,
}

/// A running worker. Dropping it does not stop it; [`Worker::stop`] does.
pub struct Worker {
    arbiters: Vec<Arbiter>,
    assignments: tokio::task::JoinHandle<()>,
}

impl Worker {
    /// Joins the group and serves what it is given.
    ///
    /// # Errors
    /// When the log can't be consumed.
    pub async fn start(
        config: Config,
        engines: Engines,
        clock: SharedClock,
        entropy: SharedEntropy,
    ) -> Result<Self, LogError> {
        check_generation(&engines).await?;
        let context = Context {
            link: engines.link.worker(),
            log: Arc::clone(&engines.log),
            store: Arc::clone(&engines.store),
            clock,
            entropy,
            metrics: Metrics::default(),
            config: Arc::new(config),
        };
        let threads = context.config.worker_threads().max(1);
        let arbiters: Vec<_> = (0..threads).map(|_| Arbiter::new()).collect();
        let handles = arbiters.iter().map(Arbiter::handle).collect();
        let assignments = engines.log.consume().await?;
        let assignments = tokio::spawn(assign(assignments, engines, context, handles));
        Ok(Self { arbiters, assignments })
    }

    /// Stops serving. What was appended and not yet stored is read again at the next start.
    pub async fn stop(self) {
        self.assignments.abort();
        let _ = self.assignments.await;
        for arbiter in self.arbiters {
            arbiter.stop();
            let _ = tokio::task::spawn_blocking(move || arbiter.join()).await;
        }
    }
}

/// The store's rows carry positions of one life of the log: in front of another one, old rows
/// would look as if they had seen what is new (soundness S2).
async fn check_generation(engines: &Engines) -> Result<(), LogError> {
    let stored = engines.store.generation().await;
    let stored = stored.map_err(|error| LogError::Unknown(error.to_string()))?;
    let log = engines.log.generation();
    match stored {
        Some(stored) if stored != log => Err(LogError::Stop(format!(
            "the store belongs to generation {} of the log, and this is generation {}: connect \
             the log and the store that belong together",
            stored.0, log.0
        ))),
        _ => Ok(()),
    }
}

async fn assign(
    mut assignments: Box<dyn Assignments>,
    engines: Engines,
    context: Context,
    arbiters: Vec<ArbiterHandle>,
) {
    while let Some(reader) = assignments.next().await {
        let partition = reader.partition();
        let epoch = match engines.directory.claim(partition, "").await {
            Ok(epoch) => epoch,
            Err(error) => {
                tracing::error!(%partition, error, "partition not served: claim failed");
                continue;
            }
        };
        let frames = engines.link.serve(partition);
        let context = context.clone();
        let arbiter = &arbiters[usize::from(partition.0) % arbiters.len()];
        let running = arbiter.spawn_fn(move || {
            actix::spawn(serve(reader, context, epoch, frames));
        });
        if !running {
            return;
        }
    }
}

/// Feeds one partition's actor until the partition is taken away.
async fn serve(
    mut reader: Box<dyn PartitionReader>,
    context: Context,
    epoch: Epoch,
    frames: mpsc::Receiver<(EndpointId, Up)>,
) {
    let partition = reader.partition();
    let permits = Arc::new(Semaphore::new(context.config.in_flight_records_max));
    let batch = context.config.batch_records_max.max(1);
    let committer = Arc::from(reader.committer());
    let actor =
        PartitionActor::new(context, partition, epoch, committer, frames, Arc::clone(&permits));
    let actor = actor.start();
    // Closed permits mean that the actor stopped in front of a record: it goes on answering.
    while let Ok(permit) = permits.acquire().await {
        permit.forget();
        let most = batch.min(permits.available_permits() + 1);
        match reader.next(most).await {
            Ok(Some(entries)) => {
                let extra = u32::try_from(entries.len().saturating_sub(1)).unwrap_or(u32::MAX);
                if let Ok(taken) = permits.acquire_many(extra).await {
                    taken.forget();
                }
                if actor.send(Batch(entries)).await.is_err() {
                    break;
                }
            }
            Ok(None) => {
                // Gone already or full of work that may not be written any more: either is fine.
                let _ = actor.send(Release).await;
                break;
            }
            Err(error) => {
                tracing::error!(%partition, %error, "partition can't be read, will be tried again");
                permits.add_permits(1);
                tokio::time::sleep(READ_RETRY).await;
            }
        }
    }
}

/// Between two tries to read a partition that failed.
const READ_RETRY: std::time::Duration = std::time::Duration::from_millis(500);
