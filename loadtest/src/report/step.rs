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
    let server = Server::start(step.against, binary, step.settings)?;
    let scratch = tempfile::tempdir().context("no place for the figures")?;
    let file = scratch.path().join("figures.json");
    let words = Words {
        urls: server.as_ref().map(|it| it.urls.clone()).unwrap_or_default(),
        pids: server.iter().flat_map(|it| &it.parts).map(|part| part.pid.to_string()).collect(),
        logs: args.logs.as_ref().map(|it| it.display().to_string()).unwrap_or_default(),
        binary: binary.display().to_string(),
    };
    let before = server.as_ref().map(Server::effort).transpose()?.unwrap_or_default();
    let mut command = Command::new(std::env::current_exe()?);
    command.args(step.arguments(args.quick, &words)).arg("--out").arg(&file);
    let mut mode = Process::start(&mut command)?;
    let status = mode.end(Duration::from_secs(step.minutes * 60))?;
    let Ok(text) = std::fs::read(&file) else {
        bail!("{status}, no figures: {}", mode.last_words());
    };
    let mut measured: Measured =
        serde_json::from_slice(&text).context("its figures are in another form")?;
    let failed = (!status.success()).then(|| format!("{status}: {}", mode.last_words()));
    if step.needs_cluster() {
        let after = server.as_ref().map(Server::effort).transpose()?.unwrap_or_default();
        measured.figures.extend(efforts(&measured, &before, &after));
    }
    Ok((measured, failed))
}

/// What each kind of process of a cluster spent for a message, where messages were counted.
fn efforts(
    measured: &Measured,
    before: &[(&'static str, Duration)],
    after: &[(&'static str, Duration)],
) -> Vec<Figure> {
    let counted = |figure: &&Figure| figure.key.ends_with(".messages");
    let Some([_, messages, _]) = measured.figures.iter().find(counted).and_then(Figure::spread)
    else {
        return Vec::new();
    };
    let mut spent: Vec<(&str, Duration)> = Vec::new();
    for ((role, before), (_, after)) in before.iter().zip(after) {
        let more = after.saturating_sub(*before);
        match spent.iter_mut().find(|(known, _)| known == role) {
            Some((_, sum)) => *sum += more,
            None => spent.push((role, more)),
        }
    }
    let figure = |(role, spent): (&str, Duration)| {
        let us = spent.as_secs_f64() * 1e6 / messages.max(1.0);
        let many = if ["log", "store"].contains(&role) { "" } else { "s" };
        let name = format!("processor time of the {role}{many} per message");
        Figure::new(&format!("cluster.{role}_us_per_message"), &name, "µs", vec![us])
    };
    spent.into_iter().map(figure).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_of_one_kind_count_together() {
        let figure = Figure::new("replay.messages", "", "", vec![1_000.0]);
        let measured = Measured { figures: vec![figure], ..Measured::default() };
        let seconds = |each: [u64; 3]| {
            let roles = ["gateway", "gateway", "log"];
            roles.into_iter().zip(each.map(Duration::from_secs)).collect::<Vec<_>>()
        };
        let figures = efforts(&measured, &seconds([1, 1, 10]), &seconds([2, 3, 11]));
        let figures: Vec<_> = figures.iter().map(|it| (it.key.as_str(), it.rounds[0])).collect();
        let expected =
            [("cluster.gateway_us_per_message", 3_000.0), ("cluster.log_us_per_message", 1_000.0)];
        assert_eq!(figures, expected);
        assert!(efforts(&Measured::default(), &[], &[]).is_empty());
    }
}
