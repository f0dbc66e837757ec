//! The stream under a session, and the options every accepted socket gets.
//!
//! Generic, so that a plain session pays nothing for those with TLS: a TLS stream implements
//! [`Socket`] by asking the TCP stream below it.

use std::{cell::RefCell, io, rc::Rc, time::Duration};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

/// A byte stream that can be torn down at once.
pub trait Socket: AsyncRead + AsyncWrite + Unpin + 'static {
    /// Makes the coming drop send RST and discard what the kernel still holds.
    ///
    /// # Errors
    /// Those of `setsockopt`; the drop is then an ordinary close.
    fn prepare_reset(&self) -> io::Result<()>;
}

impl Socket for TcpStream {
    fn prepare_reset(&self) -> io::Result<()> {
        SockRef::from(self).set_linger(Some(Duration::ZERO))
    }
}

impl<Io: Socket> Socket for TlsStream<Io> {
    fn prepare_reset(&self) -> io::Result<()> {
        self.get_ref().0.prepare_reset()
    }
}

/// A socket that reader and pump of one session share.
pub(super) type Shared<Io> = Rc<RefCell<Io>>;

pub(super) fn share<Io>(io: Io) -> Shared<Io> {
    Rc::new(RefCell::new(io))
}

/// Set on every accepted socket, before its first byte is read.
#[derive(Debug, Clone, Copy)]
pub struct SocketOptions {
    /// `SO_SNDBUF`; the kernel doubles it for its bookkeeping. Default 32 KiB. Left alone, the
    /// kernel takes 4 MB for a client that does not read before user space notices; too small, and
    /// one round trip of 100 ms holds a session to 10 × this per second.
    pub send_buffer_bytes: usize,
    /// `TCP_USER_TIMEOUT`: unacknowledged data, or a window that stays shut, ends the connection
    /// after this long. Default 20 s: under the 30 s in which a client that stops reading must be
    /// gone, over what a phone loses in a tunnel.
    pub user_timeout: Duration,
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self { send_buffer_bytes: 32 * 1024, user_timeout: Duration::from_secs(20) }
    }
}

impl SocketOptions {
    /// Sets them, and `TCP_NODELAY`. A socket that refuses one works without it, worse.
    pub fn apply(&self, socket: &TcpStream) {
        let raw = SockRef::from(socket);
        let set = raw
            .set_tcp_nodelay(true)
            .and_then(|()| raw.set_send_buffer_size(self.send_buffer_bytes))
            .and_then(|()| raw.set_tcp_user_timeout(Some(self.user_timeout)));
        if let Err(error) = set {
            tracing::debug!(%error, "accepted socket refused an option");
        }
    }
}
