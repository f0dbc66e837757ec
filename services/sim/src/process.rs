//! A process of the cluster: a set of tasks that run, freeze and die together, as they do when the
//! kernel stops or kills them. What it has sent is on its way whatever becomes of it.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use tokio::{sync::Notify, task::LocalSet};

/// Which place in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Node {
    /// A gateway, by its number.
    Gateway(usize),
    /// A worker, by its number.
    Worker(usize),
}

impl std::fmt::Display for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Gateway(n) => write!(f, "gateway {n}"),
            Self::Worker(n) => write!(f, "worker {n}"),
        }
    }
}

/// One life of a process, as engines and faults know it.
#[derive(Debug)]
pub struct Proc {
    /// Its place.
    pub node: Node,
    /// Which life it is at that place, from 1.
    pub life: u64,
    dead: AtomicBool,
    frozen: AtomicBool,
    clock_ms: AtomicI64,
    changed: Notify,
    waker: Mutex<Option<Waker>>,
}

impl Proc {
    /// A process that runs.
    #[must_use]
    pub fn new(node: Node, life: u64) -> Arc<Self> {
        Arc::new(Self {
            node,
            life,
            dead: AtomicBool::new(false),
            frozen: AtomicBool::new(false),
            clock_ms: AtomicI64::new(0),
            changed: Notify::new(),
            waker: Mutex::default(),
        })
    }

    /// Where its end of the link listens.
    #[must_use]
    pub fn address(&self) -> String {
        format!("{}/{}", self.node, self.life)
    }

    /// Was it killed, or did it end?
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    /// Is it stopped for now?
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.frozen.load(Ordering::Acquire)
    }

    /// Waits until it runs. False when it is dead.
    pub async fn runs(&self) -> bool {
        loop {
            let changed = self.changed.notified();
            if self.is_dead() {
                return false;
            }
            if !self.is_frozen() {
                return true;
            }
            changed.await;
        }
    }

    /// Ends it at once.
    pub fn kill(&self) {
        self.dead.store(true, Ordering::Release);
        self.wake();
    }

    /// Stops it, or lets it go on.
    pub fn freeze(&self, frozen: bool) {
        self.frozen.store(frozen, Ordering::Release);
        self.wake();
    }

    /// Its clock on the wall jumps.
    pub fn jump(&self, by_ms: i64) {
        self.clock_ms.fetch_add(by_ms, Ordering::AcqRel);
    }

    /// How wrong its clock on the wall is.
    #[must_use]
    pub fn clock_is_off_by(&self) -> i64 {
        self.clock_ms.load(Ordering::Acquire)
    }

    fn wake(&self) {
        self.changed.notify_waiters();
        if let Some(waker) = self.waker.lock().unwrap_or_else(PoisonError::into_inner).take() {
            waker.wake();
        }
    }
}

/// The tasks of a process. Ends when it is killed, and with it all of them.
pub struct Tasks {
    proc: Arc<Proc>,
    set: Option<LocalSet>,
}

impl Tasks {
    /// Tasks of this process, of which `main` is the first one; the process ends with it.
    #[must_use]
    pub fn new(proc: &Arc<Proc>, main: impl Future<Output = ()> + 'static) -> Self {
        let set = LocalSet::new();
        let ended = Arc::clone(proc);
        set.spawn_local(async move {
            main.await;
            ended.kill();
        });
        Self { proc: Arc::clone(proc), set: Some(set) }
    }
}

impl Future for Tasks {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        *this.proc.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
        if this.proc.is_dead() {
            this.set = None;
            return Poll::Ready(());
        }
        if !this.proc.is_frozen()
            && let Some(set) = &mut this.set
        {
            let _ = Pin::new(set).poll(cx);
            if this.proc.is_dead() {
                this.set = None;
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }
}
