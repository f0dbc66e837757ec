//! `harkara standalone`: gateway, fanout and embedded engines in one process, in the order in
//! which a process lives: engines → services → announce → wait → drain. The same services run in
//! a cluster with other engines behind the same traits.

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use actix_web::web::Data;
use harkara_engine_embedded::{Embedded, Options};
use harkara_gateway::auth::{DevIssuer, Verifier, dev_http};
use harkara_service_runtime::{
    clock::{SharedClock, SystemClock},
    entropy::{SharedEntropy, SystemEntropy},
    lifecycle::{Exit, Lifecycle},
    telemetry::Telemetry,
};

use crate::{
    admin::{self, Readiness},
    announce, engine_metrics,
    settings::{Mode, Settings},
};

/// A reason not to start, or not to have ended well: the exit code and a sentence.
#[derive(Debug)]
pub struct Failure {
    /// The code.
    pub exit: Exit,
    /// What is wrong and what to do.
    pub message: String,
}

impl Failure {
    fn new(exit: Exit, message: impl std::fmt::Display) -> Self {
        Self { exit, message: message.to_string() }
    }
}

/// Runs until a signal asks it to end.
///
/// # Errors
/// With the sentence to print.
pub async fn run(settings: Settings, telemetry: &Telemetry) -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::new(Exit::Failed, e);
    let lifecycle = Lifecycle::start().map_err(failed)?;
    let (clock, entropy) = (SystemClock::shared(), SystemEntropy::shared());
    let listener = bind(settings.listen, "listen")?;
    let admin_listener = bind(settings.admin.listen, "admin.listen")?;
    let embedded = Arc::new(open(&settings, clock.clone())?);
    engine_metrics::register(&embedded);
    let readiness = Readiness::new(embedded.log(), embedded.store());
    let admin = admin::serve(admin_listener, readiness.clone(), telemetry.metrics());
    let admin = admin.map_err(failed)?;

    let issuer = issuer(&settings, clock.clone(), &entropy)?;
    let worker = start_fanout(&settings, &embedded, &clock, &entropy).await?;
    let server =
        start_gateway(&settings, &embedded, listener, issuer.clone(), (&clock, &entropy)).await?;
    readiness.set(true);
    let told = announce::tell(&settings, server.address(), admin.address(), issuer.as_deref());
    if let Err(error) = told {
        // Nobody reads it: serving goes on.
        tracing::warn!(%error, "could not say on standard output where it listens");
    }

    lifecycle.drain().cancelled().await;
    readiness.set(false);
    let well = server.stop().await;
    worker.stop().await;
    let closed = embedded.close().await;
    admin.stop().await;
    closed.map_err(|error| Failure::new(Exit::Data, error))?;
    if !well {
        return Err(Failure::new(
            Exit::Drain,
            "some sessions did not end in time and were cut off",
        ));
    }
    tracing::info!("ended in good order");
    Ok(())
}

/// Binds before anything is opened, so that a busy port costs nothing.
fn bind(address: SocketAddr, key: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).map_err(|error| {
        let message = format!(
            "cannot listen on {address}: {error}; stop what listens there or set `{key}` to \
             another address (port 0 takes a free one)"
        );
        Failure::new(Exit::Listen, message)
    })
}

fn open(settings: &Settings, clock: SharedClock) -> Result<Embedded, Failure> {
    let options = Options {
        partitions: settings.log.partitions,
        retention: settings.log.retention.into(),
        ..Options::default()
    };
    Embedded::open(&settings.data.dir, options, clock)
        .map_err(|error| Failure::new(Exit::Data, error))
}

fn issuer(
    settings: &Settings,
    clock: SharedClock,
    entropy: &SharedEntropy,
) -> Result<Option<Arc<DevIssuer>>, Failure> {
    if settings.mode != Mode::Development {
        return Ok(None);
    }
    DevIssuer::open(&settings.data.dir, clock, &**entropy)
        .map(|issuer| Some(Arc::new(issuer)))
        .map_err(|error| Failure::new(Exit::Data, error))
}

async fn start_fanout(
    settings: &Settings,
    embedded: &Embedded,
    clock: &SharedClock,
    entropy: &SharedEntropy,
) -> Result<harkara_fanout::Worker, Failure> {
    let engines = harkara_fanout::Engines {
        log: embedded.log(),
        store: embedded.store(),
        link: embedded.link(),
        directory: embedded.directory(),
    };
    let config = settings.fanout.clone();
    harkara_fanout::Worker::start(config, engines, clock.clone(), entropy.clone())
        .await
        .map_err(|error| Failure::new(Exit::Data, error))
}

async fn start_gateway(
    settings: &Settings,
    embedded: &Embedded,
    listener: TcpListener,
    issuer: Option<Arc<DevIssuer>>,
    (clock, entropy): (&SharedClock, &SharedEntropy),
) -> Result<harkara_gateway::Server, Failure> {
    let verifier =
        Verifier::open(&settings.auth).map_err(|problem| Failure::new(Exit::Settings, problem))?;
    if let Some(issuer) = &issuer {
        issuer.register(&verifier).map_err(|error| Failure::new(Exit::Settings, error))?;
    }
    let parts = harkara_gateway::Parts {
        config: settings.gateway.clone(),
        engines: harkara_gateway::Engines {
            log: embedded.log(),
            store: embedded.store(),
            link: embedded.link(),
        },
        verifier: Arc::new(verifier),
        clock: clock.clone(),
        entropy: entropy.clone(),
    };
    let rest = move |routes: &mut actix_web::web::ServiceConfig| {
        routes.service(admin::openapi());
        if let Some(issuer) = &issuer {
            routes.service(dev_http::resource(Data::from(Arc::clone(issuer))));
        }
    };
    harkara_gateway::serve(listener, parts, rest).await.map_err(|error| {
        // The files of [gateway.tls].
        let is_setting = error.kind() == std::io::ErrorKind::InvalidInput;
        Failure::new(if is_setting { Exit::Settings } else { Exit::Listen }, error)
    })
}
