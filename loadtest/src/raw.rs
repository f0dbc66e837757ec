//! Sessions as cheap as they get, for measurements: a socket, an upgrade written by hand, and a
//! reader that counts frames without looking into them ([`read`]), or hands them on whole
//! ([`read_whole`]). Everything runs on one thread.

use std::{
    cell::{Cell, RefCell},
    io,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    pin::Pin,
    rc::Rc,
    task::{Poll, ready},
    time::Duration,
};

use anyhow::{Context as _, bail};
use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio::{
    io::{AsyncRead, AsyncWriteExt as _, ReadBuf},
    net::{TcpSocket, TcpStream, tcp::OwnedReadHalf},
    sync::Notify,
    time::timeout,
};

use crate::wire::{
    connect::SUBPROTOCOL,
    token::{self, Account},
};

pub mod frames;
pub mod outlet;
pub mod whole;

use frames::Frames;
use outlet::Outlet;
use whole::Whole;

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
    Ok(opened.into_iter().map(|one| read(one.socket, Frames::after(one.rest), tally)).collect())
}

/// Opens sessions: where, the number of the socket ([`connect`]) and for whom.
///
/// # Errors
/// When one can't be opened.
pub async fn open_at<'a>(
    places: impl IntoIterator<Item = (&'a str, usize, &'a Account)>,
) -> anyhow::Result<Vec<Opened>> {
    let opens = places.into_iter().map(|(url, number, account)| async move {
        Gate::of(url).await?.open(number, &account.token, "{}").await
    });
    futures_util::stream::iter(opens).buffered(AT_ONCE).try_collect().await
}

/// Where sessions are opened.
#[derive(Debug, Clone)]
pub struct Gate {
    addr: SocketAddr,
    authority: String,
}

/// A session that is open and not being read yet.
#[derive(Debug)]
pub struct Opened {
    /// Its socket.
    pub socket: TcpStream,
    /// The beginning of a frame that is not there yet.
    pub rest: Whole,
    /// The frame that answered `session.start`.
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

    /// Connects the `number`th socket, upgrades it and starts the session with these params; with no
    /// token where that is empty.
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
    outlet: Rc<Outlet>,
}

impl Reader {
    /// Sends a text frame.
    ///
    /// # Errors
    /// The connection's.
    pub async fn send(&self, text: &str) -> io::Result<()> {
        self.outlet.write(&frames::masked(frames::TEXT, text.as_bytes())).await
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.task.abort();
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
    let bearer = match bearer {
        "" => String::new(),
        token => format!("authorization: Bearer {token}\r\n"),
    };
    let request = format!(
        "GET /v1/ws HTTP/1.1\r\nhost: {authority}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: aGFya2FyYSBsb2FkdGVzdA==\r\n\
         sec-websocket-protocol: {SUBPROTOCOL}\r\n{bearer}\r\n"
    );
    socket.write_all(request.as_bytes()).await?;
    let mut head = Vec::with_capacity(512);
    let end = loop {
        if let Some(end) = head.windows(4).position(|w| w == b"\r\n\r\n") {
            break end + 4;
        }
        if piece(&mut socket, |bytes| head.extend_from_slice(bytes)).await? == 0 {
            bail!("closed during the upgrade");
        }
    };
    if !head.starts_with(b"HTTP/1.1 101") {
        bail!("no upgrade: {}", String::from_utf8_lossy(&head[..end]));
    }
    let start = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"session.start","params":{params}}}"#);
    socket.write_all(&frames::masked(frames::TEXT, start.as_bytes())).await?;
    let mut rest = Whole::default();
    let mut first = None;
    rest.feed(&head[end..], |opcode, payload| {
        if opcode == frames::TEXT && first.is_none() {
            first = Some(payload.to_vec());
        }
    });
    let answer = match first {
        Some(answer) => answer,
        None => text(&mut socket, &mut rest).await?,
    };
    if !answer.windows(8).any(|w| w == b"\"result\"") {
        bail!("session.start was refused: {}", String::from_utf8_lossy(&answer));
    }
    Ok(Opened { socket, rest, answer })
}

/// Waits for a text frame of a session that is not being read; what else comes along is dropped.
///
/// # Errors
/// When the connection ends.
pub async fn text(socket: &mut TcpStream, rest: &mut Whole) -> anyhow::Result<Vec<u8>> {
    let mut first = None;
    while first.is_none() {
        let mut take = |opcode, payload: &[u8]| {
            if opcode == frames::TEXT && first.is_none() {
                first = Some(payload.to_vec());
            }
        };
        if piece(socket, |bytes| rest.feed(bytes, &mut take)).await? == 0 {
            bail!("closed before an answer");
        }
    }
    first.context("no answer")
}

/// Reads once, into what all readers of the thread share; the number of bytes, 0 at the end.
///
/// # Errors
/// The connection's.
pub async fn piece(
    socket: &mut (impl AsyncRead + Unpin),
    mut each: impl FnMut(&[u8]),
) -> io::Result<usize> {
    let read = std::future::poll_fn(|context| {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            ready!(Pin::new(&mut *socket).poll_read(context, &mut buffer))?;
            each(buffer.filled());
            Poll::Ready(Ok(buffer.filled().len()))
        })
    });
    read.await
}

/// Starts to read a session; `each` gets the payload of every text frame, `ended` the reason when it
/// ends by itself. What is written to it goes through the outlet.
#[must_use]
pub fn read_whole(
    opened: Opened,
    mut each: impl FnMut(&[u8]) + 'static,
    ended: impl FnOnce(&str) + 'static,
) -> (Reader, Rc<Outlet>) {
    let (mut half, out) = opened.socket.into_split();
    let outlet = Rc::new(Outlet::new(out));
    let (mut whole, pongs) = (opened.rest, Rc::clone(&outlet));
    let mut on = move |opcode, payload: &[u8]| match opcode {
        frames::TEXT => each(payload),
        frames::PING => pongs.pong(payload),
        _ => {}
    };
    let task = async move {
        loop {
            match piece(&mut half, |bytes| whole.feed(bytes, &mut on)).await {
                Ok(0) => return ended("the server closed the connection"),
                Ok(_) => {}
                Err(error) => return ended(&error.to_string()),
            }
        }
    };
    let task = tokio::task::spawn_local(task);
    (Reader { task, outlet: Rc::clone(&outlet) }, outlet)
}

/// Starts to read a socket that sends frames.
#[must_use]
pub fn read(socket: TcpStream, mut frames: Frames, tally: &Rc<Tally>) -> Reader {
    let (mut half, out) = socket.into_split();
    let (tally, outlet) = (Rc::clone(tally), Rc::new(Outlet::new(out)));
    let own = Rc::clone(&outlet);
    let task = tokio::task::spawn_local(async move {
        // Whatever ends it, the session is over: that is counted.
        let _ = read_on(&mut half, &mut frames, &own, &tally).await;
        tally.ended.set(tally.ended.get() + 1);
    });
    Reader { task, outlet }
}

async fn read_on(
    half: &mut OwnedReadHalf,
    frames: &mut Frames,
    outlet: &Outlet,
    tally: &Tally,
) -> io::Result<()> {
    loop {
        let count = |opcode, len| {
            if opcode == frames::TEXT {
                tally.count(len);
            }
        };
        if piece(half, |bytes| frames.feed(bytes, count)).await? == 0 {
            return Ok(());
        }
        while let Some(pong) = frames.pong() {
            outlet.write(&pong).await?;
        }
    }
}
