//! The handle of a client: what `replay` holds. The work is done by one task per client
//! (`super::worker`), which lives until [`Client::close`] or until the handle is dropped.

use std::{collections::HashMap, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use super::{
    metrics::{Counters, Metrics},
    outbox::{Done, Job, Refusal, Settled},
    token::Account,
    worker,
};
use crate::{
    ids::Id,
    journal::{Journal, Line, What},
    times,
};

/// Requests on their way to the client's task. Whoever asks for more waits.
const QUEUE: usize = 64;

/// What all clients of a run share.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where their lives are written.
    pub journal: Journal,
    /// What they count.
    pub metrics: Arc<Metrics>,
    /// Sessions get their number from here.
    pub sessions: Arc<std::sync::atomic::AtomicU32>,
    /// How long a client waits for a server that doesn't come back.
    pub patience: Duration,
    /// The name of every device.
    pub device: String,
    /// Where a client goes, one after the other, when it lost its gateway; to the same one again
    /// if there are none.
    pub gateways: Vec<String>,
}

/// Who a client is.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Its number in the journal.
    pub number: u32,
    /// The user's name.
    pub name: String,
    /// The user, the device and the token.
    pub account: Account,
    /// `ws://host:port` of its gateway.
    pub url: String,
}

/// Per conversation the newest sequence up to which a device has everything.
pub type Cursors = HashMap<Id, u64>;

/// What the client's task is asked to do.
#[derive(Debug)]
pub(super) enum Ask {
    Job(Job),
    /// Tell when everything up to this sequence has arrived.
    Reach(Id, u64, oneshot::Sender<()>),
    Close(oneshot::Sender<Cursors>),
}

/// A running client.
#[derive(Debug)]
pub struct Client {
    /// Who it is.
    pub identity: Identity,
    journal: Journal,
    metrics: Arc<Metrics>,
    asks: mpsc::Sender<Ask>,
    task: JoinHandle<()>,
}

impl Client {
    /// Starts a client that connects by itself. With `cursors` it resumes, without them every
    /// conversation starts live at its head.
    #[must_use]
    pub fn start(settings: &Settings, identity: Identity, cursors: Cursors) -> Self {
        let (asks, rx) = mpsc::channel(QUEUE);
        let worker = worker::Worker::new(settings.clone(), identity.clone(), cursors);
        let task = tokio::spawn(worker.run(rx));
        let (journal, metrics) = (settings.journal.clone(), settings.metrics.clone());
        Self { identity, journal, metrics, asks, task }
    }

    /// Sends a message; the receiver gets its outcome.
    pub async fn send(
        &self,
        conversation: Id,
        content: Value,
        reply_to: Option<u64>,
    ) -> oneshot::Receiver<Settled> {
        Counters::add(&self.metrics.count.intended);
        let (done, outcome) = oneshot::channel();
        let mut params = json!({"conversation": conversation, "content": content});
        if let Some(seq) = reply_to {
            params["reply_to"] = seq.into();
        }
        let intent = Intent { what: What::Send, n: Some(conversation), users: Vec::new() };
        self.intend("message.send", params, intent, Done::Send(done)).await;
        outcome
    }

    /// Asks for a change of a conversation or its members, and waits for the answer.
    ///
    /// # Errors
    /// What the server said, or that nobody knows.
    pub async fn change(
        &self,
        method: &'static str,
        params: Value,
        intent: Intent,
    ) -> Result<Value, Refusal> {
        let (done, answer) = oneshot::channel();
        self.intend(method, params, intent, Done::Call(done)).await;
        parse(answer.await)
    }

    /// Asks without changing anything. The text of the result is given as it came.
    ///
    /// # Errors
    /// What the server said, or that nobody knows.
    pub async fn ask(&self, method: &'static str, params: Value) -> Result<Box<str>, Refusal> {
        let (done, answer) = oneshot::channel();
        self.put(Ask::Job(Job::new(method, params, None, Done::Call(done), times::now()))).await;
        answer.await.unwrap_or(Err(Refusal::GivenUp))
    }

    /// Waits until everything up to `seq` has arrived. False if the client ended before.
    pub async fn reached(&self, conversation: Id, seq: u64) -> bool {
        let (done, reached) = oneshot::channel();
        self.put(Ask::Reach(conversation, seq, done)).await;
        reached.await.is_ok()
    }

    /// Ends the session, in order. What has no outcome yet is given up. The cursors tell where to
    /// resume.
    pub async fn close(self) -> Cursors {
        let (done, closed) = oneshot::channel();
        self.put(Ask::Close(done)).await;
        let cursors = closed.await.unwrap_or_default();
        // A panic of the task has been reported by the runtime.
        let _ = self.task.await;
        cursors
    }

    async fn intend(&self, method: &'static str, mut params: Value, intent: Intent, done: Done) {
        let client_id = times::new_id();
        params["client_id"] = json!(client_id);
        let line = Line::Intent {
            c: self.identity.number,
            i: client_id,
            n: intent.n,
            what: intent.what,
            content: params.get("content").cloned(),
            reply_to: params.get("reply_to").and_then(Value::as_u64),
            users: intent.users,
        };
        self.journal.line(line).await;
        self.put(Ask::Job(Job::new(method, params, Some(client_id), done, times::now()))).await;
    }

    async fn put(&self, ask: Ask) {
        // A client that has ended drops the question, which its asker notices.
        let _ = self.asks.send(ask).await;
    }
}

/// What the journal keeps of a request.
#[derive(Debug, Clone)]
pub struct Intent {
    /// What it asks for.
    pub what: What,
    /// In which conversation, once there is one.
    pub n: Option<Id>,
    /// For or against whom.
    pub users: Vec<Id>,
}

fn parse(
    answer: Result<Result<Box<str>, Refusal>, oneshot::error::RecvError>,
) -> Result<Value, Refusal> {
    let text = answer.unwrap_or(Err(Refusal::GivenUp))?;
    serde_json::from_str(&text)
        .map_err(|e| Refusal::Failed("strange answer".to_owned(), e.to_string()))
}
