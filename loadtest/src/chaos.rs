//! `chaos`: a cluster of real processes is broken on purpose while people talk, and must lose
//! nothing. Which fault happens when comes from a plan and a seed alone.
//!
//! ```text
//! plan, seed ─▶ schedule ─▶ inject ─▶ cluster (processes, proxies) ◀─ load (replay's clients)
//!                                                                        │
//!                      report, page ◀─ judge (I10, I11) ◀─ watch    journal ─▶ check (I1 … I9)
//! ```

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use tokio::time::{sleep, timeout};

use crate::{
    check,
    journal::Journal,
    out,
    replay::{Run, lane},
    times,
    wire::{Client, Metrics, timeline},
};

pub mod chance;
pub mod cluster;
pub mod fault;
pub mod inject;
pub mod judge;
pub mod load;
mod page;
pub mod plan;
pub mod proxy;
pub mod report;
pub mod schedule;
pub mod watch;

use cluster::{Cluster, Make};
use inject::{Happened, Injector};
use judge::{Calm, Cost};
use plan::Plan;
use watch::{Seen, Watch};

/// Conversations are there for so long after the last fault has begun.
const AFTERWARDS: Duration = Duration::from_secs(180);

/// Longest wait for devices that are to be at the head, and for a head.
const AT_HEAD: Duration = Duration::from_secs(120);

/// Settings of `chaos`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// A stock plan (gateway, worker, handover, broker, store, network, storm, upgrade, everything,
    /// standalone, disk, engine_disk) or a file
    #[arg(long)]
    pub plan: String,
    /// What chance begins with: the same one gives the same faults
    #[arg(long)]
    pub seed: u64,
    /// How long faults happen; as the plan says without it
    #[arg(long)]
    pub seconds: Option<u64>,
    /// Messages a second; as the plan says without it
    #[arg(long)]
    pub rate: Option<u32>,
    /// Conversations at the same time; as the plan says without it
    #[arg(long)]
    pub rooms: Option<usize>,
    /// Brokers of Kafka, 1 or 3; as the plan says without it
    #[arg(long)]
    pub brokers: Option<u32>,
    /// Nodes of Cassandra, 1 or 3; as the plan says without it
    #[arg(long)]
    pub nodes: Option<u32>,
    /// The server, built with the features of the cluster; without it the one beside this program
    #[arg(long)]
    pub server: Option<PathBuf>,
    /// Another build of it, for rolling upgrades and back
    #[arg(long)]
    pub other_server: Option<PathBuf>,
    /// The repository, whose deploy/engines starts Kafka and Cassandra
    #[arg(long, default_value = ".")]
    pub top: PathBuf,
    /// Where data, logs and the clients' journal go; without it they vanish after a clean run
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// Where the report goes: a page for people
    #[arg(long)]
    pub html: Option<PathBuf>,
    /// Where the report goes: for programs
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// Leave out what is about times and amounts (I10, I11), which busy machines break
    #[arg(long)]
    pub invariants_only: bool,
}

/// Runs it. True if nothing was breached.
///
/// # Errors
/// When it can't be started, or not be judged.
pub async fn run(args: Args) -> anyhow::Result<bool> {
    let mut plan = Plan::load(&args.plan)?;
    plan.seconds = args.seconds.unwrap_or(plan.seconds);
    plan.load.rate = args.rate.unwrap_or(plan.load.rate);
    plan.load.rooms = args.rooms.unwrap_or(plan.load.rooms);
    plan.cluster.brokers = args.brokers.unwrap_or(plan.cluster.brokers);
    plan.cluster.nodes = args.nodes.unwrap_or(plan.cluster.nodes);
    plan.check()?;
    let (dir, is_temporary) = place(&args);
    let stopped = async {
        // Without a handler for it nobody can stop it, but it goes on.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let told = tokio::select! {
        told = story(&args, &plan, &dir) => told,
        () = stopped => bail!("stopped; what is left is in {}", dir.display()),
    };
    let told = told.with_context(|| format!("logs: {}", dir.display()))?;
    told.tell(&args)?;
    if is_temporary && told.is_clean() {
        // Ours, and scratch: leaving it behind would be no harm.
        let _ = std::fs::remove_dir_all(&dir);
    } else {
        out::line(format!("logs and journal: {}", dir.display()));
    }
    Ok(told.is_clean())
}

fn place(args: &Args) -> (PathBuf, bool) {
    let name = || format!("harkara-chaos-{}", std::process::id());
    let (dir, is_temporary) = match &args.dir {
        Some(dir) => (dir.clone(), false),
        None => (std::env::temp_dir().join(name()), true),
    };
    // Processes are started elsewhere and need whole paths.
    (std::path::absolute(&dir).unwrap_or(dir), is_temporary)
}

fn make(args: &Args, dir: &Path) -> anyhow::Result<Make> {
    let first = args.server.clone().or_else(cluster::beside);
    let first = first.context("no server beside this program: name one with --server")?;
    let binaries = [Some(first), args.other_server.clone()].into_iter().flatten();
    let whole = |binary: PathBuf| {
        binary.canonicalize().with_context(|| format!("no {}: build it", binary.display()))
    };
    Ok(Make {
        binaries: binaries.map(whole).collect::<anyhow::Result<_>>()?,
        dir: dir.to_owned(),
        top: args.top.canonicalize().context("--top")?,
        seed: args.seed,
    })
}

