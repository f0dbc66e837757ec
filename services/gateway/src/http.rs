//! The gateway's client port: worker threads that accept, answer HTTP, and turn `GET /v1/ws` into
//! sessions.
//!
//! `actix_server` accepts; [`entrance`] reads a proxy's header and shakes hands; `actix_http` reads the request head; a request with `Upgrade: websocket`
//! goes to [`upgrade`], every other to an ordinary `actix_web::App`. Upgraded sockets leave the
//! HTTP dispatcher (it would keep 16 KiB of buffers for each) and belong to [`crate::transport`];
//! so this file counts sessions, refuses those over the limit and tells when the last one is gone.

mod answer;
mod entrance;
mod live;
mod origin;
mod proxy;
mod service;
mod upgrade;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    num::NonZeroUsize,
    sync::Arc,
    time::Duration,
};

use actix_web::web;
use harkara_service_runtime::clock::SharedClock;
use tokio::task::JoinHandle;

use self::{live::Live, service::ClientService};
use crate::{
    config::Network,
    transport::{Limits, Sessions, SocketOptions},
};

/// The one path that upgrades.
pub const WEBSOCKET_PATH: &str = "/v1/ws";

/// Connections that the kernel completes before a worker takes them: one second of a reconnect
/// storm of 4,000 a second (`net.core.somaxconn` caps it).
const BACKLOG: i32 = 4096;

/// How the client port serves. Bounds are per process unless they say otherwise.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Worker threads; a session stays on its thread. Default: one a core.
    pub workers: NonZeroUsize,
    /// Open sessions; the next upgrade gets 503. Default 16,000: under the 20,000 file descriptors
    /// of a small machine, at 4 KiB of user space and 5 KiB of kernel each 144 MB.
    pub sessions_max: usize,
    /// Connections of one worker that are still HTTP; over it, new ones wait in the kernel. Default
    /// 1,024: two buffers of 8 KiB each, 16 MiB a worker.
    pub http_connections_per_worker_max: usize,
    /// From accept to a complete request head, else 408 and close; a PROXY header and a TLS
    /// handshake before it have as much time again, else close. Default 5 s.
    pub handshake_timeout: Duration,
    /// Every connection comes from one of these networks and begins with a PROXY header, version
    /// 2. Default: none does.
    pub proxies: Option<Vec<Network>>,
    /// TLS on every connection. Default: none.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// How long an HTTP connection may idle between requests. Default 15 s.
    pub keep_alive: Duration,
    /// `Retry-After` of a 503. Default 5 s.
    pub retry_after: Duration,
    /// Browser origins that may upgrade, as `scheme://host[:port]`; `*` is any. Empty: the server's
    /// own host (as the `Host` header has it), and loopback pages of loopback clients. Clients
    /// without an `Origin` are no browsers and pass.
    pub origins: Vec<String>,
    /// On every accepted socket.
    pub socket: SocketOptions,
    /// Of every session.
    pub limits: Limits,
    /// How long open HTTP requests may take after [`Server::stop`]. Whole seconds. Default 5 s.
    pub stop_timeout: Duration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            workers: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            sessions_max: 16_000,
            http_connections_per_worker_max: 1024,
            handshake_timeout: Duration::from_secs(5),
            proxies: None,
            tls: None,
            keep_alive: Duration::from_secs(15),
            retry_after: Duration::from_secs(5),
            origins: Vec::new(),
            socket: SocketOptions::default(),
            limits: Limits::default(),
            stop_timeout: Duration::from_secs(5),
        }
    }
}

/// A running client port.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    live: Arc<Live>,
    handle: actix_server::ServerHandle,
    task: JoinHandle<io::Result<()>>,
}

/// Serves clients on `listener`, which the caller has bound (and reported). Returns when all
/// workers are up; must be called on a tokio runtime. `make_sessions` and `configure_rest` run once
/// on each worker thread.
///
/// # Errors
/// Those of the listener's socket, and of worker threads that can not be started.
pub async fn serve<S, F, R>(
    listener: TcpListener,
    config: ServerConfig,
    clock: SharedClock,
    make_sessions: F,
    configure_rest: R,
) -> io::Result<Server>
where
    S: Sessions,
    F: Fn() -> S + Send + Clone + 'static,
    R: Fn(&mut web::ServiceConfig) + Send + Clone + 'static,
{
    let address = listener.local_addr()?;
    socket2::SockRef::from(&listener).listen(BACKLOG)?;
    let live = Arc::new(Live::new(config.sessions_max));
    let builder = actix_server::Server::build()
        .workers(config.workers.get())
        .max_concurrent_connections(config.http_connections_per_worker_max)
        .shutdown_timeout(config.stop_timeout.as_secs())
        .disable_signals();
    let tls = config.tls.clone();
    let (counted, clock) = (Arc::clone(&live), Arc::clone(&clock));
    let service = ClientService { config, clock, live: counted, make_sessions, configure_rest };
    let builder = match tls {
        None => builder.listen("clients", listener, move || service.plain())?,
        Some(tls) => {
            builder.listen("clients", listener, move || service.secure(Arc::clone(&tls)))?
        }
    };
    let server = builder.run();
    let handle = server.handle();
    let mut task = tokio::spawn(server);
    tokio::select! {
        biased;
        ended = &mut task => {
            ended.map_err(io::Error::other)??;
            return Err(io::Error::other("the server ended before it served"));
        }
        // The workers are up once the server answers a command.
        () = handle.resume() => {}
    }
    Ok(Server { address, live, handle, task })
}

impl Server {
    /// Where it listens; tells the port when 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Open sessions, over all workers.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.live.count()
    }

    /// Refuses every further upgrade with 503; HTTP is answered on. Telling the open sessions to
    /// leave is the caller's part.
    pub fn refuse_sessions(&self) {
        self.live.drain();
    }

    /// Resolves when no session is open. Only after [`Self::refuse_sessions`] is that final.
    pub async fn drained(&self) {
        self.live.empty().await;
    }

    /// Closes the listener, lets open HTTP requests end, drops what sessions are left and ends the
    /// worker threads.
    ///
    /// # Errors
    /// A worker that could not be started, or a panic of the accept thread.
    pub async fn stop(self) -> io::Result<()> {
        self.live.drain();
        self.handle.stop(true).await;
        self.task.await.map_err(io::Error::other)?
    }
}
