//! The sessions of one thread by small keys. A key is never given twice, so whoever kept one over
//! an `await` finds its session or nobody, and never another one.

use std::{collections::HashMap, rc::Rc};

use harkara_domain::{ConversationId, DeviceId};
use slab::Slab;

use super::{News, feed::grow_gently};
use crate::peer::Peer;

/// A session's place in its hub: an index with the number of its use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    index: u32,
    used: u32,
}

#[cfg(test)]
impl From<usize> for Key {
    fn from(index: usize) -> Self {
        Self { index: u32::try_from(index).unwrap_or(u32::MAX), used: 0 }
    }
}

/// A session of this thread, with what it is subscribed to.
pub(super) struct Local {
    pub(super) peer: Rc<Peer>,
    pub(super) conversations: Vec<ConversationId>,
    /// Conversations that the session knows and whose owner was silent when it started: they are
    /// taken up where the client is, once the owner speaks.
    pub(super) resolving: Vec<ConversationId>,
    /// News of the list that came before the answer to `session.start`; none after it.
    pub(super) early: Option<Vec<News>>,
    used: u32,
}

/// All sessions of the thread.
#[derive(Default)]
pub(super) struct Sessions {
    slab: Slab<Local>,
    devices: HashMap<DeviceId, Vec<Key>>,
    used: u32,
}

impl Sessions {
    pub(super) fn insert(&mut self, peer: Rc<Peer>) -> Key {
        self.used = self.used.wrapping_add(1);
        let (device, used) = (peer.device, self.used);
        let early = Some(Vec::new());
        let index = self.slab.insert(Local {
            peer,
            conversations: Vec::new(),
            resolving: Vec::new(),
            early,
            used,
        });
        // More than four billion sessions don't fit into a process.
        let key = Key { index: u32::try_from(index).unwrap_or(u32::MAX), used };
        let keys = self.devices.entry(device).or_default();
        grow_gently(keys);
        keys.push(key);
        key
    }

    pub(super) fn get(&self, key: Key) -> Option<&Local> {
        self.slab.get(key.index as usize).filter(|local| local.used == key.used)
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut Local> {
        self.slab.get_mut(key.index as usize).filter(|local| local.used == key.used)
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<Local> {
        let device = self.get(key)?.peer.device;
        if let Some(keys) = self.devices.get_mut(&device) {
            keys.retain(|other| *other != key);
            if keys.is_empty() {
                self.devices.remove(&device);
            }
        }
        self.slab.try_remove(key.index as usize)
    }

    /// The sessions of a device; one, as a rule.
    pub(super) fn of_device(&self, device: DeviceId) -> Vec<Rc<Peer>> {
        let keys = self.devices.get(&device).map_or(&[][..], Vec::as_slice);
        keys.iter().filter_map(|key| Some(Rc::clone(&self.get(*key)?.peer))).collect()
    }

    /// Every session with its key.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Key, &Local)> {
        let key =
            |index: usize, used| Key { index: u32::try_from(index).unwrap_or(u32::MAX), used };
        self.slab.iter().map(move |(index, local)| (key(index, local.used), local))
    }
}