/// Start, break, calm down, check.
async fn story(args: &Args, plan: &Plan, dir: &Path) -> anyhow::Result<report::Told> {
    let make = make(args, dir)?;
    let faults = schedule::schedule(plan, args.seed, Duration::from_secs(plan.seconds));
    out::line(format!("{}: {}", args.plan, plan.about));
    out::line(format!("seed {}, {} faults; again: {}", args.seed, faults.len(), again(args)));
    let cluster = Arc::new(Cluster::start(plan, &make).await?);
    out::note("everything is ready");

    let (journal, writer) = Journal::create(&dir.join("journal"))?;
    let metrics = Arc::new(Metrics::new()?);
    let seconds = plan.warm_up + plan.seconds + AFTERWARDS.as_secs();
    let urls = &cluster.urls;
    let run = load::run(&plan.load, urls, args.seed, seconds, journal, Arc::clone(&metrics));
    let run = Arc::new(run);
    let lanes: Vec<_> = (0..plan.load.rooms)
        .map(|number| tokio::spawn(lane::run(Arc::clone(&run), number)))
        .collect();
    let watch = Watch::start(&cluster, &run);
    let started = times::now();
    sleep(Duration::from_secs(plan.warm_up)).await;
    let injector = Arc::new(Injector { cluster: Arc::clone(&cluster), seed: args.seed });
    let begun = times::now();
    let happened = inject::all(injector, faults, begun).await;
    let calm = calm_down(&run, &watch, begun, !args.invariants_only).await;

    run.end();
    out::note("the load ends; every outcome is waited for");
    for lane in lanes {
        if let Err(error) = lane.await.context("a lane ended").and_then(|end| end) {
            run.trouble(format!("{error:#}"));
        }
    }
    run.pool.close_all().await;
    let took = started.elapsed();
    let mut seen = watch.stop().await;
    seen.troubles.append(&mut run.troubles.lock().unwrap_or_else(PoisonError::into_inner));
    drop(run); // the last journal handle
    writer.finish().context("the journal is not complete")?;
    out::note("reading all history");
    let check = check::Args {
        log_dir: dir.join("journal"),
        url: cluster.direct.first().context("no gateway")?.clone(),
        out: None,
    };
    let mut verdicts = check::judge(&check).await?;
    seen.troubles.extend(cluster.stop().await);
    seen.troubles.extend(cluster.parts.iter().flat_map(cluster::Part::panics));
    let costs = judge::costs(&happened, &metrics.silences(), &seen.crew, &seen.samples);
    if !args.invariants_only {
        verdicts.push(judge::memory(&seen.samples, plan.memory, sessions(plan)));
        verdicts.push(judge::liveness(&calm, &happened, &costs));
    }
    let done = Done { started, took, happened, costs, calm, seen, metrics };
    Ok(report::Told::new(args, plan, done, verdicts))
}

/// What a run leaves for the report.
struct Done {
    started: Instant,
    took: Duration,
    happened: Vec<Happened>,
    /// In the same order.
    costs: Vec<Cost>,
    calm: Calm,
    seen: Seen,
    metrics: Arc<Metrics>,
}

/// Sessions that the load opens at most.
fn sessions(plan: &Plan) -> u64 {
    let crew = plan.load.rooms * (plan.load.readers + 1);
    crew as u64 + u64::from(plan.load.speakers)
}

/// The load goes on without faults, until everybody has everything, and then until
/// latency is as `usual` or takes too long, if that is looked at.
async fn calm_down(run: &Arc<Run>, watch: &Watch, begun: Instant, usual: bool) -> Calm {
    let recovered = times::now();
    out::note("the last fault is over");
    let at_head = at_head(run).await.then(|| recovered.elapsed());
    let latency_before = watch.with(|seen| judge::usual(&seen.samples, begun));
    let mut latency_back = None;
    let more = judge::LATENCY_BACK + judge::LATENCY_BACK / 2;
    while usual && latency_back.is_none() && recovered.elapsed() < more {
        sleep(watch::EVERY).await;
        let back = |seen: &Seen| judge::latency_back(&seen.samples, recovered, latency_before);
        latency_back = watch.with(back);
    }
    Calm { at_head, latency_back, latency_before }
}

/// Waits until everybody who listens has everything that there is now.
async fn at_head(run: &Run) -> bool {
    let rooms = {
        let live = run.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.clone()
    };
    let all = rooms.iter().map(|(n, clients)| async move {
        let Some(operator) = clients.first() else { return false };
        let Some(head) = head(operator, *n).await else { return false };
        let reached = clients.iter().map(|client| client.reached(*n, head));
        futures_util::future::join_all(reached).await.into_iter().all(|reached| reached)
    });
    let all = timeout(AT_HEAD, futures_util::future::join_all(all)).await;
    all.is_ok_and(|all| all.into_iter().all(|reached| reached))
}

async fn head(operator: &Client, n: crate::ids::Id) -> Option<u64> {
    let params = serde_json::json!({"conversation": n, "limit": 1});
    let page = operator.ask("timeline.read", params).await.ok()?;
    Some(timeline::decode(&page).ok()?.head)
}

/// The command that does it again.
fn again(args: &Args) -> String {
    let mut command = format!("harkara-loadtest chaos --plan {} --seed {}", args.plan, args.seed);
    for (name, number) in [
        ("seconds", args.seconds),
        ("rate", args.rate.map(u64::from)),
        ("rooms", args.rooms.map(|rooms| rooms as u64)),
        ("brokers", args.brokers.map(u64::from)),
        ("nodes", args.nodes.map(u64::from)),
    ] {
        if let Some(number) = number {
            command += &format!(" --{name} {number}");
        }
    }
    for (name, path) in [("server", &args.server), ("other-server", &args.other_server)] {
        if let Some(path) = path {
            command += &format!(" --{name} {}", path.display());
        }
    }
    command
}
