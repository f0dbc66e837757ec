//! `harkara fanout`: a worker of the cluster. It is given partitions of the log, claims them in the
//! directory under its own address, and serves them to the gateways that connect there.

use std::net::SocketAddr;

use harkara_domain::command::rules_known;
use harkara_engine::LogError;
use harkara_fanout::Worker;
use harkara_service_runtime::{
    clock::SystemClock, entropy::SystemEntropy, lifecycle::Lifecycle, telemetry::Telemetry,
};

use super::{
    engines::{Engines, Opener},
    link, metrics, rules,
    settings::Settings,
};
use crate::{
    admin::{self, Phase, Readiness},
    announce,
    serving::{Failure, bind},
};

/// Runs until a signal asks it to end.
///
/// # Errors
/// With the sentence to print.
pub async fn run(settings: Settings, telemetry: &Telemetry) -> Result<(), Failure> {
    let lifecycle = Lifecycle::start()?;
    let (clock, entropy) = (SystemClock::shared(), SystemEntropy::shared());
    let link_listener = bind(settings.link.listen, "link.listen")?;
    let admin_listener = bind(settings.admin.listen, "admin.listen")?;
    let link_address = link_listener.local_addr()?;
    let readiness = Readiness::default();
    let admin = admin::serve(admin_listener, readiness.clone(), telemetry.metrics())?;
    let opener = Opener { readiness: &readiness, lifecycle: &lifecycle };
    let Some(engines) = opener.open(&settings, &clock).await? else { return Ok(()) };
    let Engines { log, store, directory } = engines;
    let mut rules = directory.rules();
    let in_force = *rules.borrow();
    if in_force > rules_known() {
        return Err(rules::unknown(in_force));
    }
    let link = link::open(&settings, log.as_ref(), Some(link_listener), None, &clock, &entropy)?;
    metrics::register(&log, &store, &link);

    let start = || {
        let engines = harkara_fanout::Engines {
            log: log.clone(),
            store: store.clone(),
            link: link.clone(),
            directory: directory.clone(),
            address: settings.link.claimed(link_address),
        };
        Worker::start(settings.fanout.clone(), engines, clock.clone(), entropy.clone())
    };
    let Some(worker) = opener.patiently::<_, LogError, _>("kafka", start).await? else {
        return Ok(());
    };
    readiness.set(Phase::Serving(log.clone(), store));
    announce::or_warn(tell(&settings, link_address, admin.address()));

    let ended = tokio::select! {
        () = lifecycle.drain().cancelled() => Ok(()),
        unknown = rules::raised(&mut rules) => Err(unknown),
    };
    readiness.set(Phase::Draining);
    worker.stop().await;
    link.close().await;
    log.close().await;
    admin.stop().await;
    if ended.is_ok() {
        tracing::info!("ended in good order");
    }
    ended
}

fn tell(settings: &Settings, link: SocketAddr, admin: SocketAddr) -> std::io::Result<()> {
    let about = [("link", settings.link.claimed(link)), ("admin", announce::admin_url(admin))];
    announce::listening(settings.telemetry.log, &about)
}
