//! From an accepted socket to the stream that HTTP is spoken on: the options, the PROXY header of
//! a trusted proxy, the TLS handshake. [`super`] puts it in front of the HTTP dispatcher.
//!
//! Runs in a task of each connection, so that a slow one holds up nobody, within
//! `handshake_timeout` for all of it, and as one of the `http_connections_per_worker_max`.

use std::{fmt, io, net::SocketAddr, rc::Rc, sync::Arc, time::Duration};

use harkara_service_runtime::tls::told;
use opentelemetry::{KeyValue, metrics::Counter};
use rustls::ServerConfig;
use tokio::{io::AsyncWriteExt as _, net::TcpStream, time::timeout};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::proxy::{self, ProxyError};
use crate::{config::Network, transport::SocketOptions};

/// Ciphertext of one session that waits in user space, behind what the session counts: one record
/// of the largest size (RFC 8446, section 5.1), so that a client that does not read is seen early.
const TLS_BUFFER_BYTES: usize = 16 * 1024;

/// What a client that failed may still send before it is cut off: unread bytes would make the
/// kernel send a reset that overtakes the alert.
const DISCARDED_BYTES_MAX: usize = 16 * 1024;

/// How long it may take to read the alert: a round trip of a bad mobile network.
const LAST_WORD: Duration = Duration::from_secs(1);

/// What happens to each socket of a worker thread before HTTP.
pub(super) struct Entrance {
    pub(super) options: SocketOptions,
    /// Proxies that must say whose connection it is; none: nobody may.
    pub(super) proxies: Option<Rc<[Network]>>,
    pub(super) timeout: Duration,
    pub(super) turned_away: TurnedAway,
}

/// Why a connection never came to HTTP, with the side that is to blame.
enum Refused {
    Proxy(String),
    Tls(String),
    Timeout,
    /// It left by itself, as health checks do that only look whether the port is open.
    Left(String),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Proxy(why) | Self::Tls(why) | Self::Left(why) => f.write_str(why),
            Self::Timeout => f.write_str("the handshake took too long"),
        }
    }
}

impl Entrance {
    /// A plain connection, and whose it is.
    pub(super) async fn plain(&self, mut io: TcpStream) -> io::Result<(TcpStream, SocketAddr)> {
        let peer = io.peer_addr()?;
        self.options.apply(&io);
        if self.proxies.is_none() {
            return Ok((io, peer));
        }
        let named = timeout(self.timeout, self.proxied(&mut io, peer)).await;
        let named = named.unwrap_or(Err(Refused::Timeout));
        let client = named.map_err(|refused| self.turn_away(peer, &refused))?;
        Ok((io, client))
    }

    /// A connection after its TLS handshake, and whose it is.
    pub(super) async fn secure(
        &self,
        mut io: TcpStream,
        tls: &Arc<ServerConfig>,
    ) -> io::Result<(TlsStream<TcpStream>, SocketAddr)> {
        let peer = io.peer_addr()?;
        self.options.apply(&io);
        let entering = async {
            let client = self.proxied(&mut io, peer).await.map_err(|refused| (peer, refused))?;
            let stream = shake(io, tls).await.map_err(|refused| (client, refused))?;
            Ok((stream, client))
        };
        let entered = timeout(self.timeout, entering).await;
        let entered = entered.unwrap_or(Err((peer, Refused::Timeout)));
        entered.map_err(|(peer, refused)| self.turn_away(peer, &refused))
    }

    /// Whose connection it is.
    async fn proxied(&self, io: &mut TcpStream, peer: SocketAddr) -> Result<SocketAddr, Refused> {
        let Some(proxies) = &self.proxies else { return Ok(peer) };
        if !proxies.iter().any(|network| network.contains(peer.ip())) {
            let why = "it is not in gateway.trusted_proxies, and only those may connect";
            return Err(Refused::Proxy(why.to_owned()));
        }
        let named = proxy::read(io).await.map_err(|error| match error {
            ProxyError::Nothing => Refused::Left(error.to_string()),
            error => Refused::Proxy(error.to_string()),
        })?;
        Ok(named.unwrap_or(peer))
    }

    /// Says so and counts it. What strangers on the internet get wrong is no news; a proxy that is
    /// set up wrongly is.
    fn turn_away(&self, peer: SocketAddr, refused: &Refused) -> io::Error {
        match refused {
            Refused::Proxy(_) => tracing::warn!(%peer, reason = %refused, "connection not taken"),
            _ => tracing::debug!(%peer, reason = %refused, "connection not taken"),
        }
        let reason = match refused {
            Refused::Proxy(_) => "proxy",
            Refused::Tls(_) => "tls",
            Refused::Timeout => "timeout",
            Refused::Left(_) => "left",
        };
        self.turned_away.0.add(1, &[KeyValue::new("reason", reason)]);
        io::ErrorKind::ConnectionAborted.into()
    }
}

async fn shake(io: TcpStream, tls: &Arc<ServerConfig>) -> Result<TlsStream<TcpStream>, Refused> {
    let accepting = TlsAcceptor::from(Arc::clone(tls))
        .accept_with(io, |session| session.set_buffer_limit(Some(TLS_BUFFER_BYTES)))
        .into_fallible();
    match accepting.await {
        Ok(stream) => Ok(stream),
        Err((error, io)) => match told(&error) {
            Some(why) => {
                let _ = timeout(LAST_WORD, last_word(io)).await;
                Err(Refused::Tls(why))
            }
            None => Err(Refused::Left(error.to_string())),
        },
    }
}

/// Lets the client read the alert.
async fn last_word(mut io: TcpStream) -> io::Result<()> {
    io.shutdown().await?;
    let mut discarded = 0;
    while discarded < DISCARDED_BYTES_MAX {
        io.readable().await?;
        match io.try_read(&mut [0; 1024]) {
            Ok(0) => break,
            Ok(read) => discarded += read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Counts connections that never came to HTTP.
#[derive(Debug, Clone)]
pub(super) struct TurnedAway(Counter<u64>);

impl Default for TurnedAway {
    fn default() -> Self {
        let counter = opentelemetry::global::meter("harkara")
            .u64_counter("harkara_connections_refused")
            .with_description("connections that ended before HTTP, by reason")
            .build();
        // What never happened is 0, not absent: alerts compare numbers.
        for reason in ["proxy", "tls", "timeout", "left"] {
            counter.add(0, &[KeyValue::new("reason", reason)]);
        }
        Self(counter)
    }
}
