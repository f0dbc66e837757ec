//! A TCP proxy in front of a process: what passes through it can be cut off, slowed down, held up
//! and reset, for all of its connections at once. Whatever came before a cut arrives after it, in
//! its order, as on a network that lost nothing in the end; or never, where an end gave up.
//!
//! ```text
//! client ─▶ read ─▶ queue ─▶ gate ─▶ write ─▶ server, and the same back
//! ```

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::{mpsc, watch},
    task::JoinHandle,
};

use super::chance::Chance;
use crate::times;

/// Bytes of a piece, and pieces on their way in one direction of a connection: 512 KiB are more
/// than a delay of half a second holds at what a run sends.
const PIECE: usize = 16 * 1024;
const PIECES: usize = 32;

/// One in so many pieces is lost, and the pause until it is sent again (TCP's first one is at least
/// 200 ms, and doubles).
const LOST_ONE_IN: u64 = 20;
const LOST_MS: [u64; 2] = [200, 800];

/// Pause after a failed accept, which is one without a file left.
const AGAIN: Duration = Duration::from_millis(50);

/// What happens to all that passes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Weather {
    /// Nothing.
    #[default]
    Fair,
    /// Nothing passes.
    Cut,
    /// Nothing passes towards the server.
    Deaf,
    /// Everything is later by so much.
    Late(Duration),
    /// Some pieces are much later, and what follows them waits.
    Lossy,
}

/// See the module. Its connections end with it.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    server: RwLock<Option<SocketAddr>>,
    weather: watch::Sender<Weather>,
    /// Counts resets; connections of before end.
    resets: watch::Sender<u64>,
    seed: u64,
}

impl Proxy {
    /// Listens there; port 0 is any free one. Where it leads to can be said later.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn start(at: SocketAddr, seed: u64) -> io::Result<Self> {
        let listener = TcpListener::bind(at).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            server: RwLock::new(None),
            weather: watch::Sender::new(Weather::Fair),
            resets: watch::Sender::new(0),
            seed,
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, accepting })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it leads.
    pub fn lead_to(&self, server: SocketAddr) {
        *self.shared.server.write().unwrap_or_else(PoisonError::into_inner) = Some(server);
    }

    /// Changes what happens.
    pub fn set(&self, weather: Weather) {
        self.shared.weather.send_replace(weather);
    }

    /// Resets every connection that there is.
    pub fn reset(&self) {
        self.shared.resets.send_modify(|resets| *resets += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.reset();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut number = 0;
    loop {
        match listener.accept().await {
            Ok((client, _)) => {
                number += 1;
                let resets = shared.resets.subscribe();
                tokio::spawn(connection(client, Arc::clone(&shared), resets, number));
            }
            Err(_) => tokio::time::sleep(AGAIN).await,
        }
    }
}

async fn connection(
    mut client: TcpStream,
    shared: Arc<Shared>,
    mut resets: watch::Receiver<u64>,
    number: u64,
) {
    let server = tokio::select! {
        server = dial(&shared) => server,
        _ = resets.changed() => None,
    };
    let Some(mut server) = server else {
        // As from a machine without that server. One that can't be told so sees an end.
        let _ = client.set_zero_linger();
        return;
    };
    for end in [&client, &server] {
        // Latencies are looked at; a socket that can't is only slower.
        let _ = end.set_nodelay(true);
    }
    let is_clean = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let up = pass(from_client, to_server, Lane::new(&shared, Way::Up, number));
        let down = pass(from_server, to_client, Lane::new(&shared, Way::Down, number));
        tokio::select! {
            both = async { tokio::try_join!(up, down) } => both.is_ok(),
            _ = resets.changed() => false,
        }
    };
    if !is_clean {
        let _ = (client.set_zero_linger(), server.set_zero_linger());
    }
}

/// Who is cut off hears nothing of a new connection either.
async fn dial(shared: &Shared) -> Option<TcpStream> {
    let mut weather = shared.weather.subscribe();
    weather.wait_for(|weather| !blocks(*weather, Way::Up)).await.ok()?;
    let server = *shared.server.read().unwrap_or_else(PoisonError::into_inner);
    TcpStream::connect(server?).await.ok()
}

/// A direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Towards the server.
    Up,
    /// Towards the client.
    Down,
}

fn blocks(weather: Weather, way: Way) -> bool {
    weather == Weather::Cut || (weather == Weather::Deaf && way == Way::Up)
}

/// What a direction of a connection knows.
struct Lane {
    weather: watch::Receiver<Weather>,
    way: Way,
    chance: Chance,
}

impl Lane {
    fn new(shared: &Shared, way: Way, connection: u64) -> Self {
        let chance = Chance::new(shared.seed, &format!("{connection} {way:?}"));
        Self { weather: shared.weather.subscribe(), way, chance }
    }

    /// Waits until what was read then may go on.
    async fn gate(&mut self, read: Instant) {
        let mut waited = Duration::ZERO;
        loop {
            let way = self.way;
            let seen = self.weather.wait_for(|weather| !blocks(*weather, way)).await;
            let pause = match seen.map(|weather| *weather) {
                Ok(Weather::Late(delay)) => delay.saturating_sub(read.elapsed()),
                Ok(Weather::Lossy) if waited.is_zero() && self.chance.below(LOST_ONE_IN) == 0 => {
                    Duration::from_millis(self.chance.within(LOST_MS))
                }
                _ => Duration::ZERO,
            };
            if pause.is_zero() {
                return;
            }
            waited += pause;
            tokio::time::sleep(pause).await;
        }
    }
}

