//! What sessions cost that connect and then do nothing: memory of each when it is in its rooms, and
//! processor time of its connect.

use std::{cell::Cell, rc::Rc, time::Duration};

use anyhow::ensure;

use super::{client::Peer, link::Dialect};
use crate::{
    process,
    raw::{self, Opened, Reader, Tally, frames::Frames},
    steady::ground::Ground,
    system::{Sink, Stamp},
};

/// Sessions opened and closed before memory is read for the first time, so that what is built on
/// first use is there.
const WARM_UP: usize = 200;

/// Wait before each reading of memory.
const SETTLE: Duration = Duration::from_secs(5);

/// What is set up.
#[derive(Debug, Clone, Copy)]
pub struct Crowd {
    /// Sessions: a multiple of `room`.
    pub sessions: usize,
    /// Members of a room.
    pub room: usize,
    /// Rooms of each session, all with the same members.
    pub depth: usize,
}

/// What one session costs.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// Resident bytes, in its rooms.
    pub bytes: f64,
    /// Processor time of its connect, with authentication, milliseconds.
    pub connect_ms: f64,
}

/// Sessions that nobody hears.
#[derive(Default)]
struct Quiet {
    ended: Cell<usize>,
}

impl Sink for Quiet {
    fn delivered(&self, _: usize, _: Stamp) {}
    fn confirmed(&self, _: usize) {}
    fn answered(&self, _: usize, _: u32, _: Result<(), &str>) {}
    fn ended(&self, _: usize, _: &str) {
        self.ended.set(self.ended.get() + 1);
    }
}

/// Measures a server that has just been started.
///
/// # Errors
/// When a session can't be opened or ends.
pub async fn peer<D: Dialect>(peer: &Peer<D>, crowd: Crowd) -> anyhow::Result<Cost> {
    let quiet = Rc::new(Quiet::default());
    let sink: Rc<dyn Sink> = Rc::<Quiet>::clone(&quiet);
    let groups = crowd.sessions / crowd.room;
    let rooms =
        |user: usize| (0..crowd.depth).map(|layer| layer * groups + user / crowd.room).collect();
    let warm = peer.connect(WARM_UP.min(crowd.sessions)).await?;
    drop(peer.join(warm, rooms, &sink).await?);
    tokio::time::sleep(SETTLE).await;
    let pids = [peer.pid()];
    let before = Reading::of(&pids)?;
    let talks = peer.connect(crowd.sessions).await?;
    let connected = Reading::of(&pids)?;
    let links = peer.join(talks, rooms, &sink).await?;
    tokio::time::sleep(SETTLE).await;
    let after = Reading::of(&pids)?;
    ensure!(quiet.ended.get() == 0, "{} idle sessions ended", quiet.ended.get());
    Ok(Reading::cost([before, connected, after], links.len()))
}

/// Measures harkara, where sessions are in their conversations as soon as they are connected.
///
/// # Errors
/// When the conversations can't be made, or a session can't be opened or ends.
pub async fn harkara(urls: &[String], pids: &[u32], crowd: Crowd) -> anyhow::Result<Cost> {
    let tally = Rc::new(Tally::default());
    // Others warm up: the server would remember their tokens.
    let warm = ground(urls, Crowd { sessions: WARM_UP.next_multiple_of(crowd.room), ..crowd });
    drop(open(&warm.await?, &tally).await?);
    let ground = ground(urls, crowd).await?;
    tokio::time::sleep(SETTLE).await;
    tally.ended.set(0);
    let before = Reading::of(pids)?;
    let readers = open(&ground, &tally).await?;
    let connected = Reading::of(pids)?;
    tokio::time::sleep(SETTLE).await;
    let after = Reading::of(pids)?;
    ensure!(tally.ended.get() == 0, "{} idle sessions ended", tally.ended.get());
    Ok(Reading::cost([before, connected, after], readers.len()))
}

async fn ground(urls: &[String], crowd: Crowd) -> anyhow::Result<Ground> {
    let mut ground = Ground::new(urls.to_vec(), crowd.depth);
    ground.grow(crowd.sessions, crowd.room).await?;
    Ok(ground)
}

/// Opens sessions for all users.
async fn open(ground: &Ground, tally: &Rc<Tally>) -> anyhow::Result<Vec<Reader>> {
    let accounts = ground.accounts.iter().enumerate();
    let opened = raw::open_at(accounts.map(|(i, account)| (ground.url(i), i, account))).await?;
    let read = |one: Opened| raw::read(one.socket, Frames::after(one.rest), tally);
    Ok(opened.into_iter().map(read).collect())
}

#[derive(Clone, Copy)]
struct Reading {
    cpu: Duration,
    resident: u64,
}

impl Reading {
    fn of(pids: &[u32]) -> anyhow::Result<Self> {
        Ok(Self { cpu: process::cpu_of(pids)?, resident: process::resident_of(pids)? })
    }

    #[expect(clippy::cast_precision_loss, reason = "bytes and sessions below 2^53")]
    fn cost([before, connected, after]: [Self; 3], sessions: usize) -> Cost {
        let each = |value: f64| value / sessions as f64;
        Cost {
            bytes: each(after.resident as f64 - before.resident as f64),
            connect_ms: each((connected.cpu.saturating_sub(before.cpu)).as_secs_f64() * 1e3),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_counted_to_the_end_and_time_to_the_connect() {
        let reading = |ms, resident| Reading { cpu: Duration::from_millis(ms), resident };
        let cost = Reading::cost([reading(10, 5_000), reading(30, 0), reading(99, 25_000)], 10);
        assert!((cost.connect_ms - 2.0).abs() < 1e-9 && (cost.bytes - 2_000.0).abs() < 1e-9);
    }
}
