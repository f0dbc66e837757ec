//! `harkara-loadtest`: real chat against a running server, and what can be measured and proved
//! from outside. It knows only the public protocol. Its modes:
//!
//! - `replay DIR --url ws://host:port`: plays chat logs as conversations, then checks
//! - `chaos --plan everything --seed N`: a cluster of real processes that is broken on purpose under
//!   load, judged by the same invariants
//! - `check --log-dir DIR --url ws://host:port`: the invariants, from the clients' logs and a fresh
//!   read of all history; exit code 1 on a breach
//! - `broadcast --sessions N --messages M --server-pid PID --floor`: the cost of a delivery in one
//!   large group, beside that of a bare socket loop
//! - `idle --sessions N --server-pid PID`: memory and processor time of sessions that do nothing
//! - `ramp --sessions N --server-pid PID`: what it costs that sessions come and come back
//! - `sync --users N --server-pid PID`: how long many users wait who open their lists at once
//! - `capacity --figures FILE --users N`: how many machines so many users need, by those figures
//! - `report --binary FILE`: all measurements, as JSON, a page with plots, and the table of
//!   docs/performance.md
//! - `steady --sessions N --room K --rate R --server-pid PID`: latency and the cost of a delivery
//!   under a constant rate that is offered whatever the answers
//! - `overload --server-pid PID`: how much of too much is taken, and how fast
//! - `growth --server-pid PID`: the same with more sessions, longer histories, more conversations
//! - `ready --binary FILE --messages N`: how long a server that was killed takes to serve again
//! - `floor --engine embedded --floor-program PATH --server-pid PID`: latency and throughput beside
//!   bare loops over the engines' libraries
//! - `peer --harkara-url ws://host:port --harkara-pid PID`: the same load on harkara and on
//!   Mosquitto, nats-server and ejabberd, side by side
//! - `floor-server`: the bare socket loop itself, started by `broadcast`

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use harkara_loadtest::{
    broadcast, capacity, chaos, check, floor, growth, idle, out, overload, peer, process, ramp,
    ready, replay, report, steady, sync,
};

/// Plays real chat against a harkara server, checks it and measures it
#[derive(Debug, Parser)]
#[command(name = "harkara-loadtest", version)]
struct Args {
    #[command(subcommand)]
    mode: Mode,
}

#[derive(Debug, Subcommand)]
enum Mode {
    /// Play chat logs as real conversations, then check the invariants
    Replay(replay::Args),
    /// Check the invariants from a replay's logs and the server's history
    Check(check::Args),
    /// Break a whole cluster on purpose, under load, and check the invariants
    Chaos(chaos::Args),
    /// Measure deliveries in one large group, beside a bare socket loop
    Broadcast(broadcast::Args),
    /// Measure memory and processor time of idle sessions
    Idle(idle::Args),
    /// Measure connects and resumes
    Ramp(ramp::Args),
    /// Measure how long it takes many users to open their lists at once
    Sync(sync::Args),
    /// Calculate how many machines so many users need
    Capacity(capacity::Args),
    /// Measure everything and write it down
    Report(report::Args),
    /// Measure latency and the cost of a delivery under a constant rate
    Steady(steady::Args),
    /// Measure how much of too much is taken, and how fast
    Overload(overload::Args),
    /// Measure whether a delivery costs the same when there is more of everything
    Growth(growth::Args),
    /// Measure how long a killed server takes to serve again
    Ready(ready::Args),
    /// Measure latency and throughput beside the engines alone
    Floor(floor::Args),
    /// Compare with servers from Debian's packages, side by side
    Peer(peer::Args),
    /// The bare socket loop that `broadcast --floor` compares with
    #[command(hide = true)]
    FloorServer(broadcast::floor::Args),
}

fn main() -> ExitCode {
    process::raise_files();
    match run(Args::parse().mode) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            out::note(format!("error: {error:#}"));
            ExitCode::from(2)
        }
    }
}

/// Measurements run on one thread, so that they can be kept away from the server's core.
fn run(mode: Mode) -> anyhow::Result<bool> {
    let one = || tokio::runtime::Builder::new_current_thread().enable_all().build();
    let many = || tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match mode {
        Mode::Replay(args) => many()?.block_on(replay::run(args)),
        Mode::Check(args) => many()?.block_on(check::run(args)),
        Mode::Chaos(args) => many()?.block_on(chaos::run(args)),
        Mode::Broadcast(args) => one()?.block_on(broadcast::run(args)),
        Mode::Idle(args) => one()?.block_on(idle::run(args)),
        Mode::Ramp(args) => one()?.block_on(ramp::run(args)),
        Mode::Sync(args) => one()?.block_on(sync::run(args)),
        Mode::Capacity(args) => capacity::run(&args),
        Mode::Report(args) => report::run(&args),
        Mode::Steady(args) => one()?.block_on(steady::run(args)),
        Mode::Overload(args) => one()?.block_on(overload::run(args)),
        Mode::Growth(args) => one()?.block_on(growth::run(args)),
        Mode::Ready(args) => one()?.block_on(ready::run(args)),
        Mode::Floor(args) => one()?.block_on(floor::run(args)),
        Mode::Peer(args) => one()?.block_on(peer::run(args)),
        Mode::FloorServer(args) => one()?.block_on(broadcast::floor::run(args)),
    }
}
