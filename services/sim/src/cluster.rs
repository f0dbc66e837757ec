//! The cluster: real gateways and workers, each in a process of its own that can be killed, frozen,
//! drained and started again.

use std::{collections::BTreeMap, rc::Rc, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use harkara_domain::Generation;
use harkara_engine::{Directory as _, Link, Log, Store};
use harkara_fanout::Worker;
use harkara_gateway::{
    Gateway,
    auth::{self, Identity, Verifier},
    gateway::ThreadGateway,
    session::Grant,
    transport::{self, Encoding, Limits, Settings, Upgrade},
};
use tokio::sync::{Notify, mpsc};

use crate::{
    chance::{Dice, Rng},
    device::{Entrances, Visit, socket::Wire},
    engine::{
        directory::{Claims, SimDirectory},
        link::{Room, SimLink, Wires},
        log::{SimLog, broker::Broker},
        store::{SimStore, tables::Tables},
    },
    process::{Node, Proc, Tasks},
    world::{ProcClock, World},
};

/// Bytes in front of a process's log.
const QUEUE_BYTES: usize = 1 << 20;

/// Visits that wait at a gateway's door.
const VISITS_MAX: usize = 64;

/// Before a worker that could not start tries again.
const START_AGAIN: Duration = Duration::from_secs(1);

/// From a gateway's farewell to its end.
const FAREWELL: Duration = Duration::from_secs(2);

/// What a cluster is made of.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How many gateways.
    pub gateways: usize,
    /// How many workers.
    pub workers: usize,
    /// How many partitions.
    pub partitions: u16,
    fanout: harkara_fanout::Config,
    gateway: harkara_gateway::Config,
    room: Room,
}

impl Plan {
    /// A cluster as this stream has it: small queues, caches and pages, so that their ends are met.
    #[must_use]
    pub fn draw(rng: &mut Rng) -> Self {
        let seconds = harkara_service_runtime::HumanDuration::from_secs;
        let fanout = harkara_fanout::Config {
            workers: 1,
            batch_records_max: 1 + rng.index(16),
            conversation_batch_max: 1 + rng.index(8),
            in_flight_records_max: 32,
            hot_conversations_max: 1 + rng.index(40),
            snapshot_every: 1 + rng.below(12),
            passivate_after: seconds(5),
            ..Default::default()
        };
        let gateway = harkara_gateway::Config {
            workers: 1,
            outbound_soft_bytes: 64 * 1024,
            outbound_hard_bytes: 512 * 1024,
            catch_up_events_max: if rng.permille(300) { 10 } else { 1_000 },
            heartbeat: seconds(10),
            ..Default::default()
        };
        let small = rng.permille(200);
        Self {
            gateways: 1 + rng.index(3),
            workers: 1 + rng.index(3),
            partitions: 4,
            fanout,
            gateway,
            room: Room { endpoint: if small { 24 } else { 512 }, partition: 256 },
        }
    }
}

/// One life of a process.
struct Running {
    proc: Arc<Proc>,
    stop: Rc<Notify>,
}

/// The cluster and its engines.
pub struct Cluster {
    /// Time and weather.
    pub world: Arc<World>,
    /// The log.
    pub broker: Arc<Broker>,
    /// What is stored.
    pub tables: Arc<Tables>,
    /// The link.
    pub wires: Arc<Wires>,
    /// Where gateways take visits.
    pub entrances: Entrances,
    /// What it is made of.
    pub plan: Plan,
    claims: Arc<Claims>,
    verifier: Arc<Verifier>,
    dice: u64,
    lives: BTreeMap<Node, u64>,
    running: BTreeMap<Node, Running>,
}

impl Cluster {
    /// Engines without data, and no process. None where settings are wrong.
    #[must_use]
    pub fn new(world: Arc<World>, seed: u64, plan: Plan) -> Option<Self> {
        let tables = Tables::new(Arc::clone(&world));
        tables.rows().generation = Some(Generation(1));
        Some(Self {
            broker: Broker::new(Arc::clone(&world), plan.partitions),
            tables,
            wires: Wires::new(Arc::clone(&world), plan.room),
            entrances: Entrances::default(),
            claims: Claims::new(Arc::clone(&world), plan.partitions),
            verifier: Arc::new(Verifier::open(&auth::config::Config::default()).ok()?),
            plan,
            dice: seed,
            lives: BTreeMap::new(),
            running: BTreeMap::new(),
            world,
        })
    }

    /// Every place.
    #[must_use]
    pub fn nodes(&self) -> Vec<Node> {
        let gateways = (0..self.plan.gateways).map(Node::Gateway);
        gateways.chain((0..self.plan.workers).map(Node::Worker)).collect()
    }

    /// The process at a place, while there is one.
    #[must_use]
    pub fn proc(&self, node: Node) -> Option<Arc<Proc>> {
        let running = self.running.get(&node).filter(|running| !running.proc.is_dead())?;
        Some(Arc::clone(&running.proc))
    }

