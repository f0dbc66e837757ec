//! Removes records that are older than the retention and committed: the committer's spare-time
//! work, a bounded piece at a time. The newest record of a partition stays, whatever its age: it
//! holds the next offset and the last append time over a restart.

use std::time::Duration;

use crate::{
    Shared,
    open::PartitionStart,
    tables::{Table, Tables, log_key, log_offset},
};

/// Records removed in one piece: 256 × 33 KiB = 8 MiB are read at the very worst, some
/// milliseconds between two batches.
const PIECE: usize = 256;

/// Where a sweep stands.
pub(crate) struct Sweep {
    /// When the next one begins, on the clock's steady side.
    due_ns: u64,
    interval: Duration,
    /// The partition that is being swept, while one is.
    at: Option<u16>,
}

impl Sweep {
    pub(crate) fn new(shared: &Shared) -> Self {
        let interval = shared.options.sweep_interval;
        Self { due_ns: shared.clock.elapsed_ns(), interval, at: None }
    }

    /// Is there work at once?
    pub(crate) fn pending(&self) -> bool {
        self.at.is_some()
    }

    /// Removes a piece if it is time.
    pub(crate) fn step(
        &mut self,
        shared: &Shared,
        tables: &Tables,
        partitions: &mut [PartitionStart],
    ) {
        let now_ns = shared.clock.elapsed_ns();
        if self.at.is_none() && now_ns >= self.due_ns {
            let interval = u64::try_from(self.interval.as_nanos()).unwrap_or(u64::MAX);
            self.due_ns = now_ns.saturating_add(interval);
            self.at = Some(0);
        }
        let Some(partition) = self.at else { return };
        let Some(start) = partitions.get_mut(usize::from(partition)) else {
            self.at = None;
            return;
        };
        match remove(shared, tables, partition, start) {
            Ok(removed) => {
                shared.stats.swept(removed as u64);
                if removed < PIECE {
                    self.at = partition.checked_add(1);
                }
            }
            Err(error) => {
                // What can't be read is told to whoever needs it; space is not worth a stop.
                tracing::warn!(?error, partition, "old records can't be removed");
                self.at = partition.checked_add(1);
            }
        }
    }
}

fn remove(
    shared: &Shared,
    tables: &Tables,
    partition: u16,
    start: &mut PartitionStart,
) -> fjall::Result<usize> {
    let retention = u64::try_from(shared.options.retention.as_millis()).unwrap_or(u64::MAX);
    let oldest = shared.clock.now_ms().saturating_sub(retention);
    let until = start.committed.min(start.next.saturating_sub(1));
    let log = tables.of(Table::Log);
    let mut batch = tables.database.batch();
    let mut swept = start.swept;
    if swept >= until {
        return Ok(0);
    }
    for row in log.range(log_key(partition, swept)..log_key(partition, until)).take(PIECE) {
        let (key, value) = row.into_inner()?;
        let at = value.first_chunk().map_or(0, |at| u64::from_be_bytes(*at));
        if at >= oldest {
            break;
        }
        swept = log_offset(&key).map_or(until, |offset| offset + 1);
        batch.remove(log, key);
    }
    let removed = batch.len();
    batch.commit()?;
    start.swept = swept;
    Ok(removed)
}
