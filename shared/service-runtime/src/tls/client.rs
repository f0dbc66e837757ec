//! The dialing end: whose servers it believes, and its own certificate where it has one.

use std::sync::Arc;

use rustls::{
    ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::{
        ResolvesClientCert, Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    pki_types::{CertificateDer, ServerName, UnixTime},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};

use super::{
    ClientTls, TlsError, files,
    reload::{Content, Reload},
    server::Identity,
};
use crate::clock::SharedClock;

/// A name or an address as certificates have it.
pub(super) fn parsed(name: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(name.to_owned())
        .map_err(|_| TlsError::Settings("a server's name is a host's name or an address"))
}

pub(super) fn config(tls: &ClientTls, clock: &SharedClock) -> Result<Arc<ClientConfig>, TlsError> {
    let Some(ca) = &tls.ca else {
        return Err(TlsError::Settings("a client needs the authorities of its servers"));
    };
    let name = tls.server_name.as_deref().map(parsed).transpose()?;
    let servers = Arc::new(Servers::new(ca, name, clock)?);
    let builder = ClientConfig::builder_with_provider(super::provider());
    let builder = builder.with_protocol_versions(&[&TLS13, &TLS12])?;
    // "Dangerous" is a verifier of one's own: this one asks rustls' each time.
    let builder = builder.dangerous().with_custom_certificate_verifier(servers);
    let mut config = match (&tls.certificate, &tls.key) {
        (Some(certificate), Some(key)) => {
            let identity = Identity::new((certificate, key), clock)?;
            builder.with_client_cert_resolver(Arc::new(identity))
        }
        _ => builder.with_no_client_auth(),
    };
    // A resumed session does not look at the server's certificate again.
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

impl ResolvesClientCert for Identity {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let identity = self.get();
        identity.key.choose_scheme(schemes).is_some().then_some(identity)
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Believes servers with a certificate of an authority that is reloaded.
#[derive(Debug)]
struct Servers {
    verifier: Reload<WebPkiServerVerifier>,
    name: Option<ServerName<'static>>,
}

impl Servers {
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
            let made = WebPkiServerVerifier::builder_with_provider(roots, super::provider());
            made.build().map_err(|error| files::wrong(path, format!("{error}")))
        };
        let paths = vec![path.to_owned()];
        let verifier = Reload::new("authorities of servers", paths, Box::new(make), clock)?;
        Ok(Self { verifier, name })
    }
}

impl ServerCertVerifier for Servers {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let name = self.name.as_ref().unwrap_or(server_name);
        let verifier = self.verifier.get();
        verifier.verify_server_cert(end_entity, intermediates, name, ocsp_response, now)
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
