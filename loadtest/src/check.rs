//! `check`: do the invariants hold, seen from outside?
//!
//! From the clients' own logs ([`logs`]) and a fresh read of all history ([`fetch`]), with a
//! decoder ([`history`]), a canonical form ([`canonical`]) and a hash chain ([`chain`]) of its own:
//! nothing here is shared with the servers or the SDK, nor with the client that wrote the logs
//! but the journal's lines, the socket and the token.
//!
//! The invariants are I1 to I9 of `docs/architecture.md`; each is one function in [`rules`] from
//! what was seen to a [`Verdict`].

use std::path::PathBuf;

use anyhow::Context as _;
use serde::Serialize;

use crate::out;

pub mod canonical;
pub mod chain;
pub mod fetch;
pub mod history;
pub mod logs;
pub mod rules;
#[cfg(test)]
mod tests;

/// Pieces of evidence shown for one invariant.
const EVIDENCE: usize = 5;

/// Settings of `check`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The clients' logs, as `replay --log-dir` wrote them
    #[arg(long)]
    pub log_dir: PathBuf,
    /// Where a gateway is: ws://host:port
    #[arg(long)]
    pub url: String,
    /// Where the verdicts go, as JSON
    #[arg(long)]
    pub out: Option<PathBuf>,
}

/// What was found out about one invariant.
#[derive(Debug, Clone, Serialize)]
pub struct Verdict {
    /// `I1` … `I9`, `chain`.
    pub rule: &'static str,
    /// What must hold.
    pub says: &'static str,
    /// How often it was looked at.
    pub checked: u64,
    /// What was counted.
    pub unit: &'static str,
    /// How often it did not hold.
    pub breaches: u64,
    /// The first few times.
    pub evidence: Vec<String>,
}

impl Verdict {
    /// Nothing looked at yet.
    #[must_use]
    pub const fn new(rule: &'static str, says: &'static str, unit: &'static str) -> Self {
        Self { rule, says, checked: 0, unit, breaches: 0, evidence: Vec::new() }
    }

    /// Looked at once more: it must hold.
    pub fn expect(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        self.checked += 1;
        if !holds {
            self.breach(otherwise);
        }
    }

    /// It does not hold.
    pub fn breach(&mut self, how: impl FnOnce() -> String) {
        self.breaches += 1;
        if self.evidence.len() < EVIDENCE {
            self.evidence.push(how());
        }
    }
}

/// Runs it. True if nothing was breached.
///
/// # Errors
/// When the logs or the history can't be read.
pub async fn run(args: Args) -> anyhow::Result<bool> {
    let verdicts = judge(&args).await?;
    if let Some(path) = &args.out {
        let text = serde_json::to_string_pretty(&verdicts)?;
        std::fs::write(path, text).with_context(|| format!("can't write {}", path.display()))?;
    }
    Ok(verdicts.iter().all(|verdict| verdict.breaches == 0))
}

/// Finds out about every invariant and prints it.
///
/// # Errors
/// When the logs or the history can't be read.
pub async fn judge(args: &Args) -> anyhow::Result<Vec<Verdict>> {
    let dir = args.log_dir.clone();
    let logs = tokio::task::spawn_blocking(move || logs::load(&dir))
        .await
        .context("reading the logs")??;
    let histories = fetch::all(&args.url, &logs).await.context("reading the history")?;
    let verdicts = tokio::task::spawn_blocking(move || rules::all(&logs, &histories))
        .await
        .context("checking")?;
    out::line(table(&verdicts));
    for verdict in verdicts.iter().filter(|verdict| verdict.breaches > 0) {
        out::line(format!(
            "{} breached {} times: {}",
            verdict.rule, verdict.breaches, verdict.says
        ));
        verdict.evidence.iter().for_each(|evidence| out::line(format!("  {evidence}")));
    }
    Ok(verdicts)
}

fn table(verdicts: &[Verdict]) -> String {
    let rows: Vec<Vec<String>> = verdicts
        .iter()
        .map(|v| {
            let name = format!("{} {}", v.rule, v.says);
            vec![name, format!("{} {}", v.checked, v.unit), v.breaches.to_string()]
        })
        .collect();
    out::table(&["invariant", "checked on", "breaches"], &rows)
}
