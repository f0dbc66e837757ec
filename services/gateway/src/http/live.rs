//! The count of open sessions, over all worker threads: how the limit is held and the drain's end
//! is seen. [`super::upgrade`] enters, the session's pump holds the [`Guard`].

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use tokio::sync::Notify;

/// Counts sessions.
#[derive(Debug)]
pub(super) struct Live {
    sessions: AtomicUsize,
    sessions_max: usize,
    draining: AtomicBool,
    emptied: Notify,
}

/// One session's place; dropping it frees the place.
#[derive(Debug)]
pub(super) struct Guard(Arc<Live>);

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// `sessions_max` are open.
    Limit,
    /// The process is about to stop.
    Draining,
}

impl Live {
    pub(super) fn new(sessions_max: usize) -> Self {
        Self {
            sessions: AtomicUsize::new(0),
            sessions_max,
            draining: AtomicBool::new(false),
            emptied: Notify::new(),
        }
    }

    /// Takes a place.
    pub(super) fn enter(self: &Arc<Self>) -> Result<Guard, Full> {
        let before = self.sessions.fetch_add(1, Ordering::AcqRel);
        // From here on dropping the guard takes the count back.
        let guard = Guard(Arc::clone(self));
        if self.draining.load(Ordering::Acquire) {
            return Err(Full::Draining);
        }
        if before >= self.sessions_max { Err(Full::Limit) } else { Ok(guard) }
    }

    pub(super) fn count(&self) -> usize {
        self.sessions.load(Ordering::Acquire)
    }

    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Resolves when the count is 0.
    pub(super) async fn empty(&self) {
        loop {
            let emptied = self.emptied.notified();
            tokio::pin!(emptied);
            // Registered before the count is read, so that no end is missed.
            emptied.as_mut().enable();
            if self.count() == 0 {
                return;
            }
            emptied.await;
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.0.sessions.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.emptied.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_holds_and_places_come_back() {
        let live = Arc::new(Live::new(1));
        let first = live.enter().unwrap();
        assert_eq!(live.enter().unwrap_err(), Full::Limit);
        assert_eq!(live.count(), 1);
        drop(first);
        live.enter().unwrap();
        live.drain();
        assert_eq!(live.enter().unwrap_err(), Full::Draining);
        assert_eq!(live.count(), 0);
    }
}
