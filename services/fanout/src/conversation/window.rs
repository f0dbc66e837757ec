//! The dedup window: the conversation's last requests by device and client id (architecture D3).
//! It is the newest part of the timeline itself, so it outlives workers without being stored twice.

use std::collections::{HashMap, VecDeque};

use harkara_domain::{ClientId, DeviceId, Event, Fingerprint, Seq, limits::WINDOW_SENDS};

type Key = (DeviceId, ClientId);

/// The last [`WINDOW_SENDS`] events' requests. About 120 bytes each: 1 MB where it is full.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Window {
    order: VecDeque<Key>,
    known: HashMap<Key, (Seq, Fingerprint)>,
}

impl Window {
    /// The sequence above which events belong to the window of a conversation with this head.
    #[must_use]
    pub const fn after(head: Seq) -> Seq {
        head.saturating_sub(WINDOW_SENDS as u64)
    }

    /// Takes in the next event.
    pub fn push(&mut self, event: &Event) {
        let key = (event.device, event.client_id);
        self.order.push_back(key);
        self.known.insert(key, (event.seq, event.fingerprint));
        if self.order.len() > WINDOW_SENDS
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    /// The request with this id, if it is remembered.
    #[must_use]
    pub fn find(&self, device: DeviceId, client_id: ClientId) -> Option<(Seq, Fingerprint)> {
        self.known.get(&(device, client_id)).copied()
    }
}
