//! `harkara import`, `rebuild` and `verify` with `--cluster`: the engines of a cluster for what
//! `crate::moving` does.

use std::time::Duration;

use harkara_engine::{Log, LogScan};
use harkara_engine_kafka::KafkaLog;
use harkara_service_runtime::{clock::SystemClock, lifecycle::Lifecycle};

use super::{engines::Opener, settings::Settings};
use crate::{
    admin::Readiness,
    cli::{CheckArgs, ImportArgs},
    moving::{archive::Archive, local},
    serving::Failure,
};

/// Beside a session, until brokers have given up a worker.
const GONE: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_secs(1);

/// Imports an archive into a cluster's store. No worker may run: it keeps states in memory.
///
/// # Errors
/// With what to do.
pub async fn import(settings: &Settings, args: &ImportArgs) -> anyhow::Result<()> {
    let archive = Archive::open(&args.from)?;
    let (lifecycle, clock) = (Lifecycle::start()?, SystemClock::shared());
    let opener = Opener { readiness: &Readiness::default(), lifecycle: &lifecycle };
    let engines = opener.open(settings, &clock).await.map_err(told)?;
    let Some(engines) = engines else { anyhow::bail!("interrupted before anything was written") };
    local::import_into(&archive, &*engines.store, args.progress.clone()).await
}

/// Rebuilds a cluster's store from its log: was all of it reached? Refuses beside workers before it
/// disturbs them: joining their group would take partitions away from them.
///
/// # Errors
/// Something can't be read or written, or workers run.
pub async fn rebuild(settings: &Settings, args: &CheckArgs) -> anyhow::Result<bool> {
    let (lifecycle, clock) = (Lifecycle::start()?, SystemClock::shared());
    let opener = Opener { readiness: &Readiness::default(), lifecycle: &lifecycle };
    let engines = opener.open(settings, &clock).await.map_err(told)?;
    let Some(engines) = engines else { anyhow::bail!("interrupted before anything was written") };
    alone(&engines.log, settings).await?;
    let log = (&*engines.log as &dyn Log, &*engines.log as &dyn LogScan);
    let rebuilt = local::rebuild_with(&*engines.store, log, &settings.fanout, args.json).await;
    engines.log.close().await;
    rebuilt
}

/// Waits until nobody is in the workers' group: one that was killed counts for a session.
async fn alone(log: &KafkaLog, settings: &Settings) -> anyhow::Result<()> {
    let patience = settings.kafka.session_timeout.get() + GONE;
    let watch = async {
        loop {
            match log.workers().await?.len() {
                0 => return anyhow::Ok(()),
                n => tracing::warn!(workers = n, "waiting for workers to be gone"),
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(patience, watch).await.unwrap_or_else(|_| {
        anyhow::bail!("workers run, and keep states in memory: stop all of them, then rebuild")
    })
}

/// Verifies a cluster: is all well?
///
/// # Errors
/// Something can't be read.
pub async fn verify(settings: &Settings, args: &CheckArgs) -> anyhow::Result<bool> {
    let (lifecycle, clock) = (Lifecycle::start()?, SystemClock::shared());
    let opener = Opener { readiness: &Readiness::default(), lifecycle: &lifecycle };
    let engines = opener.open(settings, &clock).await.map_err(told)?;
    let Some(engines) = engines else { anyhow::bail!("interrupted") };
    local::verify_with(&*engines.store, &*engines.log, args.json).await
}

fn told(failure: Failure) -> anyhow::Error {
    anyhow::anyhow!(failure.message)
}
