//! `ready`: how long a server that was killed takes until it serves again, with so many messages
//! stored. It starts the server itself, in a directory that vanishes; each round is a `kill -9`, a
//! start, and a client that comes back with a message.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use serde_json::json;

use crate::{
    figures::{Bound, Figure, Measured},
    growth::fill,
    out,
    report::{child::Process, server::listening},
    steady::Harkara,
    system::Shape,
    times,
    wire::{caller::Caller, token},
};

/// Longest wait for a server.
const PATIENCE: Duration = Duration::from_secs(120);

/// Members of a room.
const ROOM: usize = 2;

/// Settings of `ready`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The server's program, a release build
    #[arg(long, default_value = "target/release/harkara")]
    pub binary: PathBuf,
    /// Messages that are stored
    #[arg(long, default_value_t = 1_000_000)]
    pub messages: usize,
    /// Rooms that they are in
    #[arg(long, default_value_t = 100)]
    pub rooms: usize,
    /// Bytes of text in a message
    #[arg(long, default_value_t = 200)]
    pub bytes: usize,
    /// Times that it is killed
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// Where the figures go, as JSON
    #[arg(long)]
    pub out: Option<PathBuf>,
}

/// What a start took.
#[derive(Debug, Clone, Copy)]
struct Start {
    /// Until it listens.
    listening: Duration,
    /// Until a client's new message stands in its conversation.
    served: Duration,
}

/// Measures and tells.
///
/// # Errors
/// When the server doesn't start, or does not take the messages.
pub async fn run(args: Args) -> anyhow::Result<bool> {
    ensure!(args.rounds > 0 && args.rooms > 0, "ask for one round and one room or more");
    let data = tempfile::tempdir().context("no place for the server's data")?;
    let (server, url) = start(&args.binary, data.path())?;
    let shape = Shape { sessions: args.rooms * ROOM, room: ROOM, bytes: args.bytes };
    let messages = args.messages.div_ceil(args.rooms);
    let mut system = Harkara::new(vec![url.clone()], vec![server.pid()], false, 1);
    let filling = fill::fill(&mut system, shape, messages);
    tokio::task::LocalSet::new().run_until(filling).await?;
    let conversation = Probe::at(&url).await?.make().await?;
    let (mut server, mut starts) = (Some(server), Vec::with_capacity(args.rounds));
    for round in 1..=args.rounds {
        out::note(format!("round {round} of {}: kill -9 and start", args.rounds));
        drop(server.take());
        let begun = times::now();
        let (next, url) = start(&args.binary, data.path())?;
        let listening = begun.elapsed();
        Probe::at(&url).await?.message(&conversation).await?;
        starts.push(Start { listening, served: begun.elapsed() });
        server = Some(next);
    }
    measured(&args, &starts).tell(args.out.as_deref())?;
    Ok(true)
}

fn start(binary: &Path, data: &Path) -> anyhow::Result<(Process, String)> {
    let mut command = Command::new(binary);
    command.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data"]).arg(data);
    let process = Process::start(&mut command)?;
    let url = process.line(PATIENCE, listening).context("the server doesn't listen")?;
    Ok((process, url))
}

/// The client that comes back.
struct Probe(Caller);

impl Probe {
    async fn at(url: &str) -> anyhow::Result<Self> {
        let account = token::fetch(url, "ready", "probe").await?;
        Ok(Self(Caller::start(url, &account).await?))
    }

    async fn make(mut self) -> anyhow::Result<String> {
        let params = json!({
            "client_id": times::new_id(), "kind": "group", "title": "ready", "members": [],
        });
        let created = self.0.ask("conversation.create", params).await?;
        let id = created["conversation"].as_str().context("a conversation without an id")?;
        Ok(id.to_owned())
    }

    /// Sends one and waits until it is the newest.
    async fn message(mut self, conversation: &str) -> anyhow::Result<()> {
        let before = self.head(conversation).await?;
        let params = json!({
            "conversation": conversation,
            "client_id": times::new_id(),
            "content": {"type": "text", "text": "there again"},
        });
        self.0.ask("message.send", params).await?;
        let begun = times::now();
        while self.head(conversation).await? == before {
            if begun.elapsed() > PATIENCE {
                bail!("a message was accepted, and is not there after {PATIENCE:?}");
            }
        }
        Ok(())
    }

    async fn head(&mut self, conversation: &str) -> anyhow::Result<u64> {
        let asked = json!({ "conversation": conversation });
        let entry = self.0.ask("conversation.get", asked).await?;
        entry["head"].as_u64().with_context(|| format!("an entry without a head: {entry}"))
    }
}

fn measured(args: &Args, starts: &[Start]) -> Measured {
    let figure = |key: &str, name: &str, value: &dyn Fn(&Start) -> Duration| {
        let seconds = starts.iter().map(|start| value(start).as_secs_f64()).collect();
        Figure::new(key, name, "s", seconds)
    };
    let served = figure("ready.served_s", "until a client's message is there", &|it| it.served);
    Measured {
        title: format!("ready: killed with {} messages stored, and started again", args.messages),
        command: std::env::args().collect::<Vec<_>>().join(" "),
        figures: vec![
            served.must("R14", Bound::AtMost(2.0), Some(Bound::AtMost(1.0))),
            figure("ready.listening_s", "until it listens", &|it| it.listening),
        ],
        plots: Vec::new(),
        notes: vec![format!(
            "from the start of the process; the messages lie in {} conversations, the client's is \
             another one; what the process had in the files' cache of the kernel is still there",
            args.rooms
        )],
    }
}
