//! `sync`: many users open their lists at the same moment, each as a client does that has nothing
//! yet: connect, `session.start` without cursors, then page by page to the end of the list.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, bail};
use futures_util::{StreamExt as _, TryStreamExt as _, future, stream};

use crate::{
    effort::{Effort, Spent},
    figures::Measured,
    ids::Id,
    out,
    pin::Pin,
    process, raw, rooms, times,
    wire::token::Account,
};

mod list;
mod outcome;

use list::Synced;
use outcome::Round;

/// Longest wait until what was made is in everybody's list.
const PATIENCE: Duration = Duration::from_secs(120);

/// Pause between two looks whether it is.
const LOOK: Duration = Duration::from_millis(200);

/// Lists looked at together before the rounds.
const AT_ONCE: usize = 16;

/// Settings of `sync`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Where the gateway is: ws://host:port
    #[arg(long)]
    pub url: String,
    /// Users who open their lists at once
    #[arg(long, default_value_t = 200)]
    pub users: usize,
    /// Conversations in each one's list
    #[arg(long, default_value_t = 300)]
    pub conversations: usize,
    /// Members of a conversation; those beyond the users never connect
    #[arg(long, default_value_t = 300)]
    pub members: usize,
    /// Rounds
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// Seconds to wait before each round
    #[arg(long, default_value_t = 2)]
    pub settle: u64,
    /// The server's process; several where there are several
    #[arg(long, required = true, num_args = 1..)]
    pub server_pid: Vec<u32>,
    /// Keep the server's processes on one core and this one on another
    #[arg(long, num_args = 0..=1, default_missing_value = Pin::USUAL, value_name = "SERVER:GENERATOR")]
    pub pin: Option<Pin>,
    /// Where the figures go, as JSON
    #[arg(long)]
    pub out: Option<PathBuf>,
}

/// Measures and tells.
///
/// # Errors
/// See [`measure`].
pub async fn run(args: Args) -> anyhow::Result<bool> {
    measure(&args).await?.tell(args.out.as_deref())?;
    Ok(true)
}

/// Measures.
///
/// # Errors
/// When the conversations can't be made, or a list is not what was made.
pub async fn measure(args: &Args) -> anyhow::Result<Measured> {
    if args.users == 0 || args.rounds == 0 {
        bail!("nothing to measure: ask for at least one user and one round");
    }
    process::need_files(args.users)?;
    if let Some(pin) = args.pin {
        pin.place(&args.server_pid)?;
    }
    let prefix = format!("sync:{}:", times::new_id());
    let setting_up = times::now();
    let lists = set_up(args, &prefix).await?;
    let setup = setting_up.elapsed();
    let mut rounds = Vec::with_capacity(args.rounds);
    for number in 1..=args.rounds {
        out::note(format!("round {number} of {}", args.rounds));
        rounds.push(round(args, &prefix, number, &lists).await?);
    }
    Ok(outcome::measured(args, setup, &rounds))
}

/// Makes all conversations, and waits until they stand in the lists. Gives for each user how many
/// that are.
async fn set_up(args: &Args, prefix: &str) -> anyhow::Result<Vec<usize>> {
    let url = &args.url;
    let accounts = raw::accounts(url, prefix, args.users).await?;
    let size = args.members.min(args.users);
    let strangers = format!("{prefix}stranger:");
    let strangers = raw::accounts(url, &strangers, args.members - size).await?;
    let strangers: Vec<Id> = strangers.iter().map(|account| account.user).collect();
    let plan = rooms::plan(args.users, args.conversations, size);
    out::note(format!("making {} conversations of {} members", plan.len(), args.members));
    rooms::make(url, &accounts, &plan, &strangers).await?;
    let mut expected = vec![0; args.users];
    plan.iter().flat_map(rooms::Room::members).for_each(|user| expected[user] += 1);
    out::note("waiting until they are in all lists");
    let looks = accounts.iter().zip(&expected).map(|(account, &all)| arrived(url, account, all));
    stream::iter(looks).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    Ok(expected)
}

async fn arrived(url: &str, account: &Account, expected: usize) -> anyhow::Result<()> {
    let begun = times::now();
    loop {
        let found = list::read(url, account, times::now()).await?.conversations;
        if found == expected {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE {
            bail!("{found} of {expected} conversations are in a list after {PATIENCE:?}");
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn round(
    args: &Args,
    prefix: &str,
    number: usize,
    expected: &[usize],
) -> anyhow::Result<Round> {
    let device = format!("round{number}");
    let accounts = raw::accounts_on(&args.url, prefix, &device, args.users).await?;
    tokio::time::sleep(Duration::from_secs(args.settle)).await;
    let effort = Effort::begin(&args.server_pid)?;
    let reads = accounts.iter().map(|account| list::read(&args.url, account, effort.start()));
    let synced: Vec<Synced> = future::try_join_all(reads).await.context("a list")?;
    let spent: Spent = effort.spent()?;
    let short = synced.iter().zip(expected).filter(|(got, all)| got.conversations != **all).count();
    if short > 0 {
        bail!("{short} lists are not what was made");
    }
    Ok(Round { synced, spent })
}
