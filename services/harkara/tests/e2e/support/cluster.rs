//! A cluster for one test: two gateways and two workers as processes, a topic and a keyspace of
//! their own on the engines that all tests of this process share. `server` asks for it where the
//! target is one of clusters. Sharing a cluster between tests would be faster by a few seconds each,
//! but they kill its processes, count its sessions and all speak as the same people.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use harkara_test_engines::{Cassandra, Kafka, skipped};

use super::{
    http,
    metrics::{Metrics, metrics_of},
    process::Process,
    server::{Launch, Server, listening, until_told},
    until, uuid,
};

/// Enough to be spread over two workers and some more conversations, few enough to be quick.
pub const PARTITIONS: u16 = 8;

/// Where a cluster belongs to: a directory, names of its own, and what of it runs while its server
/// is killed.
#[derive(Clone)]
pub struct Site(Arc<Mutex<State>>);

struct State {
    dir: PathBuf,
    made: bool,
    parked: Option<Rest>,
}

/// What a cluster consists of beside its first gateway.
pub struct Rest {
    pub gateway: Gateway,
    pub workers: Vec<Worker>,
}

/// A gateway that listens.
pub struct Gateway {
    pub process: Process,
    pub clients: SocketAddr,
    pub admin: SocketAddr,
}

/// A worker that serves.
pub struct Worker {
    pub process: Process,
    pub admin: SocketAddr,
}

impl Rest {
    pub fn admins(&self) -> Vec<SocketAddr> {
        let workers = self.workers.iter().map(|worker| worker.admin);
        [self.gateway.admin].into_iter().chain(workers).collect()
    }

    pub fn processes(&self) -> Vec<&Process> {
        let workers = self.workers.iter().map(|worker| &worker.process);
        [&self.gateway.process].into_iter().chain(workers).collect()
    }

    pub fn processes_mut(&mut self) -> Vec<&mut Process> {
        let workers = self.workers.iter_mut().map(|worker| &mut worker.process);
        [&mut self.gateway.process].into_iter().chain(workers).collect()
    }

    /// Waits for the gateway, which was asked to end, and asks the workers to: the highest code.
    pub fn end(mut self) -> i32 {
        let code = self.gateway.process.wait();
        self.workers.iter().for_each(|worker| worker.process.terminate());
        let workers = self.workers.iter_mut().map(|worker| worker.process.wait());
        workers.fold(code, i32::max)
    }
}

impl Site {
    /// None where engines can't run, which it has said by then: tests go on with one process.
    pub fn new(dir: &Path) -> Option<Self> {
        if skipped("a cluster (it goes on as a standalone)") {
            return None;
        }
        let nodes = Cassandra::shared().contact_points();
        Some(Self::on(dir, Kafka::shared().bootstrap(), &nodes))
    }

    /// On these engines.
    pub fn on(dir: &Path, brokers: &str, nodes: &[String]) -> Self {
        let (dir, made, parked) = (dir.to_owned(), false, None);
        let site = Self(Arc::new(Mutex::new(State { dir, made, parked })));
        std::fs::write(site.settings(), settings(brokers, nodes)).expect("written");
        site
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn dir(&self) -> PathBuf {
        self.lock().dir.clone()
    }

    /// The settings file of all its processes.
    pub fn settings(&self) -> PathBuf {
        self.dir().join("cluster.toml")
    }

    /// A command of the cluster, with its settings.
    pub fn role(&self, role: &str) -> Launch {
        Launch::bare(&self.dir()).arg(role).arg("--config").arg(self.settings())
    }

    /// Changes the settings of what is started from now on.
    pub fn change(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.settings()).expect("read");
        assert!(text.contains(from), "{text}");
        std::fs::write(self.settings(), text.replace(from, to)).expect("written");
    }

    /// The name of its topics and its keyspace.
    pub fn name(&self) -> String {
        let text = std::fs::read_to_string(self.settings()).expect("read");
        let (_, rest) = text.split_once("keyspace = \"").expect("a keyspace");
        rest.split('"').next().expect("its end").to_owned()
    }

