//! Authorities that exist for one test, and links with certificates of them.

use std::path::{Path, PathBuf};

use harkara_engine_link::{LinkConfig, LinkTlsConfig, Options};
use harkara_service_runtime::{
    clock::SystemClock,
    tls::{ClientTls, Peers, ServerTls},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

use crate::support::{CLUSTER, PARTITIONS, options};

pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn named(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("an authority"))
    }
}

/// Files of one process.
pub struct Process {
    dir: TempDir,
}

impl Process {
    /// With a certificate of the authority for `name`.
    pub fn new(authority: &Authority, name: &str) -> Self {
        let process = Self { dir: tempfile::tempdir().expect("a directory") };
        process.write("ca.crt", &authority.0.pem());
        process.certify(authority, name);
        process
    }

    /// Replaces the certificate.
    pub fn certify(&self, authority: &Authority, name: &str) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &authority.0).expect("a certificate");
        self.write("own.crt", &certificate.pem());
        self.write("own.key", &key.serialize_pem());
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.dir.path().join(name), text).expect("a file");
    }

    fn file(&self, name: &str) -> Option<PathBuf> {
        Some(Path::join(self.dir.path(), name))
    }

    /// As the settings make them.
    pub fn options(&self) -> Options {
        self.options_for(&LinkTlsConfig::default().name)
    }

    /// Expecting this name of others, or, without one, the host that was dialed.
    pub fn options_for(&self, name: &str) -> Options {
        let tls = LinkTlsConfig {
            ca: self.file("ca.crt"),
            certificate: self.file("own.crt"),
            key: self.file("own.key"),
            name: name.to_owned(),
        };
        let config = LinkConfig { cluster: CLUSTER.to_owned(), tls, ..LinkConfig::default() };
        assert_eq!(config.problems("link"), []);
        let made = config.options(PARTITIONS, &SystemClock::shared()).expect("good files");
        Options { retry_min: options().retry_min, ..made }
    }

    /// With nothing to show to workers.
    pub fn options_without_certificate(&self) -> Options {
        let mut options = self.options();
        let client = ClientTls { enabled: true, ca: self.file("ca.crt"), ..ClientTls::default() };
        let client = ClientTls { server_name: Some(LinkTlsConfig::default().name), ..client };
        let tls = options.tls.as_mut().expect("it is on");
        tls.client = client.config(&SystemClock::shared()).expect("good files");
        options
    }

    /// With a listener that believes the other's authority.
    pub fn options_for_gateways_of(&self, other: &Self) -> Options {
        let mut options = self.options();
        let (certificate, key) = (self.file("own.crt"), self.file("own.key"));
        let server = ServerTls { certificate, key, client_ca: other.file("ca.crt") };
        let server = server.config(Peers::Processes(None), &SystemClock::shared());
        options.tls.as_mut().expect("it is on").server = server.expect("good files");
        options
    }
}
