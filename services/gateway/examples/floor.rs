//! How much the transport costs over the bare sockets below it: deliveries a second and core, and
//! resident bytes a connection, both against a task per socket that writes a ready-made frame.
//!
//! `cargo run --release --example floor [sockets] [rounds]`. Server and readers are two processes
//! (pinned to a core each where `taskset` exists). Everything on the server's side runs on one
//! worker thread, and rates are per second of that thread's processor time, so that a busy machine
//! changes them little. Rounds are interleaved; the ratio is the median of each round's ratio.

#![expect(clippy::unwrap_used, reason = "a measurement that fails has nothing to recover")]
#![expect(clippy::print_stdout, reason = "prints its figures")]

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    io::{IoSlice, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream as StdStream},
    num::NonZeroUsize,
    pin::Pin,
    process::{Child, Command, Stdio},
    rc::Rc,
    sync::{Arc, Mutex},
    task::{Poll, Waker},
    time::Duration,
};

use actix::{Actor, Addr, AsyncContext as _, Handler, Message, StreamHandler};
use bytes::{Buf as _, Bytes};
use harkara_gateway::{
    http::{ServerConfig, serve},
    transport::{
        Inbound, Refusal, Sessions, SocketHandle, SocketOptions, Upgrade, WebsocketContext,
        frames::encode_text_frame,
    },
};
use harkara_service_runtime::clock::SystemClock;
use tokio::{io::AsyncWrite as _, net::TcpStream, sync::oneshot};

const PAYLOAD_BYTES: usize = 200;
/// Frames a socket gets in one round: 8 KiB, which its send buffer takes even while the readers wait
/// for a processor, so that no round spends time on waiting.
const FRAMES_PER_ROUND: usize = 40;
const HANDSHAKE: &[u8] = b"GET /v1/ws HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\n\
    connection: upgrade\r\nsec-websocket-version: 13\r\n\
    sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: harkara.v1.json\r\n\r\n";

#[derive(Message)]
#[rtype(result = "()")]
struct Deliver(Bytes);

/// The smallest session: hands on what it is given.
struct Session {
    hub: Rc<Hub>,
    socket: SocketHandle,
}

impl Actor for Session {
    type Context = WebsocketContext<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        self.hub.sessions.borrow_mut().push((context.address(), self.socket.clone()));
    }
}

impl Handler<Deliver> for Session {
    type Result = ();

    fn handle(&mut self, Deliver(frame): Deliver, _: &mut Self::Context) {
        self.socket.send(frame);
        self.hub.delivered.set(self.hub.delivered.get() + 1);
    }
}

impl StreamHandler<Inbound> for Session {
    fn handle(&mut self, _: Inbound, _: &mut Self::Context) {}
}

harkara_gateway::frames_come_decoded!(Session);

/// All sessions and bare sockets of the one worker thread.
#[derive(Default)]
struct Hub {
    sessions: RefCell<Vec<(Addr<Session>, SocketHandle)>>,
    bare: RefCell<Vec<Rc<Bare>>>,
    delivered: Cell<u64>,
}

struct Local(Rc<Hub>);

impl Sessions for Local {
    type Grant = ();
    type Actor = Session;

    fn admit(&self, _: &Upgrade) -> Result<(), Refusal> {
        Ok(())
    }

    fn start(&self, _: Upgrade, (): (), socket: SocketHandle) -> Session {
        Session { hub: Rc::clone(&self.0), socket }
    }
}

/// What a bare task waits for.
#[derive(Default)]
struct Bare {
    frames: RefCell<Vec<Bytes>>,
    waker: RefCell<Option<Waker>>,
}

