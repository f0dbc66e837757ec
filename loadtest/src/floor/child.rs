//! The bare loops as programs: started with what they are to do, they print one line of JSON when
//! they are done. Two of them (a log and a store) run at the same time, as the engines do.

use std::{
    io::Read as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;
use tokio::time::timeout;

use super::{Args, sum};
use crate::process;

/// What a program may take besides its seconds: for its topic, its table, the last answers.
const PATIENCE: Duration = Duration::from_secs(120);

/// Quantiles of a distribution on the line, besides the first: steps of a thousandth.
pub const STEPS: usize = 1_000;

/// The place of the median among them.
pub const MEDIAN: usize = STEPS / 2;

/// The place of the 99th percentile among them.
pub const P99: usize = STEPS - STEPS / 100;

/// Which engines the server stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Engine {
    /// Log and store in one embedded database.
    Embedded,
    /// Kafka and ScyllaDB or Cassandra.
    Cluster,
}

/// How often something was done, and how long it took.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Times {
    /// How often.
    pub count: u64,
    /// Within how many seconds.
    pub seconds: f64,
    /// Nanoseconds: the quantiles in steps of a thousandth, from least to most.
    pub took_ns: Vec<u64>,
}

impl Times {
    /// How many a second.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts below 2^53")]
    pub fn per_s(&self) -> f64 {
        self.count as f64 / self.seconds
    }

    /// A quantile, in thousandths, as milliseconds.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "nanoseconds below 2^53")]
    pub fn ms(&self, thousandths: usize) -> f64 {
        self.took_ns.get(thousandths).map_or(f64::NAN, |&ns| ns as f64 / 1e6)
    }
}

/// What the engines alone took at a rate.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each name says what it is")]
pub struct Latency {
    pub append: Times,
    pub insert: Times,
    /// An append and then an insert.
    pub both: Times,
    /// How late the programs were themselves, 99th percentile, milliseconds: it is in these times.
    pub late_ms: f64,
}

#[derive(Debug, Deserialize)]
struct Line {
    late: Times,
    append: Option<Times>,
    insert: Option<Times>,
    both: Option<Times>,
}

/// A program and what it always gets.
#[derive(Debug)]
struct Program {
    path: PathBuf,
    arguments: Vec<String>,
}

/// The programs of an engine.
#[derive(Debug)]
pub struct Programs {
    log: Program,
    /// None where the log's does both.
    store: Option<Program>,
}

impl Programs {
    /// Those of the settings.
    ///
    /// # Errors
    /// When there are not as many as the engine has.
    pub fn new(args: &Args) -> anyhow::Result<Self> {
        let engines = &args.engines;
        let program = |path: &PathBuf,
                       name: &str,
                       value: Option<&str>|
         -> anyhow::Result<Program> {
            ensure!(
                path.is_file(),
                "there is no program {}: build it, the head of `examples/floor.rs` of its engine says how",
                path.display()
            );
            let value = value.with_context(|| format!("--{name} is missing"))?;
            let own = [format!("--{name}"), value.to_owned()];
            let seconds = [("seconds", args.seconds), ("warm-up", args.warm_up)];
            let seconds = seconds.map(|(name, n)| [format!("--{name}"), n.to_string()]);
            let text = ["--text".to_owned(), args.bytes.to_string()];
            let arguments =
                own.into_iter().chain(text).chain(seconds.into_iter().flatten()).collect();
            Ok(Program { path: path.clone(), arguments })
        };
        match (engines.engine, engines.floor_program.as_slice()) {
            (Engine::Embedded, [both]) => {
                let dir = engines.dir.as_ref().map(|dir| dir.display().to_string());
                Ok(Self { log: program(both, "dir", dir.as_deref())?, store: None })
            }
            (Engine::Cluster, [log, store]) => {
                let log = program(log, "brokers", engines.brokers.as_deref())?;
                let store = program(store, "nodes", engines.nodes.as_deref())?;
                Ok(Self { log, store: Some(store) })
            }
            (Engine::Embedded, _) => bail!("name one --floor-program: embedded-floor"),
            (Engine::Cluster, _) => {
                bail!("name two: --floor-program kafka-floor --floor-program scylla-floor")
            }
        }
    }

