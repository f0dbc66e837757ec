//! `replay`: plays chat logs as real conversations between real users.
//!
//! Each nick is a user, each file a conversation. An operator of the load test's own makes the
//! conversation with the readers in it and adds speakers when they join or first speak; they leave
//! by themselves. Files run in parallel, one in each *lane*; a lane has an operator and readers
//! that stay connected all the time. Speakers' sessions come from a [`pool`].

use std::{
    collections::{HashMap, VecDeque},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Context as _, bail};

use crate::{
    check,
    figures::Measured,
    ids::Id,
    journal::Journal,
    out,
    wire::{Client, Metrics, Settings},
};

pub mod day;
pub mod directory;
pub mod lane;
pub mod names;
pub mod parse;
pub mod pool;
pub mod progress;
pub mod report;

/// Settings of `replay`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Directory with one log file per channel and day
    pub dir: PathBuf,
    /// Where the gateways are: ws://host:port (again for more of them)
    #[arg(long, required = true)]
    pub url: Vec<String>,
    /// Minutes of the log per minute, or "flat" for as fast as it goes
    #[arg(long, default_value = "flat", value_parser = speed)]
    pub speed: Speed,
    /// Members who listen to each conversation all the time
    #[arg(long, default_value_t = 2)]
    pub readers: usize,
    /// Files to replay, in the order of their names
    #[arg(long, default_value_t = usize::MAX, hide_default_value = true)]
    pub days: usize,
    /// Lines of each file to replay
    #[arg(long, default_value_t = usize::MAX, hide_default_value = true)]
    pub limit: usize,
    /// Files that run at the same time
    #[arg(long, default_value_t = 16)]
    pub lanes: usize,
    /// Speakers' sessions that are open at the same time
    #[arg(long, default_value_t = 200)]
    pub pool: usize,
    /// Sends of one conversation without an outcome
    #[arg(long, default_value_t = 32)]
    pub window: usize,
    /// Seconds to wait for a server that doesn't come back
    #[arg(long, default_value_t = 60)]
    pub patience: u64,
    /// Where the figures go, as JSON
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Where the clients' logs go; without it they vanish after a clean check
    #[arg(long)]
    pub log_dir: Option<PathBuf>,
    /// Leave out the check at the end
    #[arg(long)]
    pub no_check: bool,
}

/// How fast the log runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Speed {
    /// As fast as it goes.
    Flat,
    /// So many times faster than it happened.
    Times(f64),
}

fn speed(text: &str) -> Result<Speed, String> {
    match text.parse::<f64>() {
        _ if text == "flat" => Ok(Speed::Flat),
        Ok(times) if times > 0.0 && times.is_finite() => Ok(Speed::Times(times)),
        _ => Err(format!("{text:?} is neither \"flat\" nor a number above 0")),
    }
}

/// What the lanes of a run share.
#[derive(Debug)]
pub struct Run {
    /// As the user wants it.
    pub args: Args,
    /// For every client.
    pub settings: Settings,
    /// Who is who.
    pub directory: Arc<directory::Directory>,
    /// The speakers.
    pub pool: Arc<pool::Pool>,
    /// Files still to do.
    pub days: Mutex<VecDeque<parse::Day>>,
    /// What went wrong beyond single messages.
    pub troubles: Mutex<Vec<String>>,
    /// Who listens to which conversation from its start to its end, for those that are played now.
    /// The first one is the operator.
    pub live: Mutex<HashMap<Id, Vec<Arc<Client>>>>,
    /// Conversations end where they are, and no other ones begin.
    over: AtomicBool,
}

impl Run {
    /// Ready to play these.
    #[must_use]
    pub fn new(args: Args, settings: Settings, days: Vec<parse::Day>) -> Self {
        let directory = Arc::new(directory::Directory::new(settings.clone(), args.url.clone()));
        let pool = pool::Pool::new(settings.clone(), Arc::clone(&directory), args.pool);
        Self {
            args,
            settings,
            directory,
            pool: Arc::new(pool),
            days: Mutex::new(days.into()),
            troubles: Mutex::default(),
            live: Mutex::default(),
            over: AtomicBool::new(false),
        }
    }

    /// Lets every conversation end, before its last line.
    pub fn end(&self) {
        self.over.store(true, Relaxed);
    }

    fn is_over(&self) -> bool {
        self.over.load(Relaxed)
    }

    /// Remembers that something went wrong.
    pub fn trouble(&self, what: String) {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }
}

