//! The handle: sends, requests and status. Cheap to clone; the task behind it lives until the
//! last handle is dropped or [`Client::close`] is called.

mod requests;

use std::sync::Arc;

use harkara_domain::{ClientId, ConversationId, Seq};
use harkara_protocol::client::Call;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    chance::Chance,
    content::Content,
    error::{CallError, SendError, Stopped},
    options::Options,
    task::{COMMANDS_MAX, Command, Task},
    update::Me,
    updates::{Progress, Updates},
};

pub use self::requests::{Page, Range};

/// Where the client stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// No session yet, or no longer; the client is at it.
    Connecting,
    /// In session.
    Live,
    /// For good.
    Stopped(Stopped),
}

/// Where the client stands, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The connection.
    pub phase: Phase,
    /// Who this client is, once a server has said it.
    pub me: Option<Me>,
    /// Sends without an outcome.
    pub unsettled: usize,
}

/// A user's client on one device.
#[derive(Clone)]
pub struct Client {
    commands: mpsc::Sender<Command>,
    status: watch::Receiver<Status>,
    chance: Arc<dyn Chance>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("status", &*self.status.borrow()).finish_non_exhaustive()
    }
}

impl Client {
    /// Starts a client; it connects in the background and goes on trying until it is closed or a
    /// server refuses it for good ([`crate::Update::Stopped`]).
    ///
    /// Must be called on a tokio runtime.
    #[must_use]
    pub fn connect(options: Options) -> (Self, Updates) {
        let (commands, command_queue) = mpsc::channel(COMMANDS_MAX);
        let (updates, update_queue) = mpsc::channel(options.tuning.updates_max.max(1));
        let first = Status { phase: Phase::Connecting, me: None, unsettled: 0 };
        let (status, status_watch) = watch::channel(first);
        let progress = Arc::new(Progress::default());
        let tracked = options.journal.blocks().then(|| Arc::clone(&progress));
        let chance = Arc::clone(&options.chance);
        let task = Task::new(options, command_queue, updates, progress, status);
        tokio::spawn(task.run());
        let client = Self { commands, status: status_watch, chance };
        (client, Updates::new(update_queue, tracked))
    }

    /// Takes a message and sees it through: re-sends it until it has its one outcome, which
    /// arrives as [`crate::Update::Outcome`]. Returns when the journal has it.
    ///
    /// # Errors
    /// When it was not taken.
    pub async fn send(
        &self,
        conversation: ConversationId,
        content: Content,
        reply_to: Option<Seq>,
    ) -> Result<ClientId, SendError> {
        let client_id = self.new_id();
        self.send_as(client_id, conversation, content, reply_to).await
    }

    /// [`Self::send`] with a client id of the caller's: repeating one is recognized.
    ///
    /// # Errors
    /// When it was not taken.
    pub async fn send_as(
        &self,
        client_id: ClientId,
        conversation: ConversationId,
        content: Content,
        reply_to: Option<Seq>,
    ) -> Result<ClientId, SendError> {
        let (done, result) = oneshot::channel();
        let command = Command::Send { conversation, client_id, content, reply_to, done };
        if self.commands.send(command).await.is_err() {
            return Err(self.stopped().into());
        }
        result.await.unwrap_or_else(|_| Err(self.stopped().into()))
    }

    /// A new id for a request.
    #[must_use]
    pub fn new_id(&self) -> ClientId {
        self.chance.client_id()
    }

    /// Makes a request and waits for its result, across reconnects if need be and to the deadline
    /// in [`crate::Tuning::call_ms_max`]. Requests that change something carry a client id, so
    /// that repeating them is safe; `typing.set` is never repeated.
    ///
    /// # Errors
    /// See [`CallError`]. `session.start` and `message.send` are not for here.
    pub async fn call(&self, call: Call) -> Result<Box<RawValue>, CallError> {
        if matches!(call, Call::SessionStart(_) | Call::MessageSend(_)) {
            return Err(CallError::NotHere(call.method()));
        }
        let (done, result) = oneshot::channel();
        if self.commands.send(Command::Call { call, done }).await.is_err() {
            return Err(self.stopped().into());
        }
        result.await.unwrap_or_else(|_| Err(self.stopped().into()))
    }

    async fn ask<T: DeserializeOwned>(&self, call: Call) -> Result<T, CallError> {
        let result = self.call(call).await?;
        serde_json::from_str(result.get()).map_err(|e| CallError::BadAnswer(e.to_string()))
    }

    /// Where the client stands now.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// Waits until a session is live.
    ///
    /// # Errors
    /// When the client has stopped instead.
    pub async fn live(&self) -> Result<Me, Stopped> {
        self.wait(|status| status.phase == Phase::Live && status.me.is_some()).await?;
        self.status().me.ok_or(Stopped::Closed)
    }

    /// Waits until every send has its outcome.
    ///
    /// # Errors
    /// When the client has stopped instead.
    pub async fn settled(&self) -> Result<(), Stopped> {
        self.wait(|status| status.unsettled == 0).await
    }

    async fn wait(&self, done: impl Fn(&Status) -> bool) -> Result<(), Stopped> {
        let mut watch = self.status.clone();
        let reached = |status: &Status| matches!(status.phase, Phase::Stopped(_)) || done(status);
        let Ok(status) = watch.wait_for(reached).await else { return Err(Stopped::Closed) };
        match &status.phase {
            Phase::Stopped(stopped) => Err(stopped.clone()),
            _ => Ok(()),
        }
    }

    /// Closes the connection and ends the client; what has no outcome stays in the journal.
    pub async fn close(&self) {
        if self.commands.send(Command::Close).await.is_ok() {
            // The task drops its end when it has ended.
            let mut watch = self.status.clone();
            while watch.changed().await.is_ok() {}
        }
    }

    fn stopped(&self) -> Stopped {
        match &self.status.borrow().phase {
            Phase::Stopped(stopped) => stopped.clone(),
            _ => Stopped::Closed,
        }
    }
}
