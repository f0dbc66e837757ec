//! Settings of the embedded engines, each limit with its arithmetic. Read by every other file.

use std::time::Duration;

/// Settings of the embedded engines.
#[derive(Debug, Clone)]
pub struct Options {
    /// Partitions of the log, fixed when the database is made. 64: one process has a few dozen
    /// cores at most, and a takeover then moves a 64th of the work.
    pub partitions: u16,
    /// How long the log keeps what is committed. Longer than any repair that needs it.
    pub retention: Duration,
    /// Bytes of records that may wait for the committer; beyond it an append is refused.
    /// 64 MiB = 200,000 records of 330 bytes, some seconds of the fsyncs of a slow disk.
    pub queue_bytes_max: usize,
    /// Bytes of store writes that may wait; beyond it writers wait. At least one step of 500
    /// events × 33 KiB = 16 MiB must fit, four of them do.
    pub store_bytes_max: usize,
    /// Bytes written as one batch with one fsync. 4 MiB: written in 4–40 ms by the disks there
    /// are, so that nobody waits longer for a batch before his; also what a journal can lose.
    pub batch_bytes_max: usize,
    /// Newest records kept in memory for readers, over all partitions: 16 MiB / 64 = 256 KiB each,
    /// some 800 records; who is further behind reads from the disk.
    pub tail_bytes_max: usize,
    /// Blocks of the database kept in memory.
    pub cache_bytes: u64,
    /// Free bytes on the disk below which nothing is written any more. A database that runs into
    /// a full disk stays unusable until it is restarted, so we stop before: seven flushes of
    /// 32 MiB may be on their way, 256 MiB holds them.
    pub disk_reserve_bytes: u64,
    /// How often the log is searched for records that are older than the retention.
    pub sweep_interval: Duration,
    /// Frames that may wait for one endpoint of the link. 8,192 × 8 bytes of pointers; the frames
    /// are shared. At 100,000 frames a second a hub may stand still for 80 ms.
    pub endpoint_frames: usize,
    /// Frames that may wait for one partition's owner. A hub that reconnects sends one frame per
    /// conversation: 4,096 × 64 partitions = 260,000 conversations at once.
    pub partition_frames: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            partitions: 64,
            retention: Duration::from_secs(7 * 24 * 60 * 60),
            queue_bytes_max: 64 * 1024 * 1024,
            store_bytes_max: 64 * 1024 * 1024,
            batch_bytes_max: 4 * 1024 * 1024,
            tail_bytes_max: 16 * 1024 * 1024,
            cache_bytes: 64 * 1024 * 1024,
            disk_reserve_bytes: 256 * 1024 * 1024,
            sweep_interval: Duration::from_secs(60),
            endpoint_frames: 8_192,
            partition_frames: 4_096,
        }
    }
}

impl Options {
    /// Permits of the semaphore in front of the store: one a byte.
    pub(crate) fn store_bytes(&self) -> usize {
        // A semaphore counts to a 32nd of what an acquisition can name; both stay far above.
        self.store_bytes_max.clamp(1, u32::MAX as usize)
    }
}
