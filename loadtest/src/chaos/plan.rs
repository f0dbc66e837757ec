//! A plan: what is started, how much is said meanwhile, and which faults may happen how often. A
//! file in TOML; the stock ones stand in the folder `plans` of this crate and are part of the program.

use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;

use super::fault::{Kind, On, Role};

/// Names and texts of the stock plans.
const STOCK: [(&str, &str); 12] = [
    ("gateway", include_str!("../../plans/gateway.toml")),
    ("worker", include_str!("../../plans/worker.toml")),
    ("handover", include_str!("../../plans/handover.toml")),
    ("broker", include_str!("../../plans/broker.toml")),
    ("store", include_str!("../../plans/store.toml")),
    ("network", include_str!("../../plans/network.toml")),
    ("storm", include_str!("../../plans/storm.toml")),
    ("upgrade", include_str!("../../plans/upgrade.toml")),
    ("everything", include_str!("../../plans/everything.toml")),
    ("standalone", include_str!("../../plans/standalone.toml")),
    ("disk", include_str!("../../plans/disk.toml")),
    ("engine_disk", include_str!("../../plans/engine_disk.toml")),
];

/// See the module.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// What it is for: a line.
    pub about: String,
    /// How long faults happen, seconds.
    pub seconds: u64,
    /// How long nothing happens before: what is usual is seen then, seconds.
    #[serde(default = "warm_up")]
    pub warm_up: u64,
    /// Least and most time from the beginning of a fault to that of the next, seconds.
    pub pause: [f64; 2],
    /// What is started.
    #[serde(default)]
    pub cluster: Shape,
    /// What is said meanwhile.
    #[serde(default)]
    pub load: Load,
    /// What processes may use.
    #[serde(default)]
    pub memory: Memory,
    /// What may happen.
    #[serde(rename = "fault")]
    pub faults: Vec<Choice>,
}

/// Which engines hold log and store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Engines {
    /// Kafka and Cassandra, started through `deploy/engines`.
    #[default]
    Real,
    /// Those inside of one standalone process.
    Embedded,
}

/// What is started.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Shape {
    /// Which engines.
    pub engines: Engines,
    /// How many gateways.
    pub gateways: u32,
    /// How many workers; `scale` brings one more.
    pub workers: u32,
    /// Brokers of Kafka: 1 or 3.
    pub brokers: u32,
    /// Nodes of Cassandra: 1 or 3.
    pub nodes: u32,
    /// Partitions of the log.
    pub partitions: u32,
    /// The disk of what a `disk` fault is for, MiB: a small one, which only root can mount.
    pub disk_mib: Option<u64>,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            engines: Engines::Real,
            gateways: 2,
            workers: 2,
            brokers: 3,
            nodes: 1,
            partitions: 16,
            disk_mib: None,
        }
    }
}

/// What is said meanwhile.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Load {
    /// Conversations at the same time.
    pub rooms: usize,
    /// Messages a second in all of them together, offered whatever the answers.
    pub rate: u32,
    /// Members who listen to a conversation from its start to its end, the operator aside.
    pub readers: usize,
    /// People who come, talk and go, in all conversations together.
    pub speakers: u32,
    /// Those of them who come to one conversation.
    pub talkers: usize,
    /// Messages after which a conversation ends and the next one begins.
    pub length: u32,
}

impl Default for Load {
    fn default() -> Self {
        Self { rooms: 8, rate: 80, readers: 2, speakers: 32, talkers: 4, length: 400 }
    }
}

/// What a process of ours may use: what it had when it was ready, and this.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Memory {
    /// For caches, queues and hot conversations, MiB.
    pub growth_mib: u64,
    /// For each session, KiB.
    pub session_kib: u64,
}

impl Default for Memory {
    fn default() -> Self {
        Self { growth_mib: 192, session_kib: 64 }
    }
}

/// A fault that may happen.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// What.
    pub kind: Kind,
    /// To what: one of these.
    pub on: Vec<On>,
    /// Least and most duration, seconds.
    #[serde(rename = "for")]
    pub lasts: [f64; 2],
    /// Longest silence that it may cost, seconds; part of I11. For plans whose faults don't overlap.
    pub silence: Option<f64>,
    /// How often, beside the others.
    #[serde(default = "one")]
    pub weight: u64,
}

fn one() -> u64 {
    1
}

fn warm_up() -> u64 {
    10
}

impl Plan {
    /// A stock plan by its name, or the one in a file.
    ///
    /// # Errors
    /// When there is neither, or it makes no sense.
    pub fn load(name: &str) -> anyhow::Result<Self> {
        if let Some((_, text)) = STOCK.iter().find(|(stock, _)| *stock == name) {
            return Self::parse(text);
        }
        let names = STOCK.map(|(name, _)| name).join(", ");
        let text = std::fs::read_to_string(Path::new(name))
            .with_context(|| format!("{name:?} is neither a plan ({names}) nor a file"))?;
        Self::parse(&text).with_context(|| format!("in {name}"))
    }

