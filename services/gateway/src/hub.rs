//! Step 8 of the message path: the hub of one worker thread. Events come in once per thread from
//! the link, are encoded once, and go to each local session's queue as the same bytes.
//!
//! Everything here runs on one thread and is reached through an `Rc`; no call blocks or is
//! re-entered by a socket. Files: [`feed`] is the pure order of one conversation's events,
//! `frames` takes what owners say, `subscriptions` and `asks` speak to owners, `catch_up` reads
//! the store for those who missed something (architecture D8).

mod asks;
mod catch_up;
pub mod feed;
mod frames;
pub(crate) mod notices;
pub(crate) mod subscriptions;
#[cfg(test)]
mod tests;

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    sync::Arc,
};

use harkara_domain::{ClientId, ConversationId, DeviceId, Entry, Epoch, Partition, Seq, UserId};
use harkara_engine::{
    Down, EndpointId, GatewayLink, Store, Up,
    link::{Answer, Outcome, Unreachable},
};
use harkara_service_runtime::clock::SharedClock;
use slab::Slab;
use tokio::sync::{Semaphore, mpsc, oneshot};

use self::feed::Feed;
use crate::{Config, metrics::Metrics, peer::Peer};

/// Catch-ups that read the store at one time, per thread: 64 × a page of ~80 KB = 5 MB.
const CATCH_UPS_MAX: usize = 64;

/// Frames taken from the link before other tasks of the thread get their turn: at ~5 µs a local
/// delivery and some sessions each, well below a millisecond.
const FRAMES_PER_TURN: usize = 32;

/// A session's place in its hub.
pub type Key = usize;

/// The hub of a thread.
pub struct Hub {
    pub(crate) config: Config,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: SharedClock,
    pub(crate) metrics: Metrics,
    link: Arc<dyn GatewayLink>,
    endpoint: EndpointId,
    partitions: u16,
    state: RefCell<State>,
    catch_ups: Semaphore,
    resubscribe: Cell<bool>,
}

#[derive(Default)]
struct State {
    sessions: Slab<Local>,
    feeds: HashMap<ConversationId, Feed>,
    inboxes: HashMap<ConversationId, Vec<Key>>,
    epochs: HashMap<Partition, Epoch>,
    answers: HashMap<u64, oneshot::Sender<Answer>>,
    entries: HashMap<(ConversationId, UserId), Vec<oneshot::Sender<Option<Entry>>>>,
    outcomes: HashMap<(DeviceId, ClientId), Vec<oneshot::Sender<Outcome>>>,
    /// Ends of subscription that an owner was told of in the last sweeps: a session of the same
    /// user that asked before and follows after must ask again.
    ended: HashMap<(ConversationId, UserId), u8>,
    requests: u64,
}

/// A session of this thread, with what it is subscribed to.
struct Local {
    peer: Rc<Peer>,
    conversations: Vec<ConversationId>,
    /// News of the list that came before the answer to `session.start`; none after it.
    early: Option<Vec<News>>,
}

/// One change of a user's list.
#[derive(Debug, Clone, Copy)]
struct News {
    conversation: ConversationId,
    cause: Seq,
    present: bool,
}

/// What a hub needs to be made.
pub struct Parts {
    /// Limits and timeouts.
    pub config: Config,
    /// For gaps and catching up.
    pub store: Arc<dyn Store>,
    /// For deadlines and figures.
    pub clock: SharedClock,
    /// What is counted.
    pub metrics: Metrics,
    /// How many partitions the log has.
    pub partitions: u16,
    /// This hub's end of the link.
    pub endpoint: (EndpointId, Arc<dyn GatewayLink>),
}

impl Hub {
    /// A hub without sessions.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let (endpoint, link) = parts.endpoint;
        Self {
            config: parts.config,
            store: parts.store,
            clock: parts.clock,
            metrics: parts.metrics,
            link,
            endpoint,
            partitions: parts.partitions,
            state: RefCell::default(),
            catch_ups: Semaphore::new(CATCH_UPS_MAX),
            resubscribe: Cell::new(false),
        }
    }

    /// Takes frames until the link closes. Spawned once per thread.
    pub async fn run(self: Rc<Self>, mut frames: mpsc::Receiver<Arc<Down>>) {
        let mut sweep = tokio::time::interval(std::time::Duration::from_secs(1));
        loop {
            tokio::select! {
                frame = frames.recv() => {
                    let Some(frame) = frame else { return };
                    self.take(&frame);
                    for _ in 1..FRAMES_PER_TURN {
                        let Ok(frame) = frames.try_recv() else { break };
                        self.take(&frame);
                    }
                    self.heal();
                    tokio::task::yield_now().await;
                }
                _ = sweep.tick() => {
                    self.heal();
                    self.sweep();
                }
            }
        }
    }

    /// This hub's name on the link: records carry it, so that outcomes find their way.
    #[must_use]
    pub fn endpoint(&self) -> EndpointId {
        self.endpoint
    }

    /// A session that just authenticated.
    pub fn register(&self, peer: Rc<Peer>) -> Key {
        self.metrics.session(1);
        self.state.borrow_mut().sessions.insert(Local {
            peer,
            conversations: Vec::new(),
            early: Some(Vec::new()),
        })
    }

    /// Every session of this thread.
    #[must_use]
    pub fn peers(&self) -> Vec<Rc<Peer>> {
        self.state.borrow().sessions.iter().map(|(_, local)| Rc::clone(&local.peer)).collect()
    }

    /// A session of this thread.
    pub(crate) fn peer(&self, key: Key) -> Option<Rc<Peer>> {
        self.state.borrow().sessions.get(key).map(|local| Rc::clone(&local.peer))
    }

    fn up(&self, up: Up) -> Result<(), Unreachable> {
        self.link.send(Partition::of(up.conversation(), self.partitions), up)
    }
}
