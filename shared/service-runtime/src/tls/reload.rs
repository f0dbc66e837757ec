//! Something made from files, made again when their content changes.
//!
//! Looked at when it is needed, which is at a handshake, and at most once a second. The content is
//! compared rather than a time stamp: it is a few kilobytes, and that sees an edit in place, a
//! rename over it and a swapped symbolic link alike. A content is judged once: a broken one is
//! told the first time, and what was good stays in use.

use std::{
    fmt,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{TlsError, files};
use crate::clock::SharedClock;

/// Between two looks: a rotation waits for no more than this, and handshakes at a rate of
/// thousands do not read files thousands of times.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// A file and what is in it.
pub(super) type Content = (PathBuf, Vec<u8>);

type Make<T> = Box<dyn Fn(&[Content]) -> Result<Arc<T>, TlsError> + Send + Sync>;

/// What is in force, and how to see that it should be something else.
pub(super) struct Reload<T: ?Sized> {
    what: &'static str,
    paths: Vec<PathBuf>,
    make: Make<T>,
    now: RwLock<Arc<T>>,
    clock: SharedClock,
    looked_ns: AtomicU64,
    seen: Mutex<u64>,
}

impl<T: ?Sized> Reload<T> {
    /// Made for the first time. `what` is its name in log lines.
    pub(super) fn new(
        what: &'static str,
        paths: Vec<PathBuf>,
        make: Make<T>,
        clock: &SharedClock,
    ) -> Result<Self, TlsError> {
        let contents = read(&paths)?;
        let now = RwLock::new(make(&contents)?);
        let seen = Mutex::new(mark(Ok(&contents)));
        let looked_ns = AtomicU64::new(clock.elapsed_ns());
        Ok(Self { what, paths, make, now, clock: Arc::clone(clock), looked_ns, seen })
    }

    /// What is in force now.
    pub(super) fn get(&self) -> Arc<T> {
        if self.is_due() {
            self.look();
        }
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the pause is over; the one who is told so looks, and all others go on.
    fn is_due(&self) -> bool {
        let (now, last) = (self.clock.elapsed_ns(), self.looked_ns.load(Ordering::Relaxed));
        let over = u128::from(now.saturating_sub(last)) >= PAUSE.as_nanos();
        let (order, other) = (Ordering::Relaxed, Ordering::Relaxed);
        over && self.looked_ns.compare_exchange(last, now, order, other).is_ok()
    }

    fn look(&self) {
        let contents = read(&self.paths);
        let mark = mark(contents.as_ref());
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut *seen, mark) == mark {
            return;
        }
        match contents.and_then(|contents| (self.make)(&contents)) {
            Ok(made) => {
                *self.now.write().unwrap_or_else(PoisonError::into_inner) = made;
                tracing::info!(what = self.what, files = ?self.paths, "read again after a change");
            }
            Err(error) => {
                tracing::warn!(what = self.what, %error, "changed and not taken, the last one stays");
            }
        }
    }
}

impl<T: ?Sized> fmt::Debug for Reload<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reload").field("what", &self.what).field("paths", &self.paths).finish()
    }
}

fn read(paths: &[PathBuf]) -> Result<Vec<Content>, TlsError> {
    paths.iter().map(|path| Ok((path.clone(), files::read(path)?))).collect()
}

/// Differs where the contents, or the error, differ.
fn mark(contents: Result<&Vec<Content>, &TlsError>) -> u64 {
    let mut hasher = DefaultHasher::new();
    contents.map_err(ToString::to_string).hash(&mut hasher);
    hasher.finish()
}
