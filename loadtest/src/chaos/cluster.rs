//! What is broken on purpose: a cluster of real processes with a proxy on each link, or one
//! standalone. Data, settings and logs of each process lie in a directory of its own.
//!
//! ```text
//! clients ─▶ proxy ─▶ gateway ─▶ proxy ─▶ worker        gateways, workers ─▶ proxy ─▶ broker, store
//! ```

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use anyhow::{Context as _, bail};
use tokio::sync::Mutex;

use super::{fault::Role, plan::Plan, proxy::Proxy};

pub mod disk;
mod engines;
pub mod limit;
pub mod part;
mod settings;

pub use part::Part;
use part::{How, Program};
use settings::Addresses;

/// Where processes listen: below the ports that the kernel gives to connections, which would take
/// the one of a process that is away; above those of the engines' scripts.
const PORTS: [u16; 2] = [20_000, 32_000];

/// Any free port of loopback.
const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// How a cluster is made.
#[derive(Debug, Clone)]
pub struct Make {
    /// Binaries of the server; the second one is what a rolling upgrade brings.
    pub binaries: Vec<PathBuf>,
    /// Where data and logs go; made if need be.
    pub dir: PathBuf,
    /// The repository, for the engines' scripts.
    pub top: PathBuf,
    /// For the proxies' chance.
    pub seed: u64,
}

/// A link that can be broken.
#[derive(Debug)]
pub struct Link {
    /// What its bytes go through.
    pub proxy: Proxy,
    /// Held by the fault that breaks it.
    pub held: Mutex<()>,
}

/// See the module. Its processes end with it.
#[derive(Debug)]
pub struct Cluster {
    /// All processes: engines, workers, gateways; those that only come later are last.
    pub parts: Vec<Part>,
    /// The links to them.
    pub links: BTreeMap<(Role, u32), Link>,
    /// Where clients connect.
    pub urls: Vec<String>,
    /// Where the checker reads: past the proxies.
    pub direct: Vec<String>,
    /// Small disks, by who keeps data there.
    pub disks: BTreeMap<Role, disk::Disk>,
}

impl Cluster {
    /// Starts all of it, and waits until it is ready.
    ///
    /// # Errors
    /// When something doesn't start.
    pub async fn start(plan: &Plan, make: &Make) -> anyhow::Result<Self> {
        let maker = Maker::new(make)?;
        let cluster = if plan.is_embedded() {
            maker.standalone(plan).await?
        } else {
            maker.cluster(plan).await?
        };
        for part in &cluster.parts {
            if part.number <= plan.count(part.role) && part.role.is_harkara() {
                part.hold().await.launch()?;
            }
        }
        for part in &cluster.parts {
            if part.number <= plan.count(part.role) {
                part.hold().await.ready().await?;
            }
        }
        Ok(cluster)
    }

    /// A process.
    #[must_use]
    pub fn part(&self, role: Role, number: u32) -> Option<&Part> {
        self.parts.iter().find(|part| part.role == role && part.number == number)
    }

    /// Ends everything, in the order in which work flows; what went wrong meanwhile.
    pub async fn stop(&self) -> Vec<String> {
        let mut troubles = Vec::new();
        for part in self.parts.iter().rev() {
            let mut held = part.hold().await;
            if held.is_meant_to_run() {
                troubles.extend(held.stop().await.err().map(|error| format!("{error:#}")));
            }
        }
        troubles
    }
}

struct Maker<'a> {
    make: &'a Make,
    links: BTreeMap<(Role, u32), Link>,
    disks: BTreeMap<Role, disk::Disk>,
}

impl<'a> Maker<'a> {
    fn new(make: &'a Make) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&make.dir)
            .with_context(|| format!("can't make {}", make.dir.display()))?;
        Ok(Self { make, links: BTreeMap::new(), disks: BTreeMap::new() })
    }

    async fn standalone(mut self, plan: &Plan) -> anyhow::Result<Cluster> {
        let dir = self.dir("server")?;
        let data = dir.join("data");
        std::fs::create_dir_all(&data)?;
        self.disk(plan, Role::Server, &data)?;
        let addresses = self.addresses(Role::Server, 1).await?;
        settings::standalone(&dir, &data, &addresses)?;
        let parts = vec![self.own(Role::Server, 1, "standalone", dir, &addresses)];
        let urls = vec![format!("ws://{}", addresses.seen)];
        let direct = vec![format!("ws://{}", addresses.listen)];
        Ok(Cluster { parts, links: self.links, urls, direct, disks: self.disks })
    }

