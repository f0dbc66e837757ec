//! One run: a cluster and devices drawn from a seed, faults as scheduled, then calm, then the
//! oracle.

mod faults;

use std::{cell::Cell, collections::BTreeMap, rc::Rc, sync::Arc, time::Duration};

use harkara_domain::{DeviceId, TenantId, UserId};
use tokio::{
    task::{JoinHandle, LocalSet},
    time::sleep,
};

use crate::{
    chance::Rng,
    cluster::{Cluster, Plan},
    device::{Around, Device, Who, shell::Shell, witness::Witness},
    epilogue,
    oracle::{self, Breach},
    schedule::{self, CALM_MS, Fault, Planned},
    weather::Weather,
    world::World,
};

/// How long people act and faults happen, milliseconds.
const ACTIVE_MS: u64 = 60_000;

/// How long after the last fault everything may take to come to rest, milliseconds.
pub const REST_MS_MAX: u64 = 90_000;

/// How long people act after the log was made anew, milliseconds.
const SECOND_LIFE_MS: u64 = 8_000;

/// How long a record from the future is given to do harm.
const FUTURE: Duration = Duration::from_secs(3);

/// Between two looks whether everything is at rest.
const LOOK: Duration = Duration::from_millis(500);

/// What to run.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Everything comes from it.
    pub seed: u64,
    /// The faults to keep; all where none is said.
    pub keep: Option<Vec<usize>>,
    /// Keep a trace.
    pub traced: bool,
}

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// From which seed.
    pub seed: u64,
    /// What went wrong on purpose.
    pub schedule: Vec<Planned>,
    /// What went wrong.
    pub breaches: Vec<Breach>,
    /// Virtual time that passed.
    pub elapsed: Duration,
    /// Events that were stored.
    pub events: usize,
    /// Events that devices showed.
    pub shown: usize,
    /// What happened, where it was asked for.
    pub trace: Vec<String>,
}

/// Runs a simulation on this thread, in a runtime of its own.
///
/// # Errors
/// When the runtime can't be made, or the cluster's settings are wrong.
pub fn run(request: &Request) -> Result<Report, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .map_err(|error| error.to_string())?;
    let set = LocalSet::new();
    let report = set.block_on(&runtime, Simulation::run(request));
    // Tasks of processes end with the runtime they were made on.
    let _entered = runtime.enter();
    drop(set);
    report
}

struct Simulation {
    world: Arc<World>,
    cluster: Cluster,
    devices: Vec<Rc<Device>>,
    shells: BTreeMap<usize, JoinHandle<()>>,
    around: Around,
    count: Rc<Cell<u64>>,
    seed: u64,
}

impl Simulation {
    async fn run(request: &Request) -> Result<Report, String> {
        let mut rng = Rng::new(request.seed, "plan");
        let weather = Weather::with_latency(0, rng.between(1, 5));
        let world = World::new(request.seed, weather, request.traced);
        let plan = Plan::draw(&mut rng);
        let mut this = Self::new(&mut rng, request.seed, &world, plan)?;
        let all = schedule::draw(&mut rng, &this.cluster.plan, this.devices.len(), ACTIVE_MS);
        let kept = |planned: &Planned| {
            request.keep.as_ref().is_none_or(|keep| keep.contains(&planned.number))
        };
        let schedule: Vec<Planned> = all.into_iter().filter(kept).collect();
        this.begin();
        this.play(&schedule).await;
        this.calm();
        let mut breaches = this.rest().await;
        this.look_anew().await;
        breaches.extend(this.rest().await);
        if breaches.is_empty() {
            breaches.extend(this.epilogue(&mut rng).await);
        }
        breaches.extend(oracle::judge(&this.cluster, &this.devices));
        let events = this.cluster.tables.rows().events.len();
        let shown = this.devices.iter().map(|device| oracle::shown(device)).sum();
        let (elapsed, trace) = (world.elapsed(), world.take_trace());
        let seed = request.seed;
        this.end();
        Ok(Report { seed, schedule, breaches, elapsed, events, shown, trace })
    }

    fn new(rng: &mut Rng, seed: u64, world: &Arc<World>, plan: Plan) -> Result<Self, String> {
        let cluster = Cluster::new(Arc::clone(world), seed, plan)
            .ok_or("the gateway's settings are wrong")?;
        let tenant = TenantId::development();
        let names: Vec<String> = (0..rng.between(2, 5)).map(|n| format!("user {n}")).collect();
        let users: Rc<[UserId]> = names.iter().map(|name| UserId::development(name)).collect();
        let count = Rc::new(Cell::new(0));
        let mut devices = Vec::new();
        for (n, name) in names.iter().enumerate() {
            for which in 0..rng.between(1, 2) {
                let device = DeviceId::development(name, &which.to_string());
                let who = Who { number: devices.len(), tenant, user: users[n], device };
                let keeps = rng.permille(500);
                let witness = Witness::new(who.number, Arc::clone(world), Rc::clone(&count));
                devices.push(Device::new(who, seed, witness, keeps));
            }
        }
        let around = Around {
            world: Arc::clone(world),
            entrances: Rc::clone(&cluster.entrances),
            users,
            until_ms: Rc::new(Cell::new(ACTIVE_MS)),
            pause_ms: rng.between(200, 2_000),
            changes_percent: rng.between(5, 35),
            rooms_max: 1 + rng.index(6),
        };
        let (world, shells) = (Arc::clone(world), BTreeMap::new());
        Ok(Self { world, cluster, devices, shells, around, count, seed })
    }

