//! `idle`: what sessions cost that do nothing. Everybody is a member of several rooms of ten; the
//! server's memory is read before and after everybody connects, its processor time over windows in
//! which only heartbeats pass, and its memory once more after messages went through every session.

use std::{path::PathBuf, rc::Rc, time::Duration};

use anyhow::bail;

use crate::{
    effort::Effort,
    figures::Measured,
    ids::Id,
    out, process,
    raw::{self, Tally},
    rooms, times,
};

mod outcome;
mod traffic;

use outcome::{Readings, Resident};

/// Sessions opened and closed before memory is read for the first time, so that what is built on
/// first use is there. Few, since those that come after them use their memory again.
const WARM_UP: usize = 20;

/// Settings of `idle`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Where the gateway is: ws://host:port
    #[arg(long)]
    pub url: String,
    /// Sessions
    #[arg(long, default_value_t = 5_000)]
    pub sessions: usize,
    /// Rooms of ten that everybody is in
    #[arg(long, default_value_t = 10)]
    pub conversations: usize,
    /// The server's process
    #[arg(long)]
    pub server_pid: u32,
    /// Seconds to wait before each reading of memory
    #[arg(long, default_value_t = 5)]
    pub settle: u64,
    /// Seconds over which processor time is measured, at least a heartbeat
    #[arg(long, default_value_t = 60)]
    pub window: u64,
    /// Windows
    #[arg(long, default_value_t = 1)]
    pub rounds: usize,
    /// Messages that go through each room after the windows
    #[arg(long, default_value_t = 1)]
    pub traffic: usize,
    /// Where the figures go, as JSON
    #[arg(long)]
    pub out: Option<PathBuf>,
}

/// Measures and tells; false if sessions ended.
///
/// # Errors
/// See [`measure`].
pub async fn run(args: Args) -> anyhow::Result<bool> {
    let (measured, stayed) = readings(&args).await?;
    measured.tell(args.out.as_deref())?;
    Ok(stayed)
}

/// Measures.
///
/// # Errors
/// When the rooms can't be made, the sessions not be opened, or some of them end.
pub async fn measure(args: &Args) -> anyhow::Result<Measured> {
    match readings(args).await? {
        (measured, true) => Ok(measured),
        (measured, false) => bail!("sessions ended meanwhile: {}", measured.notes.join("; ")),
    }
}

async fn readings(args: &Args) -> anyhow::Result<(Measured, bool)> {
    if args.sessions == 0 {
        bail!("nothing to measure: ask for at least one session");
    }
    process::need_files(args.sessions)?;
    let readings = tokio::task::LocalSet::new().run_until(read(args)).await?;
    Ok((outcome::measured(args, &readings), readings.ended == 0))
}

async fn read(args: &Args) -> anyhow::Result<Readings> {
    // Users of their own, so that everybody is in as many rooms as asked for.
    let prefix = format!("idle:{}:", times::new_id());
    let accounts = raw::accounts(&args.url, &prefix, args.sessions).await?;
    let plan = rooms::plan(args.sessions, args.conversations, rooms::ROOM);
    out::note(format!("making {} rooms", plan.len()));
    let ids: Vec<Id> = rooms::make(&args.url, &accounts, &plan, &[]).await?;
    let tally = Rc::new(Tally::default());
    let warm = &accounts[..accounts.len().min(WARM_UP)];
    drop(raw::sessions(&args.url, warm, &tally).await?);
    // Tokens that were not used to make the rooms: verifying and remembering them counts.
    let accounts = raw::accounts_on(&args.url, &prefix, "idle", args.sessions).await?;
    let settle = Duration::from_secs(args.settle);
    tokio::time::sleep(settle).await;
    tally.ended.set(0);
    let pid = [args.server_pid];
    let before = Resident::of(args.server_pid)?;
    let effort = Effort::begin(&pid)?;
    let readers = raw::sessions(&args.url, &accounts, &tally).await?;
    let connecting = effort.spent()?;
    tokio::time::sleep(settle).await;
    let after = Resident::of(args.server_pid)?;
    let mut windows = Vec::with_capacity(args.rounds);
    for _ in 0..args.rounds {
        let effort = Effort::begin(&pid)?;
        tokio::time::sleep(Duration::from_secs(args.window)).await;
        windows.push((effort.spent()?, Resident::of(args.server_pid)?));
    }
    let traffic = if args.traffic > 0 {
        out::note(format!("{} messages through each room", args.traffic));
        traffic::pass(&readers, &plan, &ids, &tally, args.traffic).await?;
        tokio::time::sleep(settle).await;
        Some(Resident::of(args.server_pid)?)
    } else {
        None
    };
    Ok(Readings { before, after, connecting, windows, traffic, ended: tally.ended.get() })
}
