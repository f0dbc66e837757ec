//! The floor under the log on Kafka: a bare producer with the same settings, and nothing else.
//! `harkara-loadtest floor` starts it in turns with a server and divides.
//!
//! ```text
//! cargo build --release -p harkara-engine-kafka --example kafka-floor
//! kafka-floor --brokers 127.0.0.1:8120 --rate 500
//! kafka-floor --brokers 127.0.0.1:8120 --in-flight 4096
//! ```
//!
//! Included: the producer's settings (taken from the engine: acks=all, idempotence, linger, zstd),
//! a topic with the partitions, the copies and all settings of the newest log that the brokers
//! have for `--prefix` (`harkara`), a named partition and a key for each record, records of the
//! length and compressibility of ours, the callback's own thread. An append is done when that
//! callback has the brokers' answer.
//!
//! Left out: everything between a socket and this, encoding, the waiter of each append, reading
//! the log. The topic, `floor.PID`, is deleted at the end. Times count from the moment a record
//! was due (see `harkara_test_engines::floor`).

use std::{
    io::Write as _,
    process,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{Receiver, sync_channel},
    },
    thread,
    time::Duration,
};

use harkara_engine_kafka::{Config, bare};
use harkara_service_runtime::clock::{SharedClock, SystemClock};
use harkara_test_engines::floor::{Arguments, Messages, Plan, Seen};
use rdkafka::{
    ClientContext,
    admin::{
        AdminClient, AdminOptions, ConfigSource, NewTopic, ResourceSpecifier, TopicReplication,
    },
    client::DefaultClientContext,
    message::DeliveryResult,
    producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer},
};

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Admin = AdminClient<DefaultClientContext>;

/// Longest wait for the brokers outside of measuring.
const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> Result<(), Failure> {
    let arguments = Arguments::read()?;
    let (plan, messages) = (arguments.plan()?, arguments.messages()?);
    let brokers = arguments.text("brokers")?.split(',').map(ToOwned::to_owned).collect();
    let config = Config { brokers, ..Config::default() };
    let prefix = arguments.text("prefix").unwrap_or(&config.prefix).to_owned();
    let admin: Admin = bare::admin(&config).create()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let topic = format!("floor.{}", process::id());
    let partitions = runtime.block_on(make(&admin, &prefix, &topic))?;
    let line = measure(&config, &plan, messages, &topic, partitions);
    runtime.block_on(admin.delete_topics(&[&topic], &AdminOptions::new()))?;
    writeln!(std::io::stdout(), "{}", line?)?;
    Ok(())
}

/// Makes a topic like the newest log; says how many partitions it has.
async fn make(admin: &Admin, prefix: &str, topic: &str) -> Result<i32, Failure> {
    let of_log = format!("{prefix}.log.");
    let metadata = admin.inner().fetch_metadata(None, PATIENCE)?;
    let generation = |name: &str| name.strip_prefix(&of_log)?.parse::<u64>().ok();
    let logs = metadata.topics().iter().filter(|topic| generation(topic.name()).is_some());
    let newest = logs.max_by_key(|topic| generation(topic.name()));
    let log = newest.ok_or_else(|| format!("there is no log {of_log}*: name its --prefix"))?;
    let copies = log.partitions().iter().map(|p| p.replicas().len()).min().unwrap_or(1);
    let partitions = i32::try_from(log.partitions().len())?;
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
    let wanted = [ResourceSpecifier::Topic(log.name())];
    let described =
        admin.describe_configs(&wanted, &options).await?.pop().ok_or("no settings")??;
    let mut new = NewTopic::new(topic, partitions, TopicReplication::Fixed(i32::try_from(copies)?));
    for entry in described.entries.iter().filter(|e| e.source == ConfigSource::DynamicTopic) {
        new = new.set(&entry.name, entry.value.as_deref().unwrap_or_default());
    }
    let made = admin.create_topics([&new], &options).await?.pop().ok_or("no answer")?;
    made.map_err(|(name, code)| format!("topic {name} is not made: {code}"))?;
    led(admin, topic, partitions)?;
    Ok(partitions)
}

/// Until every partition has somebody who leads it.
fn led(admin: &Admin, topic: &str, partitions: i32) -> Result<(), Failure> {
    for _ in 0..150 {
        let metadata = admin.inner().fetch_metadata(Some(topic), PATIENCE)?;
        let found = metadata.topics().iter().flat_map(|topic| topic.partitions());
        let led = found.filter(|partition| partition.leader() >= 0).count();
        if led == usize::try_from(partitions)? {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(200));
    }
    Err(format!("not every partition of {topic} is led: look at the brokers").into())
}

/// Called back by librdkafka.
struct Deliveries {
    clock: SharedClock,
    seen: Seen,
    /// A place for each record that is under way is taken out here.
    leave: Mutex<Receiver<()>>,
    failed: AtomicU64,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<u64>;

    fn delivery(&self, result: &DeliveryResult<'_>, due: Box<u64>) {
        match result {
            Ok(_) => self.seen.done(*due, *due, self.clock.elapsed_ns()),
            Err(_) => drop(self.failed.fetch_add(1, Relaxed)),
        }
        // There is one for each record.
        let _ = self.leave.lock().unwrap_or_else(PoisonError::into_inner).try_recv();
    }
}

fn measure(
    config: &Config,
    plan: &Plan,
    mut messages: Messages,
    topic: &str,
    partitions: i32,
) -> Result<String, Failure> {
    let (enter, leave) = sync_channel(plan.in_flight());
    let clock = SystemClock::shared();
    let (seen, failed) = (Seen::default(), AtomicU64::new(0));
    let context = Deliveries { clock: Arc::clone(&clock), seen, leave: Mutex::new(leave), failed };
    let producer: ThreadedProducer<Deliveries> =
        bare::producer(config).create_with_context(context)?;
    let seen = &producer.context().seen;
    plan.run(
        || clock.elapsed_ns(),
        &[seen],
        |due| {
            enter.send(())?;
            let message = messages.make();
            let record = BaseRecord::with_opaque_to(topic, Box::new(due))
                .partition(i32::try_from(message.room)? % partitions)
                .key(&message.conversation[..])
                .payload(&message.record);
            producer.send(record).map_err(|(error, _)| Failure::from(error))
        },
    )?;
    producer.flush(PATIENCE)?;
    match producer.context().failed.load(Relaxed) {
        0 => Ok(plan.line("kafka", &[("append", seen)])),
        failed => Err(format!("{failed} records were not confirmed: look at the brokers").into()),
    }
}
