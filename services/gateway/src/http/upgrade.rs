//! One upgrade request: every check that can refuse it, then the handshake's answer and the
//! session.
//!
//! `actix_http` calls [`upgrade`] with whatever has `Upgrade: websocket` (on any path, with any
//! method) and with `CONNECT`. The checks go from cheap to dear: path, handshake, subprotocol,
//! origin, room, token.

use std::{convert::Infallible, net::SocketAddr, rc::Rc, sync::Arc, time::Duration};

use actix_codec::Framed;
use actix_http::{
    HttpMessage as _, Request, Version, h1,
    header::{self, HeaderName},
    ws,
};
use bytes::{Bytes, BytesMut};
use secrecy::SecretString;

use super::{
    WEBSOCKET_PATH, answer,
    live::{Full, Guard, Live},
    origin,
};
use crate::transport::{self, Encoding, Refusal, Sessions, Settings, Socket, Upgrade};

/// The subprotocols of this server, best first.
const SUBPROTOCOLS: [(&str, Encoding); 1] = [("harkara.v1.json", Encoding::Json)];

/// What upgrades need on one worker thread.
pub(super) struct Worker<S> {
    pub(super) sessions: Rc<S>,
    pub(super) settings: Rc<Settings>,
    pub(super) live: Arc<Live>,
    pub(super) origins: Vec<String>,
    pub(super) retry_after: Duration,
}

/// Answers an upgrade: starts a session or refuses. Done as soon as the session runs, so that
/// nothing of the HTTP dispatcher outlives the handshake.
pub(super) async fn upgrade<S: Sessions, Io: Socket>(
    worker: Rc<Worker<S>>,
    request: Request,
    framed: Framed<Io, h1::Codec>,
) -> Result<(), Infallible> {
    let parts = framed.into_parts();
    match worker.check(&request) {
        Ok((upgrade, grant, guard, answer)) => {
            drop(request);
            tracing::debug!(peer = %upgrade.peer, "upgraded");
            // Answers to requests that were pipelined before the upgrade go first.
            let mut greeting = parts.write_buf;
            greeting.extend_from_slice(answer.as_bytes());
            let bytes = (parts.io, parts.read_buf, Bytes::copy_from_slice(&greeting));
            let (sessions, settings) = (&worker.sessions, &worker.settings);
            transport::open(bytes, (upgrade, grant), sessions, settings, guard);
        }
        Err(refusal) => {
            let (peer, reason) = (request.peer_addr(), &refusal.message);
            tracing::debug!(?peer, status = refusal.status, %reason, "upgrade refused");
            let within = worker.settings.limits.close_timeout;
            let before = BytesMut::freeze(parts.write_buf);
            answer::refuse(parts.io, &before, &refusal, within).await;
        }
    }
    Ok(())
}

impl<S: Sessions> Worker<S> {
    fn check(&self, request: &Request) -> Result<(Upgrade, S::Grant, Guard, String), Refusal> {
        if request.path() != WEBSOCKET_PATH {
            return Err(Refusal::new(404, "not_found", "no such path: websockets are at /v1/ws"));
        }
        ws::verify_handshake(request.head())
            .map_err(|error| Refusal::new(400, "bad_handshake", error.to_string()))?;
        check_single(request)?;
        let (subprotocol, encoding) = subprotocol(request)?;
        let peer = request
            .peer_addr()
            .ok_or_else(|| Refusal::new(400, "bad_handshake", "the connection is already gone"))?;
        self.check_origin(request, peer)?;
        let guard = self.live.enter().map_err(|full| self.no_room(full))?;
        let upgrade = Upgrade { peer, bearer: bearer(request)?, encoding };
        let grant = self.sessions.admit(&upgrade)?;
        Ok((upgrade, grant, guard, handshake(request, subprotocol)))
    }

    fn check_origin(&self, request: &Request, peer: SocketAddr) -> Result<(), Refusal> {
        let Some(page) = request.headers().get(header::ORIGIN) else { return Ok(()) };
        let page = Some(page).filter(|_| count(request, &header::ORIGIN) == 1);
        let host = header_text(request, header::HOST).unwrap_or_default();
        match page.and_then(|page| page.to_str().ok()) {
            Some(page) if origin::is_allowed(page, host, peer, &self.origins) => Ok(()),
            _ => Err(Refusal::forbidden("this origin may not connect")),
        }
    }

    fn no_room(&self, full: Full) -> Refusal {
        let message = match full {
            Full::Limit => "no room for another session",
            Full::Draining => "the server is restarting",
        };
        Refusal::unavailable(message, self.retry_after)
    }
}

/// What the codec's own check of a handshake leaves out (RFC 6455, 4.2.1, 11.3.1 and 11.3.5):
/// where a header that may stand once stands twice, a proxy in front may have read the other one.
fn check_single(request: &Request) -> Result<(), Refusal> {
    let bad = |message: &str| Err(Refusal::new(400, "bad_handshake", message));
    if request.version() != Version::HTTP_11 {
        return bad("websockets need HTTP/1.1");
    }
    if count(request, &header::HOST) != 1 {
        return bad("a request has one host header");
    }
    if [header::SEC_WEBSOCKET_KEY, header::SEC_WEBSOCKET_VERSION]
        .iter()
        .any(|name| count(request, name) != 1)
    {
        return bad("sec-websocket-key and sec-websocket-version stand once in a handshake");
    }
    Ok(())
}

fn count(request: &Request, name: &HeaderName) -> usize {
    request.headers().get_all(name).count()
}

fn header_text(request: &Request, name: HeaderName) -> Option<&str> {
    request.headers().get(name)?.to_str().ok()
}

/// The best subprotocol both sides know.
fn subprotocol(request: &Request) -> Result<(&'static str, Encoding), Refusal> {
    let offers = || {
        let values = request.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL);
        values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','))
    };
    let known = SUBPROTOCOLS.into_iter().find(|(name, _)| offers().any(|it| it.trim() == *name));
    known.ok_or_else(|| {
        let message = if offers().next().is_none() {
            "no subprotocol: send sec-websocket-protocol: harkara.v1.json"
        } else {
            "unknown subprotocol: this server speaks harkara.v1.json"
        };
        Refusal::new(400, "bad_subprotocol", message)
    })
}

/// The token of `Authorization: Bearer …`. Another scheme is a bad token, not a missing one.
fn bearer(request: &Request) -> Result<Option<SecretString>, Refusal> {
    let Some(value) = request.headers().get(header::AUTHORIZATION) else { return Ok(None) };
    if count(request, &header::AUTHORIZATION) > 1 {
        return Err(Refusal::unauthenticated("authorization stands once in a request"));
    }
    let token = value
        .to_str()
        .ok()
        .and_then(|text| text.trim().split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .filter(|token| !token.is_empty());
    match token {
        Some(token) => Ok(Some(SecretString::from(token))),
        None => Err(Refusal::unauthenticated("authorization must be: bearer <token>")),
    }
}

/// The answer to a handshake that was verified (RFC 6455, section 4.2.2).
fn handshake(request: &Request, subprotocol: &str) -> String {
    let key = header_text(request, header::SEC_WEBSOCKET_KEY).unwrap_or_default();
    let accept = ws::hash_key(key.as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
         sec-websocket-accept: {}\r\nsec-websocket-protocol: {subprotocol}\r\n\r\n",
        String::from_utf8_lossy(&accept),
    )
}