    async fn cluster(mut self, plan: &Plan) -> anyhow::Result<Cluster> {
        let mut parts = Vec::new();
        let shape = plan.cluster;
        for (role, name) in [(Role::Broker, engines::KAFKA), (Role::Store, engines::CASSANDRA)] {
            let dir = self.dir(name)?;
            self.disk(plan, role, &dir)?;
        }
        let brokers = self.kafka(shape.brokers, &mut parts).await?;
        let nodes = self.cassandra(shape.nodes, &mut parts).await?;
        let engines = settings::Engines { brokers, nodes, shape };
        let (mut urls, mut direct) = (Vec::new(), Vec::new());
        let workers = plan.count(Role::Worker);
        for number in 1..=workers {
            parts.push(self.role(Role::Worker, number, &engines).await?.0);
        }
        for number in 1..=plan.count(Role::Gateway) {
            let (part, addresses) = self.role(Role::Gateway, number, &engines).await?;
            parts.push(part);
            urls.push(format!("ws://{}", addresses.seen));
            direct.push(format!("ws://{}", addresses.listen));
        }
        if plan.scales() {
            parts.push(self.role(Role::Worker, workers + 1, &engines).await?.0);
        }
        self.migrate()?;
        Ok(Cluster { parts, links: self.links, urls, direct, disks: self.disks })
    }

    async fn role(
        &mut self,
        role: Role,
        number: u32,
        engines: &settings::Engines,
    ) -> anyhow::Result<(Part, Addresses)> {
        let dir = self.dir(&format!("{role}-{number}"))?;
        let addresses = self.addresses(role, number).await?;
        // Any gateway takes the tokens of any other one.
        let shared = self.make.dir.join("development");
        settings::role(role, &dir, &shared, &addresses, engines)?;
        let command = if role == Role::Gateway { "gateway" } else { "fanout" };
        Ok((self.own(role, number, command, dir, &addresses), addresses))
    }

    fn own(
        &self,
        role: Role,
        number: u32,
        command: &'static str,
        dir: PathBuf,
        addresses: &Addresses,
    ) -> Part {
        let program = Program {
            binaries: self.make.binaries.clone(),
            guard: Some(self.script("guarded")).filter(|script| script.exists()),
            command,
            dir,
            admin: addresses.admin,
        };
        Part::new(role, number, How::Own(program))
    }

    fn dir(&self, name: &str) -> anyhow::Result<PathBuf> {
        let dir = self.make.dir.join(name);
        std::fs::create_dir_all(&dir)?;
        Ok(dir)
    }

    /// Mounts a small disk there, if the plan fills that of this role.
    fn disk(&mut self, plan: &Plan, role: Role, at: &Path) -> anyhow::Result<()> {
        if let Some(mib) = plan.small_disk(role) {
            self.disks.insert(role, disk::Disk::mount(at, mib)?);
        }
        Ok(())
    }

    fn script(&self, name: &str) -> PathBuf {
        self.make.top.join("deploy/engines").join(name)
    }

    /// A proxy in front of a process, at a free port of that address or at this very one.
    async fn link(
        &mut self,
        role: Role,
        number: u32,
        at: SocketAddr,
    ) -> anyhow::Result<SocketAddr> {
        let stream = u64::from(number) << 8 | role as u64;
        let proxy = Proxy::start(at, self.make.seed ^ stream).await.context("no proxy")?;
        let address = proxy.address();
        self.links.insert((role, number), Link { proxy, held: Mutex::new(()) });
        Ok(address)
    }

    /// Where a process of ours listens, and where others see it.
    async fn addresses(&mut self, role: Role, number: u32) -> anyhow::Result<Addresses> {
        let (listen, admin) = (free()?, free()?);
        let seen = self.link(role, number, ANY).await?;
        self.lead(role, number, listen);
        Ok(Addresses { listen, admin, seen })
    }

    fn lead(&self, role: Role, number: u32, server: SocketAddr) {
        if let Some(link) = self.links.get(&(role, number)) {
            link.proxy.lead_to(server);
        }
    }

    /// Topics and tables.
    fn migrate(&self) -> anyhow::Result<()> {
        let binary = self.make.binaries.first().context("no binary")?;
        let config = self.make.dir.join("gateway-1/harkara.toml");
        part::output(Command::new(binary).arg("migrate").arg("--config").arg(config)).map(drop)
    }
}

fn free() -> anyhow::Result<SocketAddr> {
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    Ok(SocketAddr::new(here, free_at(&[here])?))
}

/// A port that is free at all of these.
fn free_at(hosts: &[IpAddr]) -> anyhow::Result<u16> {
    for _ in PORTS[0]..PORTS[1] {
        let port = next_port();
        if hosts.iter().all(|host| TcpListener::bind((*host, port)).is_ok()) {
            return Ok(port);
        }
    }
    bail!("no free port from {} to {}", PORTS[0], PORTS[1])
}

/// Two runs at a time begin at different places, in one process and in two.
fn next_port() -> u16 {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    let [first, last] = PORTS;
    let place = std::process::id().wrapping_mul(16).wrapping_add(TAKEN.fetch_add(1, Relaxed));
    let place = place % u32::from(last - first);
    first + u16::try_from(place).unwrap_or(0)
}

/// The binary beside this program: both are built into the same directory.
#[must_use]
pub fn beside() -> Option<PathBuf> {
    let here = std::env::current_exe().ok()?;
    let mut folder = here.parent()?;
    if folder.ends_with("deps") {
        folder = folder.parent().unwrap_or(Path::new("."));
    }
    Some(folder.join("harkara")).filter(|binary| binary.exists())
}
