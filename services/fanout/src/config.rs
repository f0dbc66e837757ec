//! Fanout's settings: batches, bounds and timeouts of partitions and conversations. Plain data,
//! filled by the binary's settings (section `[fanout]`) and handed to the partitions.

use std::{num::NonZeroUsize, thread};

use harkara_service_runtime::{HumanDuration, settings::Problem};
use serde::{Deserialize, Serialize};

/// Settings of one fanout. Unknown keys are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Threads that drive partitions; 0 is one per available core. Read it through
    /// [`Config::worker_threads`].
    pub workers: usize,
    /// Records that a partition takes from the log at once: 512 × ≤ 33 KiB = 17 MiB at the very
    /// worst, near 150 kB in practice.
    pub batch_records_max: usize,
    /// Records that a conversation decides before its rows are stored together.
    pub conversation_batch_max: usize,
    /// Records of one partition that are taken and not yet stored: eight batches. Reading stops
    /// at this many and goes on when the store has caught up.
    pub in_flight_records_max: usize,
    /// Conversations in memory per process: 10,000 × ~15 kB (a hundred members, a window of some
    /// dozen sends) = 150 MB. The coldest is dropped first.
    pub hot_conversations_max: usize,
    /// Without records for this long, a conversation leaves memory.
    pub passivate_after: HumanDuration,
    /// Events between two snapshots of a conversation; at most so many are read to rebuild one.
    pub snapshot_every: u64,
    /// First pause after the store failed; doubles, with jitter, up to `store_retry_max`.
    pub store_retry_min: HumanDuration,
    /// Longest pause after the store failed.
    pub store_retry_max: HumanDuration,
    /// Read cursors and offsets are stored together this often: a crash costs that much of them,
    /// and the log brings it back.
    pub cursor_flush: HumanDuration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            workers: 0,
            batch_records_max: 512,
            conversation_batch_max: 256,
            in_flight_records_max: 4_096,
            hot_conversations_max: 10_000,
            passivate_after: HumanDuration::from_secs(5 * 60),
            snapshot_every: 256,
            store_retry_min: HumanDuration::from_millis(50),
            store_retry_max: HumanDuration::from_secs(5),
            cursor_flush: HumanDuration::from_millis(100),
        }
    }
}

impl Config {
    /// Worker threads to start: the setting, or one per available core.
    #[must_use]
    pub fn worker_threads(&self) -> usize {
        match self.workers {
            0 => thread::available_parallelism().map_or(1, NonZeroUsize::get),
            workers => workers,
        }
    }

    /// What fanout could not work with; keys below `fanout`.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let counts = [
            ("batch_records_max", self.batch_records_max, 1),
            ("conversation_batch_max", self.conversation_batch_max, 1),
            ("in_flight_records_max", self.in_flight_records_max, self.batch_records_max),
            ("hot_conversations_max", self.hot_conversations_max, 1),
        ];
        let durations = [
            ("passivate_after", self.passivate_after),
            ("store_retry_min", self.store_retry_min),
            ("cursor_flush", self.cursor_flush),
        ];
        let mut problems = Vec::new();
        let mut wrong = |key: &str, right: String| {
            problems.push(Problem::new(format!("fanout.{key}"), right));
        };
        for (key, value, least) in counts {
            if value < least {
                wrong(key, format!("must be {least} or more"));
            }
        }
        for (key, value) in durations {
            if value.as_millis() == 0 {
                wrong(key, "must be 1ms or more".into());
            }
        }
        if self.snapshot_every == 0 {
            wrong("snapshot_every", "must be 1 or more".into());
        }
        if self.store_retry_max < self.store_retry_min {
            let least = self.store_retry_min;
            wrong("store_retry_max", format!("must be store_retry_min, {least}, or more"));
        }
        problems
    }
}
