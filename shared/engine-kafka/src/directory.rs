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
use harkara_domain::{Epoch, Partition, command::RULES_VERSION};
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
    seen: Seen,
    stop: Arc<AtomicBool>,
}

/// What was read of it.
#[derive(Clone)]
struct Seen {
    owners: watch::Sender<Owners>,
    rules: watch::Sender<u16>,
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
        let seen = Seen {
            owners: watch::Sender::new(vec![None; usize::from(config.partitions)]),
            rules: watch::Sender::new(RULES_VERSION),
        };
        told.into_iter().for_each(|told| seen.see(told));
        let topic = topics::directory(config);
        let outcome = Outcome::new(clock, Arc::new(Stats::default()));
        let producer = Producer::new(client::producer(config), topic, QUEUE_BYTES, outcome)?;
        let stop = Arc::new(AtomicBool::new(false));
        let (sees, stopped) = (seen.clone(), Arc::clone(&stop));
        let thread = thread::Builder::new().name("kafka-directory".into());
        let thread = thread.spawn(move || follow(&mut tail, &sees, &stopped));
        thread
            .map_err(|error| LogError::Unknown(format!("no thread for the directory: {error}")))?;
        Ok(Self { partitions: config.partitions, producer, seen, stop })
    }

    /// The rules in force, now and from now on (soundness S11).
    #[must_use]
    pub fn rules(&self) -> watch::Receiver<u16> {
        self.seen.rules.subscribe()
    }

    /// Puts rules in force: gateways stamp records with them as soon as they read this. That all
    /// workers know them is for the caller to see to.
    ///
    /// # Errors
    /// Not confirmed: they may be in force, or not.
    pub async fn put_in_force(&self, rules: u16) -> Result<(), LogError> {
        self.say(&Said::Rules(rules)).await.map(|_| ())
    }

    /// Where it stands.
    async fn say(&self, said: &Said) -> Result<u64, LogError> {
        let (key, value) = topics::say(said);
        let pending = self.producer.put(Partition(0), key.as_bytes(), value.as_bytes(), None)?;
        Ok(pending.await?.offset)
    }
}

impl Drop for KafkaDirectory {
    fn drop(&mut self) {
        self.stop.store(true, Release);
    }
}

fn follow(tail: &mut Tail, seen: &Seen, stop: &AtomicBool) {
    while !stop.load(Acquire) {
        match tail.read(TURN) {
            Ok(Some(told)) => seen.see(told),
            Ok(None) => {}
            // librdkafka goes on by itself; who listens keeps what it knows.
            Err(error) => tracing::trace!(%error, "the directory can't be read now"),
        }
    }
}

impl Seen {
    /// A record was read: the newest one counts.
    fn see(&self, told: Told) {
        match told.said {
            Said::Generation(_) => {}
            Said::Rules(rules) => {
                self.rules.send_replace(rules);
            }
            Said::Claim(partition, address) => self.claim(partition, address, epoch(told.offset)),
        }
    }

    fn claim(&self, partition: Partition, address: String, epoch: Epoch) {
        self.owners.send_if_modified(|owners| {
            let Some(place) = owners.get_mut(usize::from(partition.0)) else { return false };
            let newer = place.as_ref().is_none_or(|owner| owner.epoch < epoch);
            if newer {
                *place = Some(Owner { epoch, address });
            }
            newer
        });
    }
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
        let said = self.say(&Said::Claim(partition, address.to_owned())).await;
        said.map(epoch).map_err(|error| error.to_string())
    }

    fn watch(&self) -> watch::Receiver<Owners> {
        self.seen.owners.subscribe()
    }
}
