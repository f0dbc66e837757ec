//! `harkara rules`: which rules are in force, and putting others in force, once every worker that
//! runs knows them (soundness S11). And what a worker says that does not know them: it steps down,
//! so that one that does takes its partitions.

use std::{io::Write as _, time::Duration};

use harkara_domain::command::{RULES_VERSION, rules_known};
use harkara_engine_kafka::Peer;
use harkara_service_runtime::{
    clock::SystemClock,
    lifecycle::{Exit, Lifecycle},
};
use tokio::sync::watch;

use super::{
    engines::{Engines, Opener},
    settings::Settings,
};
use crate::{admin::Readiness, serving::Failure};

/// How long the directory may take to tell its readers, of whom this process is one.
const TOLD: Duration = Duration::from_secs(10);

/// Says what is in force and who knows what; puts `set` in force.
///
/// # Errors
/// With the sentence to print: somebody doesn't know these rules, or it could not be done.
pub async fn run(settings: Settings, set: Option<u16>) -> Result<(), Failure> {
    let (lifecycle, clock) = (Lifecycle::start()?, SystemClock::shared());
    let opener = Opener { readiness: &Readiness::default(), lifecycle: &lifecycle };
    let engines = opener.open(&settings, &clock).await?;
    let Some(Engines { log, directory, .. }) = engines else {
        return Err(Failure::new(Exit::Failed, "interrupted before anything was done"));
    };
    let mut rules = directory.rules();
    let workers = log.workers().await.map_err(|error| failed(&error))?;
    tell(*rules.borrow_and_update(), &workers)?;
    if let Some(set) = set {
        allowed(set, &workers)?;
        directory.put_in_force(set).await.map_err(|error| failed(&error))?;
        let told = tokio::time::timeout(TOLD, rules.wait_for(|rules| *rules == set)).await;
        if !matches!(told, Ok(Ok(_))) {
            return Err(failed(&"the directory did not tell it in time: look again"));
        }
        writeln!(std::io::stdout().lock(), "rules {set} are in force from now on")?;
    }
    log.close().await;
    Ok(())
}

fn tell(in_force: u16, workers: &[Peer]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "rules {in_force} are in force, this build knows up to {}", rules_known())?;
    for Peer { host, rules } in workers {
        writeln!(out, "a worker at {host} knows up to {rules}")?;
    }
    if workers.is_empty() {
        writeln!(out, "no worker runs")?;
    }
    Ok(())
}

/// May these be put in force? Lower ones always: whoever knows rules knows all before them.
fn allowed(set: u16, workers: &[Peer]) -> Result<(), Failure> {
    if !(RULES_VERSION..=rules_known()).contains(&set) {
        let why = format!("this build knows rules {RULES_VERSION} to {}, not {set}", rules_known());
        return Err(Failure::new(Exit::Data, why));
    }
    let behind: Vec<&Peer> = workers.iter().filter(|worker| worker.rules < set).collect();
    let Some(first) = behind.first() else { return Ok(()) };
    let why = format!(
        "{} of {} workers don't know rules {set}, one of them at {}: upgrade them first; one that \
         was killed counts until its session ends",
        behind.len(),
        workers.len(),
        first.host
    );
    Err(Failure::new(Exit::Data, why))
}

fn failed(error: &impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, error.to_string())
}

/// Resolves when rules are in force that this build doesn't know.
pub async fn raised(rules: &mut watch::Receiver<u16>) -> Failure {
    match rules.wait_for(|rules| *rules > rules_known()).await {
        Ok(in_force) => unknown(*in_force),
        // Nobody reads the directory any more: the process ends for another reason.
        Err(_) => std::future::pending().await,
    }
}

/// What a worker says that must not serve.
pub fn unknown(in_force: u16) -> Failure {
    let known = rules_known();
    Failure::new(
        Exit::Data,
        format!(
            "rules {in_force} are in force and this build knows up to {known}: upgrade this \
             worker, or put rules {known} in force with `harkara rules --set {known}`"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_raised_only_to_what_every_worker_knows() {
        let worker = |rules| Peer { host: "10.0.0.1".to_owned(), rules };
        let known = rules_known();
        assert!(allowed(known, &[]).is_ok(), "those that start later look for themselves");
        assert!(allowed(known, &[worker(known), worker(known + 1)]).is_ok());
        let refused = allowed(known, &[worker(known), worker(0)]).expect_err("one does not say");
        assert!(refused.message.contains("1 of 2 workers"), "{}", refused.message);
        for other in [0, known + 1] {
            assert!(allowed(other, &[worker(other)]).is_err(), "{other}");
        }
    }

    #[tokio::test]
    async fn a_worker_waits_for_what_it_does_not_know() {
        let (sender, mut rules) = watch::channel(RULES_VERSION);
        sender.send_replace(rules_known());
        let waited = tokio::time::timeout(Duration::from_millis(10), raised(&mut rules)).await;
        assert!(waited.is_err(), "it knows these");
        sender.send_replace(rules_known() + 1);
        assert!(raised(&mut rules).await.message.contains("upgrade this worker"));
    }
}
