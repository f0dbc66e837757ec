//! Before an export: everything that was appended becomes events. A worker does it, the same one
//! that serves; nobody talks to it. Then the log has nothing that the store does not have.

use std::time::Duration;

use harkara_domain::Partition;
use harkara_engine::LogScan;
use harkara_fanout::{Config, Engines, Worker};
use harkara_service_runtime::{clock::SharedClock, entropy::SharedEntropy};

use super::patiently;

/// Between two looks at how far the worker is.
const LOOK: Duration = Duration::from_millis(20);

/// Looks without any progress until it is given up: 3,000 × 20 ms = a minute. A worker that is not
/// stopped does a record in milliseconds.
const LOOKS_MAX: u32 = 3_000;

/// Where all partitions stand: ends, and how much is not done.
#[derive(Debug, PartialEq, Eq)]
struct Standing {
    ends: Vec<u64>,
    open: u64,
    /// A partition that is not done.
    example: Option<u16>,
}

async fn look(log: &dyn LogScan) -> anyhow::Result<Standing> {
    let mut standing = Standing { ends: Vec::new(), open: 0, example: None };
    for partition in 0..log.partitions() {
        let bounds =
            patiently("read the log's bounds", || log.bounds(Partition(partition))).await?;
        standing.ends.push(bounds.end);
        let open = bounds.end.saturating_sub(bounds.committed);
        if open > 0 {
            standing.open += open;
            standing.example = Some(partition);
        }
    }
    Ok(standing)
}

/// Lets a worker finish what was appended. How many records there were.
///
/// Needs the threads of an actix system. Nobody else may consume the log.
///
/// # Errors
/// The worker does not get on: it stopped in front of a record, or the store fails.
pub async fn settle(
    log: &dyn LogScan,
    engines: Engines,
    config: Config,
    clock: SharedClock,
    entropy: SharedEntropy,
) -> anyhow::Result<u64> {
    let begun = look(log).await?;
    if begun.open == 0 {
        return Ok(0);
    }
    let worker = Worker::start(config, engines, clock, entropy).await?;
    let done = finish(log, LOOKS_MAX).await;
    worker.stop().await;
    done.map(|()| begun.open)
}

/// Two looks with nothing to do and the same ends: what one partition does may append to another
/// that was looked at before, but not between the two looks, when nothing was open anywhere.
pub(super) async fn finish(log: &dyn LogScan, looks: u32) -> anyhow::Result<()> {
    let mut before = look(log).await?;
    let mut idle = 0;
    while idle < looks {
        tokio::time::sleep(LOOK).await;
        let now = look(log).await?;
        if now == before && now.open == 0 {
            return Ok(());
        }
        idle = if now == before { idle + 1 } else { 0 };
        before = now;
    }
    anyhow::bail!(
        "partition {} has {} records that do not become events; the log lines above say why: \
         upgrade this build if they are newer, or look at the disk",
        before.example.unwrap_or_default(),
        before.open
    )
}
