//! `steady`: a constant rate of messages, offered whatever the answers are (an open loop), to
//! sessions in rooms. Latency counts from the time a message was to be sent, so that a server that
//! stands still for a second is charged for all that should have passed in it.
//!
//! ```text
//! plan ─▶ stage ─▶ System (harkara, others) ─▶ tally ─▶ run ─▶ told
//! ```

use std::path::PathBuf;

use crate::{out, pin::Pin, system::Shape};

pub mod ground;
pub mod harkara;
pub mod plan;
pub mod run;
pub mod stage;
pub mod tally;
pub mod timer;
pub mod told;
pub mod typing;

pub use self::{
    harkara::Harkara,
    plan::Plan,
    run::Run,
    stage::{Stage, drive},
};

/// Where the server is.
#[derive(Debug, Clone, clap::Args)]
pub struct Server {
    /// A gateway: ws://host:port; several are used in turn
    #[arg(long, required = true)]
    pub url: Vec<String>,
    /// A process of the server; name all of them, engines too
    #[arg(long, required = true)]
    pub server_pid: Vec<u32>,
    /// Keep the server's processes on one core and this one on another
    #[arg(long, num_args = 0..=1, default_missing_value = Pin::USUAL, value_name = "SERVER:GENERATOR")]
    pub pin: Option<Pin>,
}

impl Server {
    /// Puts the processes where they are wanted.
    ///
    /// # Errors
    /// When one is not there, or there is no such core.
    pub fn place(&self) -> anyhow::Result<()> {
        self.pin.map_or(Ok(()), |pin| pin.place(&self.server_pid))
    }

    /// On how many cores the server is kept.
    #[must_use]
    pub fn pinned(&self) -> Option<usize> {
        self.pin.map(|_| 1)
    }
}

/// Settings of `steady`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(flatten)]
    #[expect(missing_docs, reason = "help text would repeat it")]
    pub server: Server,
    /// Sessions
    #[arg(long, default_value_t = 1_000)]
    pub sessions: usize,
    /// Members of a room; each session is in one room
    #[arg(long, default_value_t = 10)]
    pub room: usize,
    /// Messages a second, over all sessions
    #[arg(long, default_value_t = 1_000.0)]
    pub rate: f64,
    /// Seconds of load that count, in each round
    #[arg(long, default_value_t = 20)]
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
    /// Send what is not stored: notices of typing, to the other members
    #[arg(long)]
    pub push: bool,
    /// Where the figures go, as JSON
    #[arg(long)]
    pub out: Option<PathBuf>,
}

impl Args {
    /// A round of it.
    #[must_use]
    pub fn plan(&self) -> Plan {
        let Self { sessions, room, bytes, rate, warm_up, seconds, .. } = *self;
        Plan { shape: Shape { sessions, room, bytes }, rate, warm_up, seconds }
    }
}

/// Runs it: false when a delivery is missing, came twice, or a session ended.
///
/// # Errors
/// When the rooms can't be made, the sessions not be opened, or a process is gone.
pub async fn run(args: Args) -> anyhow::Result<bool> {
    let runs = tokio::task::LocalSet::new().run_until(rounds(&args)).await?;
    let (prefix, path) = match args.push {
        true => ("push", "nothing stored"),
        false => ("steady", "durable"),
    };
    let title = format!("steady load, {path}");
    let mut measured = told::measured(prefix, &title, &runs, args.server.pinned());
    if args.push {
        measured.notes.push(
            "what is sent are notices of typing, which have no text: a frame is some 160 bytes, \
             whatever --bytes says"
                .to_owned(),
        );
    }
    measured.tell(args.out.as_deref())?;
    Ok(runs.iter().all(Run::is_whole))
}

/// The rounds of it, on sessions that stay open. Call it within a `LocalSet`.
///
/// # Errors
/// Those of [`run`].
pub async fn rounds(args: &Args) -> anyhow::Result<Vec<Run>> {
    let plan = args.plan();
    plan.check()?;
    if args.push {
        typing::check(&plan)?;
    }
    let Server { url, server_pid, .. } = args.server.clone();
    args.server.place()?;
    let mut system = Harkara::new(url, server_pid, args.push, 1);
    let mut stage = Stage::open(&mut system, plan.shape).await?;
    let mut runs = Vec::with_capacity(args.rounds);
    for round in 1..=args.rounds {
        out::note(format!("round {round} of {}, {} s", args.rounds, plan.length().as_secs()));
        runs.push(stage.round(&plan).await?);
    }
    Ok(runs)
}
