//! What the requests of one session share. Lives as long as the session's last request.

use std::{
    cell::{Cell, OnceCell, RefCell},
    collections::HashMap,
    rc::Rc,
};

use harkara_domain::{ConversationId, Entry, Seq};
use harkara_engine::link::Answer;
use harkara_protocol::{
    client::{ErrorWord, RequestId, RpcError},
    json,
};
use serde::Serialize;
use tokio::sync::Semaphore;

use super::fence::Fences;
use crate::{
    auth::KeyMark,
    gateway::Gateway,
    hub::Key,
    load::Stage,
    peer::Peer,
    transport::{SocketHandle, frames::encode_text_frame},
};

/// One answer to a client.
pub type Reply<T> = Result<T, RpcError>;

/// How long a client should wait before it tries again what was `unavailable`.
const RETRY_MS: u64 = 500;

/// What the requests of one session share.
pub struct Open {
    pub gateway: Rc<Gateway>,
    pub socket: SocketHandle,
    /// There once the session is authenticated.
    pub live: OnceCell<Live>,
    /// When the last typing notice went out, per conversation.
    pub typing: RefCell<HashMap<ConversationId, u64>>,
    /// Where a send was refused and those behind it are, too.
    pub fences: Fences,
    /// One page of history at a time: pages are the largest thing a session can ask for.
    pub reads: Semaphore,
    /// When the token's time is over.
    pub expires_at_ms: Cell<u64>,
    /// Which key signed it.
    pub signed_by: Cell<Option<KeyMark>>,
}

/// With the counts of its `Rc` 192 bytes; the next size of the allocator is 224. So for [`Peer`].
const _: () = assert!(size_of::<Open>() <= 176 && size_of::<Peer>() <= 176);

/// The part of a session that is somebody's.
pub struct Live {
    pub peer: Rc<Peer>,
    pub key: Key,
    pub inbox: ConversationId,
}

impl Open {
    /// The authenticated part.
    pub fn live(&self) -> Reply<&Live> {
        let nobody = || RpcError::word(ErrorWord::Unauthenticated, "start the session first");
        self.live.get().ok_or_else(nobody)
    }

    /// Answers a request.
    pub fn reply<T: Serialize>(&self, id: &RequestId, reply: Reply<T>) {
        match reply {
            Ok(result) => {
                self.socket.send(encode_text_frame(&json::encode_result(id, &result)));
            }
            Err(error) => self.refuse(Some(id), &error),
        }
    }

    /// Answers with an error.
    pub fn refuse(&self, id: Option<&RequestId>, error: &RpcError) {
        self.gateway.metrics.refused(error_name(error));
        self.socket.send(encode_text_frame(&json::encode_error(id, error)));
    }

    /// Refuses a send. Where it may be sent again, what is behind it is kept behind it: the ping
    /// goes first, so that whoever has seen the answer has seen that, too.
    pub fn refuse_send(&self, id: &RequestId, conversation: ConversationId, error: &RpcError) {
        let retry = error.data.as_ref().filter(|data| data.retryable);
        if let (Some(data), Some(word)) = (retry, error.error_word()) {
            let now = self.gateway.clock.elapsed_ns();
            let pause = data.retry_after_ms.unwrap_or(RETRY_MS);
            let mark = self.fences.raise(conversation, word, pause, now);
            self.socket.ping(&mark);
        }
        self.refuse(Some(id), error);
    }

    /// Refuses what is given up under load.
    pub fn spare(&self, what: Stage) -> Reply<()> {
        let gateway = &self.gateway;
        if !gateway.hub.load.gives_up(what, gateway.clock.elapsed_ns()) {
            return Ok(());
        }
        Err(overloaded(RETRY_MS + gateway.entropy.below(RETRY_MS)))
    }

    /// What the owner confirmed of a conversation to this session, or confirms now: the first
    /// sequence that may be seen, and the head. Only members get it (S4). The owner is asked where
    /// what is known here doesn't reach `needed`: another session may have been told of more, and
    /// what anybody was told can be read by everybody.
    pub async fn access(&self, conversation: ConversationId, needed: Seq) -> Reply<(Seq, Seq)> {
        let live = self.live()?;
        let hub = &self.gateway.hub;
        let known = hub.access(live.key, conversation).filter(|(_, head)| *head >= needed);
        if let Some(known) = known {
            return Ok(known);
        }
        let entry = self.entry(conversation).await?;
        Ok((entry.from, entry.head))
    }

    /// The user's entry, as the owner sees it now.
    pub async fn entry(&self, conversation: ConversationId) -> Reply<Entry> {
        let live = self.live()?;
        match self.gateway.hub.ask_entry(conversation, live.peer.user).await {
            Ok(Answer::Entry(entry)) if entry.tenant == live.peer.tenant => Ok(entry),
            Ok(_) => Err(no_such_conversation()),
            Err(_) => Err(unavailable("the conversation's owner can't be reached")),
        }
    }
}

/// Exactly the same for what isn't there and for what isn't yours.
pub fn no_such_conversation() -> RpcError {
    RpcError::word(ErrorWord::NotFound, "no such conversation")
}

/// Not now; try again.
pub fn unavailable(why: &str) -> RpcError {
    let message = format!("{why}: try again");
    RpcError::word(ErrorWord::Unavailable, message).retry_after_ms(RETRY_MS)
}

/// Too much is asked of this server: later.
pub fn overloaded(retry_after_ms: u64) -> RpcError {
    let message =
        format!("the server has more to do than it can: try again in {retry_after_ms} ms");
    RpcError::word(ErrorWord::Unavailable, message).retry_after_ms(retry_after_ms)
}

/// `limit` as a number from 1 to `most`; absent means `most`.
pub fn limit(limit: Option<i64>, most: usize) -> Reply<usize> {
    match limit.map(usize::try_from) {
        None => Ok(most),
        Some(Ok(n)) if n > 0 => Ok(n.min(most)),
        Some(_) => Err(RpcError::params("params.limit: must be at least 1")),
    }
}

fn error_name(error: &RpcError) -> &'static str {
    match error.error_word() {
        Some(word) => word.word(),
        None if error.code == harkara_protocol::client::rpc::PARSE_ERROR => "parse_error",
        None if error.code == harkara_protocol::client::rpc::METHOD_NOT_FOUND => "method_not_found",
        None if error.code == harkara_protocol::client::rpc::INVALID_PARAMS => "invalid_params",
        None => "invalid_request",
    }
}
