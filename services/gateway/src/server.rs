//! Puts a gateway together: the client port with its worker threads, a hub on each, and leaving in
//! good order (architecture D14).

use std::{
    io,
    net::TcpListener,
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use actix_rt::{Arbiter, ArbiterHandle};
use actix_web::web;
use harkara_service_runtime::{clock::SharedClock, entropy::SharedEntropy, tls::Peers};
use tokio_util::sync::CancellationToken;

use crate::{
    Config, Engines, Gateway,
    auth::Verifier,
    gateway::ThreadGateway,
    http::{self, ServerConfig},
    transport::{Limits, SocketOptions},
};

/// What a gateway is made from.
#[derive(Clone)]
pub struct Parts {
    /// Limits and timeouts.
    pub config: Config,
    /// What it works with.
    pub engines: Engines,
    /// Who may come in.
    pub verifier: Arc<Verifier>,
    /// For times and durations.
    pub clock: SharedClock,
    /// For ids, salts and jitter.
    pub entropy: SharedEntropy,
}

/// A running gateway.
pub struct Server {
    http: http::Server,
    threads: Vec<ArbiterHandle>,
    leave: CancellationToken,
    drain: Duration,
}

/// Serves clients on a bound listener; `rest` adds routes beside the WebSocket's.
///
/// # Errors
/// The listener's, those of threads that can't be started, and `InvalidInput` with a sentence where
/// certificates are of no use.
pub async fn serve(
    listener: TcpListener,
    parts: Parts,
    rest: impl Fn(&mut web::ServiceConfig) + Send + Clone + 'static,
) -> io::Result<Server> {
    let leave = CancellationToken::new();
    let config = server_config(&parts.config, &parts.clock)?;
    let drain = parts.config.drain.into();
    let (clock, leaving) = (parts.clock.clone(), leave.clone());
    let threads = Arc::new(Mutex::new(Vec::new()));
    let begun = Arc::clone(&threads);
    let make = move || {
        begun.lock().unwrap_or_else(PoisonError::into_inner).extend(Arbiter::try_current());
        let parts = parts.clone();
        let spread_ms = parts.config.drain.as_millis();
        let Parts { config, engines, verifier, clock, entropy } = parts;
        let gateway = Gateway::start(config, engines, verifier, clock, entropy);
        let (told, leaving) = (gateway.clone(), leaving.clone());
        actix_rt::spawn(async move {
            leaving.cancelled().await;
            told.go_away(spread_ms, "the server restarts").await;
        });
        ThreadGateway(gateway)
    };
    let http = http::serve(listener, config, clock, make, rest).await?;
    let threads = threads.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(Server { http, threads, leave, drain })
}

impl Server {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> std::net::SocketAddr {
        self.http.address()
    }

    /// Its worker threads: what works with every session of a process may live on them, which
    /// saves it the way from thread to thread. They end with [`Server::end`].
    #[must_use]
    pub fn threads(&self) -> &[ArbiterHandle] {
        &self.threads
    }

    /// Takes no more sessions, tells the open ones when to come back, and waits for them to be
    /// gone. True when all went by themselves in time.
    pub async fn leave(&self) -> bool {
        self.http.refuse_sessions();
        self.leave.cancel();
        tokio::time::timeout(self.drain, self.http.drained()).await.is_ok()
    }

    /// Ends its threads; sessions that are still open are cut off.
    pub async fn end(self) {
        if let Err(error) = self.http.stop().await {
            tracing::warn!(%error, "the client port did not end in good order");
        }
    }
}

fn server_config(config: &Config, clock: &SharedClock) -> io::Result<ServerConfig> {
    let tls = config.tls.is_on().then(|| config.tls.config(Peers::Clients, clock)).transpose();
    let proxies = config.proxy_protocol.then(|| config.trusted_proxies.clone());
    Ok(ServerConfig {
        workers: NonZeroUsize::new(config.worker_threads()).unwrap_or(NonZeroUsize::MIN),
        sessions_max: config.connections_max,
        handshake_timeout: config.handshake_timeout.into(),
        proxies,
        tls: tls.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?,
        origins: config.origins.clone(),
        socket: SocketOptions {
            send_buffer_bytes: config.send_buffer_bytes,
            user_timeout: config.tcp_user_timeout.into(),
        },
        limits: Limits {
            frame_bytes_max: config.frame_bytes_max,
            message_bytes_max: config.frame_bytes_max,
            queued_bytes_max: config.outbound_hard_bytes,
            ..Limits::default()
        },
        ..ServerConfig::default()
    })
}
