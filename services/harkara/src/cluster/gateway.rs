//! `harkara gateway`: sessions of clients, in front of the cluster's log, store and workers.

use std::net::{SocketAddr, TcpListener};

use harkara_engine::Directory as _;
use harkara_gateway::auth::DevIssuer;
use harkara_service_runtime::{
    clock::SystemClock, entropy::SystemEntropy, lifecycle::Lifecycle, telemetry::Telemetry,
};
use socket2::{Domain, Socket, Type};

use super::{
    engines::{Engines, Opener},
    link, metrics,
    settings::Settings,
};
use crate::{
    admin::{self, Phase, Readiness},
    announce,
    serving::{self, Failure, GatewayParts, bind},
};

/// Connections that wait to be accepted: what clients of a restarted gateway do in some 10 ms.
const BACKLOG: i32 = 4_096;

/// Runs until a signal asks it to end.
///
/// # Errors
/// With the sentence to print.
pub async fn run(settings: Settings, telemetry: &Telemetry) -> Result<(), Failure> {
    let lifecycle = Lifecycle::start()?;
    let (clock, entropy) = (SystemClock::shared(), SystemEntropy::shared());
    let socket = reserve(settings.listen)?;
    let admin_listener = bind(settings.admin.listen, "admin.listen")?;
    let readiness = Readiness::default();
    let admin = admin::serve(admin_listener, readiness.clone(), telemetry.metrics())?;
    let opener = Opener { readiness: &readiness, lifecycle: &lifecycle };
    let Some(engines) = opener.open(&settings, &clock).await? else { return Ok(()) };
    let Engines { log, store, directory } = engines;
    let owners = directory.watch();
    let link = link::open(&settings, log.as_ref(), None, Some(owners), &clock, &entropy)?;
    metrics::register(&log, &store, &link);

    let issuer = serving::issuer(settings.mode, &settings.data.dir, clock.clone(), &entropy)?;
    let parts = GatewayParts {
        config: &settings.gateway,
        auth: &settings.auth,
        issuer: issuer.clone(),
        clock: &clock,
        entropy: &entropy,
    };
    let engines =
        harkara_gateway::Engines { log: log.clone(), store: store.clone(), link: link.clone() };
    let server = serving::gateway(listen(&socket)?, engines, parts).await?;
    readiness.set(Phase::Serving(log.clone(), store));
    announce::or_warn(tell(&settings, server.address(), admin.address(), issuer.as_deref()));

    lifecycle.drain().cancelled().await;
    readiness.set(Phase::Draining);
    let well = server.leave().await;
    server.end().await;
    link.close().await;
    log.close().await;
    admin.stop().await;
    if !well {
        return Err(Failure::drained_badly());
    }
    tracing::info!("ended in good order");
    Ok(())
}

/// Takes the port, but refuses clients: nobody shall wait in a queue that is not served yet.
fn reserve(address: SocketAddr) -> Result<Socket, Failure> {
    let bound = Socket::new(Domain::for_address(address), Type::STREAM, None)
        .and_then(|socket| socket.set_reuse_address(true).map(|()| socket))
        .and_then(|socket| socket.bind(&address.into()).map(|()| socket));
    bound.map_err(|error| serving::cannot_listen(address, "listen", &error))
}

fn listen(socket: &Socket) -> Result<TcpListener, Failure> {
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from(socket.try_clone()?))
}

fn tell(
    settings: &Settings,
    clients: SocketAddr,
    admin: SocketAddr,
    issuer: Option<&DevIssuer>,
) -> std::io::Result<()> {
    let url = announce::client_url(clients, settings.gateway.tls.is_on());
    let about = [("clients", url.clone()), ("admin", announce::admin_url(admin))];
    announce::listening(settings.telemetry.log, &about)?;
    announce::demo_users(settings.telemetry.log, issuer, clients, &url)
}
