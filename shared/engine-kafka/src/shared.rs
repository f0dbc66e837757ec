//! What the threads and faces of an open log share, and whether the log may be used.

use std::sync::{
    Arc, OnceLock, PoisonError, RwLock,
    atomic::{
        AtomicBool, AtomicU64,
        Ordering::{AcqRel, Acquire, Release},
    },
};

use harkara_domain::Generation;
use harkara_engine::LogError;
use harkara_service_runtime::clock::SharedClock;

use crate::{config::Config, stats::Stats};

/// What the threads of an open log share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) clock: SharedClock,
    pub(crate) topic: String,
    pub(crate) generation: Generation,
    pub(crate) partitions: u16,
    pub(crate) stats: Arc<Stats>,
    pub(crate) health: Health,
    /// Where the partitions ended when it was last asked, for the watchdog.
    pub(crate) ends: Vec<AtomicU64>,
    /// Something suggests that this is not the log that was opened: everything is looked at next.
    pub(crate) doubt: AtomicBool,
}

impl Shared {
    /// Where a partition ended when it was last asked.
    pub(crate) fn end_of(&self, partition: u16) -> u64 {
        self.ends.get(usize::from(partition)).map_or(0, |end| end.load(Acquire))
    }

    /// What the ends are now. Ends that went back are a reason for doubt.
    pub(crate) fn set_ends(&self, ends: &[u64]) {
        for (known, end) in self.ends.iter().zip(ends) {
            if known.swap(*end, AcqRel) > *end {
                self.doubt.store(true, Release);
            }
        }
    }
}

/// May the log be used? Set by those who look, asked by everybody.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// Why it must not be used any more.
    stop: OnceLock<String>,
    /// Why it can't be used now.
    waiting: RwLock<Option<String>>,
}

impl Health {
    /// It must not be used any more; only a restart ends this.
    pub(crate) fn stop(&self, why: String) {
        if self.stop.set(why.clone()).is_ok() {
            tracing::error!(why, "the log must not be used any more");
        }
    }

    /// Why it must not be used any more.
    pub(crate) fn stopped(&self) -> Option<String> {
        self.stop.get().cloned()
    }

    /// It works, or why it does not now. Says so when that changes.
    pub(crate) fn set(&self, now: Result<(), String>) {
        let now = now.err();
        let mut waiting = self.waiting.write().unwrap_or_else(PoisonError::into_inner);
        match (&*waiting, &now) {
            (None, Some(why)) => tracing::warn!(why, "kafka can't take records now"),
            (Some(before), Some(why)) if before != why => {
                tracing::warn!(why, "kafka can't take records yet");
            }
            (Some(_), None) => tracing::info!("kafka takes records again"),
            _ => {}
        }
        *waiting = now;
    }

    /// For those who are about to use it.
    pub(crate) fn usable(&self) -> Result<(), LogError> {
        self.stop.get().map_or(Ok(()), |why| Err(LogError::Stop(why.clone())))
    }

    /// For readiness.
    pub(crate) fn ready(&self) -> Result<(), LogError> {
        self.usable()?;
        let waiting = self.waiting.read().unwrap_or_else(PoisonError::into_inner);
        waiting.clone().map_or(Ok(()), |why| Err(LogError::Unknown(why)))
    }
}
