//! Appends: a bounded queue in front of the brokers, and an answer for each record.
//!
//! librdkafka batches, retries and keeps the order of calls (idempotent, so a retry is no second
//! copy and nothing overtakes). Its callback runs on a thread of its own and resolves the waiter.
//! What is not confirmed in time is [`LogError::Unknown`]: it may be in the log all the same.

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{
            AtomicU64,
            Ordering::{AcqRel, Acquire, Relaxed, Release},
        },
    },
    thread,
    time::Duration,
};

use bytes::Bytes;
use harkara_domain::{ConversationId, Partition};
use harkara_engine::{Appended, LogError, Pending};
use harkara_service_runtime::{clock::SharedClock, telemetry::trace};
use rdkafka::{
    ClientConfig, ClientContext,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
    message::{DeliveryResult, Message as _, OwnedHeaders},
    producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer},
};
use tokio::sync::oneshot;

use crate::{
    client::{Ear, RECORD_BYTES_MAX, words},
    probe::appended_at,
    stats::{Stats, count},
    topics,
};

/// What a record takes besides its bytes: librdkafka's message (some 120), its waiter, its key.
/// Keeps a flood of tiny records inside the limit.
const OVERHEAD: usize = 256;

/// Whoever waits for a record.
pub(crate) struct Waiting {
    bytes: usize,
    done: oneshot::Sender<Result<Appended, LogError>>,
}

/// Called back by librdkafka.
pub(crate) struct Deliveries {
    ear: Ear,
    outcome: Arc<Outcome>,
}

/// What became of appends.
pub(crate) struct Outcome {
    clock: SharedClock,
    stats: Arc<Stats>,
    /// When one was not confirmed, and nothing was since; 0: never.
    failed_ns: AtomicU64,
}

/// How long an append that was not confirmed speaks against readiness when none follows: whoever
/// sends nothing more because of that would wait for ever.
const DOUBT_NS: u64 = 20_000_000_000;

impl Outcome {
    pub(crate) fn new(clock: SharedClock, stats: Arc<Stats>) -> Arc<Self> {
        Arc::new(Self { clock, stats, failed_ns: AtomicU64::new(0) })
    }

    fn of(&self, bytes: usize, told: &Result<Appended, LogError>) {
        self.stats.queued.fetch_sub(bytes + OVERHEAD, AcqRel);
        if told.is_err() {
            count(&self.stats.unconfirmed);
            self.failed_ns.store(self.clock.elapsed_ns().max(1), Release);
            return;
        }
        count(&self.stats.appended);
        self.stats.appended_bytes.fetch_add(u64::try_from(bytes).unwrap_or(0), Relaxed);
        self.failed_ns.store(0, Release);
    }

