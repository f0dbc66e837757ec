//! The writing half of a session's socket, shared by whoever sends and by the reader, which answers
//! pings. What does not fit into the socket's buffer waits here, so that frames never mix.

use std::{cell::RefCell, io};

use tokio::net::tcp::OwnedWriteHalf;

use super::frames;

/// Bytes that may wait before pings get no answer any more: the sender is stuck then, and the
/// server sees its frames instead.
const WAITING_MAX: usize = 1 << 20;

/// See the module.
#[derive(Debug)]
pub struct Outlet {
    half: OwnedWriteHalf,
    waiting: RefCell<Vec<u8>>,
}

impl Outlet {
    /// Nothing waits yet.
    #[must_use]
    pub fn new(half: OwnedWriteHalf) -> Self {
        Self { half, waiting: RefCell::default() }
    }

    /// Writes a whole frame (packet, stanza) as it is; returns once it is in the socket's buffer.
    /// One caller at a time.
    ///
    /// # Errors
    /// The connection's.
    pub async fn write(&self, frame: &[u8]) -> io::Result<()> {
        self.put(frame)?;
        while !self.waiting.borrow().is_empty() {
            self.half.writable().await?;
            self.put(&[])?;
        }
        Ok(())
    }

    /// Answers a ping. An error is one that the reader meets too.
    pub fn pong(&self, payload: &[u8]) {
        if self.waiting.borrow().len() < WAITING_MAX {
            let _ = self.put(&frames::masked(frames::PONG, payload));
        }
    }

    /// Behind what waits; as much goes out as there is room for.
    fn put(&self, bytes: &[u8]) -> io::Result<()> {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.is_empty() {
            let written = self.try_write(bytes)?;
            waiting.extend_from_slice(&bytes[written..]);
        } else {
            waiting.extend_from_slice(bytes);
            let written = self.try_write(&waiting)?;
            waiting.drain(..written);
        }
        Ok(())
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        match self.half.try_write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::AsyncReadExt as _,
        net::{TcpListener, TcpStream},
    };

    use super::*;

    #[tokio::test]
    async fn a_pong_never_stands_inside_a_frame() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut there, _) = listener.accept().await.unwrap();
        let (_in, out) = here.into_split();
        let outlet = Outlet::new(out);
        // Far more than the buffers of both sockets.
        let long = vec![b'a'; 16 << 20];
        let write = outlet.write(&long);
        let read = async {
            let mut all = vec![0; 1];
            there.read_exact(&mut all).await.unwrap();
            outlet.pong(b"hey");
            outlet.pong(b"you");
            all.resize(long.len(), 0);
            there.read_exact(&mut all[1..]).await.unwrap();
            assert_eq!(all, long, "a pong stands inside");
        };
        let (written, ()) = tokio::join!(write, read);
        written.unwrap();
    }
}
