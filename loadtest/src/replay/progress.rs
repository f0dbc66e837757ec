//! How far a replay is: a bar on a terminal, otherwise a line every few seconds.

use std::{
    io::IsTerminal as _,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinHandle;

use crate::{out, wire::Metrics};

/// Between two lines, where nobody looks at a bar.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Between two movements of the bar.
const BAR_EVERY: Duration = Duration::from_millis(200);

/// Runs until it is told to finish.
#[derive(Debug)]
pub struct Progress {
    task: JoinHandle<()>,
}

impl Progress {
    /// Ends it.
    pub fn finish(self) {
        self.task.abort();
    }
}

/// Starts to show how many of `total` messages have their outcome.
#[must_use]
pub fn start(metrics: Arc<Metrics>, total: u64) -> Progress {
    Progress { task: tokio::spawn(async move { show(&metrics, total).await }) }
}

async fn show(metrics: &Metrics, total: u64) {
    let count = &metrics.count;
    let is_terminal = std::io::stderr().is_terminal();
    let bar = if is_terminal { ProgressBar::new(total) } else { ProgressBar::hidden() };
    if let Ok(style) = ProgressStyle::with_template(
        "{bar:30} {human_pos}/{human_len} messages, {per_sec}, {msg}, {eta} left",
    ) {
        bar.set_style(style);
    }
    let mut tick = tokio::time::interval(if is_terminal { BAR_EVERY } else { LINE_EVERY });
    tick.tick().await;
    loop {
        tick.tick().await;
        let settled = count.own_events.load(Relaxed)
            + count.settled.load(Relaxed)
            + count.rejected.load(Relaxed)
            + count.refused.load(Relaxed);
        let (deliveries, reconnects) =
            (count.deliveries.load(Relaxed), count.reconnects.load(Relaxed));
        let rest = format!("{deliveries} deliveries, {reconnects} reconnects");
        if is_terminal {
            bar.set_position(settled);
            bar.set_message(rest);
        } else {
            out::note(format!("{settled} of {total} messages, {rest}"));
        }
    }
}
