//! One connection: frames in, frames out, beats, and why it ended. Generic over the stream, so
//! that a test (or TLS) can be below it.

use std::{fmt, io, time::Duration};

use bytes::BytesMut;
use harkara_protocol::link::{self, FRAME_BYTES_MAX, Frame};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    time::{self, MissedTickBehavior},
};

use crate::{
    options::{BATCH_BYTES, Options, SOCKET_BYTES},
    outbox::{self, Outbox},
};

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// The socket says so.
    #[error("the connection broke: {0}")]
    Broken(io::Error),
    /// The ends do not trust each other.
    #[error("{0}; see [link.tls]")]
    Tls(String),
    /// Not a word, or only half a frame.
    #[error("the other end was silent for {0:?}")]
    Silent(Duration),
    /// It reads nothing.
    #[error("the other end took no bytes for {0:?}")]
    Stalled(Duration),
    /// More than a frame may have.
    #[error("a frame of {found} bytes is over the limit of {limit}")]
    TooLong {
        /// What was announced.
        found: usize,
        /// What is allowed here.
        limit: usize,
    },
    /// Not a frame.
    #[error("not a frame: {0}")]
    Malformed(#[from] link::DecodeError),
    /// A frame that has no place there.
    #[error("{0}")]
    OutOfPlace(String),
    /// The other end said why.
    #[error("the other end ended it: {0}")]
    Told(String),
    /// This end wants it so.
    #[error("ended here")]
    Here,
}

impl Ended {
    /// Does one of the ends not want the other?
    pub const fn is_refusal(&self) -> bool {
        match self {
            Self::Broken(_) | Self::Silent(_) | Self::Stalled(_) | Self::Here => false,
            Self::Tls(_)
            | Self::TooLong { .. }
            | Self::Malformed(_)
            | Self::OutOfPlace(_)
            | Self::Told(_) => true,
        }
    }
}

/// The length that the first bytes of a TLS connection would be: handshake (22) or alert (21), and
/// version 3.
const TLS_BEGINNINGS: [usize; 2] = [0x16_03, 0x15_03];

/// The reading half, with the frame that was read last.
pub struct Frames<R> {
    stream: BufReader<R>,
    frame: Vec<u8>,
    silence: Duration,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    pub fn new(stream: R, options: &Options) -> Self {
        let stream = BufReader::with_capacity(BATCH_BYTES, stream);
        Self { stream, frame: Vec::new(), silence: options.silence }
    }

    /// The next frame, its size, and what follows it. A frame that does not end within the silence is none.
    pub async fn next(&mut self, limit: usize) -> Result<(Frame, usize, &[u8]), Ended> {
        let read =
            time::timeout(self.silence, Self::read(&mut self.stream, &mut self.frame, limit));
        read.await.map_err(|_| Ended::Silent(self.silence))??;
        let (frame, rest) = link::decode(&self.frame)?;
        match frame {
            Frame::Ended { reason } => Err(Ended::Told(shown(&reason))),
            frame => Ok((frame, self.frame.len(), rest)),
        }
    }

    async fn read(
        stream: &mut BufReader<R>,
        frame: &mut Vec<u8>,
        limit: usize,
    ) -> Result<(), Ended> {
        let found = stream.read_u32().await? as usize;
        if TLS_BEGINNINGS.contains(&(found >> 16)) {
            return Err(Ended::Tls("the other end speaks TLS and this one does not".to_owned()));
        }
        if found > limit.min(FRAME_BYTES_MAX) {
            return Err(Ended::TooLong { found, limit });
        }
        // A rare large frame does not keep its memory.
        if frame.capacity() > BATCH_BYTES && found <= BATCH_BYTES {
            *frame = Vec::new();
        }
        frame.resize(found, 0);
        stream.read_exact(frame).await?;
        Ok(())
    }
}

