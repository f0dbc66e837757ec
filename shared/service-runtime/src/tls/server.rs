//! The listening end: its certificate, and whose clients it takes.

use std::sync::Arc;

use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::aws_lc_rs::Ticketer,
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::{
        ClientHello, NoServerSessionStorage, ParsedCertificate, ResolvesServerCert,
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};

use super::{
    ServerTls, TlsError, client, files,
    reload::{Content, Reload},
};
use crate::clock::SharedClock;

/// With whom a listener speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peers {
    /// Browsers and clients of any age, HTTP/1.1 inside: TLS 1.3 and 1.2.
    Clients,
    /// Our own processes: TLS 1.3 only. Where a name is given, a client's
    /// certificate must have it, too.
    Processes(Option<String>),
}

/// Certificate and key that are reloaded.
#[derive(Debug)]
pub(super) struct Identity(Reload<CertifiedKey>);

impl Identity {
    pub(super) fn new(
        (certificate, key): (&std::path::Path, &std::path::Path),
        clock: &SharedClock,
    ) -> Result<Self, TlsError> {
        let paths = vec![certificate.to_owned(), key.to_owned()];
        let make = |contents: &[Content]| match contents {
            [(chain, chain_pem), (key, key_pem)] => {
                files::identity((chain, chain_pem), (key, key_pem))
            }
            _ => Err(TlsError::Settings("a certificate and a key are two files")),
        };
        Reload::new("certificate", paths, Box::new(make), clock).map(Self)
    }

    pub(super) fn get(&self) -> Arc<CertifiedKey> {
        self.0.get()
    }
}

impl ResolvesServerCert for Identity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.get())
    }
}

pub(super) fn config(
    tls: &ServerTls,
    peers: Peers,
    clock: &SharedClock,
) -> Result<Arc<ServerConfig>, TlsError> {
    let (Some(certificate), Some(key)) = (&tls.certificate, &tls.key) else {
        return Err(TlsError::Settings("a server needs a certificate and a key"));
    };
    let identity = Arc::new(Identity::new((certificate, key), clock)?);
    let (versions, name): (&[_], _) = match &peers {
        Peers::Clients => (&[&TLS13, &TLS12], None),
        Peers::Processes(name) => (&[&TLS13], name.as_deref()),
    };
    let name = name.map(client::parsed).transpose()?;
    let builder = ServerConfig::builder_with_provider(super::provider());
    let builder = builder.with_protocol_versions(versions)?;
    let mut config = match &tls.client_ca {
        None => builder.with_no_client_auth().with_cert_resolver(identity),
        Some(path) => {
            let clients = Arc::new(Clients::new(path, name, clock)?);
            builder.with_client_cert_verifier(clients).with_cert_resolver(identity)
        }
    };
    // A resumed session is not asked for its certificate again: it would outlive its authority.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    if tls.client_ca.is_none() {
        config.ticketer = Ticketer::new()?;
        // One connection a client: one ticket is what it can use.
        config.send_tls13_tickets = 1;
    }
    if peers == Peers::Clients {
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
    }
    Ok(Arc::new(config))
}

/// Asks clients for a certificate of an authority that is reloaded.
#[derive(Debug)]
struct Clients {
    verifier: Reload<dyn ClientCertVerifier>,
    name: Option<ServerName<'static>>,
}

impl Clients {
    fn new(
        path: &std::path::Path,
        name: Option<ServerName<'static>>,
        clock: &SharedClock,
    ) -> Result<Self, TlsError> {
        let make = |contents: &[Content]| {
            let [(path, pem)] = contents else {
                return Err(TlsError::Settings("authorities are one file"));
            };
            let roots = files::authorities(path, pem)?;
            let made = WebPkiClientVerifier::builder_with_provider(roots, super::provider());
            let made = made.build().map_err(|error| files::wrong(path, format!("{error}")))?;
            Ok(made)
        };
        let paths = vec![path.to_owned()];
        let verifier = Reload::new("authorities of clients", paths, Box::new(make), clock)?;
        Ok(Self { verifier, name })
    }
}

impl ClientCertVerifier for Clients {
    /// None: they would have to outlive a reload, and clients here have one certificate to choose.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.verifier.get().verify_client_cert(end_entity, intermediates, now)?;
        if let Some(name) = &self.name {
            rustls::client::verify_server_name(&ParsedCertificate::try_from(end_entity)?, name)?;
        }
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.get().verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.get().verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.get().supported_verify_schemes()
    }
}
