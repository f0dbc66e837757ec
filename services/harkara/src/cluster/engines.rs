//! Opens what a role works with and waits for what is away: Kafka, the store, the directory. An
//! engine that can't be reached is waited for, and `/readyz` says which; one that is wrong (another
//! partition count, another life of the log, another schema) ends the process with a sentence.

use std::{future::Future, sync::Arc, time::Duration};

use harkara_engine::{Log as _, LogError, Store as _, StoreError};
use harkara_engine_kafka::{KafkaDirectory, KafkaLog};
use harkara_engine_scylla::ScyllaStore;
use harkara_service_runtime::{
    clock::SharedClock,
    lifecycle::{Exit, Lifecycle},
};

use super::settings::Settings;
use crate::{
    admin::{Phase, Readiness},
    serving::Failure,
};

/// Between two tries to reach an engine: soon enough for whoever watches a start, and one attempt
/// a second from each of some hundred processes is nothing to a cluster that comes up.
const AGAIN: Duration = Duration::from_secs(1);

/// The engines of a role.
pub struct Engines {
    /// The truth.
    pub log: Arc<KafkaLog>,
    /// History.
    pub store: Arc<ScyllaStore>,
    /// Who owns what.
    pub directory: Arc<KafkaDirectory>,
}

/// Why an engine could not be opened.
pub enum Trouble {
    /// It may come back by itself.
    Away(String),
    /// Somebody must do something.
    Wrong(String),
}

impl From<LogError> for Trouble {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Stop(_) => Self::Wrong(error.to_string()),
            _ => Self::Away(error.to_string()),
        }
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Stop(_) => Self::Wrong(error.to_string()),
            StoreError::Retry(_) => Self::Away(error.to_string()),
        }
    }
}

impl From<harkara_engine_scylla::OpenError> for Trouble {
    fn from(error: harkara_engine_scylla::OpenError) -> Self {
        if error.passes() { Self::Away(error.to_string()) } else { Self::Wrong(error.to_string()) }
    }
}

impl From<harkara_engine_scylla::MigrateError> for Trouble {
    fn from(error: harkara_engine_scylla::MigrateError) -> Self {
        use harkara_engine_scylla::MigrateError::{Failed, Open};
        match error {
            Open(error) => error.into(),
            Failed { .. } => Self::Away(error.to_string()),
            _ => Self::Wrong(error.to_string()),
        }
    }
}

/// Waits for engines on behalf of a process that may be asked to end meanwhile.
pub struct Opener<'a> {
    /// Told what is waited for.
    pub readiness: &'a Readiness,
    /// Ends the waiting.
    pub lifecycle: &'a Lifecycle,
}

impl Opener<'_> {
    /// Opens all three, and checks that they belong together. None when asked to end before.
    ///
    /// # Errors
    /// What is wrong with one, in words.
    pub async fn open(
        &self,
        settings: &Settings,
        clock: &SharedClock,
    ) -> Result<Option<Engines>, Failure> {
        let kafka = || KafkaLog::open(settings.kafka.clone(), clock.clone());
        let Some(log) = self.patiently("kafka", kafka).await? else { return Ok(None) };
        let scylla = || ScyllaStore::open(&settings.scylla, clock);
        let Some(store) = self.patiently("the store", scylla).await? else { return Ok(None) };
        let (log, store) = (Arc::new(log), Arc::new(store));
        let together = || belong_together(&log, &store);
        if self.patiently("the store", together).await?.is_none() {
            return Ok(None);
        }
        let directory = || KafkaDirectory::open(settings.kafka.clone(), clock.clone());
        let directory = self.patiently("the directory", directory).await?;
        Ok(directory.map(|directory| {
            log.follow(directory.rules());
            Engines { log, store, directory: Arc::new(directory) }
        }))
    }

    /// Tries until it succeeds, is hopeless, or the process is asked to end (none).
    pub async fn patiently<T, E: Into<Trouble>, F: Future<Output = Result<T, E>>>(
        &self,
        what: &str,
        mut open: impl FnMut() -> F,
    ) -> Result<Option<T>, Failure> {
        let drain = self.lifecycle.drain();
        loop {
            let opened = tokio::select! {
                opened = open() => opened,
                () = drain.cancelled() => return Ok(None),
            };
            match opened.map_err(Into::into) {
                Ok(open) => return Ok(Some(open)),
                Err(Trouble::Wrong(why)) => return Err(Failure::new(Exit::Data, why)),
                Err(Trouble::Away(why)) => {
                    tracing::warn!(why, "waiting for {what}");
                    self.readiness.set(Phase::Starting(format!("{what} ({why})")));
                }
            }
            tokio::select! {
                () = tokio::time::sleep(AGAIN) => {}
                () = drain.cancelled() => return Ok(None),
            }
        }
    }
}

/// The store's rows carry positions of one life of the log (soundness S2).
async fn belong_together(log: &KafkaLog, store: &ScyllaStore) -> Result<(), Trouble> {
    let (log, store) = (log.generation(), store.generation().await?);
    match store {
        Some(store) if store == log => Ok(()),
        Some(store) => Err(Trouble::Wrong(format!(
            "the store belongs to generation {} of the log, and this is generation {}: connect the \
             log and the store that belong together, or run `harkara migrate` where the log was \
             made anew",
            store.0, log.0
        ))),
        None => Err(Trouble::Wrong(
            "the store knows no generation of the log: run `harkara migrate` first".to_owned(),
        )),
    }
}