    /// Keeps what goes on without the first gateway.
    pub fn park(&self, rest: Rest) {
        self.lock().parked = Some(rest);
    }

    /// Topics and tables, once.
    pub fn make(&self) {
        if std::mem::replace(&mut self.lock().made, true) {
            return;
        }
        let (code, out, err) = self.role("migrate").run();
        assert_eq!(code, 0, "{out}{err}");
    }

    /// Starts what is missing, with `launch` as the first gateway (and its like as the second one),
    /// and waits until all partitions are owned and both gateways know their owners.
    pub fn start(&self, launch: &Launch) -> Server {
        self.make();
        let parked = self.lock().parked.take();
        let (gateway, mut workers) =
            parked.map_or((None, Vec::new()), |rest| (Some(rest.gateway), rest.workers));
        let first = launch.again().spawn();
        let second = gateway.is_none().then(|| launch.again().replacing("--listen", "127.0.0.1:0"));
        let second = second.map(Launch::spawn);
        let started: Vec<Process> =
            (workers.len()..2).map(|_| self.role("fanout").spawn()).collect();
        workers.extend(started.into_iter().map(Worker::serving));
        let gateway = gateway.or(second.map(Gateway::listening)).expect("one of them");
        let Gateway { process, clients, admin } = Gateway::listening(first);
        let mut server = Server::alone(process, clients, admin);
        server.rest = Some(Rest { gateway, workers });
        server.site = Some(self.clone());
        settled(&server);
        server
    }
}

impl Gateway {
    /// Waits for it.
    pub fn listening(process: Process) -> Self {
        let (clients, admin) = until("the gateway listens", || listening(&process.out()));
        Self { process, clients, admin }
    }
}

impl Worker {
    /// Waits for it.
    pub fn serving(process: Process) -> Self {
        until_told(&process, "listening admin=");
        let out = process.out();
        let (_, rest) = out.split_once("admin=http://").expect("its address");
        let admin = rest.split('\n').next().and_then(|at| at.parse().ok()).expect("an address");
        Self { process, admin }
    }
}

/// The settings of all processes of a cluster that no other test has.
/// Debug builds, engines and a dozen tests on a core or two are slow, which is no overload here.
fn settings(brokers: &str, nodes: &[String]) -> String {
    let name = format!("c{}", uuid().replace('-', ""));
    let brokers: Vec<&str> = brokers.split(',').collect();
    format!(
        "listen = \"127.0.0.1:0\"\nadmin.listen = \"127.0.0.1:0\"\n\
         [kafka]\nbrokers = {brokers:?}\nprefix = {name:?}\npartitions = {PARTITIONS}\n\
         replication = 1\nmin_insync = 1\nsession_timeout = \"3s\"\nheartbeat = \"500ms\"\n\
         drain = \"1s\"\ndelivery_timeout = \"3s\"\n\
         [scylla]\nnodes = {nodes:?}\nkeyspace = {name:?}\nreplication = 1\n\
         [gateway]\noutcome_target = \"5s\"\n\
         [link]\nlisten = \"127.0.0.1:0\"\n"
    )
}

/// Waits until all partitions are owned, each worker has some, and both gateways reach both.
pub fn settled(server: &Server) {
    let Some(rest) = &server.rest else { return };
    let sum = |admin: SocketAddr, name: &str| Metrics(metrics_of(admin)).sum(name, "");
    let all = [vec![server.admin], rest.admins()].concat();
    let owned = |worker: &Worker| sum(worker.admin, "harkara_log_partitions");
    until("a cluster that is complete", || {
        let ready = |at: &SocketAddr| http::get(*at, "/readyz").is_ok_and(|(code, _)| code == 200);
        let owned: Vec<f64> = rest.workers.iter().map(owned).collect();
        let connected =
            [server.admin, rest.gateway.admin].map(|at| sum(at, "harkara_link_workers"));
        let complete = owned.iter().sum::<f64>() == f64::from(PARTITIONS)
            && owned.iter().all(|own| *own > 0.0)
            && connected == [2.0, 2.0];
        (complete && all.iter().all(ready)).then_some(())
    });
}
