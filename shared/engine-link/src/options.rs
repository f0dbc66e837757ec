//! Limits of the link, each with its arithmetic.

use std::time::Duration;

use crate::tls::LinkTls;

/// What a link needs to know. Both ends of a cluster run with the same cluster name.
#[derive(Debug, Clone)]
pub struct Options {
    /// Ends of different clusters refuse each other.
    pub cluster: String,
    /// Mutual TLS; without it the connection is neither encrypted nor authenticated.
    pub tls: Option<LinkTls>,
    /// How many partitions the log has.
    pub partitions: u16,
    /// Bytes that may wait for one gateway, over all of its endpoints. 50 gateways × 8 MiB = 400
    /// MiB at the very worst; pushes share their bytes, so in practice one copy of that.
    pub gateway_bytes: usize,
    /// Bytes that may wait for one endpoint: a quarter, so that one busy hub leaves room for the
    /// others. At 100,000 pushes a second of 200 bytes the network may stand still for 100 ms.
    pub endpoint_bytes: usize,
    /// Frames that may wait in a gateway for one endpoint. 8,192 × 8 bytes of pointers; at
    /// 100,000 frames a second a hub may stand still for 80 ms.
    pub endpoint_frames: usize,
    /// Bytes of questions that may wait for one owner, per gateway. A small question counts 128
    /// bytes: 4,096 of them, what a hub with 260,000 conversations sends to each of 64 partitions
    /// after a reconnect. 8 partitions of a worker × 32 gateways × 512 KiB = 128 MiB at worst.
    pub ask_bytes: usize,
    /// Questions of all gateways that may stand in front of one owner, beyond those.
    pub partition_frames: usize,
    /// Bytes of questions that may wait for one worker: 16 partitions full, and room for more.
    pub worker_bytes: usize,
    /// Connections a worker takes: gateways of a very large cluster, twice for a rolling update.
    pub connections_max: usize,
    /// How often an end says that it is there.
    pub beat: Duration,
    /// Silence after which the other end is taken for gone: three beats.
    pub silence: Duration,
    /// First pause before connecting again; doubles up to [`Options::retry_max`], half by chance.
    pub retry_min: Duration,
    /// Longest pause before connecting again.
    pub retry_max: Duration,
}

impl Options {
    /// The defaults for a cluster.
    #[must_use]
    pub fn new(cluster: &str, partitions: u16) -> Self {
        Self {
            cluster: cluster.to_owned(),
            tls: None,
            partitions,
            gateway_bytes: 8 * 1024 * 1024,
            endpoint_bytes: 2 * 1024 * 1024,
            endpoint_frames: 8_192,
            ask_bytes: 512 * 1024,
            partition_frames: 4_096,
            worker_bytes: 8 * 1024 * 1024,
            connections_max: 1_024,
            beat: Duration::from_secs(1),
            silence: Duration::from_secs(3),
            retry_min: Duration::from_millis(100),
            retry_max: Duration::from_secs(5),
        }
    }
}

/// What a question counts at least: its decoded form takes memory, too.
pub const ASK_BYTES_MIN: usize = 128;

/// What a question of this many bytes counts.
pub const fn ask_cost(bytes: usize) -> usize {
    if bytes < ASK_BYTES_MIN { ASK_BYTES_MIN } else { bytes }
}

/// Lanes of one gateway process: the lower 16 bits of an endpoint's number. One per worker
/// thread, and each is given out once.
pub const LANE_BITS: u32 = 16;

/// Largest first frame of either side: a cluster's name, or why it is refused.
pub const GREETING_BYTES_MAX: usize = 4 * 1024;

/// Room for frames that keep the ends in step, beyond that for pushes and questions. Each answers
/// a frame or a change of hands and has about 10 bytes: 6,000 of them unread mean that the other
/// end misbehaves.
pub const CONTROL_BYTES: usize = 64 * 1024;

/// What is handed to the socket at once.
pub const BATCH_BYTES: usize = 64 * 1024;

/// What the kernel may keep for one connection and direction: 1 Gbit/s × 2 ms between halls of a
/// data center = 250 kB. More would only hide from us that the other end does not read.
pub const SOCKET_BYTES: usize = 256 * 1024;
