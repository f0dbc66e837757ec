//! A server on port 0 with an echoing session, in a thread of its own; stops when dropped.

use std::{
    net::{SocketAddr, TcpListener},
    num::NonZeroUsize,
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use actix::{Actor, ActorContext as _, AsyncContext as _, StreamHandler};
use actix_web::{HttpResponse, web};
use harkara_gateway::{
    http::{ServerConfig, serve},
    transport::{
        Inbound, Refusal, Sent, Sessions, SocketHandle, Upgrade, WebsocketContext,
        frames::{encode_binary_frame, encode_text_frame},
    },
};
use harkara_service_runtime::clock::SystemClock;
use secrecy::ExposeSecret as _;
use tokio::sync::oneshot;

use crate::tls_files;

/// What tests see of the sessions.
#[derive(Default)]
pub struct Probe {
    pub ticks: AtomicUsize,
    pub queued_highest: AtomicUsize,
    pub stopped: AtomicUsize,
    pub events: Mutex<Vec<String>>,
}

impl Probe {
    fn note(&self, event: impl Into<String>) {
        self.events.lock().unwrap().push(event.into());
    }

    pub fn events(&self) -> Vec<String> {
        self.events.lock().unwrap().clone()
    }
}

pub struct Fixture {
    pub address: SocketAddr,
    pub probe: Arc<Probe>,
    control: Option<oneshot::Sender<()>>,
    drain: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// One worker, defaults otherwise; with TLS where the test wants it.
pub fn config() -> ServerConfig {
    let tls = tls_files::is_on().then(tls_files::server);
    ServerConfig { workers: NonZeroUsize::MIN, tls, ..ServerConfig::default() }
}

pub fn start() -> Fixture {
    start_with(config())
}

pub fn start_with(config: ServerConfig) -> Fixture {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let probe = Arc::new(Probe::default());
    let (control, stopped) = oneshot::channel();
    let (drain, drained) = oneshot::channel::<()>();
    let seen = Arc::clone(&probe);
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let factory = {
                let seen = Arc::clone(&seen);
                move || Echoes { probe: Arc::clone(&seen), thread: std::thread::current().id() }
            };
            let clock = SystemClock::shared();
            let server = serve(listener, config, clock, factory, rest).await.unwrap();
            assert_eq!(server.address(), address);
            if drained.await.is_ok() {
                server.refuse_sessions();
                seen.note(format!("draining with {}", server.sessions()));
                server.drained().await;
                seen.note("drained");
            }
            let _ = stopped.await;
            server.stop().await.unwrap();
        });
    });
    Fixture { address, probe, control: Some(control), drain: Some(drain), thread: Some(thread) }
}

fn rest(routes: &mut web::ServiceConfig) {
    routes.route("/hello", web::get().to(|| async { HttpResponse::Ok().body("hello") }));
}

impl Fixture {
    /// Refuses new sessions and notes when the last one is gone.
    pub fn drain(&mut self) {
        self.drain.take().unwrap().send(()).unwrap();
    }

    /// Polls until `done`, at most 10 s.
    pub fn until(&self, what: &str, mut done: impl FnMut(&Probe) -> bool) {
        let clock = SystemClock::shared();
        let end = clock.elapsed_ns() + 10_000_000_000;
        while !done(&self.probe) {
            assert!(clock.elapsed_ns() < end, "{what} not within 10 s: {:?}", self.probe.events());
            std::thread::park_timeout(Duration::from_millis(2));
        }
    }

    pub fn until_stopped(&self, sessions: usize) {
        self.until("stopped", |probe| probe.stopped.load(Ordering::SeqCst) >= sessions);
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        drop(self.drain.take());
        drop(self.control.take());
        let ended = self.thread.take().unwrap().join();
        if !std::thread::panicking() {
            ended.unwrap();
        }
    }
}

struct Echoes {
    probe: Arc<Probe>,
    thread: std::thread::ThreadId,
}

impl Sessions for Echoes {
    type Grant = Rc<str>;
    type Actor = Echo;

