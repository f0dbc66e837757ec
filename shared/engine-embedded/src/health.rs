//! May the database be written? Set by the committer, asked by log and store before they queue.
//!
//! Two ways to refuse: *waiting* (the disk is nearly full; ends by itself when there is room) and
//! *failed* (fjall refuses every write after one that failed, since nobody knows what a failed
//! fsync left on the disk: only a restart, which reads the disk again, helps).

use std::sync::{
    PoisonError, RwLock,
    atomic::{AtomicU8, Ordering},
};

use harkara_engine::{LogError, StoreError};

const FINE: u8 = 0;
const WAITING: u8 = 1;
const FAILED: u8 = 2;

/// Whether writes are taken, and why not.
#[derive(Debug, Default)]
pub(crate) struct Health {
    level: AtomicU8,
    reason: RwLock<String>,
}

impl Health {
    /// Writes can't be done now; they will be when there is room again.
    pub(crate) fn waiting(&self, reason: &str) {
        self.set(WAITING, reason);
    }

    /// Writes work.
    pub(crate) fn fine(&self) {
        if self.level.load(Ordering::Acquire) == WAITING {
            self.set(FINE, "");
        }
    }

    /// Writes never work again in this process.
    pub(crate) fn failed(&self, reason: &str) {
        self.set(FAILED, reason);
    }

    fn set(&self, level: u8, reason: &str) {
        let mut held = self.reason.write().unwrap_or_else(PoisonError::into_inner);
        if self.level.load(Ordering::Acquire) == FAILED {
            return;
        }
        reason.clone_into(&mut held);
        self.level.store(level, Ordering::Release);
    }

    /// Why writes never work again, if so.
    pub(crate) fn failure(&self) -> Option<String> {
        (self.level.load(Ordering::Acquire) == FAILED).then(|| self.reason())
    }

    /// For `Log::ready`.
    pub(crate) fn log(&self) -> Result<(), LogError> {
        match self.level.load(Ordering::Acquire) {
            FINE => Ok(()),
            WAITING => Err(LogError::Unknown(self.reason())),
            _ => Err(LogError::Stop(self.reason())),
        }
    }

    /// For `Store::ready`.
    pub(crate) fn store(&self) -> Result<(), StoreError> {
        match self.level.load(Ordering::Acquire) {
            FINE => Ok(()),
            WAITING => Err(StoreError::Retry(self.reason())),
            _ => Err(StoreError::Stop(self.reason())),
        }
    }

    fn reason(&self) -> String {
        self.reason.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