    /// Whether the last appends were confirmed.
    pub(crate) fn ready(&self) -> Result<(), LogError> {
        let failed = self.failed_ns.load(Acquire);
        let since = self.clock.elapsed_ns().saturating_sub(failed);
        if failed == 0 || since > DOUBT_NS {
            return Ok(());
        }
        Err(LogError::Unknown("the last append was not confirmed".to_owned()))
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.ear.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.ear.error(error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<Waiting>;

    fn delivery(&self, result: &DeliveryResult<'_>, waiting: Box<Waiting>) {
        let told = match result {
            Ok(message) => confirmed(message.offset(), appended_at(message.timestamp())),
            // Whatever the reason: the record may be in the log.
            Err((error, _)) => Err(LogError::Unknown(words(self.ear.trouble("appending", error)))),
        };
        if told.is_ok() {
            self.ear.forget();
        }
        self.outcome.of(waiting.bytes, &told);
        // Nobody may be waiting any more; the record stands.
        let _ = waiting.done.send(told);
    }
}

/// What the brokers said about a record.
fn confirmed(offset: i64, at: Option<u64>) -> Result<Appended, LogError> {
    // A repeat of a batch that the broker remembers only dimly is confirmed without an offset.
    let offset = u64::try_from(offset)
        .map_err(|_| LogError::Unknown("the broker confirmed without saying where".to_owned()))?;
    let at = at.ok_or_else(|| {
        LogError::Unknown(
            "the topic does not use LogAppendTime any more: run `harkara migrate`".to_owned(),
        )
    })?;
    Ok(Appended { offset, at })
}

type Client = ThreadedProducer<Deliveries>;
type Record<'a> = BaseRecord<'a, [u8], [u8], Box<Waiting>>;

/// The one way into the log.
pub(crate) struct Producer {
    settings: ClientConfig,
    topic: String,
    queue_bytes: usize,
    outcome: Arc<Outcome>,
    /// Replaced after an error that ends a client; none once closed.
    client: RwLock<Option<Arc<Client>>>,
}

impl Producer {
    pub(crate) fn new(
        settings: ClientConfig,
        topic: String,
        queue_bytes: usize,
        outcome: Arc<Outcome>,
    ) -> Result<Self, LogError> {
        let client = connect(&settings, &outcome)?;
        Ok(Self { settings, topic, queue_bytes, outcome, client: RwLock::new(Some(client)) })
    }

    fn client(&self) -> Result<Arc<Client>, LogError> {
        let client = self.client.read().unwrap_or_else(PoisonError::into_inner).clone();
        client.ok_or_else(|| LogError::Stop("the log is closed".to_owned()))
    }

    /// Whether the last appends were confirmed.
    pub(crate) fn ready(&self) -> Result<(), LogError> {
        self.outcome.ready()
    }

    /// Queues a record. See [`harkara_engine::Log::append`].
    pub(crate) fn append(
        &self,
        partition: Partition,
        key: ConversationId,
        record: &Bytes,
    ) -> Result<Pending, LogError> {
        let headers = trace::current().map(|trace| topics::traced(&trace));
        self.put(partition, key.as_bytes(), record, headers)
    }

    /// Queues anything.
    pub(crate) fn put(
        &self,
        partition: Partition,
        key: &[u8],
        value: &[u8],
        headers: Option<OwnedHeaders>,
    ) -> Result<Pending, LogError> {
        let bytes = value.len();
        if bytes > RECORD_BYTES_MAX {
            return Err(LogError::Stop(format!(
                "a record of {bytes} bytes is too large for the log: {RECORD_BYTES_MAX} is the most"
            )));
        }
        let client = self.client()?;
        self.admit(bytes)?;
        let (done, answer) = oneshot::channel();
        let waiting = Box::new(Waiting { bytes, done });
        let mut message = BaseRecord::with_opaque_to(&self.topic, waiting)
            .partition(i32::from(partition.0))
            .payload(value);
        if !key.is_empty() {
            message = message.key(key);
        }
        message.headers = headers;
        if let Err(error) = self.send(client, message) {
            self.outcome.stats.queued.fetch_sub(bytes + OVERHEAD, AcqRel);
            return Err(error);
        }
        Ok(Box::pin(async move {
            answer.await.unwrap_or_else(|_| {
                Err(LogError::Unknown("the log was closed before the brokers answered".to_owned()))
            })
        }))
    }

    /// Counts a record in, unless there is no room.
    fn admit(&self, bytes: usize) -> Result<(), LogError> {
        let counted = bytes + OVERHEAD;
        let before = self.outcome.stats.queued.fetch_add(counted, AcqRel);
        if before > 0 && before + counted > self.queue_bytes {
            self.outcome.stats.queued.fetch_sub(counted, AcqRel);
            count(&self.outcome.stats.refused);
            return Err(LogError::Full { queued_bytes: before });
        }
        Ok(())
    }

    /// Hands a record to librdkafka; once more to a new client where this one is broken for good.
    fn send(&self, client: Arc<Client>, record: Record<'_>) -> Result<(), LogError> {
        let Err((error, record)) = client.send(record) else { return Ok(()) };
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::Fatal) {
            return Err(self.failed(&client, &error));
        }
        let fresh = self.renew(&client)?;
        // The last hand on a broken client would wait for its threads here.
        discard(Some(client));
        fresh.send(record).map_err(|(error, _)| self.failed(&fresh, &error))
    }

    /// Why nothing was queued.
    fn failed(&self, client: &Client, error: &KafkaError) -> LogError {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) {
            count(&self.outcome.stats.refused);
            return LogError::Full { queued_bytes: self.outcome.stats.queued.load(Relaxed) };
        }
        client.context().ear.trouble("appending", error)
    }

    /// A client whose state the brokers reject for good (they lost what it sent) is replaced. What
    /// it had queued is told to be unknown.
    fn renew(&self, broken: &Arc<Client>) -> Result<Arc<Client>, LogError> {
        let mut current = self.client.write().unwrap_or_else(PoisonError::into_inner);
        let Some(client) = current.as_ref() else {
            return Err(LogError::Stop("the log is closed".to_owned()));
        };
        if !Arc::ptr_eq(client, broken) {
            return Ok(Arc::clone(client));
        }
        let reason = broken.client().fatal_error().map(|(_, reason)| reason);
        tracing::error!(reason, "the producer is made anew: what it had queued is not confirmed");
        let fresh = connect(&self.settings, &self.outcome)?;
        let old = current.replace(Arc::clone(&fresh));
        drop(current);
        discard(old);
        Ok(fresh)
    }

    /// Waits until all that was queued is answered, then ends. Blocks.
    pub(crate) fn close(&self, patience: Duration) {
        let client = self.client.write().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(client) = client
            && client.flush(patience).is_err()
        {
            tracing::warn!("the log is closed before the brokers answered for all records");
        }
    }
}

/// Dropping a client waits for its threads, which must hold up nobody who appends.
fn discard(client: Option<Arc<Client>>) {
    let dropping = thread::Builder::new().name("kafka-discard".into()).spawn(move || drop(client));
    if let Err(error) = dropping {
        tracing::debug!(%error, "no thread for dropping a producer: dropped here");
    }
}

fn connect(settings: &ClientConfig, outcome: &Arc<Outcome>) -> Result<Arc<Client>, LogError> {
    let context = Deliveries { ear: Ear::default(), outcome: Arc::clone(outcome) };
    let client = settings.create_with_context(context);
    client.map(Arc::new).map_err(|error| Ear::default().trouble("connecting", &error))
}
