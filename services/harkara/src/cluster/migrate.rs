//! `harkara migrate`: topics and tables, made or checked, in an order that leaves no half of a
//! cluster behind: the log first, since the store names its generation.

use std::io::Write as _;

use harkara_engine_scylla::OtherLog;
use harkara_service_runtime::{
    clock::SystemClock,
    lifecycle::{Exit, Lifecycle},
};

use super::{engines::Opener, settings::Settings};
use crate::{admin::Readiness, serving::Failure};

/// Makes what is missing, checks what is there, says what it did.
///
/// # Errors
/// With the sentence to print; nothing was changed that can't be done again.
pub async fn run(settings: Settings, new_log: bool) -> Result<(), Failure> {
    let lifecycle = Lifecycle::start()?;
    let (readiness, clock) = (Readiness::default(), SystemClock::shared());
    let opener = Opener { readiness: &readiness, lifecycle: &lifecycle };
    let log = || harkara_engine_kafka::migrate(&settings.kafka, &clock, new_log);
    let Some(log) = opener.patiently("kafka", log).await? else { return Err(interrupted()) };
    log.lines.iter().try_for_each(|line| say(&format!("{line}\n")))?;
    let other = if new_log { OtherLog::Adopt } else { OtherLog::Refuse };
    let store = || harkara_engine_scylla::migrate(&settings.scylla, &clock, log.generation, other);
    let store = opener.patiently("the store", store).await?;
    say(&store.ok_or_else(interrupted)?)
}

fn interrupted() -> Failure {
    Failure::new(Exit::Failed, "interrupted before everything was there; run it again")
}

fn say(report: &impl std::fmt::Display) -> Result<(), Failure> {
    Ok(write!(std::io::stdout().lock(), "{report}")?)
}
