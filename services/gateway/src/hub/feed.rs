//! The order of one conversation's events on one thread: pure, no I/O. Says which event may go
//! out, and how far each local session has come. Every session sees each event at most once and
//! without holes, because it moves only by one step from where it stands.

use harkara_domain::Seq;

use super::Key;

/// A local session's place in the conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Which session.
    pub key: Key,
    /// The first sequence its user may see.
    pub from: Seq,
    /// The last sequence it was given.
    pub at: Seq,
    /// It gets live events; otherwise it is being caught up, or waits for that.
    pub live: bool,
    /// Somebody is catching it up.
    catching: bool,
}

/// Makes room for one more by an eighth instead of doubling: most conversations have few members
/// here, and there are many conversations.
pub(super) fn grow_gently<T>(list: &mut Vec<T>) {
    if list.len() == list.capacity() {
        list.reserve_exact(1 + list.len() / 8);
    }
}

/// What to do with an event from the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// It is the next one: give it out.
    Next,
    /// It was given out before.
    Old,
    /// Events between are missing: read the store up to it.
    Gap,
}

/// One conversation on one thread.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Feed {
    /// The last sequence given out here; none until the owner told the head.
    head: Option<Seq>,
    /// The newest sequence the owner spoke of.
    known: Seq,
    /// The store is being read.
    repairing: bool,
    /// By key: a room of thousands is left and joined by thousands at once.
    places: Vec<Place>,
}

impl Feed {
    /// The newest sequence that the owner confirmed and that was given out here.
    #[must_use]
    pub fn head(&self) -> Option<Seq> {
        self.head
    }

    /// The local sessions.
    #[must_use]
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// Nobody here listens.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The owner told the head. True when something is missing here.
    pub fn confirm(&mut self, head: Seq) -> bool {
        let here = *self.head.get_or_insert(head);
        self.known = self.known.max(head);
        self.known > here
    }

    /// An event came over the link.
    pub fn offer(&mut self, seq: Seq) -> Offer {
        self.known = self.known.max(seq);
        match self.head {
            Some(head) if seq <= head => Offer::Old,
            Some(head) if seq == head + 1 => Offer::Next,
            // Before the head is known, the answer to the subscription brings it.
            None => Offer::Old,
            Some(_) => Offer::Gap,
        }
    }

    /// Gives out the next event: the live sessions it goes to. Each of them moves on.
    pub fn give_out(&mut self, seq: Seq) -> impl Iterator<Item = Key> {
        debug_assert!(self.head.is_none_or(|head| head + 1 == seq), "sequence_is_gapless");
        self.head = Some(seq);
        self.places.iter_mut().filter(move |p| p.live && p.at + 1 == seq).map(move |place| {
            place.at = seq;
            place.key
        })
    }

    /// Starts a repair: the range to read, unless one is under way or nothing is missing.
    pub fn begin_repair(&mut self) -> Option<(Seq, Seq)> {
        let head = self.head?;
        if self.repairing || self.known <= head {
            return None;
        }
        self.repairing = true;
        Some((head, self.known))
    }

    /// The repair's read ended, well or badly.
    pub fn end_repair(&mut self) {
        self.repairing = false;
    }

    /// A session joins, standing at `at`; not live before [`Feed::advance`].
    pub fn join(&mut self, key: Key, from: Seq, at: Seq) {
        let joined = Place { key, from, at, live: false, catching: false };
        match self.find(key) {
            Ok(index) => self.places[index] = joined,
            Err(index) => {
                grow_gently(&mut self.places);
                self.places.insert(index, joined);
            }
        }
    }

    /// A session leaves.
    pub fn leave(&mut self, key: Key) -> bool {
        self.find(key).map(|index| self.places.remove(index)).is_ok()
    }

    /// Where a session's place is, or would be.
    fn find(&self, key: Key) -> Result<usize, usize> {
        self.places.binary_search_by_key(&key, |place| place.key)
    }

    fn place_mut(&mut self, key: Key) -> Option<&mut Place> {
        let index = self.find(key).ok()?;
        self.places.get_mut(index)
    }

    /// The sessions that are not live, and that nobody is catching up.
    #[must_use]
    pub fn waiting(&self) -> Vec<Key> {
        let waits = |place: &&Place| !place.live && !place.catching;
        self.places.iter().filter(waits).map(|place| place.key).collect()
    }

    /// Somebody will catch a session up. False where that is needless or under way.
    pub fn begin_catch_up(&mut self, key: Key) -> bool {
        let Some(place) = self.place_mut(key) else { return false };
        let begins = !place.live && !place.catching;
        place.catching |= begins;
        begins
    }

