//! A starting session asks the owners of its conversations: what they say of its user, and that
//! the user listens from then on. `subscriptions` keeps their picture true afterwards.

use std::time::Duration;

use harkara_domain::{ConversationId, Entry};
use harkara_engine::Up;
use tokio::sync::oneshot;

use super::{Hub, Key};

/// The owner didn't answer in time, or can't be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the conversation's owner can't be reached")]
pub struct NoOwner;

/// An owner's word on a user's entry: none where they are no member.
pub type EntryAnswer = Result<Option<Entry>, NoOwner>;

impl Hub {
    /// Asks a conversation's owner to let a session's user listen: their entry, or none where
    /// they are no member. The session is not in the feed before [`Hub::follow`].
    pub async fn subscribe(&self, key: Key, conversation: ConversationId) -> EntryAnswer {
        let peer = self.peer(key).ok_or(NoOwner)?;
        let user = peer.user;
        let Ok(_permit) = self.subscribing.acquire().await else { return Err(NoOwner) };
        let (answer, entry) = oneshot::channel();
        {
            let mut state = self.state.borrow_mut();
            state.entries.entry((conversation, user)).or_default().push(answer);
        }
        self.up(Up::Subscribe { conversation, users: vec![user] }).map_err(|_| NoOwner)?;
        let deadline: Duration = self.config.owner_timeout.into();
        let answer = tokio::time::timeout(deadline, entry).await.ok().and_then(Result::ok);
        // Named by somebody of another tenant: that conversation isn't theirs to see.
        answer.ok_or(NoOwner).map(|entry| entry.filter(|entry| entry.tenant == peer.tenant))
    }

    /// The same, asked again for as long as the session lives and the owner is silent.
    pub(crate) async fn entry_patiently(
        &self,
        key: Key,
        conversation: ConversationId,
    ) -> Option<Entry> {
        loop {
            self.peer(key)?;
            match self.subscribe(key, conversation).await {
                Ok(entry) => return entry,
                Err(NoOwner) => tokio::time::sleep(Duration::from_millis(250)).await,
            }
        }
    }
}