/// Runs it. True if nothing went wrong and the check, if any, found nothing.
///
/// # Errors
/// When it can't start: no logs, no server, no room for the journal.
pub async fn run(args: Args) -> anyhow::Result<bool> {
    let days = load(&args)?;
    let (dir, is_temporary) = log_dir(&args);
    let (journal, writer) = Journal::create(&dir)
        .with_context(|| format!("can't write to {}: choose another --log-dir", dir.display()))?;
    let totals = report::Totals::of(&days);
    let run = Arc::new(start(args.clone(), journal, days)?);
    let progress = progress::start(Arc::clone(&run.settings.metrics), totals.messages);
    let started = crate::times::now();
    let lanes: Vec<_> = (0..args.lanes.max(1))
        .map(|number| tokio::spawn(lane::run(Arc::clone(&run), number)))
        .collect();
    for lane in lanes {
        if let Err(error) = lane.await.context("a lane ended").and_then(|end| end) {
            run.trouble(format!("{error:#}"));
        }
    }
    let took = started.elapsed();
    run.pool.close_all().await;
    progress.finish();
    let metrics = Arc::clone(&run.settings.metrics);
    let troubles =
        std::mem::take(&mut *run.troubles.lock().unwrap_or_else(PoisonError::into_inner));
    drop(run); // the last journal handle
    writer.finish().context("the journal is not complete")?;
    let report = report::Report::new(totals, &metrics, took, troubles);
    finish(&args, &report, &dir, is_temporary).await
}

async fn finish(
    args: &Args,
    report: &report::Report,
    dir: &Path,
    is_temporary: bool,
) -> anyhow::Result<bool> {
    out::line(report.table());
    report.troubles.iter().take(10).for_each(|trouble| out::line(format!("trouble: {trouble}")));
    let verdicts = if args.no_check {
        Vec::new()
    } else {
        let check = check::Args { log_dir: dir.to_owned(), url: args.url[0].clone(), out: None };
        check::judge(&check).await.with_context(|| format!("logs: {}", dir.display()))?
    };
    if let Some(path) = &args.out {
        let breaches = (!args.no_check).then(|| verdicts.iter().map(|it| it.breaches).sum());
        let told = Told {
            measured: report.measured(command(args), breaches),
            replay: report,
            check: &verdicts,
        };
        let text = serde_json::to_string_pretty(&told)?;
        std::fs::write(path, text).with_context(|| format!("can't write {}", path.display()))?;
    }
    let is_clean = report.is_complete() && verdicts.iter().all(|verdict| verdict.breaches == 0);
    if is_temporary && is_clean {
        // The directory is ours and only scratch: leaving it behind would be no harm.
        let _ = std::fs::remove_dir_all(dir);
    } else {
        out::line(format!("clients' logs: {}", dir.display()));
    }
    Ok(is_clean)
}

/// The figures as every mode tells them, and all counters beside them.
#[derive(Debug, serde::Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    measured: Measured,
    replay: &'a report::Report,
    check: &'a [check::Verdict],
}

fn command(args: &Args) -> String {
    let urls: String = args.url.iter().map(|url| format!(" --url {url}")).collect();
    let speed = match args.speed {
        Speed::Flat => "flat".to_owned(),
        Speed::Times(times) => times.to_string(),
    };
    format!("harkara-loadtest replay {}{urls} --speed {speed}", args.dir.display())
}

fn log_dir(args: &Args) -> (PathBuf, bool) {
    match &args.log_dir {
        Some(dir) => (dir.clone(), false),
        None => {
            let name = format!("harkara-loadtest-{}", std::process::id());
            (std::env::temp_dir().join(name), true)
        }
    }
}

fn start(args: Args, journal: Journal, days: Vec<parse::Day>) -> anyhow::Result<Run> {
    let settings = Settings {
        journal,
        metrics: Arc::new(Metrics::new()?),
        sessions: Arc::new(AtomicU32::new(0)),
        patience: Duration::from_secs(args.patience),
        device: "replay".to_owned(),
        gateways: Vec::new(),
    };
    Ok(Run::new(args, settings, days))
}

/// Reads the logs in the order of their names.
fn load(args: &Args) -> anyhow::Result<Vec<parse::Day>> {
    let dir = &args.dir;
    let entries = std::fs::read_dir(dir)
        .with_context(|| format!("can't read {}: name a directory with logs", dir.display()))?;
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.is_file())
        .collect();
    paths.sort();
    let mut days = Vec::new();
    for path in paths.into_iter().take(args.days) {
        let bytes =
            std::fs::read(&path).with_context(|| format!("can't read {}", path.display()))?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        days.push(parse::day(&name, &bytes, args.limit));
    }
    if days.iter().all(|day| day.lines.is_empty()) {
        bail!("{} has no chat logs", dir.display());
    }
    Ok(days)
}
