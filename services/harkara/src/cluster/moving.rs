//! `harkara import --cluster` and `harkara verify --cluster`: the engines of a cluster for what
//! `crate::moving` does.

use harkara_service_runtime::{clock::SystemClock, lifecycle::Lifecycle};

use super::{engines::Opener, settings::Settings};
use crate::{
    admin::Readiness,
    cli::{ImportArgs, VerifyArgs},
    moving::{archive::Archive, local},
    serving::Failure,
};

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

/// Verifies a cluster: is all well?
///
/// # Errors
/// Something can't be read.
pub async fn verify(settings: &Settings, args: &VerifyArgs) -> anyhow::Result<bool> {
    let (lifecycle, clock) = (Lifecycle::start()?, SystemClock::shared());
    let opener = Opener { readiness: &Readiness::default(), lifecycle: &lifecycle };
    let engines = opener.open(settings, &clock).await.map_err(told)?;
    let Some(engines) = engines else { anyhow::bail!("interrupted") };
    local::verify_with(&*engines.store, &*engines.log, args.json).await
}

fn told(failure: Failure) -> anyhow::Error {
    anyhow::anyhow!(failure.message)
}
