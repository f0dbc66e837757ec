//! A lane: one operator and its readers, which play one file after the other.

use std::sync::{Arc, PoisonError};

use super::{Run, day, names};
use crate::wire::{Client, client::Cursors};

/// The load test's own users of a lane.
#[derive(Debug)]
pub struct Crew {
    /// Makes conversations, adds and removes members.
    pub operator: Arc<Client>,
    /// Listen from the start to the end.
    pub readers: Vec<Arc<Client>>,
}

/// Plays files until none is left.
///
/// # Errors
/// When the lane's users get no token.
pub async fn run(run: Arc<Run>, number: usize) -> anyhow::Result<()> {
    if next(&run, false).is_none() {
        return Ok(());
    }
    let mut crew = Crew {
        operator: Arc::new(start(&run, format!("log{}{number}", names::RESERVED)).await?),
        readers: Vec::with_capacity(run.args.readers),
    };
    for reader in 0..run.args.readers {
        let name = format!("reader{0}{number}{0}{reader}", names::RESERVED);
        crew.readers.push(Arc::new(start(&run, name).await?));
    }
    while let Some(day) = next(&run, true) {
        let name = day.name.clone();
        if let Err(error) = day::play(&run, &crew, day).await {
            run.trouble(format!("{name}: {error:#}"));
        }
    }
    let all = [crew.operator].into_iter().chain(crew.readers);
    for member in all.filter_map(Arc::into_inner) {
        member.close().await;
    }
    Ok(())
}

async fn start(run: &Run, name: String) -> anyhow::Result<Client> {
    let identity = run.directory.identity(&name).await?;
    Ok(Client::start(&run.settings, identity, Cursors::new()))
}

fn next(run: &Run, take: bool) -> Option<super::parse::Day> {
    if run.is_over() {
        return None;
    }
    let mut days = run.days.lock().unwrap_or_else(PoisonError::into_inner);
    if take { days.pop_front() } else { days.front().cloned() }
}
