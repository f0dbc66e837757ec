//! One measurement of the plan, from the server's start to the figures.

use std::{path::Path, process::Command, time::Duration};

use anyhow::{Context as _, bail};

use super::{
    Args, Entry,
    child::Process,
    machine,
    plan::{Step, Words},
    server::Server,
};
use crate::{
    figures::{Figure, Measured},
    times,
};

/// Measures; an error becomes the entry's.
pub fn run(step: &Step, args: &Args, binary: &Path) -> Entry {
    let start = times::now();
    let outcome = measure(step, args, binary);
    let (measured, failed) = match outcome {
        Ok((measured, failed)) => (measured, failed),
        Err(error) => (Measured::default(), Some(format!("{error:#}"))),
    };
    let mut entry = Entry {
        name: step.name.to_owned(),
        date: machine::today(),
        machine: String::new(),
        seconds: start.elapsed().as_secs_f64(),
        quick: args.quick,
        failed,
        measured,
    };
    let measured = &mut entry.measured;
    measured.command = step.command(args.quick);
    if measured.title.is_empty() {
        step.name.clone_into(&mut measured.title);
    }
    if !step.settings.is_empty() {
        let settings = step.settings.iter().map(|(name, value)| format!("{name}={value}"));
        let settings: Vec<String> = settings.collect();
        measured.notes.push(format!("server started with {}", settings.join(" ")));
    }
    if step.needs_cluster() {
        prefix(measured);
    }
    entry
}

/// Figures of a cluster are others than those of one process.
fn prefix(measured: &mut Measured) {
    measured.title = format!("cluster: {}", measured.title);
    for figure in &mut measured.figures {
        if !figure.key.starts_with("cluster.") {
            figure.key = format!("cluster.{}", figure.key);
        }
    }
}

/// The figures, and what went wrong although there are some.
fn measure(step: &Step, args: &Args, binary: &Path) -> anyhow::Result<(Measured, Option<String>)> {
    let server = Server::start(step.against, binary, step.settings, step.core(args.quick))?;
    let scratch = tempfile::tempdir().context("no place for the figures")?;
    let (file, dir) = (scratch.path().join("figures.json"), scratch.path().join("dir"));
    std::fs::create_dir(&dir).context("no place for what it makes")?;
    let examples = binary.parent().unwrap_or(Path::new(".")).join("examples");
    let words = Words {
        urls: server.urls.clone(),
        pids: server.parts.iter().map(|part| part.pid.to_string()).collect(),
        brokers: server.brokers.clone(),
        nodes: server.nodes.clone(),
        logs: args.logs.as_ref().map(|it| it.display().to_string()).unwrap_or_default(),
        binary: binary.display().to_string(),
        dir: dir.display().to_string(),
        examples: examples.display().to_string(),
    };
    let arguments = step.arguments(args.quick, &words);
    let before = server.effort()?;
    let mut command = Command::new(std::env::current_exe()?);
    let mut mode = Process::start(command.args(&arguments).arg("--out").arg(&file))?;
    let status = mode.end(Duration::from_secs(step.minutes * 60))?;
    let Ok(text) = std::fs::read(&file) else {
        bail!("{status}, no figures: {}", mode.last_words());
    };
    let mut measured: Measured =
        serde_json::from_slice(&text).context("its figures are in another form")?;
    let failed = (!status.success()).then(|| format!("{status}: {}", mode.last_words()));
    if step.needs_cluster() {
        measured.figures.extend(efforts(&measured, room(&arguments), &before, &server.effort()?));
    }
    Ok((measured, failed))
}

/// Members of a room under steady load.
fn room(arguments: &[String]) -> f64 {
    let given = arguments.iter().skip_while(|it| *it != "--room").nth(1);
    given.and_then(|room| room.parse().ok()).unwrap_or(10.0)
}

/// What each kind of process of a cluster spent for a message. Under steady load that is its part
/// of what was measured for a delivery, which leaves out setting up; elsewhere all that it spent,
/// where messages were counted.
fn efforts(
    measured: &Measured,
    room: f64,
    before: &[(&'static str, Duration)],
    after: &[(&'static str, Duration)],
) -> Vec<Figure> {
    let mut spent: Vec<(&str, f64)> = Vec::new();
    for ((role, before), (_, after)) in before.iter().zip(after) {
        let more = after.saturating_sub(*before).as_secs_f64();
        match spent.iter_mut().find(|(known, _)| known == role) {
            Some((_, sum)) => *sum += more,
            None => spent.push((role, more)),
        }
    }
    let all: f64 = spent.iter().map(|(_, spent)| spent).sum();
    let median = |key: &str| {
        let figure = measured.figures.iter().find(|figure| figure.key == key);
        figure.and_then(Figure::spread).map(|spread| spread[1])
    };
    let steady = median("steady.cpu_us_per_delivery").map(|each| ("cluster", each * room));
    let counted = || median("replay.messages").map(|it| ("cluster.replay", all * 1e6 / it));
    let Some((prefix, per_message)) = steady.or_else(counted) else { return Vec::new() };
    let figure = |(role, spent): (&str, f64)| {
        let many = if ["log", "store"].contains(&role) { "" } else { "s" };
        let name = format!("processor time of the {role}{many} per message");
        let us = per_message * spent / all.max(f64::MIN_POSITIVE);
        Figure::new(&format!("{prefix}.{role}_us_per_message"), &name, "µs", vec![us])
    };
    spent.into_iter().map(figure).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(key: &str, value: f64) -> Vec<(String, f64)> {
        let figure = Figure::new(key, "", "", vec![value]);
        let measured = Measured { figures: vec![figure], ..Measured::default() };
        let seconds = |each: [u64; 3]| {
            let roles = ["gateway", "gateway", "log"];
            roles.into_iter().zip(each.map(Duration::from_secs)).collect::<Vec<_>>()
        };
        let figures = efforts(&measured, 10.0, &seconds([1, 1, 10]), &seconds([2, 3, 11]));
        figures.into_iter().map(|it| (it.key, it.rounds[0].round())).collect()
    }

    #[test]
    fn processes_of_one_kind_count_together() {
        let expected = |prefix: &str, [gateway, log]: [f64; 2]| {
            let key = |role: &str| format!("{prefix}.{role}_us_per_message");
            vec![(key("gateway"), gateway), (key("log"), log)]
        };
        assert_eq!(
            spent("replay.messages", 1_000.0),
            expected("cluster.replay", [3_000.0, 1_000.0])
        );
        // 200 µs for a delivery are 2,000 for a message, three quarters of them the gateways'.
        assert_eq!(
            spent("steady.cpu_us_per_delivery", 200.0),
            expected("cluster", [1_500.0, 500.0])
        );
        assert_eq!(spent("other", 1.0), []);
    }

    #[test]
    fn the_room_is_the_one_asked_for() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(
            [room(&words("steady --room 50 --out f")), room(&words("steady"))],
            [50.0, 10.0]
        );
    }
}
