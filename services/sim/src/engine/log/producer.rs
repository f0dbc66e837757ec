//! A process's appends on their way to the brokers: in the order of the calls, in batches, and each
//! with a fate. What was given up may land later; what landed may land once more.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use harkara_domain::{Generation, Partition};
use harkara_engine::{Appended, LogError, Pending};
use tokio::sync::oneshot;

use super::broker::Broker;
use crate::{process::Proc, weather::Append};

/// How long a process that is cut off keeps a record before it gives up.
const DELIVERY: Duration = Duration::from_secs(5);

/// Between two tries of a process that is cut off.
const AGAIN: Duration = Duration::from_millis(250);

/// The least time that records wait for each other, where nothing else takes time.
const LINGER: Duration = Duration::from_millis(1);

type Waiter = oneshot::Sender<Result<Appended, LogError>>;

#[derive(Default)]
struct Queue {
    waiting: VecDeque<(Bytes, Waiter)>,
    running: bool,
}

/// A process's appends.
#[derive(Clone)]
pub struct Producer {
    proc: Arc<Proc>,
    broker: Arc<Broker>,
    generation: Generation,
    queues: Arc<Mutex<BTreeMap<u16, Queue>>>,
    queued_bytes: Arc<AtomicUsize>,
    queued_bytes_max: usize,
}

impl Producer {
    /// Nothing is on its way.
    #[must_use]
    pub fn new(proc: Arc<Proc>, broker: Arc<Broker>, queued_bytes_max: usize) -> Self {
        let generation = broker.generation();
        let (queues, queued_bytes) = Default::default();
        Self { proc, broker, generation, queues, queued_bytes, queued_bytes_max }
    }

    fn queues(&self) -> MutexGuard<'_, BTreeMap<u16, Queue>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a record.
    ///
    /// # Errors
    /// When the queue is full, or there is no such partition.
    pub fn append(&self, partition: Partition, record: Bytes) -> Result<Pending, LogError> {
        if partition.0 >= self.broker.partitions() {
            return Err(LogError::Stop(format!("there is no partition {partition}")));
        }
        let queued_bytes = self.queued_bytes.load(Ordering::Acquire);
        if queued_bytes + record.len() > self.queued_bytes_max {
            return Err(LogError::Full { queued_bytes });
        }
        self.queued_bytes.fetch_add(record.len(), Ordering::AcqRel);
        let (waiter, answer) = oneshot::channel();
        let mut queues = self.queues();
        let queue = queues.entry(partition.0).or_default();
        queue.waiting.push_back((record, waiter));
        if !queue.running {
            queue.running = true;
            tokio::spawn(self.clone().run(partition.0));
        }
        Ok(Box::pin(async move {
            answer.await.unwrap_or_else(|_| Err(LogError::Unknown("the process ended".into())))
        }))
    }

    async fn run(self, partition: u16) {
        loop {
            let latency = self.broker.world.latency().max(LINGER);
            tokio::time::sleep(latency).await;
            if !self.proc.runs().await {
                return;
            }
            let batch = {
                let mut queues = self.queues();
                let Some(queue) = queues.get_mut(&partition) else { return };
                if queue.waiting.is_empty() {
                    queue.running = false;
                    return;
                }
                std::mem::take(&mut queue.waiting)
            };
            let (records, waiters): (Vec<Bytes>, Vec<Waiter>) = batch.into_iter().unzip();
            let bytes: usize = records.iter().map(Bytes::len).sum();
            let landed = self.deliver(partition, records).await;
            self.queued_bytes.fetch_sub(bytes, Ordering::AcqRel);
            self.answer(landed, waiters);
        }
    }

    /// One batch. None where nobody knows whether it landed.
    async fn deliver(&self, partition: u16, records: Vec<Bytes>) -> Option<Vec<Appended>> {
        let world = &self.broker.world;
        let mut waited = Duration::ZERO;
        while world.weather().cut_from_log(self.proc.node) {
            if waited >= DELIVERY || !self.proc.runs().await {
                return None;
            }
            waited += AGAIN;
            tokio::time::sleep(AGAIN).await;
        }
        // What a process that died meanwhile had sent may be there or not.
        if self.proc.is_dead() && world.happens(500) {
            return None;
        }
        let fate = world.weather().append(&mut world.dice.roll());
        if fate != Append::Well {
            world.note(|| {
                let (of, n) = (self.proc.node, records.len());
                format!("log       {n} records of {of} to partition {partition}: {fate:?}")
            });
        }
        let land = || self.broker.land(self.generation, partition, &records);
        match fate {
            Append::Well => land(),
            Append::Lost => None,
            Append::Unconfirmed => {
                land();
                None
            }
            Append::Late(ms) => {
                self.land_later(partition, records, ms);
                None
            }
            Append::Twice(ms) => {
                let landed = land();
                self.land_later(partition, records, ms);
                landed
            }
        }
    }

    fn land_later(&self, partition: u16, records: Vec<Bytes>, ms: u64) {
        let (broker, generation) = (Arc::clone(&self.broker), self.generation);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            broker.land(generation, partition, &records);
        });
    }

    /// The answer takes its time, too.
    fn answer(&self, landed: Option<Vec<Appended>>, waiters: Vec<Waiter>) {
        let latency = self.broker.world.latency();
        let tell = move || match landed {
            Some(landed) => waiters.into_iter().zip(landed).for_each(|(waiter, appended)| {
                drop(waiter.send(Ok(appended)));
            }),
            None => waiters.into_iter().for_each(|waiter| {
                drop(waiter.send(Err(LogError::Unknown("no confirmation".into()))));
            }),
        };
        if latency.is_zero() {
            return tell();
        }
        tokio::spawn(async move {
            tokio::time::sleep(latency).await;
            tell();
        });
    }
}
