//! The thin shell around the state machine: the one task that owns the connection, the timers and
//! the journal. `Client` sends it commands, `Updates` takes what it tells.
//!
//! Danger: it must never wait for the client's user while somebody waits for an answer of it. So
//! updates pile up here to a limit, beyond which the socket is not read; commands always are.

mod socket;

use std::{
    collections::{HashMap, VecDeque},
    future::Future,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use futures_util::StreamExt;
use harkara_domain::{ClientId, ConversationId, Seq};
use harkara_protocol::client::Call;
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_tungstenite::tungstenite::{self, Message};

use self::socket::{Connection, Dialed};
use crate::{
    address::Address,
    chance::Chance,
    client::{Phase, Status},
    content::Content,
    error::{CallError, SendError, Stopped},
    journal::{Draft, Entry, Journal},
    options::{Options, TokenSource, Tuning},
    session::{Effect, Ended, Machine},
    update::{Update, Why},
    updates::Progress,
};

/// Commands that wait for the task.
pub(crate) const COMMANDS_MAX: usize = 256;

/// How often handled events are written down, milliseconds.
const CURSOR_PAUSE_MS: u64 = 200;

/// What `Client` asks for.
pub(crate) enum Command {
    Send {
        conversation: ConversationId,
        client_id: ClientId,
        content: Content,
        reply_to: Option<Seq>,
        done: oneshot::Sender<Result<ClientId, SendError>>,
    },
    Call {
        call: Call,
        done: oneshot::Sender<Result<Box<RawValue>, CallError>>,
    },
    Close,
}

type Dialing = Pin<Box<dyn Future<Output = Dialed> + Send>>;

/// What the task waits for.
enum Happening {
    Command(Option<Command>),
    Dialed(Dialed),
    Frame(Option<Result<Message, tungstenite::Error>>),
    Moved,
    Time,
}

pub(crate) struct Task {
    machine: Machine,
    address: Result<Address, Stopped>,
    source: TokenSource,
    tuning: Tuning,
    chance: Arc<dyn Chance>,
    token: Option<String>,
    commands: mpsc::Receiver<Command>,
    dialing: Option<Dialing>,
    connection: Option<Connection>,
    outgoing: VecDeque<Message>,
    updates: mpsc::Sender<Update>,
    pending: VecDeque<Update>,
    replies: HashMap<u64, oneshot::Sender<Result<Box<RawValue>, CallError>>>,
    tickets: u64,
    journal: Option<Box<dyn Journal>>,
    notes: Vec<Entry>,
    progress: Arc<Progress>,
    events_told: u64,
    cursors_due: Option<u64>,
    status: watch::Sender<Status>,
    stopped: Option<Stopped>,
}

impl Task {
    pub(crate) fn new(
        options: Options,
        commands: mpsc::Receiver<Command>,
        updates: mpsc::Sender<Update>,
        progress: Arc<Progress>,
        status: watch::Sender<Status>,
    ) -> Self {
        let mut journal = options.journal;
        let saved = journal.load();
        Self {
            machine: Machine::new(options.tuning, options.start, saved),
            address: Address::parse(&options.url, options.tls.as_ref()),
            source: options.token,
            tuning: options.tuning,
            chance: options.chance,
            token: None,
            commands,
            dialing: None,
            connection: None,
            outgoing: VecDeque::new(),
            updates,
            pending: VecDeque::new(),
            replies: HashMap::new(),
            tickets: 0,
            journal: Some(journal).filter(|journal| journal.blocks()),
            notes: Vec::new(),
            progress,
            events_told: 0,
            cursors_due: None,
            status,
            stopped: None,
        }
    }

    pub(crate) async fn run(mut self) {
        self.machine.tick(self.now());
        loop {
            self.apply();
            self.write_notes().await;
            self.tell_status();
            if self.stopped.is_some() {
                break;
            }
            let happening = self.next().await;
            self.handle(happening).await;
        }
        self.finish().await;
    }

    fn now(&self) -> u64 {
        self.chance.elapsed_ms()
    }

    async fn next(&mut self) -> Happening {
        let now = self.now();
        let wake = self.machine.wake_at(now).min(self.cursors_due.unwrap_or(u64::MAX));
        // A day is as good as never, and sleep() takes it.
        let pause = Duration::from_millis(wake.saturating_sub(now).min(86_400_000));
        let room = self.pending.len() < self.tuning.updates_max;
        let (reader, writer) = match &mut self.connection {
            Some(connection) => (Some(&mut connection.reader), Some(&connection.writer)),
            None => (None, None),
        };
        tokio::select! {
            command = self.commands.recv() => Happening::Command(command),
            dialed = maybe(self.dialing.as_mut()) => Happening::Dialed(dialed),
            frame = maybe(reader.map(StreamExt::next)), if room => Happening::Frame(frame),
            Ok(permit) = maybe(writer.map(mpsc::Sender::reserve)), if !self.outgoing.is_empty() => {
                if let Some(frame) = self.outgoing.pop_front() {
                    permit.send(frame);
                }
                Happening::Moved
            }
            permit = self.updates.reserve(), if !self.pending.is_empty() => {
                match (permit, self.pending.pop_front()) {
                    (Ok(permit), Some(update)) => permit.send(update),
                    // Nobody listens: updates are dropped, sends and calls go on.
                    _ => self.pending.clear(),
                }
                Happening::Moved
            }
            () = tokio::time::sleep(pause) => Happening::Time,
        }
    }

    async fn handle(&mut self, happening: Happening) {
        let now = self.now();
        match happening {
            Happening::Command(Some(command)) => self.commanded(now, command).await,
            Happening::Command(None) => self.machine.stop(Stopped::Closed),
            Happening::Dialed(dialed) => self.dialed(now, dialed),
            Happening::Frame(frame) => self.frame(now, frame),
            Happening::Moved => {}
            Happening::Time => {
                if self.pending.len() >= self.tuning.updates_max {
                    // Not reading, we can't tell that the server is silent.
                    self.machine.heard(now);
                }
                self.machine.tick(now);
                self.note_cursors(now);
            }
        }
    }

    fn dialed(&mut self, now: u64, dialed: Dialed) {
        self.dialing = None;
        self.token = dialed.token;
        match dialed.result {
            Ok(connection) => {
                self.connection = Some(connection);
                self.machine.opened(now);
            }
            Err(failure) => self.machine.failed(now, failure, self.chance.roll()),
        }
    }

    fn frame(&mut self, now: u64, frame: Option<Result<Message, tungstenite::Error>>) {
        let why = match frame {
            Some(Ok(Message::Text(text))) => return self.machine.frame(now, &text),
            Some(Ok(Message::Close(frame))) => {
                if let Some(connection) = self.connection.take() {
                    connection.answer_close();
                }
                let (code, reason) = frame
                    .map_or((1005, String::new()), |f| (u16::from(f.code), f.reason.to_string()));
                Why::Closed { code, reason }
            }
            Some(Ok(_)) => return self.machine.heard(now),
            Some(Err(error)) => Why::Lost(error.to_string()),
            None => Why::Lost("the connection ended without a word".to_owned()),
        };
        self.disconnected(now, why);
    }

    fn disconnected(&mut self, now: u64, why: Why) {
        self.connection = None;
        self.outgoing.clear();
        self.machine.closed(now, Ended(why), self.chance.roll());
    }

    async fn commanded(&mut self, now: u64, command: Command) {
        match command {
            Command::Close => self.machine.stop(Stopped::Closed),
            Command::Call { call, done } => {
                self.tickets += 1;
                self.replies.insert(self.tickets, done);
                self.machine.call(now, self.tickets, call);
            }
            Command::Send { conversation, client_id, content, reply_to, done } => {
                let floor = self.machine.floor(conversation);
                let draft = Draft { conversation, client_id, content, reply_to, floor };
                let taken = self.take(now, draft).await;
                drop(done.send(taken.map(|()| client_id)));
            }
        }
    }

    /// Takes a send when the journal has it.
    async fn take(&mut self, now: u64, draft: Draft) -> Result<(), SendError> {
        if self.machine.may_send(&draft)? {
            self.write_notes().await;
            self.append(vec![Entry::Taken(draft.clone())]).await?;
            self.machine.send(now, draft);
        }
        Ok(())
    }

    fn apply(&mut self) {
        loop {
            let effects = self.machine.take_effects();
            if effects.is_empty() {
                return;
            }
            effects.into_iter().for_each(|effect| self.apply_one(effect));
        }
    }

    fn apply_one(&mut self, effect: Effect) {
        match effect {
            Effect::Connect { fresh_token } => self.dial(fresh_token),
            Effect::Transmit(text) => self.outgoing.push_back(Message::text(text)),
            Effect::Ping => self.outgoing.push_back(Message::Ping(bytes::Bytes::new())),
            Effect::Disconnect => self.disconnected(self.now(), Why::Silent),
            Effect::Reply { ticket, result } => {
                if let Some(done) = self.replies.remove(&ticket) {
                    drop(done.send(result));
                }
            }
            Effect::Note(entry) => self.notes.push(entry),
            Effect::Stop(stopped) => self.stopped = Some(stopped),
            Effect::Update(update) => {
                if matches!(update, Update::Event(_)) && self.journal.is_some() {
                    self.events_told += 1;
                    let due = self.now() + CURSOR_PAUSE_MS;
                    self.cursors_due.get_or_insert(due);
                }
                self.pending.push_back(update);
            }
        }
    }

    fn dial(&mut self, fresh_token: bool) {
        let address = match &self.address {
            Ok(address) => address.clone(),
            Err(stopped) => return self.machine.stop(stopped.clone()),
        };
        let cached = self.token.clone().filter(|_| !fresh_token);
        let time_max = Duration::from_millis(self.tuning.connect_ms_max);
        self.dialing = Some(Box::pin(socket::dial(address, self.source.clone(), cached, time_max)));
    }

    /// Writes down which events the user has handled since the last time.
    fn note_cursors(&mut self, now: u64) {
        if self.cursors_due.is_none_or(|due| due > now) {
            return;
        }
        let (cursors, handled) = self.progress.take();
        let entries = cursors.into_iter().map(|(id, seq)| Entry::Handled(id, seq));
        self.notes.extend(entries);
        self.cursors_due = (handled < self.events_told).then_some(now + CURSOR_PAUSE_MS);
    }

    async fn write_notes(&mut self) {
        let notes = std::mem::take(&mut self.notes);
        if notes.is_empty() {
            return;
        }
        if let Err(error) = self.append(notes).await {
            // The worst that follows is a repeat in the next run, which the server recognizes.
            tracing::warn!(%error, "the journal can't be written, going on without");
        }
    }

    async fn append(&mut self, entries: Vec<Entry>) -> std::io::Result<()> {
        let Some(mut journal) = self.journal.take() else { return Ok(()) };
        let write = move || {
            let result = journal.append(&entries);
            (journal, result)
        };
        match tokio::task::spawn_blocking(write).await {
            Ok((journal, result)) => {
                self.journal = Some(journal);
                result
            }
            Err(error) => Err(std::io::Error::other(error)),
        }
    }

    fn tell_status(&self) {
        let phase = match (&self.stopped, self.machine.is_live()) {
            (Some(stopped), _) => Phase::Stopped(stopped.clone()),
            (None, true) => Phase::Live,
            (None, false) => Phase::Connecting,
        };
        let now = Status { phase, me: self.machine.me, unsettled: self.machine.outbox.len() };
        self.status.send_if_modified(|status| {
            let changed = *status != now;
            *status = now;
            changed
        });
    }

    async fn finish(mut self) {
        self.replies.clear();
        if let Some(connection) = self.connection.take() {
            connection.close().await;
        }
        while let Some(update) = self.pending.pop_front() {
            if self.updates.send(update).await.is_err() {
                break;
            }
        }
        self.cursors_due = self.cursors_due.map(|_| 0);
        self.note_cursors(self.now());
        self.write_notes().await;
    }
}

/// Waits for a future that may not be there: then for ever.
async fn maybe<F: Future>(future: Option<F>) -> F::Output {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}