/// What the other end wrote, fit for a log line.
fn shown(reason: &str) -> String {
    reason.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// Reads and writes until the connection ends; says why. Each frame, its size in bytes and what
/// follows it go to `take`, whose error ends the connection, and the other end is told.
pub async fn drive<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    mut frames: Frames<R>,
    stream: W,
    outbox: &Outbox,
    options: &Options,
    mut take: impl FnMut(Frame, usize, &[u8]) -> Result<(), Ended>,
) -> Ended {
    let mut writing = std::pin::pin!(write(stream, outbox, options));
    let reading = async {
        loop {
            let taken = frames.next(FRAME_BYTES_MAX).await;
            let taken = taken.inspect(|_| outbox.stats.frame_in());
            let taken = taken.and_then(|(frame, size, rest)| take(frame, size, rest));
            if let Err(ended) = taken {
                return ended;
            }
        }
    };
    let ended = tokio::select! {
        ended = &mut writing => return ended,
        ended = reading => ended,
    };
    outbox.end(Some(&ended.to_string()));
    outbox.stop.cancel();
    let _ = time::timeout(options.beat, writing).await;
    ended
}

/// Writes what the outbox holds, and beats, until the outbox is told to stop; then the rest.
async fn write<W: AsyncWrite + Unpin>(mut stream: W, outbox: &Outbox, options: &Options) -> Ended {
    let mut beats = time::interval(options.beat);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut batch = BytesMut::with_capacity(BATCH_BYTES);
    loop {
        tokio::select! {
            biased;
            () = outbox.stop.cancelled() => break,
            () = outbox.ready() => {}
            _ = beats.tick() => outbox.control(&Frame::Beat),
        }
        tokio::select! {
            biased;
            flushed = flush(&mut stream, outbox, options, &mut batch) => match flushed {
                Ok(()) => {}
                Err(ended) => return ended,
            },
            () = outbox.stop.cancelled() => break,
        }
    }
    // The rest and a last word, if the other end takes them.
    outbox.end(Some("the connection was closed on the other side"));
    let last = async {
        flush(&mut stream, outbox, options, &mut batch).await?;
        Ok::<_, Ended>(stream.shutdown().await?)
    };
    let _ = time::timeout(options.beat, last).await;
    Ended::Here
}

/// Writes a first frame, before there is a queue.
pub async fn greet<W: AsyncWrite + Unpin>(
    stream: &mut W,
    frame: &Frame,
    options: &Options,
) -> Result<(), Ended> {
    let bytes = outbox::framed(&link::encode(frame), 0);
    let written = async {
        stream.write_all(&bytes).await?;
        stream.flush().await
    };
    let written = time::timeout(options.silence, written).await;
    Ok(written.map_err(|_| Ended::Stalled(options.silence))??)
}

/// Do both ends speak of the same? In words, for both log files, why not.
pub fn agree(options: &Options, protocol: u16, cluster: &str) -> Result<(), String> {
    if protocol != link::PROTOCOL {
        return Err(format!(
            "version {protocol} of the link does not fit version {}: run one release on both ends",
            link::PROTOCOL
        ));
    }
    if cluster != options.cluster {
        return Err(format!(
            "cluster {:?} does not fit cluster {:?}: check the address or the cluster's name",
            shown(cluster),
            options.cluster
        ));
    }
    Ok(())
}

async fn flush<W: AsyncWrite + Unpin>(
    stream: &mut W,
    outbox: &Outbox,
    options: &Options,
    batch: &mut BytesMut,
) -> Result<(), Ended> {
    while outbox.take(batch) {
        while !batch.is_empty() {
            let wrote = time::timeout(options.silence, stream.write_buf(batch)).await;
            if wrote.map_err(|_| Ended::Stalled(options.silence))?? == 0 {
                return Err(io::Error::from(io::ErrorKind::WriteZero).into());
            }
        }
    }
    let flushed = time::timeout(options.silence, stream.flush()).await;
    Ok(flushed.map_err(|_| Ended::Stalled(options.silence))??)
}

/// Small kernel buffers, and no waiting for more to send.
pub fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = socket2::SockRef::from(stream);
    socket.set_send_buffer_size(SOCKET_BYTES)?;
    socket.set_recv_buffer_size(SOCKET_BYTES)
}

/// A gateway's number as log lines show it.
pub struct Number(pub u64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012x}", self.0)
    }
}
