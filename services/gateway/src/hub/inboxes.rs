//! Watching users' inboxes, whose owners tell of conversations that come into a list (ADR 3). An
//! inbox has no sequence, so nothing shows that news were missed: a list counts as whole when it
//! was read after the inbox's owner had confirmed that this thread listens.

use std::{rc::Rc, time::Duration};

use harkara_domain::{ConversationId, Membership};
use harkara_engine::Up;
use tokio::sync::oneshot;

use super::{Hub, Key, News, feed::grow_gently};
use crate::peer::Peer;

/// How long a starting session waits for its inbox's owner before it reads its list. Usually that
/// takes as long as the link does; while a partition changes hands it takes seconds, and then the
/// list is read twice.
const CONFIRM: Duration = Duration::from_millis(200);

/// Between two tries of a store that failed.
const REREAD_PAUSE: Duration = Duration::from_millis(500);

/// An inbox whose owner has not confirmed yet that this thread listens.
#[derive(Debug, Default)]
pub(super) struct Unheard {
    starting: Vec<oneshot::Sender<()>>,
    /// Lists were read in the meantime.
    stale: bool,
}

impl Hub {
    /// Listens to the user's inbox, and returns when the list can be read: news that come after
    /// that are told, now or after it was read once more.
    pub async fn watch_inbox(&self, key: Key, inbox: ConversationId) {
        let Some(peer) = self.peer(key) else { return };
        let (confirm, confirmed) = oneshot::channel();
        {
            let mut state = self.state.borrow_mut();
            let keys = state.inboxes.entry(inbox).or_default();
            // A session whose start was refused starts again.
            if !keys.contains(&key) {
                grow_gently(keys);
                keys.push(key);
            }
            let unheard = state.unheard.entry(inbox).or_default();
            unheard.starting.retain(|other| !other.is_closed());
            unheard.starting.push(confirm);
        }
        self.up_surely(Up::SubscribeInbox { conversation: inbox, user: peer.user });
        if tokio::time::timeout(CONFIRM, confirmed).await.is_err()
            && let Some(unheard) = self.state.borrow_mut().unheard.get_mut(&inbox)
        {
            unheard.stale = true;
        }
    }

    /// Is it an inbox whose owner confirms that this thread listens?
    pub(super) fn inbox_confirmed(self: &Rc<Self>, inbox: ConversationId) -> bool {
        let (unheard, keys) = {
            let mut state = self.state.borrow_mut();
            let Some(keys) = state.inboxes.get(&inbox).cloned() else { return false };
            (state.unheard.remove(&inbox).unwrap_or_default(), keys)
        };
        for starting in unheard.starting {
            let _ = starting.send(());
        }
        if unheard.stale {
            keys.into_iter().for_each(|key| self.reread(key));
        }
        true
    }

    /// News may have been lost: lists are read again as soon as their inboxes' owners confirm.
    pub(super) fn doubt_inboxes(&self) {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        for inbox in state.inboxes.keys() {
            state.unheard.entry(*inbox).or_default().stale = true;
        }
    }

    fn reread(self: &Rc<Self>, key: Key) {
        // Where it is being read already, it is read once more.
        if self.state.borrow_mut().rereading.insert(key, true).is_none() {
            actix_rt::spawn(Rc::clone(self).reread_list(key));
        }
    }

    /// Looks for conversations that came into a session's list while its news were lost. Those
    /// that left it are told by the owner's answer.
    async fn reread_list(self: Rc<Self>, key: Key) {
        let again = |hub: &Self| {
            let mut state = hub.state.borrow_mut();
            state.rereading.get_mut(&key).is_some_and(std::mem::take)
        };
        while again(&self) {
            let mut after = None;
            while let Some(peer) = self.peer(key) {
                let Some(page) = self.list_page(&peer, after).await else { continue };
                for row in &page {
                    if !self.knows(key, row.conversation) {
                        let (conversation, cause) = (row.conversation, row.cause);
                        self.news(key, News { conversation, cause, present: true });
                    }
                }
                if page.len() < self.config.conversations_per_page_max {
                    break;
                }
                after = page.last().map(|row| row.conversation);
            }
        }
        self.state.borrow_mut().rereading.remove(&key);
    }

    /// None where the store could not be read, after a pause.
    async fn list_page(
        &self,
        peer: &Peer,
        after: Option<ConversationId>,
    ) -> Option<Vec<Membership>> {
        let most = self.config.conversations_per_page_max;
        let page = {
            let _permit = self.catch_ups.acquire().await;
            self.store.memberships(peer.tenant, peer.user, after, most).await
        };
        match page {
            Ok(page) => Some(page),
            Err(error) => {
                tracing::warn!(user = %peer.user, %error, "list not read, will be done again");
                tokio::time::sleep(REREAD_PAUSE).await;
                None
            }
        }
    }
}
