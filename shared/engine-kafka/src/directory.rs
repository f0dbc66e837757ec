//! The directory: claims are records of a compacted topic with one partition, so brokers put all
//! of them into one order. A claim's place in that order is its epoch (soundness S5).

use std::{
    sync::{
        Arc,
        atomic::{
            AtomicBool,
            Ordering::{Acquire, Release},
        },
    },
    thread,
    time::Duration,
};

use async_trait::async_trait;
use harkara_domain::{Epoch, Partition};
use harkara_engine::{Directory, LogError, Owner, directory::Owners};
use harkara_service_runtime::clock::SharedClock;
use tokio::sync::watch;

use crate::{
    client,
    config::Config,
    log::blocking,
    probe::Probe,
    producer::{Outcome, Producer},
    stats::Stats,
    tail::{Tail, Told},
    topics::{self, Said},
};

/// How late the thread may notice that nobody needs it any more.
const TURN: Duration = Duration::from_millis(200);

/// Bytes of claims that may wait: 1,024 claims of 64 bytes and what each costs besides, twice.
const QUEUE_BYTES: usize = 1024 * 1024;

/// Who owns which partition, on Kafka. Dropping it ends its threads.
pub struct KafkaDirectory {
    partitions: u16,
    producer: Producer,
    owners: watch::Sender<Owners>,
    stop: Arc<AtomicBool>,
}

impl KafkaDirectory {
    /// Resolves when all claims so far are known.
    ///
    /// # Errors
    /// [`LogError::Unknown`]: brokers are away, or `migrate` has not run; try again later.
    /// [`LogError::Stop`]: settings are wrong, in words.
    pub async fn open(config: Config, clock: SharedClock) -> Result<Self, LogError> {
        blocking(move || Self::open_now(&config, clock)).await
    }

    fn open_now(config: &Config, clock: SharedClock) -> Result<Self, LogError> {
        let mut tail = Tail::new(config)?;
        let told = tail.read_to_end(&Probe::new(config)?)?;
        let owners = watch::Sender::new(vec![None; usize::from(config.partitions)]);
        told.into_iter().for_each(|told| see(&owners, told));
        let topic = topics::directory(config);
        let outcome = Outcome::new(clock, Arc::new(Stats::default()));
        let producer = Producer::new(client::producer(config), topic, QUEUE_BYTES, outcome)?;
        let stop = Arc::new(AtomicBool::new(false));
        let (seen, stopped) = (owners.clone(), Arc::clone(&stop));
        let thread = thread::Builder::new().name("kafka-directory".into());
        let thread = thread.spawn(move || follow(&mut tail, &seen, &stopped));
        thread
            .map_err(|error| LogError::Unknown(format!("no thread for the directory: {error}")))?;
        Ok(Self { partitions: config.partitions, producer, owners, stop })
    }
}

impl Drop for KafkaDirectory {
    fn drop(&mut self) {
        self.stop.store(true, Release);
    }
}

fn follow(tail: &mut Tail, owners: &watch::Sender<Owners>, stop: &AtomicBool) {
    while !stop.load(Acquire) {
        match tail.read(TURN) {
            Ok(Some(told)) => see(owners, told),
            Ok(None) => {}
            // librdkafka goes on by itself; who listens keeps what it knows.
            Err(error) => tracing::trace!(%error, "the directory can't be read now"),
        }
    }
}

/// A claim was read: the newest one counts.
fn see(owners: &watch::Sender<Owners>, told: Told) {
    let Said::Claim(partition, address) = told.said else { return };
    let epoch = epoch(told.offset);
    owners.send_if_modified(|owners| {
        let Some(place) = owners.get_mut(usize::from(partition.0)) else { return false };
        let newer = place.as_ref().is_none_or(|owner| owner.epoch < epoch);
        if newer {
            *place = Some(Owner { epoch, address });
        }
        newer
    });
}

/// Never 0, which is nobody's.
const fn epoch(offset: u64) -> Epoch {
    Epoch(offset + 1)
}

#[async_trait]
impl Directory for KafkaDirectory {
    async fn claim(&self, partition: Partition, address: &str) -> Result<Epoch, String> {
        if partition.0 >= self.partitions {
            return Err(format!("there is no partition {partition}"));
        }
        let (key, value) = topics::say(&Said::Claim(partition, address.to_owned()));
        let pending = self.producer.put(Partition(0), key.as_bytes(), value.as_bytes(), None);
        let pending = pending.map_err(|error| error.to_string())?;
        let appended = pending.await.map_err(|error| error.to_string())?;
        Ok(epoch(appended.offset))
    }

    fn watch(&self) -> watch::Receiver<Owners> {
        self.owners.subscribe()
    }
}
