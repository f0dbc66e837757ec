//! The gateway of one worker thread: what its sessions share, and the decision over upgrades.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use harkara_domain::{Profile, SessionId, TenantId, UserId};
use harkara_engine::{Link, Log, Store};
use harkara_service_runtime::{clock::SharedClock, entropy::SharedEntropy};
use secrecy::ExposeSecret as _;
use slab::Slab;

use crate::{
    Config,
    auth::{Identity, KeyMark, Verifier},
    hub::{Hub, Parts},
    load::Stage,
    metrics::Metrics,
    session::{Grant, SessionActor},
    transport::{Refusal, Sessions, SocketHandle, Upgrade},
};

/// Close code: the server restarts, come back after the announced delay (RFC 6455 registry).
const RESTART: u16 = 1012;

/// From the word to leave until sockets are closed: many times what an append takes.
const LAST_ANSWERS: Duration = Duration::from_millis(300);

/// Least pause of who is not let in under load, milliseconds; each gets up to twice that.
const COME_BACK_MS: u64 = 5_000;

/// Names that a thread remembers to have stored: 10,000 × ~120 bytes = 1.2 MB.
const NAMES_REMEMBERED: usize = 10_000;

/// The engines a gateway works with.
#[derive(Clone)]
pub struct Engines {
    /// The truth.
    pub log: Arc<dyn Log>,
    /// History.
    pub store: Arc<dyn Store>,
    /// To the owners of partitions.
    pub link: Arc<dyn Link>,
}

/// What the sessions of one thread share.
pub struct Gateway {
    pub(crate) config: Config,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) hub: Rc<Hub>,
    pub(crate) clock: SharedClock,
    pub(crate) entropy: SharedEntropy,
    pub(crate) metrics: Rc<Metrics>,
    verifier: Arc<Verifier>,
    names: RefCell<HashMap<(TenantId, UserId), String>>,
    /// Sockets that are nobody's session yet.
    visitors: RefCell<Slab<SocketHandle>>,
    leaving: Cell<bool>,
}

impl Gateway {
    /// Made on its thread; starts the thread's hub.
    #[must_use]
    pub fn start(
        config: Config,
        engines: Engines,
        verifier: Arc<Verifier>,
        clock: SharedClock,
        entropy: SharedEntropy,
    ) -> Rc<Self> {
        let (endpoint, link, frames) = engines.link.gateway();
        let metrics = Rc::new(Metrics::default());
        let hub = Rc::new(Hub::new(Parts {
            config: config.clone(),
            store: Arc::clone(&engines.store),
            clock: clock.clone(),
            metrics: metrics.clone(),
            partitions: engines.log.partitions(),
            endpoint: (endpoint, link),
        }));
        actix_rt::spawn(Rc::clone(&hub).run(frames));
        Rc::new(Self {
            config,
            log: engines.log,
            store: engines.store,
            hub,
            clock,
            entropy,
            metrics,
            verifier,
            names: RefCell::default(),
            visitors: RefCell::default(),
            leaving: Cell::new(false),
        })
    }

    /// Under load those who are there come first.
    fn spare_connects(&self) -> Result<(), Refusal> {
        if !self.hub.load.gives_up(Stage::Connects, self.clock.elapsed_ns()) {
            return Ok(());
        }
        let message = "the server has more to do than it can";
        let more = Duration::from_millis(self.entropy.below(COME_BACK_MS));
        Err(Refusal::unavailable(message, Duration::from_millis(COME_BACK_MS) + more))
    }

    /// Verifies a token.
    ///
    /// # Errors
    /// What is wrong with it, in words for the client.
    pub(crate) fn verify(&self, token: &str) -> Result<Identity, crate::auth::AuthError> {
        self.verifier.verify(token, self.clock.now_ms())
    }

    /// Whether tokens of this key are still taken.
    pub(crate) fn stands(&self, signed_by: Option<KeyMark>) -> bool {
        self.verifier.stands(signed_by, self.clock.now_ms())
    }

    pub(crate) fn new_session_id(&self) -> SessionId {
        SessionId::from_uuid(self.entropy.uuid_v7(self.clock.now_ms()))
    }

    /// Keeps a user's name, if this thread has not just done so.
    pub(crate) async fn keep_name(&self, identity: &Identity) {
        let Identity { tenant, user, name: Some(name), .. } = identity else { return };
        if self.names.borrow().get(&(*tenant, *user)) == Some(name) {
            return;
        }
        let at = self.clock.now_ms();
        let profile = Profile { tenant: *tenant, user: *user, name: name.clone(), at };
        match self.store.put_profile(profile).await {
            Ok(()) => {
                let mut names = self.names.borrow_mut();
                if names.len() >= NAMES_REMEMBERED {
                    names.clear();
                }
                names.insert((*tenant, *user), name.clone());
            }
            Err(error) => tracing::warn!(%user, %error, "name not kept, next session tries again"),
        }
    }

    /// A socket that just came. None while the gateway leaves: it is told so at once.
    pub(crate) fn remember_visitor(&self, socket: &SocketHandle) -> Option<usize> {
        if self.leaving.get() {
            socket.close(RESTART, "the server restarts");
            return None;
        }
        Some(self.visitors.borrow_mut().insert(socket.clone()))
    }

    /// It is a session now, or gone.
    pub(crate) fn forget_visitor(&self, visitor: usize) {
        self.visitors.borrow_mut().try_remove(visitor);
    }

    /// Tells every session of this thread to come back later, lets what is in flight be answered,
    /// then closes them all.
    pub async fn go_away(&self, spread_ms: u64, reason: &str) {
        self.leaving.set(true);
        for (_, socket) in self.visitors.borrow().iter() {
            socket.close(RESTART, reason);
        }
        for peer in self.hub.peers() {
            let after = 500 + self.entropy.below(spread_ms);
            peer.go_away(after, reason);
        }
        tokio::time::sleep(LAST_ANSWERS).await;
        for peer in self.hub.peers() {
            peer.outlet.close(RESTART, reason);
        }
    }
}

/// The gateway as the transport sees it.
#[derive(Clone)]
pub struct ThreadGateway(pub Rc<Gateway>);

impl Sessions for ThreadGateway {
    type Grant = Grant;
    type Actor = SessionActor;

    fn admit(&self, upgrade: &Upgrade) -> Result<Grant, Refusal> {
        self.0.spare_connects()?;
        match &upgrade.bearer {
            None => Ok(Grant(None)),
            Some(token) => match self.0.verify(token.expose_secret()) {
                Ok(identity) => Ok(Grant(Some(identity))),
                Err(error) => {
                    self.0.metrics.refused("unauthenticated");
                    Err(Refusal::unauthenticated(error.to_string()))
                }
            },
        }
    }

    fn start(&self, _: Upgrade, grant: Grant, socket: SocketHandle) -> SessionActor {
        SessionActor::new(Rc::clone(&self.0), grant, socket)
    }
}
