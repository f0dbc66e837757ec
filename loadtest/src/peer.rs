//! `peer`: the same load on harkara and on servers that others know (Mosquitto, nats-server,
//! ejabberd), side by side in one run on one machine, so that what counts is a ratio.
//!
//! The servers come from Debian's packages. This program starts each itself, with a configuration
//! that it writes, and ends it; it installs nothing. A server that is missing is left out, loudly.
//!
//! ```text
//! kind ─▶ process (child) ─▶ client (System) ─▶ side (steady's rounds, search) ─▶ told
//! mosquitto, nats, ejabberd ─▶ link (Dialect) ─▶ client      idle ─▶ told
//! ```

use std::path::PathBuf;

use anyhow::ensure;

use crate::{
    out,
    pin::Pin,
    process as kernel,
    steady::{Harkara, Plan, Run},
    system::Shape,
};

pub mod client;
pub mod ejabberd;
pub mod idle;
pub mod kind;
pub mod link;
pub mod mosquitto;
pub mod nats;
pub mod process;
pub mod search;
pub mod side;
pub mod told;

use self::{
    idle::Crowd,
    kind::Kind,
    process::Want,
    side::Side,
    told::{HARKARA, HARKARA_DURABLE, HARKARA_PUSH, Idlers},
};

/// Settings of `peer`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The servers to compare with
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Kind::ALL)]
    pub peers: Vec<Kind>,
    /// A gateway of harkara: ws://host:port
    #[arg(long, required = true)]
    pub harkara_url: Vec<String>,
    /// A process of harkara; name all of them, engines too
    #[arg(long, required = true)]
    pub harkara_pid: Vec<u32>,
    /// What to measure
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Part::ALL)]
    pub parts: Vec<Part>,
    /// Sessions on each server
    #[arg(long, default_value_t = 2_000)]
    pub sessions: usize,
    /// Members of a room; each session is in one room
    #[arg(long, default_value_t = 10)]
    pub room: usize,
    /// Messages a second that are only pushed, over all sessions; a server that does not send a
    /// message back to its sender is offered more of them, so that everybody delivers equally much
    #[arg(long, default_value_t = 1_000.0)]
    pub rate: f64,
    /// Messages a second that are stored: as many as one core is enough for, on every server
    #[arg(long, default_value_t = 500.0)]
    pub durable_rate: f64,
    /// Seconds of load that count, in each round
    #[arg(long, default_value_t = 10)]
    pub seconds: u32,
    /// Seconds of load before them
    #[arg(long, default_value_t = 3)]
    pub warm_up: u32,
    /// Rounds
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// Bytes of text in a message
    #[arg(long, default_value_t = 200)]
    pub bytes: usize,
    /// Conversations of each idle session
    #[arg(long, default_value_t = 10)]
    pub conversations: usize,
    /// Keep all servers on one core and this process on another. Others start knowing of one core;
    /// start harkara with `taskset -c SERVER`
    #[arg(long, num_args = 0..=1, default_missing_value = Pin::USUAL, value_name = "SERVER:GENERATOR")]
    pub pin: Option<Pin>,
    /// Where the figures go, as JSON
    #[arg(long)]
    pub out: Option<PathBuf>,
}

/// A part of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// Memory and connects of sessions that do nothing
    Idle,
    /// Cost and latency of deliveries at a steady rate
    Steady,
    /// The highest rate of durable messages that is held
    Search,
}

impl Part {
    const ALL: [Self; 3] = [Self::Idle, Self::Steady, Self::Search];
}

/// Runs it: false when deliveries went wrong in a round at the steady rate.
///
/// # Errors
/// When a server doesn't start, sessions can't be opened, or a process is gone.
pub async fn run(args: Args) -> anyhow::Result<bool> {
    tokio::task::LocalSet::new().run_until(compare(&args)).await
}

async fn compare(args: &Args) -> anyhow::Result<bool> {
    args.check()?;
    let mut notes = Vec::new();
    let kinds = present(&args.peers, &mut notes);
    if let Some(pin) = args.pin {
        pin.place(&args.harkara_pid)?;
        notes.push(format!(
            "all servers are kept on core {}, one at a time has sessions",
            pin.server
        ));
    }
    let has = |part| args.parts.contains(&part);
    let idle = if has(Part::Idle) { args.idle(&kinds).await? } else { Vec::new() };
    let mut sides = args.sides(&kinds).await?;
    for side in sides.iter().filter(|_| has(Part::Steady)) {
        side.check(&args.plan(side.durable))?;
    }
    for round in (1..=args.rounds).filter(|_| has(Part::Steady)) {
        out::note(format!("round {round} of {}", args.rounds));
        for side in &mut sides {
            side.round(&args.plan(side.durable)).await;
        }
    }
    for round in (1..=args.rounds).filter(|_| has(Part::Search)) {
        out::note(format!("search {round} of {}", args.rounds));
        for side in sides.iter_mut().filter(|side| side.durable) {
            side.search(&args.plan(true), args.pinned()).await;
        }
    }
    let said = [(Part::Steady, PUSHED), (Part::Idle, IDLE), (Part::Search, SEARCHED)];
    notes.extend(said.iter().filter(|(part, _)| has(*part)).map(|(_, note)| (*note).to_owned()));
    told::measured(&sides, &idle, notes, args.pinned()).tell(args.out.as_deref())?;
    let failed = sides.iter().any(|side| side.failed.is_some());
    Ok(!failed && sides.iter().flat_map(|side| &side.runs).all(Run::is_whole))
}