    fn begin(&mut self) {
        for node in self.cluster.nodes() {
            self.cluster.start(node);
        }
        for number in 0..self.devices.len() {
            self.switch_on(number, true);
        }
    }

    fn switch_on(&mut self, number: usize, acts: bool) {
        let Some(device) = self.devices.get(number).filter(|device| !device.lost.get()) else {
            return;
        };
        if self.shells.contains_key(&number) {
            return;
        }
        let shell = Shell::new(Rc::clone(device), self.around.clone(), acts);
        self.shells.insert(number, tokio::task::spawn_local(shell.run()));
    }

    fn switch_off(&mut self, number: usize) {
        if let (Some(shell), Some(device)) = (self.shells.remove(&number), self.devices.get(number))
        {
            shell.abort();
            *device.machine.borrow_mut() = None;
        }
    }

    async fn until(&self, at_ms: u64) {
        sleep(Duration::from_millis(at_ms.saturating_sub(self.world.now_ms()))).await;
    }

    /// Faults, and their ends, in the order of their times.
    async fn play(&mut self, schedule: &[Planned]) {
        self.until(CALM_MS.min(ACTIVE_MS)).await;
        let mut ends: BTreeMap<(u64, usize), Fault> = BTreeMap::new();
        let mut next = schedule.iter().peekable();
        loop {
            let begin = next.peek().map(|planned| planned.at_ms).unwrap_or(ACTIVE_MS);
            let end = ends.first_key_value().map(|((at, _), _)| *at).unwrap_or(ACTIVE_MS);
            if begin.min(end) >= ACTIVE_MS {
                return self.until(ACTIVE_MS).await;
            }
            self.until(begin.min(end)).await;
            if end <= begin {
                if let Some(((_, number), fault)) = ends.pop_first() {
                    self.world.note(|| format!("end       #{number} {fault:?}"));
                    self.end_of(number, &fault);
                }
            } else if let Some(planned) = next.next() {
                self.world.note(|| format!("fault     #{} {:?}", planned.number, planned.fault));
                if let Some(lasts) = self.begin_of(planned.number, &planned.fault) {
                    let at = planned.at_ms + lasts;
                    ends.insert((at, planned.number), planned.fault.clone());
                }
            }
        }
    }

    /// From here on nothing fails, and nobody begins anything.
    fn calm(&mut self) {
        self.world.note(|| "calm      no more faults".to_owned());
        self.world.weather().clear();
        for node in self.cluster.nodes() {
            self.freeze(node, false);
            self.cluster.start(node);
        }
        for (number, device) in self.devices.iter().enumerate() {
            device.line.stalled_until.set(0);
            device.line.mute_until.set(0);
            device.line.changed.notify_one();
            if device.lost.get() {
                self.shells.remove(&number);
            }
        }
        for number in 0..self.devices.len() {
            self.switch_on(number, false);
        }
    }

    /// Waits until everything is at rest; what is not in time is a breach.
    async fn rest(&mut self) -> Vec<Breach> {
        let until = self.world.now_ms() + REST_MS_MAX;
        loop {
            sleep(LOOK).await;
            // A process that was drained ends in its own time.
            for node in self.cluster.nodes() {
                self.cluster.start(node);
            }
            let restless = oracle::restless(&self.cluster, &self.devices);
            if restless.is_empty() || self.world.now_ms() >= until {
                return restless;
            }
        }
    }

    /// Everybody takes a new device, and looks at everything from the beginning.
    async fn look_anew(&mut self) {
        let tenant = TenantId::development();
        for n in 0..self.around.users.len() {
            let Some(user) = self.around.users.get(n).copied() else { return };
            // Even numbers begin with the first event.
            let number = self.devices.len() + self.devices.len() % 2;
            let device = DeviceId::development(&n.to_string(), "new");
            let who = Who { number, tenant, user, device };
            let world = Arc::clone(&self.world);
            let witness = Witness::new(number, world, Rc::clone(&self.count));
            self.devices.push(Device::new(who, self.seed, witness, false));
            self.switch_on(self.devices.len() - 1, false);
        }
    }

    async fn epilogue(&mut self, rng: &mut Rng) -> Vec<Breach> {
        let mut breaches = Vec::new();
        if rng.permille(300) {
            epilogue::remake_log(&mut self.cluster);
            self.around.until_ms.set(self.world.now_ms() + SECOND_LIFE_MS);
            self.devices.iter().for_each(|device| device.line.changed.notify_one());
            sleep(Duration::from_millis(SECOND_LIFE_MS)).await;
            breaches = self.rest().await;
        }
        epilogue::write_from_the_future(&self.cluster);
        sleep(FUTURE).await;
        breaches
    }

    fn end(&mut self) {
        let shells = std::mem::take(&mut self.shells);
        shells.values().for_each(JoinHandle::abort);
        for node in self.cluster.nodes() {
            self.cluster.kill(node);
        }
        self.devices = Vec::new();
    }
}
