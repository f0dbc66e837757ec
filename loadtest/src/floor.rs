//! `floor`: the whole server beside bare loops over its engines' libraries, in turns, so that each
//! figure is a ratio within a round.
//!
//! - *Latency* (R5): send → deliver at a constant rate, durable, beside one append and one insert
//!   of the engines alone at the same rate.
//! - *Throughput* (R11): sends that are accepted when as many wait as can ([`accepts`]), beside a
//!   bare producer with as many records under way.
//!
//! The bare loops are programs in the engines' crates (`examples/floor.rs` of each, whose heads say
//! what they include and leave out); here they are paths ([`child`]). [`told`] divides.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, ensure};
use tokio::time::sleep;

use crate::{
    out,
    steady::{Harkara, Plan, Run, Server, Stage},
    system::{Shape, Stamp},
};

pub mod accepts;
pub mod child;
pub mod sum;
pub mod told;

use accepts::{Accepted, Accepts};
use child::{Engine, Programs, Times};

/// Settings of `floor`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(flatten)]
    #[expect(missing_docs, reason = "help text would repeat it")]
    pub server: Server,
    #[command(flatten)]
    #[expect(missing_docs, reason = "help text would repeat it")]
    pub engines: Engines,
    /// Rounds, each with everything once
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// Seconds that count of each measurement
    #[arg(long, default_value_t = 10)]
    pub seconds: u32,
    /// Seconds before them
    #[arg(long, default_value_t = 3)]
    pub warm_up: u32,
    /// Bytes of text in a message
    #[arg(long, default_value_t = 200)]
    pub bytes: usize,
    /// Latency: messages a second
    #[arg(long, default_value_t = 500)]
    pub rate: u32,
    /// Latency: sessions, in rooms of ten
    #[arg(long, default_value_t = 500)]
    pub sessions: usize,
    /// Throughput: sessions that send, each to a room of its own
    #[arg(long, default_value_t = 64)]
    pub senders: usize,
    /// Throughput: sends of a session without an answer; servers read no more than 64
    #[arg(long, default_value_t = 64)]
    pub window: usize,
    /// Where the figures go, as JSON
    #[arg(long)]
    pub out: Option<PathBuf>,
}

/// The engines below the server and the programs that are their floor.
#[derive(Debug, Clone, clap::Args)]
pub struct Engines {
    /// The engines that the server stands on
    #[arg(long, value_enum)]
    pub engine: Engine,
    /// The bare loops: embedded-floor, or kafka-floor and then scylla-floor
    #[arg(long, required = true)]
    pub floor_program: Vec<PathBuf>,
    /// Embedded: where the bare loop makes its database; on the disk of the server's data
    #[arg(long, required_if_eq("engine", "embedded"))]
    pub dir: Option<PathBuf>,
    /// Cluster: host:port of brokers, with commas
    #[arg(long, required_if_eq("engine", "cluster"))]
    pub brokers: Option<String>,
    /// Cluster: host:port of the store's nodes, with commas
    #[arg(long, required_if_eq("engine", "cluster"))]
    pub nodes: Option<String>,
}

/// Members of a room under the latency load.
const ROOM: usize = 10;

/// Everything once.
#[derive(Debug, Clone)]
pub struct Round {
    /// The server at a constant rate.
    pub steady: Run,
    /// The engines alone at that rate.
    pub engines: child::Latency,
    /// The server with as many sends as it takes.
    pub accepted: Accepted,
    /// The bare producer with as many.
    pub bare: Times,
}

/// Before each measurement: what the one before left to flush and to compact gets done.
const SETTLE: Duration = Duration::from_secs(2);

/// Runs it: false when a delivery is missing, came twice, or a session ended.
///
/// # Errors
/// When the rooms can't be made, the sessions not be opened, or a program fails.
pub async fn run(args: Args) -> anyhow::Result<bool> {
    let rounds = tokio::task::LocalSet::new().run_until(rounds(&args)).await?;
    told::measured(&args, &rounds).tell(args.out.as_deref())?;
    Ok(rounds.iter().all(|round| round.steady.is_whole() && round.accepted.is_whole()))
}

/// The rounds. What comes first in the one comes last in the next, so that a machine that gets
/// slower or faster meanwhile favors neither side. Call it within a `LocalSet`.
///
/// # Errors
/// Those of [`run`].
pub async fn rounds(args: &Args) -> anyhow::Result<Vec<Round>> {
    let programs = Programs::new(args)?;
    ensure!(args.bytes >= Stamp::LEN, "ask for {} bytes of text or more", Stamp::LEN);
    args.server.place()?;
    let plan = args.plan();
    plan.check()?;
    let mut latency = args.system();
    let mut stage = Stage::open(&mut latency, plan.shape).await?;
    let mut throughput = args.system();
    let shape = Shape { sessions: args.senders, room: 1, bytes: args.bytes };
    let accepts = Accepts::open(&mut throughput, shape, args.window, args.server.pinned()).await?;
    let mut rounds = Vec::with_capacity(args.rounds);
    for number in 1..=args.rounds {
        out::note(format!("round {number} of {}", args.rounds));
        let (mut steady, mut engines, mut accepted, mut bare) = (None, None, None, None);
        for step in 0..4 {
            sleep(SETTLE).await;
            match if number % 2 == 1 { step } else { 3 - step } {
                0 => steady = Some(stage.round(&plan).await?),
                1 => engines = Some(programs.latency(args).await?),
                2 => bare = Some(programs.throughput(args).await?),
                _ => accepted = Some(accepts.round(args.warm_up, args.seconds).await?),
            }
        }
        rounds.push(Round {
            steady: steady.context("no load")?,
            engines: engines.context("no engines")?,
            accepted: accepted.context("no sends")?,
            bare: bare.context("no producer")?,
        });
    }
    Ok(rounds)
}

impl Args {
    /// The server under a constant rate.
    fn plan(&self) -> Plan {
        let Self { sessions, bytes, rate, warm_up, seconds, .. } = *self;
        let shape = Shape { sessions, room: ROOM, bytes };
        Plan { shape, rate: rate.into(), warm_up, seconds }
    }

    fn system(&self) -> Harkara {
        let Server { url, server_pid, .. } = self.server.clone();
        Harkara::new(url, server_pid, false, 1)
    }

    /// Sends without an answer at one time.
    fn in_flight(&self) -> usize {
        self.senders * self.window
    }
}
