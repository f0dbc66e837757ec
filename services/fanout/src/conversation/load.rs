//! Builds a conversation's state again: snapshot, then later rows, by `evolve` alone (S1). The
//! log's tail comes after that, through the partition, and skips what is applied already.

use harkara_domain::{ConversationId, Position, Rejection, Seq, State};
use harkara_engine::{Store, StoreError};
use harkara_service_runtime::sabotage::{Rule, is_broken};

use super::{evolve, view::Cursors, window::Window};

/// Events read at a time while loading: 1,024 × ~400 bytes = 400 KiB.
const PAGE: usize = 1_024;

/// The durable part of a conversation, as a worker starts with it.
#[derive(Debug)]
pub struct Loaded {
    /// The state after the last stored row.
    pub state: State,
    /// Everybody's written read cursor.
    pub cursors: Cursors,
    /// Events stored after the newest snapshot.
    pub since_snapshot: u64,
}

/// Reads snapshot, rows and cursors.
///
/// # Errors
/// The store's; [`StoreError::Stop`] where the rows don't add up.
pub async fn state(store: &dyn Store, conversation: ConversationId) -> Result<Loaded, StoreError> {
    let snapshot = store.snapshot(conversation).await?;
    let mut state = snapshot.unwrap_or_else(|| State::empty(conversation));
    let from = state.head;
    if from > 0 && is_broken(Rule::NoTail) {
        let cursors = store.cursors(conversation).await?.into_iter().collect();
        return Ok(Loaded { state, cursors, since_snapshot: 0 });
    }
    let rejections = store.rejections(conversation, state.applied).await?;
    let mut rejections = rejections.into_iter().peekable();
    loop {
        let page = store.events(conversation, state.head, Seq::MAX, PAGE).await?;
        let last = page.len() < PAGE;
        for event in &page {
            apply_rejections(&mut state, &mut rejections, Some(event.position));
            evolve::event(&mut state, event).map_err(|broken| {
                StoreError::Stop(format!("conversation {conversation}: {broken}"))
            })?;
        }
        if last {
            break;
        }
    }
    apply_rejections(&mut state, &mut rejections, None);
    let cursors = store.cursors(conversation).await?.into_iter().collect();
    let since_snapshot = state.head - from;
    Ok(Loaded { state, cursors, since_snapshot })
}

fn apply_rejections(
    state: &mut State,
    rejections: &mut std::iter::Peekable<impl Iterator<Item = Rejection>>,
    before: Option<Position>,
) {
    while let Some(next) = rejections.next_if(|r| before.is_none_or(|p| r.position < p)) {
        evolve::rejection(state, next);
    }
}

/// Reads the dedup window of a conversation that stands at `head`.
///
/// # Errors
/// The store's.
pub async fn window(
    store: &dyn Store,
    conversation: ConversationId,
    head: Seq,
) -> Result<Window, StoreError> {
    let mut window = Window::default();
    let mut after = Window::after(head);
    while after < head {
        let page = store.events(conversation, after, head, PAGE).await?;
        let Some(last) = page.last() else {
            return Err(StoreError::Stop(format!(
                "conversation {conversation}: events after {after} are missing below {head}"
            )));
        };
        after = last.seq;
        page.iter().for_each(|event| window.push(event));
    }
    Ok(window)
}
