//! Step 8 of the message path: the hub of one worker thread. Events come in once per thread from
//! the link, are encoded once, and go to each local session's queue as the same bytes.
//!
//! Everything here runs on one thread and is reached through an `Rc`; no call blocks or is
//! re-entered by a socket. Files: [`feed`] is the pure order of one conversation's events,
//! `frames` takes what owners say, `guard` holds panics off, `entries`, `inboxes`, `subscriptions`
//! and `asks` speak to owners, `catch_up` reads the store for those who missed something
//! (architecture D8).

mod asks;
mod catch_up;
pub(crate) mod entries;
pub mod feed;
mod frames;
mod guard;
mod inboxes;
pub(crate) mod notices;
mod sessions;
pub(crate) mod subscriptions;
#[cfg(test)]
mod tests;

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, VecDeque},
    rc::Rc,
    sync::Arc,
};

use harkara_domain::{ClientId, ConversationId, DeviceId, Epoch, Partition, Seq, UserId};
use harkara_engine::{
    Down, EndpointId, GatewayLink, Store, Up,
    link::{Answer, Outcome, Unreachable},
};
use harkara_service_runtime::clock::SharedClock;
use tokio::sync::{Semaphore, mpsc, oneshot};

pub use self::sessions::Key;
use self::{entries::Word, feed::Feed, inboxes::Unheard, sessions::Sessions};
use crate::{Config, load::Load, metrics::Metrics, peer::Peer};

/// Catch-ups that read the store at one time, per thread: 64 × a page of ~25 KB = 1.6 MB.
const CATCH_UPS_MAX: usize = 64;

/// Subscriptions without an answer at one time, per thread: a quarter of the link's queue, so that
/// a storm of starting sessions does not overflow it with answers.
const SUBSCRIBING_MAX: usize = 2_000;

/// Frames taken from the link before other tasks of the thread get their turn: at ~5 µs a local
/// delivery and some sessions each, well below a millisecond.
const FRAMES_PER_TURN: usize = 32;

/// The hub of a thread.
pub struct Hub {
    pub(crate) config: Config,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: SharedClock,
    pub(crate) metrics: Rc<Metrics>,
    /// Sends of this thread's sessions that are under way.
    pub load: Rc<Load>,
    link: Arc<dyn GatewayLink>,
    endpoint: EndpointId,
    partitions: u16,
    state: RefCell<State>,
    catch_ups: Semaphore,
    /// What has to be said to owners again: it found no room, or frames were lost.
    unsaid: RefCell<VecDeque<Up>>,
    said: Said,
    subscribing: Semaphore,
}

/// The pace at which things are said again.
#[derive(Default)]
struct Said {
    /// What was said again and has no answer, as far as is known.
    unanswered: Cell<usize>,
    /// When a loss was noticed last.
    noticed: Cell<u64>,
}

#[derive(Default)]
struct State {
    sessions: Sessions,
    feeds: HashMap<ConversationId, Feed>,
    inboxes: HashMap<ConversationId, Vec<Key>>,
    epochs: HashMap<Partition, Epoch>,
    answers: HashMap<u64, oneshot::Sender<Answer>>,
    entries: HashMap<(ConversationId, UserId), Vec<oneshot::Sender<Word>>>,
    outcomes: HashMap<(ConversationId, DeviceId, ClientId), Vec<oneshot::Sender<Outcome>>>,
    /// Users whose entry changed and whose sessions are told with the owner's answer.
    refreshing: HashMap<ConversationId, Vec<UserId>>,
    /// Ends of subscription that an owner was told of in the last sweeps: a session of the same
    /// user that asked before and follows after must ask again.
    ended: HashMap<(ConversationId, UserId), u8>,
    /// Inboxes whose owners have not confirmed that this thread listens.
    unheard: HashMap<ConversationId, Unheard>,
    /// Sessions whose lists are being read again, and whether once more after that.
    rereading: HashMap<Key, bool>,
    requests: u64,
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
    pub metrics: Rc<Metrics>,
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
            load: Rc::new(Load::new(&parts.config, Rc::clone(&parts.metrics))),
            config: parts.config,
            store: parts.store,
            clock: parts.clock,
            metrics: parts.metrics,
            link,
            endpoint,
            partitions: parts.partitions,
            state: RefCell::default(),
            catch_ups: Semaphore::new(CATCH_UPS_MAX),
            unsaid: RefCell::default(),
            said: Said::default(),
            subscribing: Semaphore::new(SUBSCRIBING_MAX),
        }
    }

    /// Takes frames until the link closes. Spawned once per thread.
    pub async fn run(self: Rc<Self>, mut frames: mpsc::Receiver<Arc<Down>>) {
        let mut sweep = tokio::time::interval(std::time::Duration::from_secs(1));
        loop {
            // Always looked at in this order, so that a run can be repeated; the first one is rare.
            tokio::select! {
                biased;
                _ = sweep.tick() => self.guarded(None, || {
                    // An answer that is not there after a second was lost.
                    self.said.unanswered.set(0);
                    self.notice_loss();
                    self.say_again();
                    self.sweep();
                    self.expire_sends();
                }),
                frame = frames.recv() => {
                    let Some(frame) = frame else { return };
                    self.guarded(Some(frame.conversation), || self.take(&frame));
                    for _ in 1..FRAMES_PER_TURN {
                        let Ok(frame) = frames.try_recv() else { break };
                        self.guarded(Some(frame.conversation), || self.take(&frame));
                    }
                    self.guarded(None, || {
                        self.notice_loss();
                        self.say_again();
                    });
                    tokio::task::yield_now().await;
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
        self.state.borrow_mut().sessions.insert(peer)
    }

    /// Outcomes that a link lost are not waited for, and what is over is over although nobody sends.
    fn expire_sends(&self) {
        let now = self.clock.elapsed_ns();
        self.load.look(now);
        if self.load.is_idle() {
            return;
        }
        for (_, local) in self.state.borrow().sessions.iter() {
            local.peer.expire(now);
        }
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

    /// Is there a live link to the conversation's owner?
    fn reaches(&self, conversation: ConversationId) -> bool {
        self.link.reaches(Partition::of(conversation, self.partitions))
    }

    fn up(&self, up: Up) -> Result<(), Unreachable> {
        self.link.send(Partition::of(up.conversation(), self.partitions), up)
    }

    /// The same, said again with the next sweep where it finds no room.
    fn up_surely(&self, up: Up) {
        if self.up(up.clone()).is_err() {
            self.unsaid.borrow_mut().push_back(up);
        }
    }
}
