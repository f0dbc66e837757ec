//! The stream of updates, and the note of what its reader has handled.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use harkara_domain::{ConversationId, Seq};
use tokio::sync::mpsc;

use crate::update::Update;

/// What the reader of [`Updates`] has handled and the journal doesn't know yet.
#[derive(Debug, Default)]
pub(crate) struct Progress(Mutex<Handled>);

#[derive(Debug, Default)]
struct Handled {
    cursors: BTreeMap<ConversationId, Seq>,
    events: u64,
}

impl Progress {
    /// The cursors that moved since the last time, and how many events were handled in all.
    pub(crate) fn take(&self) -> (BTreeMap<ConversationId, Seq>, u64) {
        let mut handled = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (std::mem::take(&mut handled.cursors), handled.events)
    }

    fn note(&self, step: Step) {
        let mut handled = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        handled.events += u64::from(step.event);
        handled.cursors.insert(step.conversation, step.seq);
    }
}

/// Where an update leaves its conversation once it is handled.
#[derive(Debug, Clone, Copy)]
struct Step {
    conversation: ConversationId,
    seq: Seq,
    event: bool,
}

impl Step {
    fn of(update: &Update) -> Option<Self> {
        match update {
            Update::Event(event) => {
                Some(Self { conversation: event.conversation, seq: event.seq, event: true })
            }
            Update::Reset { conversation, from } => {
                let seq = from.saturating_sub(1);
                Some(Self { conversation: *conversation, seq, event: false })
            }
            _ => None,
        }
    }
}

/// What the server tells and what becomes of sends, in the order to show it.
///
/// An event counts as handled when the next update is asked for: with a journal on disk, a later
/// process goes on behind the last handled event. A reader that does not keep up makes the client
/// stop reading its socket, so read on while waiting for the result of a request.
#[derive(Debug)]
pub struct Updates {
    updates: mpsc::Receiver<Update>,
    progress: Option<Arc<Progress>>,
    handing: Option<Step>,
}

impl Updates {
    pub(crate) fn new(updates: mpsc::Receiver<Update>, progress: Option<Arc<Progress>>) -> Self {
        Self { updates, progress, handing: None }
    }

    /// The next update; `None` after [`Update::Stopped`]. Nothing is lost when the future is
    /// dropped before it is ready.
    pub async fn next(&mut self) -> Option<Update> {
        self.settle();
        let update = self.updates.recv().await?;
        self.handing = Step::of(&update);
        Some(update)
    }

    /// The next update, if it is here already.
    pub fn try_next(&mut self) -> Option<Update> {
        self.settle();
        let update = self.updates.try_recv().ok()?;
        self.handing = Step::of(&update);
        Some(update)
    }

    fn settle(&mut self) {
        if let (Some(progress), Some(step)) = (&self.progress, self.handing.take()) {
            progress.note(step);
        }
    }
}
