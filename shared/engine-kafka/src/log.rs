//! The log's face: appends go to `producer`, consuming to a `member` of the workers' group, reading
//! everything to `probe`.

use std::sync::{
    Arc, Mutex, OnceLock, PoisonError,
    atomic::{AtomicBool, AtomicU64},
};

use async_trait::async_trait;
use bytes::Bytes;
use harkara_domain::{ConversationId, Generation, Partition, command::RULES_VERSION};
use harkara_engine::{Assignments, Log, LogError, LogScan, Pending, log::Entry, scan::Bounds};
use harkara_service_runtime::clock::SharedClock;
use rdkafka::Offset;
use tokio::{sync::watch, task::spawn_blocking};

use crate::{
    check::Checker,
    client,
    config::Config,
    member,
    probe::{Peer, Probe},
    producer::{Outcome, Producer},
    shared::{Health, Shared},
    stats::{Counts, Stats},
    topics,
    watch::Watch,
};

/// The log on Kafka. Keep it for as long as it is used; [`KafkaLog::close`] ends it in order.
pub struct KafkaLog {
    shared: Arc<Shared>,
    producer: Arc<Producer>,
    member: Mutex<Option<member::Handle>>,
    watch: Mutex<Option<Watch>>,
    scan: Arc<Mutex<Option<Probe>>>,
    /// As the directory says, where somebody follows it.
    rules: OnceLock<watch::Receiver<u16>>,
}

/// Does something that blocks, elsewhere.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, LogError> {
    let done = spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(LogError::Unknown(format!("interrupted: {error}"))))
}

impl KafkaLog {
    /// Opens the log that `migrate` made, after looking at everything that a promise hangs on.
    ///
    /// # Errors
    /// [`LogError::Unknown`]: brokers are away, or there is no log yet; try again later.
    /// [`LogError::Stop`]: settings or the log are wrong, in words.
    pub async fn open(config: Config, clock: SharedClock) -> Result<Self, LogError> {
        blocking(move || Self::open_now(config, clock)).await
    }

    fn open_now(config: Config, clock: SharedClock) -> Result<Self, LogError> {
        let checker = Checker::new(&config)?;
        let generation = checker.check(&config)?;
        let topic = topics::log(&config, generation);
        let stats = Arc::new(Stats::default());
        let producer = Producer::new(
            client::producer(&config),
            topic.clone(),
            config.queue_bytes,
            Outcome::new(clock.clone(), Arc::clone(&stats)),
        )?;
        let ends = (0..config.partitions).map(|_| AtomicU64::new(0)).collect();
        let shared = Arc::new(Shared {
            partitions: config.partitions,
            health: Health::default(),
            config,
            clock,
            topic,
            generation,
            stats,
            ends,
            doubt: AtomicBool::new(false),
        });
        tracing::info!(topic = shared.topic, partitions = shared.partitions, "log opened");
        let watch = Watch::start(Arc::clone(&shared), checker)?;
        Ok(Self {
            shared,
            producer: Arc::new(producer),
            member: Mutex::default(),
            watch: Mutex::new(Some(watch)),
            scan: Arc::default(),
            rules: OnceLock::new(),
        })
    }

