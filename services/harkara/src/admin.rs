//! The operators' port: alive, ready, metrics. No tokens there: it stays inside.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::{Arc, PoisonError, RwLock},
};

use actix_web::{
    App, HttpResponse, HttpServer, Resource,
    dev::ServerHandle,
    web::{self, Data},
};
use harkara_engine::{Log, Store};
use harkara_service_runtime::telemetry::Metrics;

/// The API description that `GET /v1/openapi.json` on the client port answers with.
const OPENAPI: &str = include_str!("../../../docs/openapi.json");

/// Whether the process should get clients.
#[derive(Clone)]
pub struct Readiness(Arc<RwLock<Phase>>);

/// Where a process is in its life.
pub enum Phase {
    /// Not yet, and what it waits for.
    Starting(String),
    /// Its services run; ready as long as these are.
    Serving(Arc<dyn Log>, Arc<dyn Store>),
    /// Not any more.
    Draining,
}

impl Default for Readiness {
    fn default() -> Self {
        Self(Arc::new(RwLock::new(Phase::Starting("engines".to_owned()))))
    }
}

impl Readiness {
    /// The services run, wait or drain.
    pub fn set(&self, phase: Phase) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = phase;
    }

    /// Why not, in words.
    async fn check(&self) -> Result<(), String> {
        let (log, store) = match &*self.0.read().unwrap_or_else(PoisonError::into_inner) {
            Phase::Starting(what) => return Err(format!("starting: waits for {what}")),
            Phase::Draining => return Err("draining".to_owned()),
            Phase::Serving(log, store) => (Arc::clone(log), Arc::clone(store)),
        };
        log.ready().await.map_err(|error| format!("log: {error}"))?;
        store.ready().await.map_err(|error| format!("store: {error}"))
    }
}

/// The running admin port.
pub struct Admin {
    address: SocketAddr,
    handle: ServerHandle,
}

/// Serves `/healthz`, `/readyz` and `/metrics` on a bound listener.
///
/// # Errors
/// The listener's.
pub fn serve(listener: TcpListener, readiness: Readiness, metrics: Metrics) -> io::Result<Admin> {
    let address = listener.local_addr()?;
    let (readiness, metrics) = (Data::new(readiness), Data::new(metrics));
    let server = HttpServer::new(move || {
        App::new()
            .app_data(readiness.clone())
            .app_data(metrics.clone())
            .route("/healthz", web::get().to(healthz))
            .route("/readyz", web::get().to(readyz))
            .route("/metrics", web::get().to(metrics_text))
    })
    .workers(1)
    .shutdown_timeout(1)
    .disable_signals()
    .listen(listener)?
    .run();
    let handle = server.handle();
    tokio::spawn(server);
    Ok(Admin { address, handle })
}

impl Admin {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes it.
    pub async fn stop(self) {
        self.handle.stop(true).await;
    }
}

async fn healthz() -> &'static str {
    "alive\n"
}

async fn readyz(readiness: Data<Readiness>) -> HttpResponse {
    match readiness.check().await {
        Ok(()) => HttpResponse::Ok().body("ready\n"),
        Err(why) => HttpResponse::ServiceUnavailable().body(format!("not ready: {why}\n")),
    }
}

async fn metrics_text(metrics: Data<Metrics>) -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; version=0.0.4").body(metrics.text())
}

/// The API description, for the client port.
#[must_use]
pub fn openapi() -> Resource {
    let answer = || async { HttpResponse::Ok().content_type("application/json").body(OPENAPI) };
    web::resource("/v1/openapi.json").route(web::get().to(answer))
}
