//! Keeps what was sent behind a refused message behind it. A client that does not wait for answers
//! has sent more before it learns that one was refused; were that taken, the refused one would
//! come after it when it is sent again. So it is refused as well: until the client has seen the
//! refusal, which the answer to a ping in front of it shows, and its pause is over. Pure;
//! [`super::open`] raises fences, the actor looks at them before each send.

use std::cell::Cell;

use harkara_domain::ConversationId;
use harkara_protocol::client::{ErrorWord, RpcError};

/// The payload of the ping in front of a refusal: when that was. Clients send it back with their
/// pong, the newest one if there are several, and have then seen every refusal up to it.
pub type Mark = [u8; 8];

/// A pong that does not come is not waited for longer: no client waits for an answer that long.
const UNSEEN_NS: u64 = 10_000_000_000;

/// Fences of one session: the last one is for every conversation from then on. 8 × 56 bytes.
const FENCES_MAX: usize = 8;

/// How long a session is not read from that goes on sending: what comes meanwhile is refused in one
/// go, which costs a quarter of refusing one by one.
const REST_NS: u64 = 200_000_000;

/// Such a rest ends so long before the fence opens, so that nothing that lay in a socket is taken.
const REST_MARGIN_NS: u64 = 50_000_000;

/// Where sends are refused for the sake of an earlier one.
#[derive(Debug, Clone, Copy)]
struct Fence {
    /// To where; nothing means everywhere.
    conversation: Option<ConversationId>,
    raised: u64,
    opens: u64,
    seen: bool,
    word: ErrorWord,
}

impl Fence {
    fn stops(&self, conversation: ConversationId) -> bool {
        self.conversation.is_none_or(|own| own == conversation)
    }

    fn is_up(&self, now: u64) -> bool {
        now < self.opens || (!self.seen && now < self.raised + UNSEEN_NS)
    }
}

/// Why a send is refused for the sake of an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Behind {
    /// What the earlier one was refused with.
    pub word: ErrorWord,
    /// When both may come, from now.
    pub retry_after_ms: u64,
    /// Not to be read from for so long.
    pub rest_ns: Option<u64>,
}

impl Behind {
    /// What the client is answered.
    #[must_use]
    pub fn error(self) -> RpcError {
        let wait_ms = self.retry_after_ms;
        let message = format!(
            "a message that was sent before this one was refused: send both again in {wait_ms} ms"
        );
        RpcError::word(self.word, message).retry_after_ms(wait_ms)
    }
}

/// The fences of one session: 8 bytes while there are none, which is nearly always.
#[derive(Default)]
pub struct Fences(Cell<Option<Box<Raised>>>);

/// Those that are up, or were when somebody last looked.
#[derive(Debug, Default)]
struct Raised(Vec<Fence>);

impl Fences {
    /// Does something with them; where none are left, no memory is kept.
    fn with<T>(&self, use_them: impl FnOnce(&mut Vec<Fence>) -> T) -> T {
        let mut raised = self.0.take().unwrap_or_default();
        let result = use_them(&mut raised.0);
        self.0.set(Some(raised).filter(|raised| !raised.0.is_empty()));
        result
    }

    /// Are there any?
    fn exist(&self) -> bool {
        let raised = self.0.take();
        let exist = raised.is_some();
        self.0.set(raised);
        exist
    }

    /// Is this send behind one that was refused?
    pub fn stops(&self, conversation: ConversationId, now: u64) -> Option<Behind> {
        if !self.exist() {
            return None;
        }
        self.with(|fences| {
            fences.retain(|fence| fence.is_up(now));
            let fence = fences.iter().find(|it| it.stops(conversation))?;
            let left = fence.opens.saturating_sub(now);
            let rests = left >= REST_NS + REST_MARGIN_NS;
            Some(Behind {
                word: fence.word,
                retry_after_ms: left.div_ceil(1_000_000).max(1),
                rest_ns: rests.then_some(REST_NS),
            })
        })
    }

    /// A send was refused and may come again after a pause. A ping with this goes out in front.
    pub fn raise(
        &self,
        conversation: ConversationId,
        word: ErrorWord,
        retry_after_ms: u64,
        now: u64,
    ) -> Mark {
        let opens = now + retry_after_ms * 1_000_000;
        let conversation = Some(conversation);
        let mut fence = Fence { conversation, raised: now, opens, seen: false, word };
        self.with(|fences| {
            fences.retain(|it| it.is_up(now));
            let same = fences.iter().position(|it| it.conversation == conversation);
            let full = (fences.len() >= FENCES_MAX).then_some(FENCES_MAX - 1);
            if let Some(before) = same.or(full).map(|index| fences.swap_remove(index)) {
                fence.opens = opens.max(before.opens);
                fence.conversation = conversation.filter(|_| same.is_some());
            }
            fences.push(fence);
        });
        now.to_le_bytes()
    }

