//! One worker, for as long as the directory names it: connect, greet, take what it says, and
//! again after a pause.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use harkara_protocol::link::{self, Frame};
use harkara_service_runtime::entropy::SharedEntropy;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time,
};

use super::{GatewayEnd, route::Peer};
use crate::{
    frames::{self, Ended, Frames},
    options::{GREETING_BYTES_MAX, Options},
    outbox::Outbox,
    tls, wire,
};

/// A connection that is up.
pub struct Live {
    /// Differs from those before.
    pub number: u64,
    pub outbox: Outbox,
    /// What may wait for each partition that the worker serves.
    asks: Mutex<HashMap<u16, Window>>,
    window: u64,
}

/// Room for questions to one serving of a partition.
pub struct Window {
    pub serving: u64,
    pub room: u64,
}

impl Live {
    pub fn new(number: u64, outbox: Outbox, window: u64) -> Self {
        Self { number, outbox, asks: Mutex::default(), window }
    }

    pub fn asks(&self) -> MutexGuard<'_, HashMap<u16, Window>> {
        self.asks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a connection to a worker until it is told to stop.
pub async fn dial(end: Arc<GatewayEnd>, peer: Arc<Peer>, entropy: SharedEntropy) {
    let mut failures = 0;
    for number in 0_u64.. {
        let number = connection_number(&entropy, number);
        let (ended, was_up) = once(&end, &peer, number).await;
        if peer.stop.is_cancelled() {
            tracing::info!(worker = peer.address, "link closed");
            return;
        }
        end.stats.reconnect();
        if !was_up && ended.is_refusal() {
            end.stats.refused();
        }
        failures = if was_up { 0 } else { failures + 1 };
        let pause = pause(&end, failures, &entropy);
        tracing::warn!(worker = peer.address, reason = %ended, ?pause, "no link to a worker");
        tokio::select! {
            () = peer.stop.cancelled() => return,
            () = time::sleep(pause) => {}
        }
    }
}

/// Numbers of connections to different workers differ by chance, those to one by counting.
fn connection_number(entropy: &SharedEntropy, count: u64) -> u64 {
    entropy.below(1 << 48).wrapping_add(count << 48)
}

/// Doubles up to a limit; half of it is chance, so that gateways do not come back all at once.
fn pause(end: &GatewayEnd, failures: u32, entropy: &SharedEntropy) -> Duration {
    let longest = end.options.retry_min.saturating_mul(1 << failures.min(16));
    let half = longest.min(end.options.retry_max) / 2;
    let chance = entropy.below(u64::try_from(half.as_micros()).unwrap_or(u64::MAX));
    half + Duration::from_micros(chance)
}

/// One connection; why it ended, and whether it was up.
async fn once(end: &Arc<GatewayEnd>, peer: &Peer, number: u64) -> (Ended, bool) {
    let connected = tokio::select! {
        () = peer.stop.cancelled() => Err(Ended::Here),
        connected = connect(&peer.address, &end.options) => connected,
    };
    let stream = match connected {
        Ok(stream) => stream,
        Err(ended) => return (ended, false),
    };
    let Some(link_tls) = &end.options.tls else {
        let (reader, writer) = stream.into_split();
        return speak(end, peer, number, reader, writer).await;
    };
    let connected = tokio::select! {
        () = peer.stop.cancelled() => Err(Ended::Here),
        connected = tls::connect(link_tls, stream, &peer.address, &end.options) => connected,
    };
    match connected {
        Ok(stream) => {
            let (reader, writer) = tokio::io::split(stream);
            speak(end, peer, number, reader, writer).await
        }
        Err(ended) => (ended, false),
    }
}

/// A name is looked up each time: a worker that was started again may have another address.
async fn connect(address: &str, options: &Options) -> Result<TcpStream, Ended> {
    let stream = time::timeout(options.silence, TcpStream::connect(address)).await;
    let stream = stream.map_err(|_| Ended::Silent(options.silence))??;
    frames::prepare(&stream)?;
    Ok(stream)
}

/// Greets, and takes what the worker says until the connection ends.
async fn speak<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    end: &Arc<GatewayEnd>,
    peer: &Peer,
    number: u64,
    reader: R,
    writer: W,
) -> (Ended, bool) {
    let greeted = tokio::select! {
        () = peer.stop.cancelled() => Err(Ended::Here),
        greeted = greet(end, reader, writer) => greeted,
    };
    let (frames, writer, window) = match greeted {
        Ok(greeted) => greeted,
        Err(ended) => return (ended, false),
    };
    let (bytes, stop) = (end.options.worker_bytes, peer.stop.child_token());
    let outbox = Outbox::new(bytes, bytes, stop, Arc::clone(&end.stats));
    let live = Arc::new(Live::new(number, outbox, window));
    tracing::info!(worker = peer.address, "link up");
    end.connected(peer, &live);
    let up = Up { end, peer, live };
    let take = |frame, _: usize, rest: &[u8]| take(end, &up.live, frame, rest);
    (frames::drive(frames, writer, &up.live.outbox, &end.options, take).await, true)
}

/// Ends with the connection, however that ends.
struct Up<'a> {
    end: &'a GatewayEnd,
    peer: &'a Peer,
    live: Arc<Live>,
}

impl Drop for Up<'_> {
    fn drop(&mut self) {
        self.live.outbox.end(None);
        self.end.disconnected(self.peer, &self.live);
    }
}

async fn greet<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    end: &GatewayEnd,
    reader: R,
    mut writer: W,
) -> Result<(Frames<R>, W, u64), Ended> {
    let options = &end.options;
    let (protocol, cluster) = (link::PROTOCOL, options.cluster.clone());
    let hello = Frame::Hello { protocol, cluster, gateway: end.number };
    frames::greet(&mut writer, &hello, options).await?;
    let mut frames = Frames::new(reader, options);
    let window = match frames.next(GREETING_BYTES_MAX).await?.0 {
        Frame::Welcome { protocol, cluster, window } => {
            if let Err(reason) = frames::agree(options, protocol, &cluster) {
                let _ =
                    frames::greet(&mut writer, &Frame::Ended { reason: reason.clone() }, options)
                        .await;
                return Err(Ended::OutOfPlace(reason));
            }
            window
        }
        _ => return Err(Ended::OutOfPlace("a worker begins with its welcome".to_owned())),
    };
    Ok((frames, writer, window))
}

/// What a worker says.
fn take(end: &GatewayEnd, live: &Live, frame: Frame, rest: &[u8]) -> Result<(), Ended> {
    match frame {
        Frame::Push { lanes } => end.deliver(live, &lanes, &Arc::new(wire::decode(rest)?)),
        Frame::Lost { lane } => end.lost(live, lane),
        Frame::Resumed { lane } => end.resumed(live, lane),
        Frame::Serving { partition, serving } => {
            let mut asks = live.asks();
            asks.insert(partition, Window { serving, room: live.window });
            end.all_lost();
        }
        Frame::Released { partition, serving } => {
            let mut asks = live.asks();
            if asks.get(&partition).is_some_and(|window| window.serving == serving) {
                asks.remove(&partition);
                end.all_lost();
            }
        }
        Frame::Credit { partition, serving, bytes } => {
            let mut asks = live.asks();
            if let Some(window) = asks.get_mut(&partition).filter(|w| w.serving == serving) {
                window.room = window.room.saturating_add(bytes).min(live.window);
            }
        }
        Frame::Beat => {}
        other => return Err(Ended::OutOfPlace(format!("a worker does not say {other:?}"))),
    }
    Ok(())
}
