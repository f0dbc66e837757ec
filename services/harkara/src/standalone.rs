//! `harkara standalone`: gateway, fanout and embedded engines in one process, in the order in
//! which a process lives: engines → services → announce → wait → drain. The same services run in
//! a cluster with other engines behind the same traits.

use std::sync::Arc;

use actix::ArbiterHandle;
use harkara_engine_embedded::{Embedded, Options};
use harkara_service_runtime::{
    clock::{SharedClock, SystemClock},
    entropy::{SharedEntropy, SystemEntropy},
    lifecycle::{Exit, Lifecycle},
    telemetry::Telemetry,
};

use crate::{
    admin::{self, Phase, Readiness},
    announce, engine_metrics,
    serving::{self, Failure, GatewayParts, bind},
    settings::Settings,
};

/// Runs until a signal asks it to end.
///
/// # Errors
/// With the sentence to print.
pub async fn run(settings: Settings, telemetry: &Telemetry) -> Result<(), Failure> {
    let lifecycle = Lifecycle::start()?;
    let (clock, entropy) = (SystemClock::shared(), SystemEntropy::shared());
    let listener = bind(settings.listen, "listen")?;
    let admin_listener = bind(settings.admin.listen, "admin.listen")?;
    let embedded = Arc::new(open(&settings, clock.clone())?);
    engine_metrics::register(&embedded);
    let readiness = Readiness::default();
    let admin = admin::serve(admin_listener, readiness.clone(), telemetry.metrics())?;

    let issuer = serving::issuer(settings.mode, &settings.data.dir, clock.clone(), &entropy)?;
    let engines = harkara_gateway::Engines {
        log: embedded.log(),
        store: embedded.store(),
        link: embedded.link(),
    };
    let parts = GatewayParts {
        config: &settings.gateway,
        auth: &settings.auth,
        issuer: issuer.clone(),
        clock: &clock,
        entropy: &entropy,
    };
    let server = serving::gateway(listener, engines, parts).await?;
    // On the gateway's threads: of the hops of a message between threads, half disappear.
    let threads = server.threads().to_vec();
    let worker = start_fanout(threads, &settings, &embedded, &clock, &entropy).await?;
    readiness.set(Phase::Serving(embedded.log(), embedded.store()));
    let told = announce::tell(&settings, server.address(), admin.address(), issuer.as_deref());
    announce::or_warn(told);

    lifecycle.drain().cancelled().await;
    readiness.set(Phase::Draining);
    let well = server.leave().await;
    worker.stop().await;
    server.end().await;
    let closed = embedded.close().await;
    admin.stop().await;
    closed.map_err(|error| Failure::new(Exit::Data, error))?;
    if !well {
        return Err(Failure::drained_badly());
    }
    tracing::info!("ended in good order");
    Ok(())
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

async fn start_fanout(
    threads: Vec<ArbiterHandle>,
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
        address: String::new(),
    };
    let config = settings.fanout.clone();
    harkara_fanout::Worker::start_on(threads, config, engines, clock.clone(), entropy.clone())
        .await
        .map_err(|error| Failure::new(Exit::Data, error))
}