    /// What the next ping must say: a pong that is due may answer the newest one only.
    #[must_use]
    pub fn unseen(&self) -> Option<Mark> {
        if !self.exist() {
            return None;
        }
        let unseen = |fences: &mut Vec<Fence>| {
            fences.iter().filter(|fence| !fence.seen).map(|fence| fence.raised).max()
        };
        self.with(unseen).map(u64::to_le_bytes)
    }

    /// A pong has come: the client has seen every refusal up to its mark.
    pub fn seen(&self, mark: Mark) {
        let mark = u64::from_le_bytes(mark);
        self.with(|fences| {
            fences.iter_mut().for_each(|fence| fence.seen |= fence.raised <= mark);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const ROOM: ConversationId = ConversationId::from_bytes([1; 16]);
    const OTHER: ConversationId = ConversationId::from_bytes([2; 16]);

    /// A fence in front of the room since 1 ms, for half a second, and what its ping says.
    fn raised() -> (Fences, Mark) {
        let fences = Fences::default();
        let mark = fences.raise(ROOM, ErrorWord::Unavailable, 500, MS);
        (fences, mark)
    }

    #[test]
    fn what_is_behind_a_refusal_is_refused_until_it_was_seen_and_the_pause_is_over() {
        let (fences, mark) = raised();
        let behind = fences.stops(ROOM, 101 * MS).expect("behind");
        assert_eq!((behind.word, behind.retry_after_ms), (ErrorWord::Unavailable, 400));
        assert_eq!(fences.stops(OTHER, 101 * MS), None, "order is a matter of one conversation");
        assert!(fences.stops(ROOM, 502 * MS).is_some(), "sent before the refusal was seen");
        fences.seen(mark);
        assert!(fences.stops(ROOM, 500 * MS).is_some(), "the pause holds for everybody");
        assert_eq!(fences.stops(ROOM, 501 * MS), None);

        let (never_seen, _) = raised();
        assert!(never_seen.stops(ROOM, MS + UNSEEN_NS - 1).is_some());
        let forgotten = never_seen.stops(ROOM, MS + UNSEEN_NS);
        assert_eq!(forgotten, None, "for clients that answer no pings");
    }

    #[test]
    fn a_pong_says_nothing_about_refusals_behind_its_ping() {
        let (fences, first) = raised();
        let second = fences.raise(OTHER, ErrorWord::Unavailable, 500, 2 * MS);
        assert_eq!(fences.unseen(), Some(second), "the newest ping is the one that is answered");
        fences.seen(first);
        assert_eq!((fences.stops(ROOM, 600 * MS), fences.unseen()), (None, Some(second)));
        assert!(fences.stops(OTHER, 600 * MS).is_some());
        fences.seen(second);
        assert_eq!((fences.stops(OTHER, 600 * MS), fences.unseen()), (None, None));
    }

    #[test]
    fn a_refusal_in_front_of_a_fence_makes_it_no_shorter() {
        let (fences, _) = raised();
        let mark = fences.raise(ROOM, ErrorWord::RateLimited, 10, 2 * MS);
        fences.seen(mark);
        assert!(fences.stops(ROOM, 500 * MS).is_some());
        assert_eq!(fences.stops(ROOM, 501 * MS), None);
    }

    #[test]
    fn a_rest_ends_well_before_the_fence_opens() {
        let (fences, _) = raised();
        assert_eq!(fences.stops(ROOM, 251 * MS).expect("behind").rest_ns, Some(REST_NS));
        assert_eq!(fences.stops(ROOM, 252 * MS).expect("behind").rest_ns, None);
    }

    #[test]
    fn memory_is_bounded_and_order_kept_all_the_same() {
        let fences = Fences::default();
        let mut mark = Mark::default();
        for n in 0..100_u8 {
            let room = ConversationId::from_bytes([n; 16]);
            mark = fences.raise(room, ErrorWord::RateLimited, 500, u64::from(n) * MS);
        }
        assert_eq!(fences.with(|fences| fences.len()), FENCES_MAX);
        fences.seen(mark);
        let at = |n: u8, now| fences.stops(ConversationId::from_bytes([n; 16]), now).is_some();
        assert!((0..=255).all(|n| at(n, 499 * MS)), "the last one is for all");
        assert!(!at(0, 600 * MS) && !at(99, 600 * MS));
        assert!(!fences.exist(), "and the memory is given back");
    }
}
