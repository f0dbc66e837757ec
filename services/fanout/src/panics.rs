//! A bug ends what it is about and nothing else. A panic ends its partition's actor, with all that
//! it had in memory; the partition is read again from its last commit, which changes nothing for
//! what was done. [`crate::worker`] keeps one [`Panics`] and asks it how to go on.
//!
//! A record that panics again and again can't be skipped: it was accepted, and neither its event nor
//! its refusal may be made up, since another build would decide otherwise (soundness S1, S11). So
//! its conversation is set aside: its records are read and left undone, the commit stays in front of
//! them, and the partition's other conversations go on. A build without the bug, or a restart,
//! reads it again. Where nobody knows whose panic it was, the partition stops.

use std::{
    cell::Cell,
    collections::{HashMap, HashSet},
    future::poll_fn,
    pin::pin,
    rc::Rc,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use harkara_domain::{ConversationId, Partition};

/// Panics of one conversation, or of nobody in particular, until it is given up: one may be chance,
/// three at the same place are a record.
const TRIES: u32 = 3;

/// A partition that went well for so long begins to count anew.
const QUIET: Duration = Duration::from_secs(60);

/// Conversations set aside in one partition before all of it stops: this is no odd record.
const ASIDE_MAX: usize = 1_000;

/// What an actor is working at. Left behind by a panic.
#[derive(Debug, Clone, Default)]
pub struct AtWork(Rc<Cell<Option<ConversationId>>>);

impl AtWork {
    /// What comes is about this conversation.
    pub fn begin(&self, conversation: ConversationId) {
        self.0.set(Some(conversation));
    }

    /// It went well.
    pub fn end(&self) {
        self.0.set(None);
    }

    /// Whose the panic was.
    #[must_use]
    pub fn left(&self) -> Option<ConversationId> {
        self.0.get()
    }

    /// Work that waits in between, about one conversation.
    pub async fn at<T>(self, conversation: ConversationId, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|context| {
            self.begin(conversation);
            let polled = work.as_mut().poll(context);
            self.end();
            polled
        })
        .await
    }
}

/// How to go on with a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Read it again, without these conversations.
    Again(Arc<HashSet<ConversationId>>),
    /// Leave it.
    Stop,
}

#[derive(Debug, Default)]
struct Trouble {
    counts: HashMap<Option<ConversationId>, u32>,
    aside: Arc<HashSet<ConversationId>>,
    stop: bool,
}

/// The panics of a worker's partitions, since each is its.
#[derive(Debug, Clone, Default)]
pub struct Panics(Arc<Mutex<HashMap<Partition, Trouble>>>);

impl Panics {
    fn lock(&self) -> MutexGuard<'_, HashMap<Partition, Trouble>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How to begin with a partition.
    #[must_use]
    pub fn verdict(&self, partition: Partition) -> Verdict {
        match self.lock().get(&partition) {
            None => Verdict::Again(Arc::default()),
            Some(trouble) if trouble.stop => Verdict::Stop,
            Some(trouble) => Verdict::Again(Arc::clone(&trouble.aside)),
        }
    }

    /// The partition panicked at a conversation, after it had gone well for a while.
    pub fn panicked(&self, partition: Partition, at: Option<ConversationId>, well: Duration) {
        let mut all = self.lock();
        let trouble = all.entry(partition).or_default();
        if well >= QUIET {
            trouble.counts.clear();
        }
        let count = trouble.counts.entry(at).or_default();
        *count += 1;
        let conversation = at.map(tracing::field::display);
        if *count < TRIES {
            tracing::error!(
                %partition, conversation, count,
                "a panic ended this partition's work: it is read again"
            );
            return;
        }
        let Some(at) = at.filter(|_| trouble.aside.len() < ASIDE_MAX) else {
            trouble.stop = true;
            tracing::error!(
                %partition, conversation, count,
                "partition stopped: it panics each time it is read; upgrade this worker"
            );
            return;
        };
        Arc::make_mut(&mut trouble.aside).insert(at);
        tracing::error!(
            %partition, conversation, count,
            "conversation set aside: it panics each time it is read; its records wait in the log, \
             upgrade this worker before the log forgets them"
        );
    }

    /// The partition is somebody else's.
    pub fn forget(&self, partition: Partition) {
        self.lock().remove(&partition);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Partition = Partition(1);

    fn conversation(n: u8) -> ConversationId {
        ConversationId::from_bytes([n; 16])
    }

    fn aside(panics: &Panics) -> Option<usize> {
        match panics.verdict(ONE) {
            Verdict::Again(aside) => Some(aside.len()),
            Verdict::Stop => None,
        }
    }

    #[test]
    fn who_panics_again_and_again_is_set_aside() {
        let panics = Panics::default();
        for (panics_of, well, expected) in [
            (1, 0, 0),
            (1, 0, 0),
            (2, 0, 0),
            // Chance, and long ago.
            (1, 61, 0),
            (1, 0, 0),
            (1, 0, 1),
            (2, 0, 1),
            (2, 0, 1),
            (2, 0, 2),
        ] {
            panics.panicked(ONE, Some(conversation(panics_of)), Duration::from_secs(well));
            assert_eq!(aside(&panics), Some(expected), "{panics_of}");
        }
        assert_eq!(panics.verdict(Partition(2)), Verdict::Again(Arc::default()));
        panics.forget(ONE);
        assert_eq!(aside(&panics), Some(0), "another owner tries again");
    }

    #[test]
    fn a_panic_of_nobody_stops_the_partition_in_the_end() {
        let panics = Panics::default();
        for expected in [Some(0), Some(0), None] {
            panics.panicked(ONE, None, Duration::ZERO);
            assert_eq!(aside(&panics), expected);
        }
        let panics = Panics::default();
        for n in 0..=ASIDE_MAX {
            let id = ConversationId::from_bytes((n as u128).to_be_bytes());
            (0..TRIES).for_each(|_| panics.panicked(ONE, Some(id), Duration::ZERO));
        }
        assert_eq!(panics.verdict(ONE), Verdict::Stop, "too many");
    }
}
