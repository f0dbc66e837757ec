//! What the tests share: keyspaces of their own, opening, rows to write, queries by hand.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use harkara_domain::{
    Body, ClientId, Content, ConversationId, DeviceId, Event, Fingerprint, Generation, Hash,
    Position, RejectCode, Rejection, Salt, Seq, State, TenantId, UserId,
};
use harkara_engine::{Store, StoreError, store::Step};
use harkara_engine_scylla::{Config, MigrateError, OtherLog, Report, ScyllaStore, migrate};
use harkara_service_runtime::clock::SystemClock;
use scylla::{
    client::{session::Session, session_builder::SessionBuilder},
    deserialize::row::DeserializeRow,
};

pub(crate) const GENERATION: Generation = Generation(7);

/// Settings for a keyspace that nobody else uses.
pub(crate) fn config(nodes: Vec<String>) -> Config {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let keyspace = format!("test_{}", MADE.fetch_add(1, Ordering::Relaxed));
    Config { nodes, keyspace, replication: 1, ..Config::default() }
}

pub(crate) async fn try_open(
    config: &Config,
) -> Result<ScyllaStore, harkara_engine_scylla::OpenError> {
    ScyllaStore::open(config, &SystemClock::shared()).await
}

pub(crate) async fn open(config: &Config) -> ScyllaStore {
    try_open(config).await.expect("the store opens")
}

pub(crate) async fn migrate_to(
    config: &Config,
    generation: Generation,
    other: OtherLog,
) -> Result<Report, MigrateError> {
    migrate(config, &SystemClock::shared(), generation, other).await
}

/// Makes the keyspace and opens it.
pub(crate) async fn made(config: &Config) -> ScyllaStore {
    let report = migrate_to(config, GENERATION, OtherLog::Refuse).await;
    report.expect("the keyspace can be made");
    open(config).await
}

/// A session for queries by hand.
pub(crate) async fn session(config: &Config) -> Session {
    let session = SessionBuilder::new().known_nodes(&config.nodes).build().await;
    session.expect("the nodes answer")
}

pub(crate) async fn run(session: &Session, text: &str) {
    session.query_unpaged(text, ()).await.expect("the nodes do it");
}

pub(crate) async fn query<R>(session: &Session, text: &str) -> Vec<R>
where
    R: for<'f, 'm> DeserializeRow<'f, 'm>,
{
    let read = session.query_unpaged(text, ()).await.expect("the nodes answer");
    let rows = read.into_rows_result().expect("with rows");
    rows.rows::<R>().expect("of these types").map(|row| row.expect("each")).collect()
}

pub(crate) fn tenant() -> TenantId {
    TenantId::from_bytes([1; 16])
}

pub(crate) fn conversation(n: u8) -> ConversationId {
    ConversationId::from_bytes([n; 16])
}

pub(crate) fn user(n: u8) -> UserId {
    UserId::from_bytes([n; 16])
}

pub(crate) fn position(offset: u64) -> Position {
    Position { generation: GENERATION, offset }
}

/// A message caused by the record 10 × its sequence.
pub(crate) fn event(seq: Seq) -> Arc<Event> {
    Arc::new(Event {
        tenant: tenant(),
        seq,
        ordinal: seq,
        at: 1_000 + seq,
        sender: user(2),
        device: DeviceId::from_bytes([3; 16]),
        client_id: ClientId::from_bytes([4; 16]),
        fingerprint: Fingerprint([5; 8]),
        position: position(10 * seq),
        body: Body::Message {
            content: Content::from_canonical(Bytes::from(format!("{{\"text\":\"{seq}\"}}"))),
            reply_to: None,
            salt: Salt([6; 16]),
        },
        chain: Hash([7; 32]),
    })
}

pub(crate) fn rejection(offset: u64) -> Rejection {
    Rejection {
        position: position(offset),
        device: DeviceId::from_bytes([3; 16]),
        client_id: ClientId::from_bytes([9; 16]),
        fingerprint: Fingerprint([1; 8]),
        code: RejectCode::Forbidden,
    }
}

/// A state whose head and last record are these.
pub(crate) fn state(of: ConversationId, head: Seq, applied: u64) -> State {
    let mut state = State::empty(of);
    state.tenant = tenant();
    state.head = head;
    state.applied = Some(position(applied));
    state
}

pub(crate) fn events(seqs: impl IntoIterator<Item = Seq>) -> Step {
    Step { events: seqs.into_iter().map(event).collect(), ..Step::default() }
}

pub(crate) async fn write(store: &dyn Store, n: u8, step: Step) -> Result<(), StoreError> {
    store.write(tenant(), conversation(n), step).await
}

/// Writes until it is done, as a worker does.
pub(crate) async fn write_patiently(store: &dyn Store, n: u8, step: Step) {
    soon("a write succeeds", async {
        while let Err(error) = write(store, n, step.clone()).await {
            assert!(matches!(error, StoreError::Retry(_)), "{error}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

/// The sequences that can be read, from the first on.
pub(crate) async fn read(store: &dyn Store, n: u8) -> Result<Vec<Seq>, StoreError> {
    let events = store.events(conversation(n), 0, Seq::MAX, usize::MAX).await?;
    Ok(events.iter().map(|event| event.seq).collect())
}

/// The output, within a minute.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect(what)
}