    /// One append and one insert for each message at a rate.
    ///
    /// # Errors
    /// When a program fails.
    pub async fn latency(&self, args: &Args) -> anyhow::Result<Latency> {
        let load = load("rate", u64::from(args.rate), args.sessions / super::ROOM);
        let Some(store) = &self.store else {
            let Line { append, insert, both, late } = self.log.run(args, &load).await?;
            let all = append.zip(insert).zip(both);
            let ((append, insert), both) = all.context("the program told other things")?;
            return Latency { append, insert, both, late_ms: late.ms(P99) }.whole(args);
        };
        let (log, store) = tokio::try_join!(self.log.run(args, &load), store.run(args, &load))?;
        let pair = log.append.zip(store.insert);
        let (append, insert) = pair.context("the programs told other things")?;
        let both = sum::independent(&append, &insert);
        let late_ms = log.late.ms(P99).max(store.late.ms(P99));
        Latency { append, insert, both, late_ms }.whole(args)
    }

    /// As many appends as there can be.
    ///
    /// # Errors
    /// When the program fails.
    pub async fn throughput(&self, args: &Args) -> anyhow::Result<Times> {
        let load = load("in-flight", args.in_flight() as u64, args.senders);
        let line = self.log.run(args, &load).await?;
        let append = line.append.context("the program told other things")?;
        ensure!(append.count > 0, "the bare producer appended nothing");
        Ok(append)
    }
}

/// How much, and to how many rooms: as many as the server has at that load.
fn load(name: &str, much: u64, rooms: usize) -> [String; 4] {
    [format!("--{name}"), much.to_string(), "--rooms".to_owned(), rooms.max(1).to_string()]
}

impl Latency {
    /// Refuses what says less than it seems to.
    fn whole(self, args: &Args) -> anyhow::Result<Self> {
        for times in [&self.append, &self.insert, &self.both] {
            let (due, points) = (u64::from(args.rate * args.seconds), times.took_ns.len());
            // The first and the last one may fall to either side of a bound.
            ensure!(
                times.count.abs_diff(due) <= 2 && points == STEPS + 1,
                "a program told of {} messages, {due} were due, with {points} quantiles",
                times.count
            );
        }
        Ok(self)
    }
}

impl Program {
    async fn run(&self, args: &Args, load: &[String]) -> anyhow::Result<Line> {
        let name = self.path.display();
        let mut child = Command::new(&self.path)
            .args(&self.arguments)
            .args(load)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{name} doesn't start"))?;
        let length = Duration::from_secs(u64::from(args.warm_up) + u64::from(args.seconds));
        let told = timeout(length + PATIENCE, self.told(args, &mut child)).await;
        if told.is_err() {
            // It may end at this moment.
            let _ = child.kill();
        }
        let status = child.wait()?;
        let text = told.with_context(|| format!("{name} did not end in time"))??;
        ensure!(status.success(), "{name} failed: {status}");
        serde_json::from_str(&text).with_context(|| format!("{name} said {text:?}"))
    }

    /// Everything that it says until it ends, while sessions are served here.
    async fn told(&self, args: &Args, child: &mut Child) -> anyhow::Result<String> {
        if let Some(pin) = args.server.pin {
            // It stands for the server.
            process::pin(child.id(), pin.server)?;
        }
        let mut output = child.stdout.take().context("no output")?;
        let mut text = String::new();
        let read =
            tokio::task::spawn_blocking(move || output.read_to_string(&mut text).map(|_| text));
        Ok(read.await??)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read() {
        let text = r#"{"floor":"x","append":{"count":3,"seconds":2.000000000,"took_ns":[1000000,2000000]},"late":{"count":0,"seconds":2.0,"took_ns":[]}}"#;
        let line: Line = serde_json::from_str(text).unwrap();
        let append = line.append.unwrap();
        assert!((append.per_s() - 1.5).abs() < 1e-9 && (append.ms(1) - 2.0).abs() < 1e-9);
        assert!(line.insert.is_none() && append.ms(2).is_nan());
    }
}
