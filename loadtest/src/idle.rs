//! `idle`: what sessions cost that do nothing. Everybody is a member of several rooms of ten; the
//! server's memory is read before and after everybody connects, and its processor time over a
//! window in which only heartbeats pass.

use std::{path::PathBuf, rc::Rc, time::Duration};

use anyhow::Context as _;
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde_json::json;

use crate::{
    out, process,
    raw::{self, Tally},
    times,
    wire::{caller::Caller, token::Account},
};

/// Members of a room.
const ROOM: usize = 10;

/// Users who make their rooms at the same time.
const AT_ONCE: usize = 16;

/// Sessions opened and closed before memory is read for the first time, so that what is built on
/// first use is there.
const WARM_UP: usize = 200;

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
    /// Seconds over which processor time is measured
    #[arg(long, default_value_t = 60)]
    pub window: u64,
    /// Where the figures go, as JSON
    #[arg(long)]
    pub out: Option<PathBuf>,
}

/// Runs it.
///
/// # Errors
/// When the rooms can't be made or the sessions not be opened.
pub async fn run(args: Args) -> anyhow::Result<bool> {
    process::need_files(args.sessions)?;
    tokio::task::LocalSet::new().run_until(measure(args)).await
}

async fn measure(args: Args) -> anyhow::Result<bool> {
    let accounts = raw::accounts(&args.url, "idle:", args.sessions).await?;
    let rooms = rooms(accounts.len(), args.conversations);
    out::note(format!("making {} rooms", rooms.iter().map(Vec::len).sum::<usize>()));
    make(&args.url, &accounts, rooms).await?;
    let tally = Rc::new(Tally::default());
    let warm = &accounts[..accounts.len().min(WARM_UP)];
    drop(raw::sessions(&args.url, warm, &tally).await?);
    let settle = Duration::from_secs(args.settle);
    tokio::time::sleep(settle).await;
    tally.ended.set(0);
    let before = process::resident(args.server_pid)?;
    let connecting = (process::cpu(args.server_pid)?, times::now());
    let readers = raw::sessions(&args.url, &accounts, &tally).await?;
    let connected = (process::cpu(args.server_pid)? - connecting.0, connecting.1.elapsed());
    tokio::time::sleep(settle).await;
    let after = process::resident(args.server_pid)?;
    let cpu = process::cpu(args.server_pid)?;
    let start = times::now();
    tokio::time::sleep(Duration::from_secs(args.window)).await;
    let (cpu, window) = (process::cpu(args.server_pid)? - cpu, start.elapsed());
    let later = process::resident(args.server_pid)?;
    let figures = Figures {
        sessions: readers.len(),
        ended: tally.ended.get(),
        bytes: per(after.0, before.0, readers.len()),
        anonymous: per(after.1, before.1, readers.len()),
        later: per(later.0, before.0, readers.len()),
        connect_ms: per_session(connected.0, readers.len()) / 1000.0,
        connect_seconds: connected.1.as_secs_f64(),
        cpu_us: per_session(cpu, readers.len()) / window.as_secs_f64(),
    };
    figures.report(&args, before.0, after.0)?;
    Ok(figures.ended == 0)
}

#[expect(clippy::cast_precision_loss, reason = "bytes below 2^53")]
fn per(after: u64, before: u64, sessions: usize) -> f64 {
    (after as f64 - before as f64) / sessions as f64
}

/// Microseconds.
#[expect(clippy::cast_precision_loss, reason = "sessions below 2^53")]
fn per_session(time: Duration, sessions: usize) -> f64 {
    time.as_secs_f64() * 1e6 / sessions as f64
}

struct Figures {
    sessions: usize,
    ended: u64,
    bytes: f64,
    anonymous: f64,
    later: f64,
    connect_ms: f64,
    connect_seconds: f64,
    cpu_us: f64,
}

impl Figures {
    fn report(&self, args: &Args, before: u64, after: u64) -> anyhow::Result<()> {
        let row = |name: &str, value: String| vec![name.to_owned(), value];
        let rows = [
            row("sessions", self.sessions.to_string()),
            row("conversations of each", args.conversations.to_string()),
            row("sessions that ended meanwhile", self.ended.to_string()),
            row(
                "server resident before / after, MiB",
                format!("{} / {}", before >> 20, after >> 20),
            ),
            row("resident bytes per session", format!("{:.0}", self.bytes)),
            row("of them anonymous", format!("{:.0}", self.anonymous)),
            row(
                &format!("resident bytes per session {} s later", args.window),
                format!("{:.0}", self.later),
            ),
            row("processor time per connect, ms", format!("{:.3}", self.connect_ms)),
            row("connecting all of them took, s", format!("{:.1}", self.connect_seconds)),
            row("processor time per session and second, µs", format!("{:.2}", self.cpu_us)),
        ];
        out::line(out::table(&["idle sessions", ""], &rows));
        if let Some(path) = &args.out {
            let value = json!({
                "sessions": self.sessions, "conversations": args.conversations,
                "ended": self.ended, "resident_before": before, "resident_after": after,
                "bytes_per_session": self.bytes, "anonymous_bytes_per_session": self.anonymous,
                "bytes_per_session_later": self.later, "connect_cpu_ms": self.connect_ms,
                "connect_seconds": self.connect_seconds, "cpu_us_per_session_second": self.cpu_us,
            });
            std::fs::write(path, serde_json::to_string_pretty(&value)?)?;
        }
        Ok(())
    }
}

/// For each user the rooms that they make: the members' places in the list of users, without the
/// maker. Everybody ends up in `layers` rooms, each time with others where there are enough.
fn rooms(users: usize, layers: usize) -> Vec<Vec<Vec<usize>>> {
    let mut rooms = vec![Vec::new(); users];
    for layer in 0..layers {
        let stride = (0..).map(|i| layer * 7 + 1 + i).find(|&s| is_coprime(s, users)).unwrap_or(1);
        let order: Vec<usize> = (0..users).map(|i| i * stride % users).collect();
        for room in order.chunks(ROOM) {
            // The maker differs from layer to layer, so that the work is spread.
            let maker = layer % room.len();
            let others = room.iter().copied().filter(|&user| user != room[maker]).collect();
            rooms[room[maker]].push(others);
        }
    }
    rooms
}

fn is_coprime(mut a: usize, mut b: usize) -> bool {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a == 1
}

async fn make(url: &str, accounts: &[Account], rooms: Vec<Vec<Vec<usize>>>) -> anyhow::Result<()> {
    let work = accounts.iter().zip(rooms).filter(|(_, rooms)| !rooms.is_empty());
    let work = work.map(|(maker, rooms)| async move {
        let mut caller = Caller::start(url, maker).await?;
        for room in rooms {
            let members: Vec<_> = room.iter().map(|&place| accounts[place].user).collect();
            let params = json!({
                "client_id": times::new_id(), "kind": "group", "title": "idle", "members": members,
            });
            caller.ask("conversation.create", params).await.context("making a room")?;
        }
        caller.close().await;
        anyhow::Ok(())
    });
    futures_util::stream::iter(work).buffer_unordered(AT_ONCE).try_collect().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_in_as_many_rooms() {
        let mut times = vec![0; 100];
        for (maker, rooms) in rooms(100, 10).into_iter().enumerate() {
            for room in rooms {
                assert_eq!(room.len(), ROOM - 1);
                times[maker] += 1;
                room.into_iter().for_each(|user| times[user] += 1);
            }
        }
        assert!(times.iter().all(|&n| n == 10), "{times:?}");
    }
}