/// What was read, and when. Nothing but a time is the end; an error passes the gate like the rest.
type Piece = (Instant, io::Result<Vec<u8>>);

async fn pass(from: ReadHalf<'_>, to: WriteHalf<'_>, lane: Lane) -> io::Result<()> {
    let (tx, rx) = mpsc::channel(PIECES);
    tokio::try_join!(read(from, tx), write(to, rx, lane)).map(drop)
}

async fn read(mut from: ReadHalf<'_>, tx: mpsc::Sender<Piece>) -> io::Result<()> {
    loop {
        let mut bytes = vec![0; PIECE];
        let read = from.read(&mut bytes).await.map(|count| {
            bytes.truncate(count);
            bytes
        });
        let is_last = !matches!(&read, Ok(bytes) if !bytes.is_empty());
        // Without a writer the connection is over, which that one has told.
        if tx.send((times::now(), read)).await.is_err() || is_last {
            return Ok(());
        }
    }
}

async fn write(
    mut to: WriteHalf<'_>,
    mut rx: mpsc::Receiver<Piece>,
    mut lane: Lane,
) -> io::Result<()> {
    while let Some((at, piece)) = rx.recv().await {
        lane.gate(at).await;
        let bytes = piece?;
        if bytes.is_empty() {
            break;
        }
        to.write_all(&bytes).await?;
    }
    to.shutdown().await
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

    /// A server that says everything back, behind a proxy, and a client of it.
    async fn echo() -> (Proxy, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let proxy = Proxy::start(ANY, 7).await.expect("a proxy");
        proxy.lead_to(listener.local_addr().expect("an address"));
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = socket.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        let client = TcpStream::connect(proxy.address()).await.expect("a connection");
        (proxy, client)
    }

    async fn say(client: &mut TcpStream, word: &[u8]) {
        client.write_all(word).await.expect("sent");
    }

    /// What comes back within that time.
    async fn hear(client: &mut TcpStream, within: Duration) -> Option<io::Result<Vec<u8>>> {
        let mut bytes = vec![0; 1024];
        let read = tokio::time::timeout(within, client.read(&mut bytes)).await.ok()?;
        Some(read.map(|count| bytes[..count].to_vec()))
    }

    const SHORT: Duration = Duration::from_millis(100);
    const LONG: Duration = Duration::from_secs(20);

    async fn heard(client: &mut TcpStream) -> Vec<u8> {
        hear(client, LONG).await.expect("in time").expect("no error")
    }

    #[tokio::test]
    async fn what_was_cut_off_arrives_later_in_order() {
        let (proxy, mut client) = echo().await;
        say(&mut client, b"a").await;
        assert_eq!(heard(&mut client).await, b"a");
        for weather in [Weather::Cut, Weather::Deaf] {
            proxy.set(weather);
            say(&mut client, b"b").await;
            assert!(hear(&mut client, SHORT).await.is_none(), "{weather:?}");
            say(&mut client, b"c").await;
            proxy.set(Weather::Fair);
            let mut all = heard(&mut client).await;
            if all.len() < 2 {
                all.extend(heard(&mut client).await);
            }
            assert_eq!(all, b"bc", "{weather:?}");
        }
    }

    #[tokio::test]
    async fn a_new_connection_is_cut_off_too() {
        let (proxy, _client) = echo().await;
        proxy.set(Weather::Cut);
        let mut late = TcpStream::connect(proxy.address()).await.expect("the kernel answers");
        say(&mut late, b"x").await;
        assert!(hear(&mut late, SHORT).await.is_none());
        proxy.set(Weather::Fair);
        assert_eq!(heard(&mut late).await, b"x");
    }

    #[tokio::test]
    async fn late_is_late_and_nothing_is_lost() {
        let (proxy, mut client) = echo().await;
        proxy.set(Weather::Late(SHORT));
        let start = times::now();
        say(&mut client, b"x").await;
        assert_eq!(heard(&mut client).await, b"x");
        assert!(start.elapsed() >= 2 * SHORT, "both ways: {:?}", start.elapsed());
        proxy.set(Weather::Lossy);
        let mut back = Vec::new();
        for number in 0..60_u8 {
            say(&mut client, &[number]).await;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        while back.len() < 60 {
            back.extend(heard(&mut client).await);
        }
        assert_eq!(back, (0..60).collect::<Vec<u8>>());
    }

    #[tokio::test]
    async fn ends_and_resets_reach_the_other_side() {
        let (proxy, mut client) = echo().await;
        say(&mut client, b"x").await;
        assert_eq!(heard(&mut client).await, b"x");
        client.shutdown().await.expect("shut");
        assert_eq!(heard(&mut client).await, b"", "the echo ends when its client does");
        let mut other = TcpStream::connect(proxy.address()).await.expect("a connection");
        say(&mut other, b"y").await;
        assert_eq!(heard(&mut other).await, b"y");
        proxy.reset();
        let error = hear(&mut other, LONG).await.expect("in time").expect_err("reset");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn without_a_server_there_is_no_connection() {
        let proxy = Proxy::start(ANY, 1).await.expect("a proxy");
        let mut client = TcpStream::connect(proxy.address()).await.expect("the kernel answers");
        assert!(hear(&mut client, LONG).await.expect("in time").is_err());
    }
}
