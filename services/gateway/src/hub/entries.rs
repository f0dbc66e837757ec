//! A starting session asks the owners of its conversations: what they say of its user, and that
//! the user listens from then on. `subscriptions` keeps their picture true afterwards.

use std::time::Duration;

use harkara_domain::{ConversationId, Entry, UserId};
use harkara_engine::Up;
use tokio::sync::oneshot;

use super::{Hub, Key};

/// The owner didn't answer in time, or can't be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the conversation's owner can't be reached")]
pub struct NoOwner;

/// An owner's word on a user's entry: none where they are no member.
pub type EntryAnswer = Result<Option<Entry>, NoOwner>;

/// Owners that one session asks at one time: an eighth of [`super::SUBSCRIBING_MAX`], so that
/// sessions with long lists do not shut out the others.
const SUBSCRIBING_EACH: usize = super::SUBSCRIBING_MAX / 8;

impl Hub {
    /// Asks a conversation's owner to let a session's user listen: their entry, or none where
    /// they are no member. The session is not in the feed before [`Hub::follow`].
    pub async fn subscribe(
        &self,
        key: Key,
        conversation: ConversationId,
    ) -> Result<Option<Entry>, NoOwner> {
        self.subscribe_all(key, &[conversation]).await.pop().unwrap_or(Err(NoOwner))
    }

    /// The same of many owners at once: an answer for each conversation, in their order.
    pub async fn subscribe_all(&self, key: Key, wanted: &[ConversationId]) -> Vec<EntryAnswer> {
        let mut answers = Vec::with_capacity(wanted.len());
        for some in wanted.chunks(SUBSCRIBING_EACH) {
            answers.extend(self.subscribe_some(key, some).await);
        }
        answers
    }

    /// One deadline for all, and one answer awaited at a time: those that come meanwhile wake
    /// nobody.
    async fn subscribe_some(&self, key: Key, wanted: &[ConversationId]) -> Vec<EntryAnswer> {
        // All permits at once: two sessions that each wait for the other's would wait for good.
        let many = u32::try_from(wanted.len()).unwrap_or(u32::MAX);
        let permits = self.subscribing.acquire_many(many).await;
        let (Ok(_permits), Some(peer)) = (permits, self.peer(key)) else {
            return vec![Err(NoOwner); wanted.len()];
        };
        let ask = |conversation: &ConversationId| self.ask_to_listen(*conversation, peer.user);
        let mut asked: Vec<_> = wanted.iter().map(ask).collect();
        let mut answers = Vec::with_capacity(wanted.len());
        let all = async {
            for answer in &mut asked {
                answers.push(match answer {
                    Ok(entry) => entry.await.map_err(|_| NoOwner),
                    Err(NoOwner) => Err(NoOwner),
                });
            }
        };
        if tokio::time::timeout(self.config.owner_timeout.into(), all).await.is_err() {
            // Others may have answered while one of them was silent.
            let late = asked.iter_mut().skip(answers.len()).map(|answer| match answer {
                Ok(entry) => entry.try_recv().map_err(|_| NoOwner),
                Err(NoOwner) => Err(NoOwner),
            });
            answers.extend(late);
        }
        // Named by somebody of another tenant: that conversation isn't theirs to see.
        let own = |entry: &Entry| entry.tenant == peer.tenant;
        answers.into_iter().map(|answer| answer.map(|entry| entry.filter(own))).collect()
    }

    fn ask_to_listen(
        &self,
        conversation: ConversationId,
        user: UserId,
    ) -> Result<oneshot::Receiver<Option<Entry>>, NoOwner> {
        let (answer, entry) = oneshot::channel();
        {
            let mut state = self.state.borrow_mut();
            state.entries.entry((conversation, user)).or_default().push(answer);
        }
        self.up(Up::Subscribe { conversation, users: vec![user] }).map_err(|_| NoOwner)?;
        Ok(entry)
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