/// What sessions that do nothing are.
const IDLE: &str = "idle sessions: harkara's memory is read in the first round only, best on a server \
    that was just started; the others are started for each round. A connect of harkara ends in its \
    conversations; others join their rooms afterwards, which costs processor time that doesn't count";

/// What is searched for.
const SEARCHED: &str = "searched: the highest rate at which all came within 100 ms (p99) for 5 s after \
    2 s of warm-up, within a tenth";

/// What the sides that store nothing send.
const PUSHED: &str = "pushed only: harkara's notices of typing, which carry no text of their own, \
    beside others' messages";

/// Those that are installed.
fn present(kinds: &[Kind], notes: &mut Vec<String>) -> Vec<Kind> {
    let (mut here, mut told) = (Vec::new(), Vec::new());
    for &kind in kinds {
        match kind.installed() {
            Ok(version) => {
                here.push(kind);
                told.push(format!("{} {version}: {}", kind.name(), kind.settings()));
            }
            Err(error) => {
                let loud = format!("LEFT OUT: {}: {error:#}", kind.name());
                out::note(&loud);
                told.push(loud);
            }
        }
    }
    notes.extend(told);
    here
}

impl Args {
    fn shape(&self) -> Shape {
        let Self { sessions, room, bytes, .. } = *self;
        Shape { sessions, room, bytes }
    }

    fn plan(&self, durable: bool) -> Plan {
        let rate = if durable { self.durable_rate } else { self.rate };
        let Self { warm_up, seconds, .. } = *self;
        Plan { shape: self.shape(), rate, warm_up, seconds }
    }

    fn check(&self) -> anyhow::Result<()> {
        ensure!(self.rounds > 0 && self.conversations > 0, "ask for one or more");
        kernel::need_files(self.sessions)?;
        [false, true].into_iter().try_for_each(|durable| self.plan(durable).check())
    }

    fn pinned(&self) -> Option<usize> {
        self.pin.map(|_| 1)
    }

    fn want(&self) -> Want {
        Want { users: self.sessions, core: self.pin.map(|pin| pin.server) }
    }

    async fn sides(&self, kinds: &[Kind]) -> anyhow::Result<Vec<Side>> {
        let (urls, pids, shape) = (&self.harkara_url, &self.harkara_pid, self.shape());
        let harkara = |push, name: &str| {
            Harkara::new(urls.clone(), pids.clone(), push, 1).named(name.to_owned())
        };
        let mut sides = vec![
            Side::new(HARKARA_PUSH, false, harkara(true, "harkara, pushed"), shape),
            Side::new(HARKARA_DURABLE, true, harkara(false, "harkara, durable"), shape),
        ];
        if self.parts == [Part::Idle] {
            return Ok(sides);
        }
        for kind in kinds {
            sides.extend(kind.sides(self.want(), shape).await?);
        }
        Ok(sides)
    }

    /// Each round has servers that were just started, except harkara's.
    async fn idle(&self, kinds: &[Kind]) -> anyhow::Result<Vec<Idlers>> {
        let Self { sessions, room, conversations: depth, .. } = *self;
        let crowd = Crowd { sessions, room, depth };
        let mut all = vec![Idlers::none(HARKARA, HARKARA, false)];
        all.extend(kinds.iter().map(|kind| Idlers::none(kind.key(), kind.name(), true)));
        for round in 1..=self.rounds {
            out::note(format!("idle sessions, round {round} of {}", self.rounds));
            let cost = idle::harkara(&self.harkara_url, &self.harkara_pid, crowd).await?;
            all[0].add(cost);
            for (kind, idlers) in kinds.iter().zip(&mut all[1..]) {
                match kind.idle(self.want(), crowd).await {
                    Ok(cost) => idlers.add(cost),
                    Err(error) => out::note(format!("FAILED, this round doesn't count: {error:#}")),
                }
            }
        }
        Ok(all)
    }
}
