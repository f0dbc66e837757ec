//! A starting session asks the owners of its conversations: what they say of its user, and that
//! the user listens from then on. `subscriptions` keeps their picture true afterwards.

use std::time::Duration;

use harkara_domain::{ConversationId, Entry, Seq};
use harkara_engine::Up;
use tokio::sync::oneshot;

use super::{Hub, Key};

/// Before an owner is asked again that was silent, or could not be reached.
const SILENT: Duration = Duration::from_millis(250);

/// Before an owner is asked again whose word came from before what it is asked about.
const OUTDATED: Duration = Duration::from_millis(100);

/// The owner didn't answer in time, or can't be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the conversation's owner can't be reached")]
pub struct NoOwner;

/// An owner's word on a user's entry: none where they are no member.
pub type EntryAnswer = Result<Option<Entry>, NoOwner>;

/// What an owner said, and how far the conversation was then: of two questions that are under way,
/// the answer to the first one is taken for both.
#[derive(Debug, Clone)]
pub(super) struct Word {
    pub(super) head: Seq,
    pub(super) entry: Option<Entry>,
}

impl Hub {
    /// Asks a conversation's owner to let a session's user listen: their entry, or none where
    /// they are no member. The session is not in the feed before [`Hub::follow`].
    pub async fn subscribe(&self, key: Key, conversation: ConversationId) -> EntryAnswer {
        self.word(key, conversation).await.map(|word| word.entry)
    }

    async fn word(&self, key: Key, conversation: ConversationId) -> Result<Word, NoOwner> {
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
        let own = |entry: &Entry| entry.tenant == peer.tenant;
        answer.ok_or(NoOwner).map(|word| Word { entry: word.entry.filter(own), ..word })
    }

    /// The same, asked again for as long as the session lives and the owner is silent.
    pub(crate) async fn entry_patiently(
        &self,
        key: Key,
        conversation: ConversationId,
    ) -> Option<Entry> {
        self.entry_since(key, conversation, 0).await
    }

    /// The same, and a word from before the event with this sequence does not count.
    pub(super) async fn entry_since(
        &self,
        key: Key,
        conversation: ConversationId,
        cause: Seq,
    ) -> Option<Entry> {
        loop {
            self.peer(key)?;
            match self.word(key, conversation).await {
                Ok(word) if word.entry.is_some() || word.head >= cause => return word.entry,
                Ok(_) => tokio::time::sleep(OUTDATED).await,
                Err(NoOwner) => tokio::time::sleep(SILENT).await,
            }
        }
    }
}
