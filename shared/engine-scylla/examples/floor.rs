//! The floor under the store on ScyllaDB or Cassandra: a bare driver with the same settings, and
//! nothing else. `harkara-loadtest floor` starts it in turns with a server and divides.
//!
//! ```text
//! cargo build --release -p harkara-engine-scylla --example scylla-floor
//! scylla-floor --nodes 127.0.0.1:8140 --rate 500
//! scylla-floor --nodes 127.0.0.1:8140 --in-flight 256
//! ```
//!
//! Included: the session's settings (taken from the engine: LOCAL_QUORUM, token-aware routing, a
//! second attempt after 50 ms, one connection to a node), the engine's own prepared statement,
//! marked idempotent, with a timestamp, one row an insert; a keyspace with the replication of
//! `--keyspace` (`harkara`) and the same table; rows of the length and compressibility of ours.
//!
//! Left out: everything before it, encoding, lists, snapshots, and the batches that the engine
//! makes of events which stand together. Rows stay in the keyspace `harkara_floor`, of other
//! conversations each time. Times count from the moment an insert was due (see
//! `harkara_test_engines::floor`).

use std::{
    collections::HashMap,
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use harkara_engine_scylla::{Config, bare};
use harkara_service_runtime::clock::{SharedClock, SystemClock};
use harkara_test_engines::floor::{Arguments, Message, Messages, Plan, Seen};
use scylla::{client::session::Session, statement::prepared::PreparedStatement};
use tokio::{
    runtime::Runtime,
    sync::{OwnedSemaphorePermit, Semaphore},
};
use uuid::Uuid;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const KEYSPACE: &str = "harkara_floor";

fn main() -> Result<(), Failure> {
    let arguments = Arguments::read()?;
    let (plan, messages) = (arguments.plan()?, arguments.messages()?);
    let nodes = arguments.text("nodes")?.split(',').map(ToOwned::to_owned).collect();
    let config = Config { nodes, keyspace: KEYSPACE.to_owned(), ..Config::default() };
    let like = arguments.text("keyspace").unwrap_or("harkara");
    let clock = SystemClock::shared();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let store = runtime.block_on(async {
        make(&bare::session(&config, &clock).await?, like).await?;
        // A new one, which knows the keyspace and so where its rows belong.
        Store::prepare(bare::session(&config, &clock).await?, clock).await
    })?;
    let line = measure(&runtime, &Arc::new(store), &plan, messages)?;
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}

/// Makes the keyspace and the table.
async fn make(session: &Session, like: &str) -> Result<(), Failure> {
    let text = "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = ?";
    let rows = session.query_unpaged(text, (like,)).await?.into_rows_result()?;
    let (replication,) = rows
        .maybe_first_row::<(HashMap<String, String>,)>()?
        .ok_or_else(|| format!("there is no keyspace {like}: name the server's with --keyspace"))?;
    let pairs: Vec<_> =
        replication.iter().map(|(key, value)| format!("'{key}': '{value}'")).collect();
    let replication = pairs.join(", ");
    let text =
        format!("CREATE KEYSPACE IF NOT EXISTS {KEYSPACE} WITH replication = {{{replication}}}");
    session.query_unpaged(text, ()).await?;
    let tables = bare::tables(KEYSPACE);
    let (_, text) = tables.iter().find(|(name, _)| *name == "events").ok_or("no such table")?;
    session.query_unpaged(text.as_str(), ()).await?;
    session.await_schema_agreement().await?;
    Ok(())
}

struct Store {
    session: Session,
    statement: PreparedStatement,
    clock: SharedClock,
    seen: Seen,
    failed: AtomicU64,
}

impl Store {
    async fn prepare(session: Session, clock: SharedClock) -> Result<Self, Failure> {
        let mut statement = session.prepare(bare::PUT_EVENT.replace("{k}", KEYSPACE)).await?;
        statement.set_is_idempotent(true);
        let (seen, failed) = (Seen::default(), AtomicU64::new(0));
        Ok(Self { session, statement, clock, seen, failed })
    }

    async fn insert(self: Arc<Self>, due: u64, message: Message, _room: OwnedSemaphorePermit) {
        let Message { conversation, seq, event, .. } = message;
        let seq = i64::try_from(seq).unwrap_or(i64::MAX);
        let row = (Uuid::from_bytes(conversation), seq >> 12, seq, event, seq);
        match self.session.execute_unpaged(&self.statement, row).await {
            Ok(_) => self.seen.done(due, due, self.clock.elapsed_ns()),
            Err(_) => drop(self.failed.fetch_add(1, Relaxed)),
        }
    }
}

/// What is due is told by this thread, the runtime's threads insert.
fn measure(
    runtime: &Runtime,
    store: &Arc<Store>,
    plan: &Plan,
    messages: Messages,
) -> Result<String, Failure> {
    let mut messages = messages.seeded(store.clock.now_ms());
    let places = u32::try_from(plan.in_flight())?;
    let room = Arc::new(Semaphore::new(plan.in_flight()));
    plan.run(
        || store.clock.elapsed_ns(),
        &[&store.seen],
        |due| {
            let place = match Arc::clone(&room).try_acquire_owned() {
                Ok(place) => place,
                Err(_) => runtime.block_on(Arc::clone(&room).acquire_owned())?,
            };
            runtime.spawn(Arc::clone(store).insert(due, messages.make(), place));
            Ok::<_, Failure>(())
        },
    )?;
    // All places are free when everything is answered.
    drop(runtime.block_on(room.acquire_many(places))?);
    match store.failed.load(Relaxed) {
        0 => Ok(plan.line("scylla", &[("insert", &store.seen)])),
        failed => Err(format!("{failed} inserts failed: look at the nodes").into()),
    }
}