    /// Starts a process where none is.
    pub fn start(&mut self, node: Node) {
        if self.proc(node).is_some() {
            return;
        }
        let life = self.lives.entry(node).or_default();
        *life += 1;
        let (proc, stop) = (Proc::new(node, *life), Rc::new(Notify::new()));
        let dice = Dice::new(self.dice, &proc.address());
        let handles = self.handles(&proc, dice);
        self.world.note(|| format!("cluster   {node} starts"));
        let tasks = match node {
            Node::Worker(_) => {
                Tasks::new(&proc, work(handles, self.plan.fanout.clone(), Rc::clone(&stop)))
            }
            Node::Gateway(number) => {
                let (door, visits) = mpsc::channel(VISITS_MAX);
                self.entrances.borrow_mut().insert(number, door);
                let config = self.plan.gateway.clone();
                let verifier = Arc::clone(&self.verifier);
                Tasks::new(&proc, greet(handles, config, verifier, visits, Rc::clone(&stop)))
            }
        };
        tokio::task::spawn_local(tasks);
        self.running.insert(node, Running { proc, stop });
    }

    fn handles(&self, proc: &Arc<Proc>, dice: Dice) -> Handles {
        let directory = Arc::new(SimDirectory::new(Arc::clone(proc), Arc::clone(&self.claims)));
        let owners = directory.watch();
        Handles {
            log: Arc::new(SimLog::new(Arc::clone(proc), Arc::clone(&self.broker), QUEUE_BYTES)),
            store: Arc::new(SimStore::new(Arc::clone(proc), Arc::clone(&self.tables))),
            link: Arc::new(SimLink::new(Arc::clone(&self.wires), Arc::clone(proc), owners)),
            directory,
            clock: ProcClock { world: Arc::clone(&self.world), proc: Arc::clone(proc) },
            dice,
        }
    }

    /// Ends a process at once.
    pub fn kill(&mut self, node: Node) {
        self.close(node);
        if let Some(running) = self.running.remove(&node) {
            running.proc.kill();
        }
    }

    /// Asks a process to end.
    pub fn drain(&mut self, node: Node) {
        self.close(node);
        if let Some(running) = self.running.get(&node) {
            running.stop.notify_one();
        }
    }

    fn close(&self, node: Node) {
        if let Node::Gateway(number) = node {
            self.entrances.borrow_mut().remove(&number);
        }
    }
}

struct Handles {
    log: Arc<dyn Log>,
    store: Arc<dyn Store>,
    link: Arc<dyn Link>,
    directory: Arc<SimDirectory>,
    clock: ProcClock,
    dice: Dice,
}

/// A worker process.
async fn work(handles: Handles, config: harkara_fanout::Config, stop: Rc<Notify>) {
    let Handles { log, store, link, directory, clock, dice } = handles;
    let (world, proc) = (Arc::clone(&clock.world), Arc::clone(&clock.proc));
    let address = proc.address();
    let engines = harkara_fanout::Engines { log, store, link, directory, address };
    let clock = Arc::new(clock);
    loop {
        let (engines, clock) = (engines.clone(), clock.clone());
        match Worker::start_here(config.clone(), engines, clock, dice.entropy()).await {
            Ok(worker) => {
                stop.notified().await;
                return worker.stop().await;
            }
            Err(error) => world.note(|| format!("cluster   {} did not start: {error}", proc.node)),
        }
        tokio::time::sleep(START_AGAIN).await;
    }
}

/// A gateway process: one thread of a real one, without its listener.
async fn greet(
    handles: Handles,
    config: harkara_gateway::Config,
    verifier: Arc<Verifier>,
    mut visits: mpsc::Receiver<Visit>,
    stop: Rc<Notify>,
) {
    let Handles { log, store, link, directory, clock, dice } = handles;
    let clock: harkara_service_runtime::clock::SharedClock = Arc::new(clock);
    let limits = Limits { queued_bytes_max: config.outbound_hard_bytes, ..Limits::default() };
    let settings = Rc::new(Settings { limits, clock: clock.clone() });
    let engines = harkara_gateway::Engines { log, store, link };
    let gateway = Gateway::start(config, engines, verifier, clock, dice.entropy());
    let sessions = Rc::new(ThreadGateway(Rc::clone(&gateway)));
    loop {
        tokio::select! {
            biased;
            () = stop.notified() => break,
            visit = visits.recv() => match visit {
                Some(visit) => admit(visit, &sessions, &settings),
                None => stop.notified().await,
            },
        }
    }
    gateway.go_away(2_000, "the server restarts").await;
    tokio::time::sleep(FAREWELL).await;
    drop(directory);
}

/// The upgrade is done, and the token was good.
fn admit(visit: Visit, sessions: &Rc<ThreadGateway>, settings: &Rc<Settings>) {
    let identity = Identity {
        tenant: visit.who.tenant,
        user: visit.who.user,
        device: visit.who.device,
        name: Some(format!("device {}", visit.who.number)),
        expires_at_ms: u64::MAX,
        signed_by: None,
    };
    let peer = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
    let upgrade = Upgrade { peer, bearer: None, encoding: Encoding::Json };
    let io = (Wire(visit.line), BytesMut::new(), Bytes::new());
    transport::open(io, (upgrade, Grant(Some(identity))), sessions, settings, ());
}
