//! `harkara-sim`: runs seeds, prints those that break something with a schedule that was made
//! small, and replays one with a trace.

use std::process::ExitCode;

use clap::Parser;
use harkara_sim::{
    run::{Report, Request, run},
    shrink::shrink,
};

/// Breaches printed of one run.
const PRINTED_MAX: usize = 12;

/// A whole cluster from one seed, judged by the invariants.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Run so many seeds.
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    start: u64,
    /// Run this one only.
    #[arg(long)]
    seed: Option<u64>,
    /// Of its faults, keep these: `3,7,9`, or `none`.
    #[arg(long, requires = "seed")]
    keep: Option<String>,
    /// Print everything that happens.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Break this rule, to see whether it is noticed (a build with `--features sabotage`).
    #[cfg(feature = "sabotage")]
    #[arg(long = "break")]
    rule: Option<String>,
    /// Stop at the first seed that breaks something.
    #[arg(long)]
    first: bool,
    /// Don't make schedules small.
    #[arg(long)]
    no_shrink: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    #[cfg(feature = "sabotage")]
    if let Some(name) = &args.rule {
        let Some(variant) = harkara_sim::variants::named(name) else {
            out(&format!("there is no variant {name}"));
            return ExitCode::from(2);
        };
        harkara_service_runtime::sabotage::break_rule(Some(variant.rule));
    }
    let result = match args.seed {
        Some(seed) => replay(seed, &args),
        None => search(&args),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            out(&error);
            ExitCode::from(2)
        }
    }
}

#[expect(clippy::print_stdout, reason = "what the program is for")]
fn out(line: &str) {
    println!("{line}");
}

/// One seed. True where nothing broke.
fn replay(seed: u64, args: &Args) -> Result<bool, String> {
    let number = |text: &str| text.trim().parse::<usize>().map_err(|e| format!("--keep: {e}"));
    let keep = match args.keep.as_deref() {
        None => None,
        Some("none") => Some(Vec::new()),
        Some(keep) => Some(keep.split(',').map(number).collect::<Result<_, _>>()?),
    };
    let report = run(&Request { seed, keep, traced: args.trace })?;
    report.trace.iter().for_each(|line| out(line));
    print(&report);
    Ok(report.breaches.is_empty())
}

fn print(report: &Report) {
    report.schedule.iter().for_each(|planned| out(&format!("  {planned}")));
    for breach in report.breaches.iter().take(PRINTED_MAX) {
        out(&format!("  BREACH {breach}"));
    }
    let more = report.breaches.len().saturating_sub(PRINTED_MAX);
    if more > 0 {
        out(&format!("  and {more} more"));
    }
    let seconds = report.elapsed.as_secs();
    let (seed, events, shown) = (report.seed, report.events, report.shown);
    out(&format!("seed {seed}: {seconds} s, {events} events stored, {shown} shown"));
}

/// Many seeds. True where nothing broke.
fn search(args: &Args) -> Result<bool, String> {
    let clock = harkara_service_runtime::clock::SystemClock::shared();
    let (mut failed, mut minutes, mut events) = (Vec::new(), 0.0, 0);
    let mut told_ns = clock.elapsed_ns();
    let began_ns = told_ns;
    for n in 0..args.seeds {
        let seed = args.start + n;
        let report = run(&Request { seed, ..Request::default() })?;
        minutes += report.elapsed.as_secs_f64() / 60.0;
        events += report.events;
        let now_ns = clock.elapsed_ns();
        if !report.breaches.is_empty() {
            failed.push(seed);
            tell(report, args)?;
        }
        let last = n + 1 == args.seeds || (args.first && !failed.is_empty());
        if last || now_ns.saturating_sub(told_ns) > 5_000_000_000 {
            told_ns = now_ns;
            let real = (now_ns.saturating_sub(began_ns)) as f64 / 60e9;
            let (done, bad) = (n + 1, failed.len());
            out(&format!(
                "{done} seeds, {bad} failed, {events} events, {minutes:.0} cluster-minutes, \
                 {:.0} a minute",
                minutes / real.max(1e-9)
            ));
        }
        if last {
            break;
        }
    }
    Ok(failed.is_empty())
}

/// A seed that broke something, with a schedule that was made small, and how to see it again.
fn tell(report: Report, args: &Args) -> Result<(), String> {
    out(&format!("seed {} failed:", report.seed));
    if args.no_shrink {
        print(&report);
        return Ok(());
    }
    let shrunk = shrink(&report)?;
    print(&shrunk.report);
    let keep: Vec<String> = shrunk.keep.iter().map(ToString::to_string).collect();
    let keep = if keep.is_empty() { "none".to_owned() } else { keep.join(",") };
    out(&format!("again: harkara-sim --seed {} --keep {keep} --trace", report.seed));
    Ok(())
}
