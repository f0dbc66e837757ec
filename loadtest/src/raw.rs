//! Sessions as cheap as they get, for measurements: a socket, an upgrade written by hand, and a
//! reader that counts frames without looking into them. Everything runs on one thread.

use std::{
    cell::{Cell, RefCell},
    io,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    rc::Rc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    sync::Notify,
    time::timeout,
};

use crate::wire::{
    connect::SUBPROTOCOL,
    token::{self, Account},
};

pub mod frames;

use frames::Frames;

/// Sockets from one source address at most: well below the 28,000 ports that it has.
const PER_SOURCE: usize = 4_000;

/// Connections and token requests that are under way at one time.
const AT_ONCE: usize = 64;

/// Longest wait for a session.
const PATIENCE: Duration = Duration::from_secs(20);

thread_local! {
    /// All readers of the thread read into this; none of them keeps anything in it.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; 64 * 1024].into_boxed_slice());
}

/// What all readers count together.
#[derive(Debug, Default)]
pub struct Tally {
    /// Text frames at least as long as `least`.
    pub frames: Cell<u64>,
    /// Length of the last one with its header.
    pub last_len: Cell<u64>,
    /// Only text frames of so many bytes count: events with a message, not small notices.
    pub least: Cell<u64>,
    /// Sessions that ended.
    pub ended: Cell<u64>,
    target: Cell<u64>,
    reached: Notify,
}

impl Tally {
    /// Waits until so many frames are there.
    ///
    /// # Errors
    /// When they don't come in time.
    pub async fn wait(&self, frames: u64, patience: Duration) -> anyhow::Result<()> {
        self.target.set(frames);
        if self.frames.get() < frames && timeout(patience, self.reached.notified()).await.is_err() {
            let (got, ended) = (self.frames.get(), self.ended.get());
            bail!("{got} of {frames} frames came in {patience:?}; {ended} sessions ended");
        }
        Ok(())
    }

    fn count(&self, len: u64) {
        if len >= self.least.get() {
            self.frames.set(self.frames.get() + 1);
            self.last_len.set(len);
            if self.frames.get() == self.target.get() {
                self.reached.notify_one();
            }
        }
    }
}

/// Tokens for `count` users: `prefix` and a number.
///
/// # Errors
/// When the server gives none.
pub async fn accounts(url: &str, prefix: &str, count: usize) -> anyhow::Result<Vec<Account>> {
    accounts_on(url, prefix, "measure", count).await
}

/// Tokens for the same users on a device of this name. The server has not seen them before, so
/// that it has to verify each.
///
/// # Errors
/// When the server gives none.
pub async fn accounts_on(
    url: &str,
    prefix: &str,
    device: &str,
    count: usize,
) -> anyhow::Result<Vec<Account>> {
    let fetches = (0..count).map(|i| {
        let name = format!("{prefix}{i}");
        async move { token::fetch(url, &name, device).await }
    });
    futures_util::stream::iter(fetches).buffered(AT_ONCE).try_collect().await
}

/// Opens a session for each account and lets it be read; `tally` counts.
///
/// # Errors
/// When one can't be opened.
pub async fn sessions(
    url: &str,
    accounts: &[Account],
    tally: &Rc<Tally>,
) -> anyhow::Result<Vec<Reader>> {
    let gate = Gate::of(url).await?;
    let opens = accounts.iter().enumerate().map(|(i, account)| gate.open(i, &account.token, "{}"));
    let opened: Vec<Opened> =
        futures_util::stream::iter(opens).buffered(AT_ONCE).try_collect().await?;
    Ok(opened.into_iter().map(|opened| read(opened.socket, opened.frames, tally)).collect())
}

/// Where sessions are opened.
#[derive(Debug, Clone)]
pub struct Gate {
    addr: SocketAddr,
    authority: String,
}

/// A session that was just started.
#[derive(Debug)]
pub struct Opened {
    /// Its socket.
    pub socket: TcpStream,
    /// What was read of the socket's stream.
    pub frames: Frames,
    /// The answer to `session.start` with its frame's header, and what came with it.
    pub answer: Vec<u8>,
}

impl Gate {
    /// Looks the server up.
    ///
    /// # Errors
    /// When there is no such host.
    pub async fn of(url: &str) -> anyhow::Result<Self> {
        let authority = token::authority(url)?.to_owned();
        let addr = tokio::net::lookup_host(&authority).await?.next().context("no such host")?;
        Ok(Self { addr, authority })
    }