    /// Whoever caught a session up stops.
    pub fn end_catch_up(&mut self, key: Key) {
        if let Some(place) = self.place_mut(key) {
            place.catching = false;
        }
    }

    /// A session's place.
    #[must_use]
    pub fn place(&self, key: Key) -> Option<Place> {
        self.places.get(self.find(key).ok()?).copied()
    }

    /// A session that is being caught up got everything up to `at`. None: it is live now, or the
    /// head isn't known yet. Otherwise the range that it still misses.
    pub fn advance(&mut self, key: Key, at: Seq) -> Option<(Seq, Seq)> {
        let head = self.head?;
        let place = self.place_mut(key)?;
        place.at = place.at.max(at);
        // What is given out here may lag behind what the owner told the session: then it is live,
        // and gets nothing before its place.
        place.live = place.at >= head;
        (!place.live).then_some((place.at, head))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Op {
        Push(Seq),
        Lose(Seq),
        Confirm,
        Repair,
        Join(Key, i64),
        CatchUp(Key),
        Leave(Key),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            4 => (1u64..4).prop_map(Op::Push),
            1 => (1u64..4).prop_map(Op::Lose),
            1 => Just(Op::Confirm),
            3 => Just(Op::Repair),
            2 => (0usize..4, -3i64..6).prop_map(|(key, back)| Op::Join(key.into(), back)),
            3 => (0usize..4).prop_map(|key| Op::CatchUp(key.into())),
            1 => (0usize..4).prop_map(|key| Op::Leave(key.into())),
        ]
    }

    /// What each session saw, from where it joined.
    #[derive(Default)]
    struct Seen(HashMap<Key, (Seq, Vec<Seq>)>);

    impl Seen {
        fn see(&mut self, key: Key, seq: Seq) {
            let (at, seen) = self.0.get_mut(&key).expect("joined");
            assert_eq!(seq, *at + 1, "session {key:?} got a hole or a repeat");
            *at = seq;
            seen.push(seq);
        }
    }

    fn give(feed: &mut Feed, seen: &mut Seen, seq: Seq) {
        let keys: Vec<Key> = feed.give_out(seq).collect();
        keys.into_iter().for_each(|key| seen.see(key, seq));
    }

    proptest! {
        /// Whatever is lost, repeated or reordered: each session sees a contiguous piece.
        #[test]
        fn sessions_see_contiguous_pieces(ops in prop::collection::vec(op(), 0..200)) {
            let (mut feed, mut seen, mut newest) = (Feed::default(), Seen::default(), 0);
            feed.confirm(0);
            for op in ops {
                match op {
                    Op::Push(n) => for _ in 0..n {
                        newest += 1;
                        // Every third one comes twice.
                        for _ in 0..(1 + usize::from(newest % 3 == 0)) {
                            if feed.offer(newest) == Offer::Next {
                                give(&mut feed, &mut seen, newest);
                            }
                        }
                    },
                    Op::Lose(n) => newest += n,
                    Op::Confirm => { feed.confirm(newest); }
                    Op::Repair => if let Some((after, until)) = feed.begin_repair() {
                        for seq in after + 1..=until {
                            if feed.offer(seq) == Offer::Next {
                                give(&mut feed, &mut seen, seq);
                            }
                        }
                        feed.end_repair();
                    },
                    Op::Join(key, back) => {
                        // Back from the head, or ahead of it where this thread lags behind.
                        let at = feed.head().unwrap_or(0).saturating_add_signed(-back).min(newest);
                        feed.join(key, 1, at);
                        seen.0.insert(key, (at, Vec::new()));
                        feed.advance(key, at);
                    }
                    Op::CatchUp(key) => {
                        let at = feed.place(key).map(|place| place.at);
                        if let Some((after, until)) = at.and_then(|at| feed.advance(key, at)) {
                            (after + 1..=until).for_each(|seq| seen.see(key, seq));
                            feed.advance(key, until);
                        }
                    }
                    Op::Leave(key) => { feed.leave(key); seen.0.remove(&key); }
                }
            }
            feed.confirm(newest);
            if let Some((after, until)) = feed.begin_repair() {
                for seq in after + 1..=until { give(&mut feed, &mut seen, seq); }
            }
            prop_assert_eq!(feed.head(), Some(newest));
            for place in feed.places().to_vec() {
                if place.live { prop_assert_eq!(place.at, newest); }
            }
        }
    }
}
