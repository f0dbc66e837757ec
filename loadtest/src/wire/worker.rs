//! The task behind a client: connects, resumes, sends what the outbox has, reads what comes,
//! writes all of it into the journal, and starts again when the connection ends.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::tungstenite::Message;

use super::{
    client::{Ask, Cursors, Identity, Settings},
    connect::{self, Failure, Socket},
    frame::{self, Incoming},
    metrics::Counters,
    outbox::{Effect, Outbox},
    token,
};
use crate::{
    journal::{Entry, Line},
    times,
};

mod events;
mod resume;

/// How often delayed and overdue requests are looked at.
const TICK: Duration = Duration::from_millis(100);

/// Requests without an answer that this client keeps at most, whatever the server allows.
const IN_FLIGHT: usize = 16;

/// Sends older than this are not repeated before the client has read up to the head.
const OLD: Duration = Duration::from_secs(60);

/// Longest that an old send is held back for it.
const HOLD: Duration = Duration::from_secs(10);

/// Requests taken from the handle at most; more wait in the channel.
const OUTBOX: usize = 256;

/// Why a session is over.
enum End {
    /// The connection is gone: try again, not before this pause.
    Lost(String, Duration),
    /// The client was asked to close.
    Closed(oneshot::Sender<Cursors>),
    /// Nobody holds the client any more.
    Dropped,
}

/// A conversation that is being caught up by reading.
struct Catching {
    target: u64,
    /// Newest live event meanwhile.
    live: u64,
}

/// See the module.
pub(super) struct Worker {
    settings: Settings,
    identity: Identity,
    outbox: Outbox,
    cursors: Cursors,
    catching: HashMap<crate::ids::Id, Catching>,
    /// Heads to reach before old sends go out again, and until when that is waited for.
    hold: Option<(HashMap<crate::ids::Id, u64>, Instant)>,
    reach: Vec<(crate::ids::Id, u64, oneshot::Sender<()>)>,
    session: u32,
    /// Requests of the worker's own: later pages of the conversation list.
    list_ids: HashSet<u64>,
    open_frames: Vec<String>,
    /// The last time there was a session, for giving up.
    alive: Instant,
}

impl Worker {
    pub(super) fn new(settings: Settings, identity: Identity, cursors: Cursors) -> Self {
        let outbox = Outbox::new(Arc::clone(&settings.metrics));
        Self {
            settings,
            identity,
            outbox,
            cursors,
            catching: HashMap::new(),
            hold: None,
            reach: Vec::new(),
            session: 0,
            list_ids: HashSet::new(),
            open_frames: Vec::new(),
            alive: times::now(),
        }
    }

    pub(super) async fn run(mut self, mut asks: mpsc::Receiver<Ask>) {
        let mut attempt = 0;
        loop {
            let end = match self.connect().await {
                Ok(mut socket) => {
                    let before = times::now();
                    let end = self.session(&mut socket, &mut asks).await;
                    if before.elapsed() > Duration::from_secs(1) {
                        attempt = 0;
                    }
                    let _ = tokio::time::timeout(TICK, socket.close(None)).await;
                    end
                }
                Err(why) => End::Lost(why, Duration::ZERO),
            };
            self.write_end(&end).await;
            match end {
                End::Lost(why, pause) => {
                    if self.alive.elapsed() > self.settings.patience {
                        return self.give_up(&why, asks).await;
                    }
                    Counters::add(&self.settings.metrics.count.reconnects);
                    self.go_elsewhere();
                    tokio::time::sleep(pause.max(times::backoff(attempt))).await;
                    attempt += 1;
                }
                End::Closed(done) => {
                    self.drop_rest().await;
                    drop(done.send(std::mem::take(&mut self.cursors)));
                    return;
                }
                End::Dropped => return self.drop_rest().await,
            }
        }
    }

    /// The next gateway, as a balancer would choose one.
    fn go_elsewhere(&mut self) {
        let gateways = &self.settings.gateways;
        let here = gateways.iter().position(|url| *url == self.identity.url);
        if let Some(next) = here.and_then(|at| gateways.get((at + 1) % gateways.len())) {
            self.identity.url.clone_from(next);
        }
    }

    async fn write_end(&mut self, end: &End) {
        let why = match end {
            End::Lost(why, _) => why.clone(),
            End::Closed(_) => "closed".to_owned(),
            End::Dropped => "dropped".to_owned(),
        };
        if self.session != 0 {
            let (c, s) = (self.identity.number, self.session);
            self.settings.journal.line(Line::Closed { c, s, t: times::wall_ms(), why }).await;
        }
        self.session = 0;
    }