    /// Connects the `number`th socket, upgrades it and starts the session with these params.
    ///
    /// # Errors
    /// When the session can't be had, or not within 20 seconds.
    pub async fn open(&self, number: usize, bearer: &str, params: &str) -> anyhow::Result<Opened> {
        let opening = async {
            let socket = connect(self.addr, number).await?;
            upgrade(socket, &self.authority, bearer, params).await
        };
        let opened = timeout(PATIENCE, opening).await;
        opened.with_context(|| format!("session {number}: no answer in {PATIENCE:?}"))?
    }
}

/// A session that is being read, in a task of its own that ends with this handle.
#[derive(Debug)]
pub struct Reader {
    task: tokio::task::JoinHandle<()>,
    socket: Rc<TcpStream>,
}

impl Reader {
    /// Sends a text frame.
    ///
    /// # Errors
    /// The connection's; also when the socket's buffer has no room for the whole frame.
    pub async fn send(&self, text: &str) -> io::Result<()> {
        put(&self.socket, &frames::masked(frames::TEXT, text.as_bytes())).await
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Writes a small frame as a whole: half a frame would be followed by another one's beginning.
async fn put(socket: &TcpStream, frame: &[u8]) -> io::Result<()> {
    loop {
        socket.writable().await?;
        match socket.try_write(frame) {
            Ok(n) if n == frame.len() => return Ok(()),
            Ok(_) => return Err(io::Error::other("the socket took half a frame")),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
    }
}

/// Connects the `number`th socket; on loopback the source addresses are spread.
///
/// # Errors
/// The kernel's.
pub async fn connect(addr: SocketAddr, number: usize) -> io::Result<TcpStream> {
    let socket = match addr {
        SocketAddr::V4(v4) if v4.ip().is_loopback() => {
            let socket = TcpSocket::new_v4()?;
            let host = u8::try_from(number / PER_SOURCE % 250).unwrap_or(0) + 2;
            socket.bind(SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, host), 0).into())?;
            socket
        }
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    let stream = socket.connect(addr).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn upgrade(
    mut socket: TcpStream,
    authority: &str,
    bearer: &str,
    params: &str,
) -> anyhow::Result<Opened> {
    let request = format!(
        "GET /v1/ws HTTP/1.1\r\nhost: {authority}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: aGFya2FyYSBsb2FkdGVzdA==\r\n\
         sec-websocket-protocol: {SUBPROTOCOL}\r\nauthorization: Bearer {bearer}\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await?;
    let mut answer = Vec::with_capacity(512);
    let end = loop {
        if let Some(end) = answer.windows(4).position(|w| w == b"\r\n\r\n") {
            break end + 4;
        }
        if socket.read_buf(&mut answer).await? == 0 {
            bail!("closed during the upgrade");
        }
    };
    if !answer.starts_with(b"HTTP/1.1 101") {
        bail!("no upgrade: {}", String::from_utf8_lossy(&answer[..end]));
    }
    let start = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"session.start","params":{params}}}"#);
    socket.write_all(&frames::masked(frames::TEXT, start.as_bytes())).await?;
    answer.drain(..end);
    let mut frames = Frames::default();
    let (mut texts, mut fed) = (0, 0);
    loop {
        frames.feed(&answer[fed..], |opcode, _| texts += u32::from(opcode == frames::TEXT));
        fed = answer.len();
        if texts > 0 {
            break;
        }
        if socket.read_buf(&mut answer).await? == 0 {
            bail!("closed before session.start was answered");
        }
    }
    // An error answer says so in its beginning: there is no result.
    let beginning = &answer[..answer.len().min(200)];
    if !beginning.windows(8).any(|w| w == br#""result""#) {
        bail!("session.start failed: {}", String::from_utf8_lossy(beginning));
    }
    Ok(Opened { socket, frames, answer })
}

/// Starts to read a socket that sends frames.
#[must_use]
pub fn read(socket: TcpStream, frames: Frames, tally: &Rc<Tally>) -> Reader {
    let (tally, socket) = (Rc::clone(tally), Rc::new(socket));
    let own = Rc::clone(&socket);
    let task = tokio::task::spawn_local(async move {
        // Whatever ends it, the session is over: that is counted.
        let _ = read_on(&own, frames, &tally).await;
        tally.ended.set(tally.ended.get() + 1);
    });
    Reader { task, socket }
}

async fn read_on(socket: &TcpStream, mut frames: Frames, tally: &Tally) -> io::Result<()> {
    loop {
        socket.readable().await?;
        let read = SCRATCH.with_borrow_mut(|scratch| {
            let n = socket.try_read(scratch)?;
            let count = |opcode, len| {
                if opcode == frames::TEXT {
                    tally.count(len);
                }
            };
            frames.feed(&scratch[..n], count);
            Ok(n)
        });
        match read {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(e) if io::Error::kind(&e) == io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
        while let Some(pong) = frames.pong() {
            put(socket, &pong).await?;
        }
    }
}
