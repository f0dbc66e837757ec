//! `timeline.read`, `read.advance`, `typing.set`: what concerns history and changes no order.

use std::{rc::Rc, time::Duration};

use harkara_domain::{Event, Seq, limits::TIMELINE_PAGE_MAX};
use harkara_engine::link::Answer;
use harkara_protocol::{
    client::{
        ErrorWord, RpcError, SeqNo,
        replies::{Done, TimelinePage},
        requests::{ReadAdvance, TimelineRead, TypingSet},
    },
    json,
};

use super::{
    lists::store_failed,
    open::{Open, Reply, limit, no_such_conversation, unavailable},
};
use crate::load::Stage;

/// Bytes of events in one page; a page of long messages has fewer events. A quarter of the hard
/// outbound limit, so that a page never evicts the one who asked for it.
const PAGE_BYTES_MAX: usize = 256 * 1024;

/// Events read from the store at a time: 64 × ≤ 33 KiB = 2 MiB at the very worst.
const CHUNK: u64 = 64;

/// Between two looks at a full outbound queue.
const PAUSE: Duration = Duration::from_millis(20);

/// Conversations whose typing a session remembers: more typing at once is no person.
const TYPING_MAX: usize = 32;

/// How long a notice is remembered that was never ended: a minute.
const TYPING_NS: u64 = 60_000_000_000;

/// Where a read goes.
enum Direction {
    /// From `after` upward.
    Up(Seq),
    /// From below `before` downward.
    Down(Seq),
}

/// `timeline.read`.
pub async fn timeline(open: Rc<Open>, params: TimelineRead) -> Reply<TimelinePage> {
    let most = limit(params.limit, TIMELINE_PAGE_MAX)?;
    open.spare(Stage::History)?;
    let needed = match (params.after, params.before) {
        (Some(after), _) => after.0.saturating_add(most as u64),
        (None, Some(before)) => before.0,
        (None, None) => Seq::MAX,
    };
    let (from, head) = open.access(params.conversation.0, needed).await?;
    let direction = match (params.after, params.before) {
        (Some(_), Some(_)) => {
            return Err(RpcError::params("params: after and before exclude each other"));
        }
        (Some(after), None) => Direction::Up(after.0.clamp(from - 1, head)),
        (None, Some(before)) => Direction::Down(before.0.clamp(from, head + 1)),
        (None, None) => Direction::Down(head + 1),
    };
    let _one_at_a_time = open.reads.acquire().await;
    while open.socket.queued_bytes() > open.gateway.config.outbound_soft_bytes {
        if open.socket.is_gone() {
            return Err(unavailable("the session ended"));
        }
        tokio::time::sleep(PAUSE).await;
    }
    let mut page = Page { events: Vec::new(), bytes: 0, most };
    let complete = match direction {
        Direction::Up(after) => page.up(&open, &params, after, head).await?,
        Direction::Down(before) => page.down(&open, &params, from, before).await?,
    };
    Ok(TimelinePage { events: page.events, head: SeqNo(head), complete })
}

/// A page under way, bounded in events and bytes; never empty where there is an event.
struct Page {
    events: Vec<json::Item>,
    bytes: usize,
    most: usize,
}

impl Page {
    async fn up(
        &mut self,
        open: &Open,
        params: &TimelineRead,
        after: Seq,
        head: Seq,
    ) -> Reply<bool> {
        let mut at = after;
        while at < head {
            for event in read(open, params, at, head.min(at + CHUNK)).await? {
                if !self.push(params, &event)? {
                    return Ok(false);
                }
                at = event.seq;
            }
        }
        Ok(true)
    }

    async fn down(
        &mut self,
        open: &Open,
        params: &TimelineRead,
        from: Seq,
        before: Seq,
    ) -> Reply<bool> {
        let mut at = before;
        let mut complete = true;
        'chunks: while at > from {
            let low = at.saturating_sub(CHUNK + 1).max(from - 1);
            for event in read(open, params, low, at - 1).await?.into_iter().rev() {
                if !self.push(params, &event)? {
                    complete = false;
                    break 'chunks;
                }
                at = event.seq;
            }
        }
        self.events.reverse();
        Ok(complete)
    }

    /// False when the event has no room.
    fn push(&mut self, params: &TimelineRead, event: &Event) -> Reply<bool> {
        let item = json::event_item(params.conversation.0, event).map_err(|error| {
            tracing::error!(seq = event.seq, %error, "a stored event can't be shown");
            unavailable("history is damaged")
        })?;
        let length = item.get().len();
        let room = self.events.len() < self.most && self.bytes + length <= PAGE_BYTES_MAX;
        if room || self.events.is_empty() {
            self.bytes += length;
            self.events.push(item);
            return Ok(true);
        }
        Ok(false)
    }
}

/// All events of `(after, until]`: fewer means that the store lost some, and nothing is guessed.
async fn read(open: &Open, params: &TimelineRead, after: Seq, until: Seq) -> Reply<Vec<Event>> {
    let conversation = params.conversation.0;
    let limit = usize::try_from(until - after).unwrap_or(usize::MAX);
    let events = open.gateway.store.events(conversation, after, until, limit).await;
    let events = events.map_err(|error| store_failed(&error))?;
    if events.len() < limit {
        tracing::error!(%conversation, after, until, found = events.len(), "events are missing");
        return Err(unavailable("history is incomplete"));
    }
    Ok(events)
}

/// `read.advance`: answered when written.
pub async fn advance(open: Rc<Open>, params: ReadAdvance) -> Reply<Done> {
    let user = open.live()?.peer.user;
    let (conversation, seq) = (params.conversation.0, params.seq.0);
    open.access(conversation, 0).await?;
    match open.gateway.hub.ask_advance(conversation, user, seq).await {
        Ok(Answer::Advanced) => Ok(Done {}),
        Ok(Answer::BeyondHead(head)) => {
            Err(RpcError::params(format!("params.seq: {seq} is beyond the head {head}")))
        }
        Ok(_) => Err(no_such_conversation()),
        Err(_) => Err(unavailable("the conversation's owner can't be reached")),
    }
}

/// `typing.set`: passed on at most once an interval and conversation; the end always is.
pub async fn typing(open: Rc<Open>, params: TypingSet) -> Reply<Done> {
    let conversation = params.conversation.0;
    open.access(conversation, 0).await?;
    let interval: Duration = open.gateway.config.typing_interval.into();
    let now = open.gateway.clock.elapsed_ns();
    {
        let mut typing = open.typing.borrow_mut();
        let soon = typing
            .get(&conversation)
            .is_some_and(|last| u128::from(now.saturating_sub(*last)) < interval.as_nanos());
        if params.active && soon {
            return Ok(Done {});
        }
        typing.retain(|id, last| *id == conversation || now.saturating_sub(*last) < TYPING_NS);
        if typing.len() >= TYPING_MAX && !typing.contains_key(&conversation) {
            let message = "typing in too many conversations at once";
            return Err(RpcError::word(ErrorWord::RateLimited, message)
                .retry_after_ms(u64::try_from(interval.as_millis()).unwrap_or(u64::MAX)));
        }
        if params.active {
            typing.insert(conversation, now);
        } else if typing.remove(&conversation).is_none() {
            return Ok(Done {});
        }
    }
    // The first thing to go under load; nobody waits for it.
    if !open.gateway.hub.load.gives_up(Stage::Typing, now) {
        let user = open.live()?.peer.user;
        open.gateway.hub.tell_typing(conversation, user, params.active);
    }
    Ok(Done {})
}
