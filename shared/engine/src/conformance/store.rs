//! What every store must do: idempotent writes that are seen when they resolved, reads by range,
//! and merges in which the newer one holds whatever the order of writing.

mod history;
mod merged;
mod names;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use harkara_domain::{
    Body, ClientId, Content, ConversationId, DeviceId, Event, Fingerprint, Generation, Hash,
    Position, RejectCode, Rejection, Salt, Seq, State, TenantId, UserId,
};

use super::{must, soon};
use crate::store::{Step, Store};

/// Makes stores.
#[async_trait]
pub trait StoreFactory: Send + Sync {
    /// A store with nothing in it.
    async fn make(&self) -> Arc<dyn Store>;

    /// Ends whatever is behind the store, as a restart would, and opens the same data again.
    async fn reopen(&self, store: Arc<dyn Store>) -> Arc<dyn Store>;
}

/// Runs the suite.
pub async fn all(factory: &dyn StoreFactory) {
    let store = factory.make().await;
    must(soon(store.ready(), "readiness must be told").await, "a new store must be ready");
    history::empty_reads(&*store).await;
    history::events_by_range(&*store).await;
    history::events_across_buckets(&*store).await;
    history::every_kind_of_event(&*store).await;
    history::rewriting_changes_nothing(&*store).await;
    history::rejections_after_a_position(&*store).await;
    history::snapshots_replace_older_ones(&*store).await;
    merged::memberships_by_cause(&*store).await;
    merged::memberships_by_page(&*store).await;
    merged::cursors_only_advance(&*store).await;
    merged::concurrent_writers_agree(Arc::clone(&store)).await;
    names::newer_names_hold(&*store).await;
    names::search_by_prefix(&*store).await;
    names::tenants_are_apart(&*store).await;
    must(soon(store.generation(), "the generation must be told").await, "it must be readable");
    history::history_survives_a_restart(factory).await;
}

fn tenant() -> TenantId {
    TenantId::from_bytes([1; 16])
}

/// A conversation of its own for each check.
fn conversation(n: u8) -> ConversationId {
    ConversationId::from_bytes([n; 16])
}

/// Users in rising order of `n`.
fn user(n: u16) -> UserId {
    let mut bytes = [2; 16];
    bytes[..2].copy_from_slice(&n.to_be_bytes());
    UserId::from_bytes(bytes)
}

fn position(offset: u64) -> Position {
    Position { generation: Generation(1), offset }
}

/// A message of this sequence, like no other.
fn event(seq: Seq) -> Event {
    let content = Bytes::from(format!("{{\"text\":\"नमस्ते {seq}\"}}"));
    let mut chain = [7; 32];
    chain[..8].copy_from_slice(&seq.to_be_bytes());
    Event {
        tenant: tenant(),
        seq,
        ordinal: seq.saturating_sub(1),
        at: 1_000 + seq,
        sender: user(3),
        device: DeviceId::from_bytes([4; 16]),
        client_id: ClientId::from_bytes([5; 16]),
        fingerprint: Fingerprint([6; 8]),
        position: position(10 * seq),
        body: Body::Message {
            content: Content::from_canonical(content),
            reply_to: seq.is_multiple_of(2).then_some(seq / 2),
            salt: Salt([8; 16]),
        },
        chain: Hash(chain),
    }
}

fn rejection(offset: u64) -> Rejection {
    Rejection {
        position: position(offset),
        device: DeviceId::from_bytes([4; 16]),
        client_id: ClientId::from_bytes([9; 16]),
        fingerprint: Fingerprint([1; 8]),
        code: RejectCode::NotAMember,
    }
}

/// A state whose head and last record are these.
fn state(conversation: ConversationId, head: Seq, applied: u64) -> State {
    let mut state = State::empty(conversation);
    state.tenant = tenant();
    state.head = head;
    state.at = head;
    state.title = Some(format!("after {head}"));
    state.applied = Some(position(applied));
    state
}

async fn write(store: &dyn Store, conversation: ConversationId, step: Step) {
    let written = soon(store.write(tenant(), conversation, step), "a write must resolve").await;
    must(written, "a write must succeed");
}

async fn write_events(store: &dyn Store, conversation: ConversationId, from: Seq, until: Seq) {
    let events = (from..=until).map(|seq| Arc::new(event(seq))).collect();
    write(store, conversation, Step { events, ..Step::default() }).await;
}

async fn read_events(
    store: &dyn Store,
    conversation: ConversationId,
    after: Seq,
    until: Seq,
    limit: usize,
) -> Vec<Event> {
    let read = soon(store.events(conversation, after, until, limit), "a read must resolve").await;
    must(read, "a read must succeed")
}

/// The events of these sequences.
fn events(from: Seq, until: Seq) -> Vec<Event> {
    (from..=until).map(event).collect()
}