impl Bare {
    fn send(&self, frame: Bytes) {
        self.frames.borrow_mut().push(frame);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

async fn bare_task(mut socket: TcpStream, bare: Rc<Bare>) {
    loop {
        let mut frames = poll_fn(|context| {
            if bare.frames.borrow().is_empty() {
                *bare.waker.borrow_mut() = Some(context.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(bare.frames.take())
        })
        .await;
        while !frames.is_empty() {
            let written = poll_fn(|context| {
                let slices: Vec<_> = frames.iter().map(|frame| IoSlice::new(frame)).collect();
                match &slices[..] {
                    [only] => Pin::new(&mut socket).poll_write(context, only),
                    many => Pin::new(&mut socket).poll_write_vectored(context, many),
                }
            });
            let mut written = written.await.unwrap();
            frames.retain_mut(|frame| {
                let step = written.min(frame.len());
                frame.advance(step);
                written -= step;
                !frame.is_empty()
            });
        }
    }
}

#[derive(Clone, Copy)]
enum Way {
    Bare,
    Mailbox,
    Direct,
}

impl Hub {
    /// Broadcasts in waves of `per_wake` frames; gives deliveries per second of processor time.
    async fn round(&self, way: Way, per_wake: usize, frame: &Bytes) -> f64 {
        let waves = FRAMES_PER_ROUND / per_wake;
        let before = processor_ns();
        for _ in 0..waves {
            self.wave(way, per_wake, frame);
            while !self.is_written(way, per_wake) {
                tokio::task::yield_now().await;
            }
        }
        let spent = processor_ns() - before;
        let deliveries = waves * per_wake * self.bare.borrow().len();
        // The readers catch up, so that no round pays for the one before.
        tokio::time::sleep(Duration::from_millis(300)).await;
        deliveries as f64 * 1e9 / spent as f64
    }

    fn wave(&self, way: Way, per_wake: usize, frame: &Bytes) {
        self.delivered.set(0);
        match way {
            Way::Bare => {
                for bare in self.bare.borrow().iter() {
                    (0..per_wake).for_each(|_| bare.send(frame.clone()));
                }
            }
            Way::Mailbox => {
                for (session, _) in self.sessions.borrow().iter() {
                    (0..per_wake).for_each(|_| session.try_send(Deliver(frame.clone())).unwrap());
                }
            }
            Way::Direct => {
                for (_, socket) in self.sessions.borrow().iter() {
                    for _ in 0..per_wake {
                        socket.send(frame.clone());
                    }
                }
            }
        }
    }

    /// Whether the last wave is out. Tasks run in the order they were woken: the last one tells.
    fn is_written(&self, way: Way, per_wake: usize) -> bool {
        match way {
            Way::Bare => {
                self.bare.borrow().last().is_none_or(|bare| bare.frames.borrow().is_empty())
            }
            Way::Mailbox => {
                self.delivered.get() == (self.sessions.borrow().len() * per_wake) as u64
            }
            Way::Direct => {
                let sessions = self.sessions.borrow();
                sessions.last().is_none_or(|(_, socket)| socket.queued_bytes() == 0)
            }
        }
    }
}

/// Runs on the worker thread: fills it with connections, then measures.
async fn measure(hub: Rc<Hub>, clients: SocketAddr, sockets: usize, rounds: usize) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut readers = spawn_readers(listener.local_addr().unwrap(), clients, sockets);
    let options = SocketOptions::default();
    let start = resident_bytes();
    for _ in 0..sockets {
        let (socket, _) = listener.accept().await.unwrap();
        options.apply(&socket);
        let bare = Rc::new(Bare::default());
        hub.bare.borrow_mut().push(Rc::clone(&bare));
        actix_rt::spawn(bare_task(socket, bare));
    }
    let filled = resident_bytes();
    while hub.sessions.borrow().len() < sockets {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (bare, session) = (filled - start, resident_bytes() - filled);
    println!("{sockets} connections each, {PAYLOAD_BYTES} bytes a message, {rounds} rounds");
    println!("resident bytes idle: bare {}, session {}", bare / sockets, session / sockets);

    let frame = encode_text_frame(&[b'x'; PAYLOAD_BYTES]);
    for per_wake in [1, 8] {
        let mut figures = Vec::new();
        for round in 0..=rounds {
            let bare = hub.round(Way::Bare, per_wake, &frame).await;
            let mailbox = hub.round(Way::Mailbox, per_wake, &frame).await;
            let direct = hub.round(Way::Direct, per_wake, &frame).await;
            // The first round warms up.
            if round > 0 {
                figures.push([bare, mailbox, direct, mailbox / bare, direct / bare]);
            }
        }
        let [bare, mailbox, direct, first, second] =
            [0, 1, 2, 3, 4].map(|at| median(figures.iter().map(|figure| figure[at]).collect()));
        println!(
            "{per_wake} a wake: bare {bare:.0}/s/core, by mailbox {mailbox:.0} ({first:.2}), \
             direct {direct:.0} ({second:.2})"
        );
    }
    let after = resident_bytes().saturating_sub(start);
    println!("resident bytes after traffic: bare and session together {}", after / sockets);
    readers.kill().unwrap();
    readers.wait().unwrap();
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn processor_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

fn resident_bytes() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// This program on one core, if that can be said.
fn pinned(core: &str, arguments: &[String]) -> Command {
    let program = std::env::current_exe().unwrap();
    let found = Command::new("taskset").arg("-V").stdout(Stdio::null()).status();
    let mut command = if found.is_ok_and(|status| status.success()) {
        let mut command = Command::new("taskset");
        command.args(["-c", core]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.args(arguments);
    command
}

fn spawn_readers(bare: SocketAddr, clients: SocketAddr, sockets: usize) -> Child {
    let arguments = ["read".to_owned(), bare.to_string(), clients.to_string(), sockets.to_string()];
    pinned("1", &arguments).spawn().unwrap()
}

/// The other process: opens the connections one after the other, then reads and forgets.
async fn read(bare: SocketAddr, clients: SocketAddr, sockets: usize) {
    for (address, greeting) in [(bare, &b""[..]), (clients, HANDSHAKE)] {
        for _ in 0..sockets {
            let mut socket = StdStream::connect(address).unwrap();
            socket.write_all(greeting).unwrap();
            if !greeting.is_empty() {
                assert!(socket.read(&mut [0; 1024]).unwrap() > 100);
            }
            socket.set_nonblocking(true).unwrap();
            let socket = TcpStream::from_std(socket).unwrap();
            actix_rt::spawn(async move {
                while socket.readable().await.is_ok() {
                    let mut bytes = [0; 16 * 1024];
                    if matches!(socket.try_read(&mut bytes), Ok(0)) {
                        break;
                    }
                }
            });
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    std::future::pending().await
}

async fn run(sockets: usize, rounds: usize) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let clients = listener.local_addr().unwrap();
    let (done, finished) = oneshot::channel();
    let done = Arc::new(Mutex::new(Some(done)));
    let make_sessions = move || {
        let (hub, done) = (Rc::new(Hub::default()), Arc::clone(&done));
        let measured = Rc::clone(&hub);
        actix_rt::spawn(async move {
            measure(measured, clients, sockets, rounds).await;
            done.lock().unwrap().take().unwrap().send(()).unwrap();
        });
        Local(hub)
    };
    let config = ServerConfig { workers: NonZeroUsize::MIN, ..ServerConfig::default() };
    let clock = SystemClock::shared();
    let server = serve(listener, config, clock, make_sessions, |_| ()).await.unwrap();
    finished.await.unwrap();
    server.stop().await.unwrap();
}

#[actix_rt::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number =
        |at: usize, default: usize| arguments.get(at).map_or(default, |text| text.parse().unwrap());
    match arguments.first().map(String::as_str) {
        Some("read") => {
            read(arguments[1].parse().unwrap(), arguments[2].parse().unwrap(), number(3, 0)).await;
        }
        Some("run") => run(number(1, 5000), number(2, 7)).await,
        _ => {
            let (sockets, rounds) = (number(0, 5000), number(1, 7));
            let run = ["run".to_owned(), sockets.to_string(), rounds.to_string()];
            assert!(pinned("0", &run).status().unwrap().success());
        }
    }
}
