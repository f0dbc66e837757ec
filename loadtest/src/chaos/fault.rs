//! What goes wrong: a fault is a small description, made by `super::schedule` and done by
//! `super::inject`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What is done to a process or a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// SIGKILL, and after a while it is started again.
    Kill,
    /// SIGTERM, its end waited for, and after a while it is started again.
    Stop,
    /// SIGSTOP, and after a while SIGCONT.
    Freeze,
    /// It may open no more files and sockets than it has, for a while.
    Files,
    /// Its disk is full, for a while.
    Disk,
    /// One more process of that role comes, and after a while is told to go (SIGTERM).
    Scale,
    /// Every gateway and worker is told to go and started again, one after the other; with another
    /// binary, if there is one.
    Rolling,
    /// Everything is killed, and started again in a random order.
    Blackout,
    /// Nothing passes in either direction, without a word to either end.
    Partition,
    /// Nothing passes towards the server; what it says arrives.
    Deaf,
    /// Everything arrives later.
    Delay,
    /// Pieces are lost and sent again: what follows them waits (TCP).
    Loss,
    /// Connections are reset, again and again.
    Reset,
}

impl Kind {
    /// Is it done to links (and not to processes)?
    #[must_use]
    pub fn is_of_links(self) -> bool {
        matches!(self, Self::Partition | Self::Deaf | Self::Delay | Self::Loss | Self::Reset)
    }

    /// Is it done to everything at once?
    #[must_use]
    pub fn is_of_all(self) -> bool {
        matches!(self, Self::Rolling | Self::Blackout)
    }
}

/// What a process is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything in one process.
    Server,
    /// Serves clients.
    Gateway,
    /// Owns partitions.
    Worker,
    /// Kafka.
    Broker,
    /// Cassandra.
    Store,
}

impl Role {
    /// Is it ours (and not an engine)?
    #[must_use]
    pub fn is_harkara(self) -> bool {
        matches!(self, Self::Server | Self::Gateway | Self::Worker)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server => "server",
            Self::Gateway => "gateway",
            Self::Worker => "worker",
            Self::Broker => "broker",
            Self::Store => "store",
        })
    }
}

/// What a plan names: a role, the link towards processes of a role, or everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum On {
    /// See [`Role::Server`].
    Server,
    /// See [`Role::Gateway`].
    Gateway,
    /// See [`Role::Worker`].
    Worker,
    /// See [`Role::Broker`].
    Broker,
    /// See [`Role::Store`].
    Store,
    /// Between clients and a gateway (or the one server).
    ClientLink,
    /// Between gateways and a worker.
    WorkerLink,
    /// Between gateways and workers on one side and the broker on the other.
    BrokerLink,
    /// Between workers and gateways on one side and the store on the other.
    StoreLink,
    /// All processes.
    Everything,
}

impl On {
    /// The role of the processes (or those that the link leads to); none for everything.
    #[must_use]
    pub fn role(self, is_embedded: bool) -> Option<Role> {
        Some(match self {
            Self::Server => Role::Server,
            Self::ClientLink if is_embedded => Role::Server,
            Self::Gateway | Self::ClientLink => Role::Gateway,
            Self::Worker | Self::WorkerLink => Role::Worker,
            Self::Broker | Self::BrokerLink => Role::Broker,
            Self::Store | Self::StoreLink => Role::Store,
            Self::Everything => return None,
        })
    }

    /// Is it a link?
    #[must_use]
    pub fn is_link(self) -> bool {
        matches!(self, Self::ClientLink | Self::WorkerLink | Self::BrokerLink | Self::StoreLink)
    }
}

/// What a fault is done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// A process, counted from 1 within its role.
    Process(Role, u32),
    /// The way to that process, which leads through a proxy.
    Link(Role, u32),
    /// Everything.
    All,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process(role, number) => write!(f, "{role}-{number}"),
            Self::Link(role, number) => write!(f, "link to {role}-{number}"),
            Self::All => f.write_str("everything"),
        }
    }
}

impl Serialize for Target {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A fault as planned. Times count from the end of the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// From 0.
    pub number: usize,
    /// What.
    pub kind: Kind,
    /// To what.
    pub target: Target,
    /// When, milliseconds.
    pub at_ms: u64,
    /// For how long, milliseconds; until a killed process is started again.
    pub for_ms: u64,
    /// Longest silence that it may cost, milliseconds, if the plan says so.
    pub silent_ms: Option<u64>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, target, for_ms, .. } = self;
        write!(f, "{} {target}, {:.1} s", kind.name(), f64_of(*for_ms) / 1000.0)
    }
}

impl Kind {
    /// As plans write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Stop => "stop",
            Self::Freeze => "freeze",
            Self::Files => "files",
            Self::Disk => "disk",
            Self::Scale => "scale",
            Self::Rolling => "rolling",
            Self::Blackout => "blackout",
            Self::Partition => "partition",
            Self::Deaf => "deaf",
            Self::Delay => "delay",
            Self::Loss => "loss",
            Self::Reset => "reset",
        }
    }
}

/// Milliseconds and counts of a run as plots need them.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
pub fn f64_of(number: u64) -> f64 {
    number as f64
}
