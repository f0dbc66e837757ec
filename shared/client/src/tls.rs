//! Whose servers a client believes, for `wss://`, and the stream below a WebSocket.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use crate::address::Address;

/// Where systems keep the authorities that they believe: Debian and Alpine, Fedora, SUSE, macOS.
const SYSTEM_FILES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Authorities whose servers are believed. Cheap to clone; files are read once.
#[derive(Clone)]
pub struct Tls(Arc<ClientConfig>);

impl Tls {
    /// Believes the authorities of a PEM file, and no others.
    ///
    /// # Errors
    /// The file can't be read or has no certificate.
    pub fn trusting(file: &Path) -> io::Result<Self> {
        let wrong = |why: String| {
            let message = format!("{}: {why}", file.display());
            io::Error::new(io::ErrorKind::InvalidData, message)
        };
        let pem = std::fs::read(file).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", file.display()))
        })?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
            // Bundles of systems have some that are of no use any more.
            let _ = roots.add(certificate);
        }
        if roots.is_empty() {
            return Err(wrong("no certificate of an authority in it; it must be PEM".to_owned()));
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(Arc::new(config)))
    }

    /// Believes what the system believes: the file of `SSL_CERT_FILE`, or the system's own.
    ///
    /// # Errors
    /// There is none, or it is of no use.
    pub fn system() -> io::Result<Self> {
        let named = std::env::var_os("SSL_CERT_FILE").filter(|name| !name.is_empty());
        let file = named
            .map(PathBuf::from)
            .or_else(|| SYSTEM_FILES.into_iter().map(PathBuf::from).find(|file| file.exists()));
        let message = "this system has no file of authorities; name one";
        let file = file.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, message))?;
        Self::trusting(&file)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls(..)")
    }
}

/// Plain or not.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Connects, and shakes hands for `wss://`.
pub(crate) async fn connect(address: &Address) -> io::Result<Box<dyn Stream>> {
    let stream = TcpStream::connect(&address.socket).await?;
    stream.set_nodelay(true)?;
    let Some(Tls(config)) = &address.tls else { return Ok(Box::new(stream)) };
    let name = ServerName::try_from(address.host.clone()).map_err(io::Error::other)?;
    Ok(Box::new(TlsConnector::from(Arc::clone(config)).connect(name, stream).await?))
}
