//! Step 7 of the message path: who listens to which conversation, and one push per endpoint
//! (architecture D7). The partition actor is its only caller; the link does the sending.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use harkara_domain::{ConversationId, Epoch, Partition, UserId};
use harkara_engine::{Down, EndpointId, Lease, WorkerLink, link::What};
use harkara_service_runtime::sabotage::{Rule, is_broken};

#[derive(Debug)]
struct Listener {
    endpoint: EndpointId,
    users: Vec<UserId>,
}

/// The listeners of one partition's conversations and inboxes. About 16 bytes per user and
/// conversation, and 40 per endpoint and conversation.
pub struct Delivery {
    partition: Partition,
    epoch: Epoch,
    lease: Arc<dyn Lease>,
    /// Something was not said for want of a lease: listeners must be made to ask again.
    silenced: Arc<AtomicBool>,
    link: Arc<dyn WorkerLink>,
    listeners: HashMap<ConversationId, Vec<Listener>>,
}

impl Delivery {
    /// Nobody listens yet.
    #[must_use]
    pub fn new(
        partition: Partition,
        epoch: Epoch,
        lease: Arc<dyn Lease>,
        silenced: Arc<AtomicBool>,
        link: Arc<dyn WorkerLink>,
    ) -> Self {
        Self { partition, epoch, lease, silenced, link, listeners: HashMap::new() }
    }

    /// The partition was claimed once more.
    pub fn claimed(&mut self, epoch: Epoch) {
        self.epoch = self.epoch.max(epoch);
    }

    /// Does this worker still speak for the partition?
    #[must_use]
    pub fn speaks(&self) -> bool {
        self.lease.holds()
    }

    /// A user of an endpoint listens from now on.
    pub fn subscribe(&mut self, conversation: ConversationId, from: EndpointId, user: UserId) {
        let listeners = self.listeners.entry(conversation).or_default();
        match listeners.iter_mut().find(|l| l.endpoint == from) {
            Some(listener) if listener.users.contains(&user) => {}
            Some(listener) => {
                // Most conversations have few listeners, and there are many conversations.
                if listener.users.len() == listener.users.capacity() {
                    listener.users.reserve_exact(1 + listener.users.len() / 8);
                }
                listener.users.push(user);
            }
            None => {
                listeners.reserve_exact(1);
                listeners.push(Listener { endpoint: from, users: vec![user] });
            }
        }
    }

    /// Users of an endpoint no longer listen; all of them where none is named.
    pub fn unsubscribe(
        &mut self,
        conversation: ConversationId,
        from: EndpointId,
        users: &[UserId],
    ) {
        if users.is_empty() {
            self.drop_listeners(conversation, |listener| listener.endpoint == from);
        } else {
            self.remove(conversation, users, |endpoint| endpoint == from);
        }
    }

    /// Users listen nowhere any more: they are no members.
    pub fn expel(&mut self, conversation: ConversationId, users: &[UserId]) {
        self.remove(conversation, users, |_| true);
    }

    fn remove(
        &mut self,
        conversation: ConversationId,
        users: &[UserId],
        at: impl Fn(EndpointId) -> bool,
    ) {
        let Some(listeners) = self.listeners.get_mut(&conversation) else { return };
        for listener in listeners.iter_mut().filter(|l| at(l.endpoint)) {
            listener.users.retain(|user| !users.contains(user));
        }
        self.drop_listeners(conversation, |listener| listener.users.is_empty());
    }

    fn drop_listeners(&mut self, conversation: ConversationId, drop: impl Fn(&Listener) -> bool) {
        let Some(listeners) = self.listeners.get_mut(&conversation) else { return };
        listeners.retain(|listener| !drop(listener));
        if listeners.is_empty() {
            self.listeners.remove(&conversation);
        }
    }

    /// Tells everybody who listens.
    pub fn publish(&mut self, conversation: ConversationId, what: What) {
        let Some(listeners) = self.listeners.get(&conversation) else { return };
        let to: Vec<EndpointId> = listeners.iter().map(|l| l.endpoint).collect();
        self.push(&to, conversation, what);
    }

    /// Tells one endpoint.
    pub fn tell(&mut self, to: EndpointId, conversation: ConversationId, what: What) {
        self.push(&[to], conversation, what);
    }

    /// Says nothing while the lease does not hold (soundness S5): somebody else may own the
    /// partition. If nobody does, a new claim makes everybody who listens ask again.
    fn push(&mut self, to: &[EndpointId], conversation: ConversationId, what: What) {
        if !self.lease.holds() && !is_broken(Rule::HearAnybody) {
            self.silenced.store(true, Ordering::Release);
            return;
        }
        let (partition, epoch) = (self.partition, self.epoch);
        let gone = self.link.push(to, Arc::new(Down { partition, epoch, conversation, what }));
        // Records of a former life name endpoints that never listened here: nothing to forget.
        let listened = to.len() > 1 || self.listeners.contains_key(&conversation);
        if !gone.is_empty() && listened {
            self.listeners.retain(|_, listeners| {
                listeners.retain(|l| !gone.contains(&l.endpoint));
                !listeners.is_empty()
            });
        }
    }
}
