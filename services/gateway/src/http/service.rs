//! What one worker thread does with a connection: [`super::entrance`], then the HTTP dispatcher,
//! which hands upgrades to [`super::upgrade`] and everything else to an ordinary `App`.
//!
//! Made once for plain sockets and once for TLS, so that plain ones pay nothing for the others.

use std::{io, net::SocketAddr, rc::Rc, sync::Arc};

use actix_http::{HttpService, Protocol, Request, error::DispatchError, h1};
use actix_service::{
    IntoServiceFactory as _, ServiceFactory, ServiceFactoryExt as _, fn_service, map_config,
};
use actix_web::{App, HttpResponse, dev::AppConfig, web};
use harkara_service_runtime::clock::SharedClock;
use tokio::net::TcpStream;

use super::{
    ServerConfig, WEBSOCKET_PATH, answer,
    entrance::{Entrance, TurnedAway},
    live::Live,
    upgrade::{self, Worker},
};
use crate::transport::{Refusal, Sessions, Settings, Socket};

/// What every worker thread makes its service from.
#[derive(Clone)]
pub(super) struct ClientService<F, R> {
    pub(super) config: ServerConfig,
    pub(super) clock: SharedClock,
    pub(super) live: Arc<Live>,
    pub(super) make_sessions: F,
    pub(super) configure_rest: R,
}

impl<S, F, R> ClientService<F, R>
where
    S: Sessions,
    F: Fn() -> S + Clone + 'static,
    R: Fn(&mut web::ServiceConfig) + Clone + 'static,
{
    /// For plain sockets.
    pub(super) fn plain(&self) -> impl ServiceFactory<TcpStream, Config = ()> + use<S, F, R> {
        let entrance = self.entrance();
        self.behind(move |io| {
            let entrance = Rc::clone(&entrance);
            async move { entrance.plain(io).await }
        })
    }

    /// For sockets with TLS.
    pub(super) fn secure(
        &self,
        tls: Arc<rustls::ServerConfig>,
    ) -> impl ServiceFactory<TcpStream, Config = ()> + use<S, F, R> {
        let entrance = self.entrance();
        self.behind(move |io| {
            let (entrance, tls) = (Rc::clone(&entrance), Arc::clone(&tls));
            async move { entrance.secure(io, &tls).await }
        })
    }

    fn entrance(&self) -> Rc<Entrance> {
        Rc::new(Entrance {
            options: self.config.socket,
            proxies: self.config.proxies.as_deref().map(Rc::from),
            timeout: self.config.handshake_timeout,
            turned_away: TurnedAway::default(),
        })
    }

    /// HTTP on what `enter` makes of a socket.
    fn behind<N, Io, E>(
        &self,
        enter: N,
    ) -> impl ServiceFactory<TcpStream, Config = ()> + use<S, F, R, N, Io, E>
    where
        N: Fn(TcpStream) -> E + Clone + 'static,
        Io: Socket,
        E: Future<Output = io::Result<(Io, SocketAddr)>> + 'static,
    {
        let config = &self.config;
        let worker = Rc::new(Worker {
            sessions: Rc::new((self.make_sessions)()),
            settings: Rc::new(Settings {
                limits: config.limits.clone(),
                clock: Arc::clone(&self.clock),
            }),
            live: Arc::clone(&self.live),
            origins: config.origins.clone(),
            retry_after: config.retry_after,
        });
        let app = App::new()
            .configure(self.configure_rest.clone())
            .route(WEBSOCKET_PATH, web::route().to(needs_upgrade))
            .default_service(web::route().to(unknown_path));
        let http = HttpService::build()
            .client_request_timeout(config.handshake_timeout)
            .client_disconnect_timeout(config.limits.close_timeout)
            .keep_alive(config.keep_alive)
            .upgrade(move |(request, framed): (Request, actix_codec::Framed<Io, h1::Codec>)| {
                upgrade::upgrade(Rc::clone(&worker), request, framed)
            })
            .finish(map_config(app.into_factory(), |()| AppConfig::default()));
        fn_service(move |io: TcpStream| {
            let entering = enter(io);
            async move {
                let (io, peer) = entering.await.map_err(DispatchError::Io)?;
                Ok((io, Protocol::Http1, Some(peer)))
            }
        })
        .and_then(http)
    }
}

/// A plain request on the WebSocket's path.
async fn needs_upgrade() -> HttpResponse {
    let message =
        "this path speaks websocket: send an upgrade with the subprotocol harkara.v1.json";
    answer::response(&Refusal::new(400, "bad_handshake", message))
}

/// Every path that nobody serves.
async fn unknown_path() -> HttpResponse {
    answer::response(&Refusal::new(404, "not_found", "no such path"))
}
