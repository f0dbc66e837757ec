//! A device's end of a line: WebSocket frames (RFC 6455), as far as a client needs them.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf, ReadHalf,
    WriteHalf,
};

const TEXT: u8 = 0x1;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;

/// What came over the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A message.
    Text(String),
    /// A ping, which is answered already, or a pong.
    Life,
    /// The server has closed, with this code.
    Close(u16, String),
}

/// A line to a gateway.
pub struct Socket {
    reader: ReadHalf<DuplexStream>,
    writer: WriteHalf<DuplexStream>,
    read: Vec<u8>,
    out: Vec<u8>,
}

impl Socket {
    /// A line whose upgrade is done.
    #[must_use]
    pub fn new(line: DuplexStream) -> Self {
        let (reader, writer) = tokio::io::split(line);
        Self { reader, writer, read: Vec::new(), out: Vec::new() }
    }

    /// Queues a message.
    pub fn text(&mut self, text: &str) {
        self.push(TEXT, text.as_bytes());
    }

    /// Queues a ping.
    pub fn ping(&mut self) {
        self.push(PING, b"");
    }

    /// Clients mask; with zeros the bytes stay as they are.
    fn push(&mut self, opcode: u8, payload: &[u8]) {
        self.out.push(0x80 | opcode);
        match u16::try_from(payload.len()) {
            Ok(len) if len < 126 => self.out.push(0x80 | len as u8),
            Ok(len) => {
                self.out.push(0x80 | 126);
                self.out.extend_from_slice(&len.to_be_bytes());
            }
            Err(_) => {
                self.out.push(0x80 | 127);
                self.out.extend_from_slice(&(payload.len() as u64).to_be_bytes());
            }
        }
        self.out.extend_from_slice(&[0; 4]);
        self.out.extend_from_slice(payload);
    }

    /// Waits until something has happened on the line: false where it has ended. `reads` and
    /// `writes` say what the device does at all now. Cancelling loses nothing.
    pub async fn moves(&mut self, reads: bool, writes: bool) -> bool {
        let writes = writes && !self.out.is_empty();
        tokio::select! {
            biased;
            written = self.writer.write(&self.out), if writes => match written {
                Ok(written) if written > 0 => {
                    self.out.drain(..written);
                    true
                }
                _ => false,
            },
            read = self.reader.read_buf(&mut self.read), if reads => {
                matches!(read, Ok(read) if read > 0)
            }
            () = std::future::pending() => false,
        }
    }

    /// The next frame that is here whole.
    pub fn frame(&mut self) -> Option<Frame> {
        let first = *self.read.first()?;
        let (header, len) = match *self.read.get(1)? & 0x7f {
            126 => (4, usize::from(u16::from_be_bytes(self.at(2)?))),
            127 => (10, usize::try_from(u64::from_be_bytes(self.at(2)?)).ok()?),
            len => (2, usize::from(len)),
        };
        let payload = self.read.get(header..header + len)?.to_vec();
        self.read.drain(..header + len);
        Some(match first & 0xf {
            TEXT => Frame::Text(String::from_utf8_lossy(&payload).into_owned()),
            CLOSE => {
                let code = payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
                let reason = payload.get(2..).unwrap_or_default();
                Frame::Close(code, String::from_utf8_lossy(reason).into_owned())
            }
            PING => {
                self.push(PONG, &payload);
                Frame::Life
            }
            _ => Frame::Life,
        })
    }

    fn at<const N: usize>(&self, from: usize) -> Option<[u8; N]> {
        self.read.get(from..)?.first_chunk().copied()
    }
}

/// A gateway's end of a line.
pub struct Wire(pub DuplexStream);

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl harkara_gateway::transport::Socket for Wire {
    fn prepare_reset(&self) -> io::Result<()> {
        Ok(())
    }
}
