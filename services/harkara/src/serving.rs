//! What every role that serves has in common: a port bound before anything is opened, the
//! development issuer, a gateway over whatever engines there are, and a reason to end.

use std::{
    net::{SocketAddr, TcpListener},
    path::Path,
    sync::Arc,
};

use actix_web::web::Data;
use harkara_gateway::auth::{DevIssuer, Verifier, dev_http};
use harkara_service_runtime::{clock::SharedClock, entropy::SharedEntropy, lifecycle::Exit};

use crate::{admin, settings::Mode};

/// A reason not to start, or not to have ended well: the exit code and a sentence.
#[derive(Debug)]
pub struct Failure {
    /// The code.
    pub exit: Exit,
    /// What is wrong and what to do.
    pub message: String,
}

impl Failure {
    /// A failure with its sentence.
    pub fn new(exit: Exit, message: impl std::fmt::Display) -> Self {
        Self { exit, message: message.to_string() }
    }

    /// Some sessions had to be cut off.
    pub fn drained_badly() -> Self {
        Self::new(Exit::Drain, "some sessions did not end in time and were cut off")
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(Exit::Failed, error)
    }
}

/// Binds before anything is opened, so that a busy port costs nothing.
///
/// # Errors
/// With the sentence to print.
pub fn bind(address: SocketAddr, key: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).map_err(|error| cannot_listen(address, key, &error))
}

/// Why a port is not to be had, and what to do.
pub fn cannot_listen(address: SocketAddr, key: &str, error: &std::io::Error) -> Failure {
    let message = format!(
        "cannot listen on {address}: {error}; stop what listens there or set `{key}` to another \
         address (port 0 takes a free one)"
    );
    Failure::new(Exit::Listen, message)
}

/// Gives development tokens, in development mode; its key lies in `dir`.
///
/// # Errors
/// With the sentence to print.
pub fn issuer(
    mode: Mode,
    dir: &Path,
    clock: SharedClock,
    entropy: &SharedEntropy,
) -> Result<Option<Arc<DevIssuer>>, Failure> {
    if mode != Mode::Development {
        return Ok(None);
    }
    DevIssuer::open(dir, clock, &**entropy)
        .map(|issuer| Some(Arc::new(issuer)))
        .map_err(|error| Failure::new(Exit::Data, error))
}

/// What a gateway is made from, besides its engines.
pub struct GatewayParts<'a> {
    /// Section `[gateway]`.
    pub config: &'a harkara_gateway::Config,
    /// Section `[auth]`.
    pub auth: &'a harkara_gateway::auth::Config,
    /// In development mode.
    pub issuer: Option<Arc<DevIssuer>>,
    /// Time.
    pub clock: &'a SharedClock,
    /// Chance.
    pub entropy: &'a SharedEntropy,
}

/// Starts a gateway.
///
/// # Errors
/// With the sentence to print.
pub async fn gateway(
    listener: TcpListener,
    engines: harkara_gateway::Engines,
    parts: GatewayParts<'_>,
) -> Result<harkara_gateway::Server, Failure> {
    let verifier =
        Verifier::open(parts.auth).map_err(|problem| Failure::new(Exit::Settings, problem))?;
    let issuer = parts.issuer;
    if let Some(issuer) = &issuer {
        issuer.register(&verifier).map_err(|error| Failure::new(Exit::Settings, error))?;
    }
    let parts = harkara_gateway::Parts {
        config: parts.config.clone(),
        engines,
        verifier: Arc::new(verifier),
        clock: parts.clock.clone(),
        entropy: parts.entropy.clone(),
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
