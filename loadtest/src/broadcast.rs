//! `broadcast`: what a delivery costs in one large group, beside a bare socket loop that writes
//! one frame of the same length to as many sockets ([`floor`]).
//!
//! Each message is sent when everybody has the one before, so that both sides write one frame per
//! socket and wake. Rounds alternate between server and floor; the figure that counts is the ratio
//! within a round, since the machine's speed drifts between them.

use std::{path::PathBuf, rc::Rc, time::Duration};

use anyhow::{Context as _, bail};
use serde_json::json;

use crate::{
    figures::Measured,
    out,
    pin::Pin,
    process,
    raw::{self, Tally},
    rooms::USERS_PER_REQUEST,
    times,
    wire::{caller::Caller, token},
};

pub mod floor;
mod outcome;

/// Longest wait for a message to be everywhere.
const PATIENCE: Duration = Duration::from_secs(60);

/// Settings of `broadcast`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Where the gateway is: ws://host:port
    #[arg(long)]
    pub url: String,
    /// Members with a session each, besides the sender
    #[arg(long, default_value_t = 5_000)]
    pub sessions: usize,
    /// Messages of a round
    #[arg(long, default_value_t = 40)]
    pub messages: u64,
    /// Bytes of text in a message
    #[arg(long, default_value_t = 200)]
    pub bytes: usize,
    /// Rounds
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// The server's process
    #[arg(long)]
    pub server_pid: u32,
    /// Measure the bare socket loop too
    #[arg(long)]
    pub floor: bool,
    /// Keep server and floor on one core and the readers on another
    #[arg(long, num_args = 0..=1, default_missing_value = Pin::USUAL, value_name = "SERVER:GENERATOR")]
    pub pin: Option<Pin>,
    /// Where the figures go, as JSON
    #[arg(long)]
    pub out: Option<PathBuf>,
}

/// One side of one round.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// Processor time per delivery, microseconds.
    pub cpu_us: f64,
    /// Wall time per delivery, microseconds.
    pub wall_us: f64,
}

/// A round: the server, and the floor where it is measured.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "each name says what it is")]
pub struct Round {
    pub server: Cost,
    pub floor: Option<Cost>,
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
/// When the group can't be set up or a message doesn't get everywhere.
pub async fn measure(args: &Args) -> anyhow::Result<Measured> {
    process::need_files(args.sessions)?;
    tokio::task::LocalSet::new().run_until(rounds(args)).await
}

async fn rounds(args: &Args) -> anyhow::Result<Measured> {
    let tally = Rc::new(Tally::default());
    let mut group = Group::form(args, Rc::clone(&tally)).await?;
    out::note(format!("{} sessions are connected, warming up", args.sessions));
    group.send(args, 3).await?;
    let frame = usize::try_from(tally.last_len.get())?;
    let mut floor = match args.floor {
        true => Some(floor::Floor::start(floor_sockets(args.sessions)?, frame).await?),
        false => None,
    };
    if let Some(pin) = args.pin {
        let floor = floor.as_ref().map(floor::Floor::pid);
        let servers: Vec<u32> = [args.server_pid].into_iter().chain(floor).collect();
        pin.place(&servers)?;
    }
    if let Some(floor) = &mut floor {
        floor.send(3).await?;
    }
    let mut rounds = Vec::with_capacity(args.rounds);
    for _ in 0..args.rounds {
        let server = group.round(args).await?;
        let floor = match &mut floor {
            Some(floor) => Some(floor.round(args.messages).await?),
            None => None,
        };
        rounds.push(Round { server, floor });
    }
    Ok(outcome::measured(args, frame, &rounds))
}

/// As many as there are sessions, or as many as this process may still open: the floor's cost per
/// delivery does not depend on their number.
fn floor_sockets(sessions: usize) -> anyhow::Result<usize> {
    let room = process::files()?.saturating_sub(sessions + 200);
    if room < sessions {
        out::note(format!("RLIMIT_NOFILE leaves room for {room} sockets to the floor"));
    }
    process::need_files(sessions + sessions.min(500))?;
    Ok(sessions.min(room))
}

/// The group on the server.
struct Group {
    sender: Caller,
    conversation: String,
    text: String,
    tally: Rc<Tally>,
    _readers: Vec<raw::Reader>,
}

impl Group {
    async fn form(args: &Args, tally: Rc<Tally>) -> anyhow::Result<Self> {
        let url = &args.url;
        let sender = token::fetch(url, "broadcast:sender", "measure").await?;
        let accounts = raw::accounts(url, "broadcast:", args.sessions).await?;
        let mut sender = Caller::start(url, &sender).await?;
        let users: Vec<_> = accounts.iter().map(|account| account.user).collect();
        let mut chunks = users.chunks(USERS_PER_REQUEST);
        let created = sender
            .ask(
                "conversation.create",
                json!({"client_id": times::new_id(), "kind": "group", "title": "broadcast",
                       "members": chunks.next().unwrap_or_default()}),
            )
            .await?;
        let conversation = created["conversation"].as_str().context("no conversation")?.to_owned();
        for chunk in chunks {
            let params = json!({
                "conversation": conversation, "client_id": times::new_id(), "users": chunk,
            });
            sender.ask("members.add", params).await?;
        }
        tally.least.set(args.bytes as u64);
        let readers = raw::sessions(url, &accounts, &tally).await?;
        let text = "x".repeat(args.bytes.max(1));
        Ok(Self { sender, conversation, text, tally, _readers: readers })
    }

    /// Sends, each when everybody has the one before.
    async fn send(&mut self, args: &Args, messages: u64) -> anyhow::Result<()> {
        for _ in 0..messages {
            let target = self.tally.frames.get() + args.sessions as u64;
            let params = json!({
                "conversation": self.conversation, "client_id": times::new_id(),
                "content": {"type": "text", "text": self.text},
            });
            self.sender.ask("message.send", params).await?;
            self.tally.wait(target, PATIENCE).await?;
        }
        Ok(())
    }

    async fn round(&mut self, args: &Args) -> anyhow::Result<Cost> {
        let (cpu, start) = (process::cpu(args.server_pid)?, times::now());
        self.send(args, args.messages).await?;
        let (wall, cpu) = (start.elapsed(), process::cpu(args.server_pid)? - cpu);
        if self.tally.ended.get() > 0 {
            bail!("{} sessions ended during the round", self.tally.ended.get());
        }
        // The sender gets its own message too.
        Ok(cost(cpu, wall, args.messages * (args.sessions as u64 + 1)))
    }
}

#[expect(clippy::cast_precision_loss, reason = "deliveries below 2^53")]
fn cost(cpu: Duration, wall: Duration, deliveries: u64) -> Cost {
    let each = |time: Duration| time.as_secs_f64() * 1e6 / deliveries as f64;
    Cost { cpu_us: each(cpu), wall_us: each(wall) }
}
