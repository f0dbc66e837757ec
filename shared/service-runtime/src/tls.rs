//! TLS of clients, of the link and of engines: settings as plain data, and what rustls needs made
//! from them.
//!
//! Whoever listens or dials asks [`ServerTls::config`] or [`ClientTls::config`] once. What comes
//! back stays valid for the life of the process, because certificates and authorities are looked up
//! inside it, at each handshake (`tls/reload.rs`): files that changed count from the next
//! connection on, and connections that stand are left alone.
//!
//! The cryptography is AWS-LC's, named everywhere: another provider in the tree must not be picked
//! up by chance, and two of them without a choice make rustls panic.

mod client;
mod files;
mod reload;
mod server;
#[cfg(test)]
mod tests;
mod told;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
};
use serde::{Deserialize, Serialize};

pub use self::{files::TlsError, server::Peers, told::told};
use crate::{clock::SharedClock, settings::Problem};

/// What a listener shows its clients. Off where nothing is set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerTls {
    /// PEM file: the certificate, then those between it and the authority.
    pub certificate: Option<PathBuf>,
    /// PEM file: the certificate's private key, not encrypted.
    pub key: Option<PathBuf>,
    /// PEM file of authorities. Where it is set, a client must show a certificate of one of them.
    pub client_ca: Option<PathBuf>,
}

/// How a client knows the server, and itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClientTls {
    /// Whether to speak TLS at all.
    pub enabled: bool,
    /// PEM file of the authorities that the server's certificate must come from.
    pub ca: Option<PathBuf>,
    /// PEM file: this client's certificate, where the server asks for one.
    pub certificate: Option<PathBuf>,
    /// PEM file: its private key, not encrypted.
    pub key: Option<PathBuf>,
    /// The name that the server's certificate must have; without it, the host that was dialed. For
    /// servers that are found by address, such as the nodes of a cluster.
    pub server_name: Option<String>,
}

impl ServerTls {
    /// Whether clients are served with TLS.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.certificate.is_some()
    }

    /// What could not work; keys below `section`.
    #[must_use]
    pub fn problems(&self, section: &str) -> Vec<Problem> {
        let mut problems = pair(section, self.certificate.as_deref(), self.key.as_deref());
        if self.client_ca.is_some() && self.certificate.is_none() {
            let right = "needs a certificate and a key of the server's own";
            problems.push(Problem::new(format!("{section}.client_ca"), right));
        }
        problems.extend(named(section, "client_ca", self.client_ca.as_deref()));
        problems
    }

    /// Reads the files. Sessions are resumed by tickets, unless clients show certificates: those
    /// are looked at each time.
    ///
    /// # Errors
    /// No certificate is set, or a file is of no use: a sentence that names it.
    pub fn config(&self, peers: Peers, clock: &SharedClock) -> Result<Arc<ServerConfig>, TlsError> {
        server::config(self, peers, clock)
    }
}

impl ClientTls {
    /// What could not work; keys below `section`.
    #[must_use]
    pub fn problems(&self, section: &str) -> Vec<Problem> {
        let mut problems = pair(section, self.certificate.as_deref(), self.key.as_deref());
        problems.extend(named(section, "ca", self.ca.as_deref()));
        if self.enabled && self.ca.is_none() {
            let right = "must name the authorities of the server's certificate";
            problems.push(Problem::new(format!("{section}.ca"), right));
        }
        if let Some(name) = &self.server_name
            && client::parsed(name).is_err()
        {
            let right = "must be the name or the address in the server's certificate";
            problems.push(Problem::new(format!("{section}.server_name"), right));
        }
        problems
    }

    /// Reads the files; nothing is resumed, since what dials here stays connected.
    ///
    /// # Errors
    /// No authority is set, or a file is of no use: a sentence that names it.
    pub fn config(&self, clock: &SharedClock) -> Result<Arc<ClientConfig>, TlsError> {
        client::config(self, clock)
    }
}

/// Certificate and key go together.
fn pair(section: &str, certificate: Option<&Path>, key: Option<&Path>) -> Vec<Problem> {
    let mut problems = Vec::new();
    match (certificate, key) {
        (Some(_), None) => {
            let right = "must name the private key of the certificate";
            problems.push(Problem::new(format!("{section}.key"), right));
        }
        (None, Some(_)) => {
            let right = "must name the certificate of the key";
            problems.push(Problem::new(format!("{section}.certificate"), right));
        }
        _ => {}
    }
    problems.extend(named(section, "certificate", certificate));
    problems.extend(named(section, "key", key));
    problems
}

fn named(section: &str, key: &str, path: Option<&Path>) -> Option<Problem> {
    let empty = path.is_some_and(|path| path.as_os_str().is_empty());
    empty.then(|| Problem::new(format!("{section}.{key}"), "must name a file"))
}

/// AWS-LC.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}
