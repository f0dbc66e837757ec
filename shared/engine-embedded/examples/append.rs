//! How many appends a second the embedded log takes, by the number of appenders that wait for
//! their answers: the floor that a whole server is held against.
//!
//! `cargo run --release -p harkara-engine-embedded --example append -- [DIR] [SECONDS] [BYTES]`

use std::{io::Write, path::PathBuf, sync::Arc};

use bytes::Bytes;
use harkara_domain::{ConversationId, Partition};
use harkara_engine::Log;
use harkara_engine_embedded::{Embedded, Options};
use harkara_service_runtime::clock::{SharedClock, SystemClock};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What one appender saw, in nanoseconds.
type Latencies = Vec<u64>;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let dir =
        args.next().map_or_else(|| std::env::temp_dir().join("harkara-append"), PathBuf::from);
    let seconds: u64 = args.next().map_or(Ok(5), |text| text.parse())?;
    let bytes: usize = args.next().map_or(Ok(300), |text| text.parse())?;
    let clock = SystemClock::shared();
    let mut out = std::io::stdout();
    writeln!(out, "records of {bytes} bytes, {seconds} s each, in {}", dir.display())?;
    writeln!(out, "appenders  appends/s  per fsync  p50 µs  p99 µs")?;
    for appenders in [1, 16, 256, 4_096] {
        let embedded = Embedded::open(&dir, Options::default(), Arc::clone(&clock))?;
        let mut all = measure(&embedded, &clock, appenders, seconds, bytes).await?;
        all.sort_unstable();
        let at = |share: usize| all.get(all.len() * share / 100).map_or(0, |ns| ns / 1_000);
        let counts = embedded.counts();
        let rate = all.len() as u64 / seconds.max(1);
        let group = counts.appended / counts.fsyncs.max(1);
        writeln!(out, "{appenders:9}  {rate:9}  {group:9}  {:6}  {:6}", at(50), at(99))?;
        embedded.close().await?;
    }
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}

async fn measure(
    embedded: &Embedded,
    clock: &SharedClock,
    appenders: u16,
    seconds: u64,
    bytes: usize,
) -> Result<Latencies, Failure> {
    let end = clock.elapsed_ns() + seconds * 1_000_000_000;
    let appender = |number: u16| {
        let (log, clock) = (embedded.log(), Arc::clone(clock));
        tokio::spawn(append(log, clock, Partition(number % 64), end, bytes))
    };
    let tasks: Vec<_> = (0..appenders).map(appender).collect();
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await??);
    }
    Ok(all)
}

async fn append(
    log: Arc<dyn Log>,
    clock: SharedClock,
    partition: Partition,
    end: u64,
    bytes: usize,
) -> Result<Latencies, Failure> {
    let conversation = ConversationId::from_bytes([7; 16]);
    let record = Bytes::from(vec![b'x'; bytes]);
    let mut seen = Vec::new();
    loop {
        let start = clock.elapsed_ns();
        if start >= end {
            return Ok(seen);
        }
        log.append(partition, conversation, record.clone())?.await?;
        seen.push(clock.elapsed_ns() - start);
    }
}
