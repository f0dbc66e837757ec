//! Questions to owners with an answer each, and outcomes that somebody waits for.

use std::time::Duration;

use harkara_domain::{ClientId, ConversationId, DeviceId, Seq, UserId};
use harkara_engine::{
    Up,
    link::{Answer, Outcome},
};
use tokio::sync::oneshot;

use super::{Hub, entries::NoOwner};

impl Hub {
    async fn ask(&self, up: impl FnOnce(u64) -> Up) -> Result<Answer, NoOwner> {
        let (sender, answer) = oneshot::channel();
        let request = {
            let mut state = self.state.borrow_mut();
            state.requests += 1;
            let request = state.requests;
            state.answers.insert(request, sender);
            request
        };
        self.up(up(request)).map_err(|_| NoOwner)?;
        let deadline: Duration = self.config.owner_timeout.into();
        match tokio::time::timeout(deadline, answer).await {
            Ok(Ok(Answer::Unavailable)) | Ok(Err(_)) | Err(_) => Err(NoOwner),
            Ok(Ok(answer)) => Ok(answer),
        }
    }

    pub(super) fn answered(&self, request: u64, answer: &Answer) {
        if let Some(asker) = self.state.borrow_mut().answers.remove(&request) {
            let _ = asker.send(answer.clone());
        }
    }

    /// Asks for a user's entry as it is now.
    pub async fn ask_entry(
        &self,
        conversation: ConversationId,
        user: UserId,
    ) -> Result<Answer, NoOwner> {
        self.ask(|request| Up::Entry { request, conversation, user }).await
    }

    /// Asks for a page of members.
    pub async fn ask_members(
        &self,
        conversation: ConversationId,
        user: UserId,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Answer, NoOwner> {
        self.ask(|request| Up::Members { request, conversation, user, after, limit }).await
    }

    /// Asks to move a read cursor.
    pub async fn ask_advance(
        &self,
        conversation: ConversationId,
        user: UserId,
        seq: Seq,
    ) -> Result<Answer, NoOwner> {
        self.ask(|request| Up::Advance { request, conversation, user, seq }).await
    }

    /// Tells that somebody is typing; nobody minds if that gets lost.
    pub fn tell_typing(&self, conversation: ConversationId, user: UserId, active: bool) {
        let _ = self.up(Up::Typing { conversation, user, active });
    }

    /// The outcome of a record that is about to be appended. Call it before appending.
    #[must_use]
    pub fn expect_outcome(
        &self,
        conversation: ConversationId,
        device: DeviceId,
        client_id: ClientId,
    ) -> oneshot::Receiver<Outcome> {
        let (sender, outcome) = oneshot::channel();
        let mut state = self.state.borrow_mut();
        state.outcomes.entry((conversation, device, client_id)).or_default().push(sender);
        outcome
    }
}
