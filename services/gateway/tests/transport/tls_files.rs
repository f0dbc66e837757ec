//! A server's certificate for the whole test process, and whether the running test wants TLS.

use std::{
    cell::Cell,
    path::Path,
    sync::{Arc, LazyLock},
};

use harkara_service_runtime::{
    clock::{Clock, SharedClock, SystemClock},
    tls::{ClientTls, Peers, ServerTls},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::{ClientConfig, ServerConfig};

/// The name in the certificates.
pub const HOST: &str = "chat.test";

thread_local! {
    /// A test, and what it starts, runs on its thread.
    static ON: Cell<bool> = const { Cell::new(false) };
}

/// Does the running test want TLS?
pub fn is_on() -> bool {
    ON.get()
}

/// Runs a test with TLS below everything.
pub fn over_tls(test: impl FnOnce()) {
    ON.set(true);
    test();
    ON.set(false);
}

/// Time stands still: files are read once.
struct Stopped;

impl Clock for Stopped {
    fn now_ms(&self) -> u64 {
        0
    }

    fn elapsed_ns(&self) -> u64 {
        0
    }
}

pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn named(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Writes a certificate for [`HOST`] and its key, and says so in settings.
    pub fn issue(&self, dir: &Path) -> ServerTls {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![HOST.to_owned()]).unwrap();
        let (certificate, key_file) = (dir.join("server.crt"), dir.join("server.key"));
        std::fs::write(&certificate, params.signed_by(&key, &self.0).unwrap().pem()).unwrap();
        std::fs::write(&key_file, key.serialize_pem()).unwrap();
        ServerTls { certificate: Some(certificate), key: Some(key_file), client_ca: None }
    }

    /// Somebody who believes it.
    pub fn client(&self, dir: &Path) -> Arc<ClientConfig> {
        let ca = dir.join("ca.crt");
        std::fs::write(&ca, self.0.pem()).unwrap();
        let tls = ClientTls { enabled: true, ca: Some(ca), ..ClientTls::default() };
        tls.config(&stopped()).unwrap()
    }

    /// Somebody who believes it and shows the certificate that was issued last.
    pub fn client_with_certificate(&self, dir: &Path) -> Arc<ClientConfig> {
        let file = |name: &str| Some(dir.join(name));
        let (ca, certificate, key) = (file("ca.crt"), file("server.crt"), file("server.key"));
        let tls = ClientTls { enabled: true, ca, certificate, key, server_name: None };
        tls.config(&stopped()).unwrap()
    }
}

fn stopped() -> SharedClock {
    Arc::new(Stopped)
}

/// Files that are read again when they change.
pub fn reloading(tls: &ServerTls) -> Arc<ServerConfig> {
    tls.config(Peers::Clients, &SystemClock::shared()).unwrap()
}

static SHARED: LazyLock<(Arc<ServerConfig>, Arc<ClientConfig>)> = LazyLock::new(|| {
    let (dir, authority) = (tempfile::tempdir().unwrap(), Authority::named("shared"));
    let server = authority.issue(dir.path()).config(Peers::Clients, &stopped()).unwrap();
    (server, authority.client(dir.path()))
});

pub fn server() -> Arc<ServerConfig> {
    Arc::clone(&SHARED.0)
}

pub fn client() -> Arc<ClientConfig> {
    Arc::clone(&SHARED.1)
}
