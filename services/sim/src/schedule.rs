//! What goes wrong and when: drawn from the seed before anything runs, so that faults can be left
//! out one by one while everything else stays.

use crate::{chance::Rng, cluster::Plan, process::Node, weather::Trouble};

/// When people begin to act and faults to happen, and when both end; milliseconds.
pub const CALM_MS: u64 = 3_000;

/// One thing that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A process is killed, and started again after so long.
    Kill(Node, u64),
    /// A process stands still for so long.
    Freeze(Node, u64),
    /// A process is asked to end, and started again after so long.
    Drain(Node, u64),
    /// Something fails for so long.
    Weather(Trouble, u64),
    /// A process's clock jumps by so many milliseconds.
    Clock(Node, i64),
    /// The clock that stamps records jumps.
    LogClock(i64),
    /// Partitions change hands though nobody needs that.
    Shuffle,
    /// Frames to a gateway find no room.
    LoseFrames(Node, u64),
    /// A record that nobody can read stands in a partition.
    Damage(u16),
    /// A device's line is cut.
    Cut(usize),
    /// A device does not read for so long.
    Stall(usize, u64),
    /// Nothing gets through to or from a device for so long, and nobody is told.
    Mute(usize, u64),
    /// A device's process dies, and begins again after so long.
    Crash(usize, u64),
    /// A device falls into the river.
    Lose(usize),
}

/// A fault with its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Its number, by which it can be kept.
    pub number: usize,
    /// When, milliseconds.
    pub at_ms: u64,
    /// What.
    pub fault: Fault,
}

impl std::fmt::Display for Planned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (s, ms) = (self.at_ms / 1_000, self.at_ms % 1_000);
        write!(f, "#{:<3} {s:>4}.{ms:03} {:?}", self.number, self.fault)
    }
}

/// How many kinds of faults there are; a run has some of them.
const KINDS: u64 = 21;

/// Draws a schedule for a run of so long.
#[must_use]
pub fn draw(rng: &mut Rng, plan: &Plan, devices: usize, until_ms: u64) -> Vec<Planned> {
    // Some kinds in each run, and so each of them often in some runs.
    let kinds: Vec<u64> = (0..KINDS).filter(|_| rng.permille(350)).collect();
    let count = if kinds.is_empty() { 0 } else { rng.below(28) };
    let mut times: Vec<u64> = (0..count).map(|_| rng.between(CALM_MS, until_ms - 1)).collect();
    times.sort_unstable();
    let mut faults = Vec::new();
    for (number, at_ms) in times.into_iter().enumerate() {
        let kind = rng.pick(&kinds).copied().unwrap_or(0);
        let fault = fault(rng, kind, plan, devices);
        faults.push(Planned { number, at_ms, fault });
    }
    faults
}

fn fault(rng: &mut Rng, kind: u64, plan: &Plan, devices: usize) -> Fault {
    let gateway = Node::Gateway(rng.index(plan.gateways));
    let worker = Node::Worker(rng.index(plan.workers));
    let node = if rng.permille(500) { gateway } else { worker };
    let device = rng.index(devices);
    let (short, long) = (rng.between(50, 3_000), rng.between(1_000, 15_000));
    let weather = |trouble| Fault::Weather(trouble, long);
    match kind {
        0 => Fault::Kill(worker, short),
        1 => Fault::Kill(gateway, short),
        2 => Fault::Freeze(worker, long),
        3 => Fault::Freeze(gateway, long),
        4 => Fault::Drain(node, long),
        5 => weather(Trouble::Appends(rng.between(20, 500))),
        6 => weather(Trouble::Commits(rng.between(300, 1_600).min(1_000))),
        7 => weather(Trouble::Store(rng.between(20, 400))),
        8 => weather(Trouble::Claims(rng.between(100, 900))),
        // Often longer than the group waits.
        9 => Fault::Weather(Trouble::CutFromLog(node), rng.between(2_000, 20_000)),
        10 => weather(Trouble::CutFromStore(node)),
        11 => weather(Trouble::CutLink(gateway, worker)),
        12 => weather(Trouble::SlowLink(rng.between(10, 2_000))),
        13 => weather(Trouble::LateDirectory(gateway, rng.between(10, 15_000))),
        14 => match rng.below(3) {
            0 => Fault::Clock(node, 0_i64.wrapping_sub_unsigned(rng.below(90_000_000))),
            1 => Fault::Clock(node, 0_i64.wrapping_add_unsigned(rng.below(90_000_000))),
            _ => Fault::LogClock(rng.below(20_000) as i64 - 10_000),
        },
        15 => Fault::Shuffle,
        16 => Fault::LoseFrames(gateway, rng.between(1, 30)),
        17 => Fault::Damage(rng.below(u64::from(plan.partitions)) as u16),
        18 => match rng.below(6) {
            0 => Fault::Cut(device),
            1 => Fault::Stall(device, long),
            2 => Fault::Mute(device, long),
            3 | 4 => Fault::Crash(device, short),
            _ => Fault::Lose(device),
        },
        19 => weather(Trouble::Slow(rng.between(5, 300))),
        // About as long as a lease lasts.
        _ => Fault::Weather(Trouble::NoGroup(worker), rng.between(4_500, 7_500)),
    }
}