    /// What was counted since it was opened.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.stats.counts()
    }

    /// The members of the workers' group, one that was killed counted for its session.
    ///
    /// # Errors
    /// Brokers are away.
    pub async fn workers(&self) -> Result<Vec<Peer>, LogError> {
        self.ask(|probe, shared| probe.members(&client::group(&shared.config))).await
    }

    /// Stamps records with the rules in force that come from here, from now on.
    pub fn follow(&self, rules: watch::Receiver<u16>) {
        let _followed_already = self.rules.set(rules);
    }

    /// Waits until every append is answered, leaves the workers' group, and ends all threads.
    /// Later appends are refused. May be called again.
    pub async fn close(&self) {
        let member = self.member.lock().unwrap_or_else(PoisonError::into_inner).take();
        let watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner).take();
        let producer = Arc::clone(&self.producer);
        let patience = self.shared.config.delivery_timeout.get();
        let closed = spawn_blocking(move || {
            if let Some(member) = &member {
                member.leave();
            }
            producer.close(patience);
            if let Some(mut member) = member {
                member.join();
            }
            if let Some(mut watch) = watch {
                watch.join();
            }
        });
        if closed.await.is_err() {
            tracing::warn!("closing the log was interrupted");
        }
    }

    /// Asks a probe that is made at the first time.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Probe, &Shared) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        let (scan, shared) = (Arc::clone(&self.scan), Arc::clone(&self.shared));
        blocking(move || {
            let mut scan = scan.lock().unwrap_or_else(PoisonError::into_inner);
            let probe = match scan.take() {
                Some(probe) => probe,
                None => Probe::new(&shared.config)?,
            };
            question(scan.insert(probe), &shared)
        })
        .await
    }

    fn check(&self, partition: Partition) -> Result<(), LogError> {
        let of = self.shared.partitions;
        if partition.0 < of {
            return self.shared.health.usable();
        }
        Err(LogError::Stop(format!("there is no partition {partition} of {of}")))
    }
}

#[async_trait]
impl Log for KafkaLog {
    fn partitions(&self) -> u16 {
        self.shared.partitions
    }

    fn generation(&self) -> Generation {
        self.shared.generation
    }

    fn append(
        &self,
        partition: Partition,
        key: ConversationId,
        record: Bytes,
    ) -> Result<Pending, LogError> {
        self.check(partition)?;
        self.producer.append(partition, key, &record)
    }

    /// A process is one member of the group: consuming again replaces the one before, as soon as
    /// that has given its partitions back.
    async fn consume(&self) -> Result<Box<dyn Assignments>, LogError> {
        self.shared.health.usable()?;
        let mut member = self.member.lock().unwrap_or_else(PoisonError::into_inner);
        let (handle, given) = member::start(&self.shared, member.take())?;
        *member = Some(handle);
        Ok(Box::new(given))
    }

    fn rules(&self) -> u16 {
        self.rules.get().map_or(RULES_VERSION, |rules| *rules.borrow())
    }

    async fn ready(&self) -> Result<(), LogError> {
        self.shared.health.ready()?;
        self.producer.ready()
    }
}

#[async_trait]
impl LogScan for KafkaLog {
    fn partitions(&self) -> u16 {
        self.shared.partitions
    }

    fn generation(&self) -> Generation {
        self.shared.generation
    }

    async fn bounds(&self, partition: Partition) -> Result<Bounds, LogError> {
        self.check(partition)?;
        self.ask(move |probe, shared| {
            let (topic, count, at) = (&shared.topic, shared.partitions, usize::from(partition.0));
            let first = probe.offsets(topic, count, Offset::Beginning)?;
            let end = probe.offsets(topic, count, Offset::End)?;
            let committed = probe.committed(topic, count)?;
            let of = |offsets: &[u64]| offsets.get(at).copied().unwrap_or(0);
            let (first, end) = (of(&first), of(&end));
            // The marker at offset 0 is no record.
            let first = first.max(1).min(end.max(1));
            let committed = committed.get(at).copied().flatten().unwrap_or(first);
            Ok(Bounds { start: 1, first, end: end.max(first), committed })
        })
        .await
    }

    async fn read(
        &self,
        partition: Partition,
        from: u64,
        max: usize,
    ) -> Result<Vec<Entry>, LogError> {
        self.check(partition)?;
        self.ask(move |probe, shared| {
            let ends = probe.offsets(&shared.topic, shared.partitions, Offset::End)?;
            let end = ends.get(usize::from(partition.0)).copied().unwrap_or(0);
            let from = from.max(1);
            if from >= end {
                return Ok(Vec::new());
            }
            probe.read(&shared.topic, partition.0, from, (end, max.max(1)))
        })
        .await
    }
}