    /// Reads it.
    ///
    /// # Errors
    /// When it isn't one, or makes no sense.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let plan: Self = toml::from_str(text)?;
        plan.check()?;
        Ok(plan)
    }

    /// One process with its engines inside?
    #[must_use]
    pub fn is_embedded(&self) -> bool {
        self.cluster.engines == Engines::Embedded
    }

    /// How many processes of a role there are from the start.
    #[must_use]
    pub fn count(&self, role: Role) -> u32 {
        let Shape { gateways, workers, brokers, nodes, .. } = self.cluster;
        match (role, self.is_embedded()) {
            (Role::Server, embedded) => u32::from(embedded),
            (_, true) => 0,
            (Role::Gateway, _) => gateways,
            (Role::Worker, _) => workers,
            (Role::Broker, _) => brokers,
            (Role::Store, _) => nodes,
        }
    }

    /// Who keeps data.
    const HAS_DISK: [Role; 3] = [Role::Server, Role::Broker, Role::Store];

    /// The size of the small disk of a role, MiB, if a fault fills it. All of a role share one.
    #[must_use]
    pub fn small_disk(&self, role: Role) -> Option<u64> {
        let is_for = |on: &On| !on.is_link() && on.role(self.is_embedded()) == Some(role);
        let mut fills = self.faults.iter().filter(|choice| choice.kind == Kind::Disk);
        fills.any(|choice| choice.on.iter().any(is_for)).then_some(self.cluster.disk_mib)?
    }

    /// Does another worker come and go?
    #[must_use]
    pub fn scales(&self) -> bool {
        self.faults.iter().any(|choice| choice.kind == Kind::Scale)
    }

    /// Does it make sense?
    ///
    /// # Errors
    /// When it doesn't.
    pub fn check(&self) -> anyhow::Result<()> {
        let is_span = |[least, most]: [f64; 2]| least >= 0.0 && least <= most && most <= 3600.0;
        ensure!(
            is_span(self.pause) && self.pause[1] > 0.0,
            "pause: two numbers of seconds, rising"
        );
        ensure!(!self.faults.is_empty(), "without a [[fault]] nothing goes wrong");
        let Load { rooms, rate, length, speakers, talkers, .. } = self.load;
        let all = [rooms, rate as usize, length as usize, speakers as usize, talkers];
        ensure!(!all.contains(&0), "load: nothing is said");
        let engines = [self.cluster.brokers, self.cluster.nodes];
        ensure!(engines.iter().all(|n| [1, 3].contains(n)), "brokers and nodes are 1 or 3");
        for choice in &self.faults {
            let name = choice.kind.name();
            ensure!(is_span(choice.lasts), "{name}: `for` is two numbers of seconds, rising");
            ensure!(is_span([0.0, choice.silence.unwrap_or(0.0)]), "{name}: `silence` is a number");
            ensure!(!choice.on.is_empty() && choice.weight > 0, "{name}: happens to nothing");
            for on in &choice.on {
                self.check_target(choice.kind, *on).with_context(|| format!("{name} on {on:?}"))?;
            }
        }
        Ok(())
    }

    fn check_target(&self, kind: Kind, on: On) -> anyhow::Result<()> {
        let Some(role) = on.role(self.is_embedded()) else {
            ensure!(kind.is_of_all(), "only rolling and blackout are for everything");
            return Ok(());
        };
        ensure!(!kind.is_of_all(), "it is for everything");
        ensure!(kind.is_of_links() == on.is_link(), "one is of links, the other of processes");
        ensure!(self.count(role) > 0, "there is none in this cluster");
        match kind {
            Kind::Scale if role != Role::Worker => bail!("workers only"),
            Kind::Files if !role.is_harkara() => bail!("gateways, workers and servers only"),
            Kind::Disk if !Self::HAS_DISK.contains(&role) || self.cluster.disk_mib.is_none() => {
                bail!("for the standalone, brokers and stores, with cluster.disk_mib")
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_filled_has_a_small_disk() {
        let small = |name, role| Plan::load(name).expect("a plan").small_disk(role).is_some();
        assert!(small("disk", Role::Server) && !small("standalone", Role::Server));
        assert!(small("engine_disk", Role::Broker) && small("engine_disk", Role::Store));
        assert!(!small("everything", Role::Broker));
    }

    #[test]
    fn every_stock_plan_can_be_read() {
        for (name, _) in STOCK {
            let plan = Plan::load(name).unwrap_or_else(|e| panic!("{name}: {e:#}"));
            assert!(plan.seconds >= 60, "{name}");
        }
        let everything = Plan::load("everything").expect("a plan");
        for kind in [Kind::Kill, Kind::Stop, Kind::Freeze, Kind::Partition, Kind::Blackout] {
            assert!(everything.faults.iter().any(|choice| choice.kind == kind), "{kind:?}");
        }
        assert!(Plan::load("no-such-plan").is_err());
    }

    #[test]
    fn nonsense_is_refused_with_a_reason() {
        let plan = |fault: &str| {
            let text = format!("about = \"\"\nseconds = 1\npause = [1, 2]\n[[fault]]\n{fault}\n");
            Plan::parse(&text).map_err(|error| format!("{error:#}"))
        };
        assert!(plan("kind = \"kill\"\non = [\"gateway\"]\nfor = [1, 2]").is_ok());
        for (fault, reason) in [
            ("kind = \"kill\"\non = [\"worker_link\"]\nfor = [1, 2]", "of links"),
            ("kind = \"kill\"\non = [\"server\"]\nfor = [1, 2]", "none in this cluster"),
            ("kind = \"kill\"\non = [\"gateway\"]\nfor = [2, 1]", "rising"),
            ("kind = \"kill\"\non = []\nfor = [1, 1]", "nothing"),
            ("kind = \"scale\"\non = [\"gateway\"]\nfor = [1, 1]", "workers only"),
            ("kind = \"disk\"\non = [\"broker\"]\nfor = [1, 1]", "disk_mib"),
            ("kind = \"files\"\non = [\"broker\"]\nfor = [1, 1]", "only"),
            ("kind = \"blackout\"\non = [\"gateway\"]\nfor = [1, 1]", "everything"),
            ("kind = \"explode\"\non = [\"gateway\"]\nfor = [1, 1]", "explode"),
        ] {
            let error = plan(fault).expect_err(fault);
            assert!(error.contains(reason), "{fault}: {error}");
        }
    }
}