    /// Everything asked for has no known end, now or later.
    async fn give_up(&mut self, why: &str, mut asks: mpsc::Receiver<Ask>) {
        let name = &self.identity.name;
        crate::out::note(format!("{name}: the server stays away, giving up: {why}"));
        self.reach.clear();
        loop {
            self.drop_rest().await;
            match asks.recv().await {
                Some(Ask::Job(job)) => self.outbox.push(job),
                Some(Ask::Reach(..)) => {}
                Some(Ask::Close(done)) => {
                    drop(done.send(std::mem::take(&mut self.cursors)));
                    return;
                }
                None => return,
            }
        }
    }

    async fn drop_rest(&mut self) {
        let c = self.identity.number;
        for i in self.outbox.give_up() {
            self.settings.journal.line(Line::GivenUp { c, i }).await;
        }
    }

    async fn connect(&mut self) -> Result<Socket, String> {
        let url = &self.identity.url;
        match connect::open(url, &self.identity.account.token).await {
            Ok(socket) => Ok(socket),
            Err(Failure::Other(error)) => Err(format!("{error:#}")),
            Err(Failure::Unauthenticated) => {
                self.identity.account =
                    token::fetch(url, &self.identity.name, &self.settings.device)
                        .await
                        .map_err(|e| format!("{e:#}"))?;
                Err("the token had expired".to_owned())
            }
        }
    }

    async fn session(&mut self, socket: &mut Socket, asks: &mut mpsc::Receiver<Ask>) -> End {
        if let Err(why) = self.start(socket).await {
            return End::Lost(why, Duration::ZERO);
        }
        let end = self.talk(socket, asks).await;
        self.alive = times::now(); // patience counts from here
        end
    }

    async fn talk(&mut self, socket: &mut Socket, asks: &mut mpsc::Receiver<Ask>) -> End {
        let mut tick = tokio::time::interval(TICK);
        loop {
            if let Err(why) = self.flush(socket).await {
                return End::Lost(why, Duration::ZERO);
            }
            tokio::select! {
                message = socket.next() => match self.incoming(message).await {
                    Ok(()) => {}
                    Err(end) => return end,
                },
                ask = asks.recv(), if self.outbox.len() < OUTBOX => match ask {
                    Some(Ask::Job(job)) => self.outbox.push(job),
                    Some(Ask::Reach(n, seq, done)) => self.await_seq(n, seq, done),
                    Some(Ask::Close(done)) => return End::Closed(done),
                    None => return End::Dropped,
                },
                _ = tick.tick() => self.outbox.nudge(times::now()),
            }
        }
    }

    /// Sends everything that may go out.
    async fn flush(&mut self, socket: &mut Socket) -> Result<(), String> {
        let now = times::now();
        let pages_only = self.is_holding(now);
        let mut any = false;
        for frame in std::mem::take(&mut self.open_frames) {
            socket.feed(Message::text(frame)).await.map_err(|e| e.to_string())?;
            any = true;
        }
        while let Some((frame, client_id)) = self.outbox.next_frame(now, pages_only) {
            if let Some(i) = client_id {
                let (c, s) = (self.identity.number, self.session);
                self.settings.journal.line(Line::Sent { c, s, i }).await;
            }
            socket.feed(Message::text(frame)).await.map_err(|e| e.to_string())?;
            any = true;
        }
        if any {
            socket.flush().await.map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    async fn incoming(
        &mut self,
        message: Option<Result<Message, tokio_tungstenite::tungstenite::Error>>,
    ) -> Result<(), End> {
        let lost = |why: String| Err(End::Lost(why, Duration::ZERO));
        match message {
            Some(Ok(Message::Text(text))) => match frame::decode(&text) {
                Ok(Incoming::GoAway { reconnect_after_ms }) => {
                    let pause = Duration::from_millis(reconnect_after_ms);
                    Err(End::Lost("the server goes away".to_owned(), pause))
                }
                Ok(incoming) => {
                    self.take(incoming).await;
                    Ok(())
                }
                Err(error) => {
                    Counters::add(&self.settings.metrics.count.strange_frames);
                    crate::out::note(format!("a strange frame: {error}: {text}"));
                    Ok(())
                }
            },
            Some(Ok(Message::Close(frame))) => lost(format!("closed by the server: {frame:?}")),
            Some(Ok(_)) => Ok(()), // the library answers pings
            Some(Err(error)) => lost(error.to_string()),
            None => lost("the connection ended".to_owned()),
        }
    }
}