    fn admit(&self, upgrade: &Upgrade) -> Result<Rc<str>, Refusal> {
        assert_eq!(self.thread, std::thread::current().id(), "made on the thread that uses it");
        match upgrade.bearer.as_ref().map(|token| token.expose_secret()) {
            Some("bad") => Err(Refusal::unauthenticated("token is not valid")),
            Some("foreign") => Err(Refusal::forbidden("not yours")),
            Some("busy") => Err(Refusal::unavailable("later", Duration::from_secs(3))),
            token => Ok(token.unwrap_or("none").into()),
        }
    }

    fn start(&self, upgrade: Upgrade, grant: Rc<str>, socket: SocketHandle) -> Echo {
        match upgrade.peer {
            near if near.ip().is_loopback() => self.probe.note(format!("start {grant}")),
            far => self.probe.note(format!("start {grant} from {far}")),
        }
        Echo { probe: Arc::clone(&self.probe), socket, limit: usize::MAX }
    }
}

/// Echoes, and does what `!`-commands say.
struct Echo {
    probe: Arc<Probe>,
    socket: SocketHandle,
    /// Resets itself above this.
    limit: usize,
}

impl Actor for Echo {
    type Context = WebsocketContext<Self>;

    fn stopped(&mut self, _: &mut Self::Context) {
        self.probe.stopped.fetch_add(1, Ordering::SeqCst);
    }
}

harkara_gateway::frames_come_decoded!(Echo);

impl StreamHandler<Inbound> for Echo {
    fn handle(&mut self, inbound: Inbound, context: &mut Self::Context) {
        match inbound {
            Inbound::Text(text) => self.command(&text, context),
            Inbound::Binary(bytes) => {
                self.socket.send(encode_binary_frame(&bytes));
            }
            Inbound::Drained => self.probe.note("drained"),
            Inbound::Ping(payload) => self.probe.note(format!("ping {}", payload.len())),
            Inbound::Pong(payload) => self.probe.note(format!("pong {}", payload.len())),
            Inbound::Closed(reason) => self.probe.note(format!("closed {reason:?}")),
            Inbound::Violation { code, why } => self.probe.note(format!("violation {code} {why}")),
        }
    }
}

impl Echo {
    fn command(&mut self, text: &str, context: &mut WebsocketContext<Self>) {
        match text.split_once(' ').unwrap_or((text, "")) {
            ("!close", reason) => {
                self.socket.close(4000, reason);
                assert_eq!(self.socket.send(encode_text_frame(b"too late")), Sent::Closed);
                assert_eq!(self.socket.closing(), Some(4000));
            }
            ("!ping", payload) => {
                self.socket.ping(payload.as_bytes());
            }
            ("!stop", _) => context.stop(),
            ("!panic", _) => panic!("asked to"),
            ("!pause", milliseconds) => {
                self.socket.pause_reading();
                let after = Duration::from_millis(milliseconds.parse().unwrap());
                context.run_later(after, |this, _| {
                    this.probe.note("resumed");
                    this.socket.resume_reading();
                });
            }
            ("!fill", frames) => {
                for _ in 0..frames.parse().unwrap() {
                    self.socket.send(encode_text_frame(&[b'f'; 1024]));
                }
                self.socket.notify_below(0);
            }
            // Sends 16 KiB every millisecond whether or not the client reads.
            ("!flood", limit) => {
                self.limit = limit.parse().unwrap();
                context.run_interval(Duration::from_millis(1), Self::tick);
            }
            _ => {
                self.socket.send(encode_text_frame(text.as_bytes()));
            }
        }
    }

    fn tick(&mut self, _: &mut WebsocketContext<Self>) {
        self.probe.ticks.fetch_add(1, Ordering::SeqCst);
        if self.socket.send(encode_text_frame(&[b'f'; 16 * 1024])) == Sent::Overflow {
            self.probe.note("overflow");
        }
        let queued = self.socket.queued_bytes();
        self.probe.queued_highest.fetch_max(queued, Ordering::SeqCst);
        if queued > self.limit {
            self.probe.note("reset");
            self.socket.reset();
        }
    }
}
