//! PEM files, and what is wrong with them in one sentence each.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    InconsistentKeys, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};

/// Longest file: the authorities of a whole operating system have 250 kB.
const BYTES_MAX: u64 = 1024 * 1024;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file that can't be had.
    #[error("cannot read {path}: {error}; check the path and who may read it", path = .path.display())]
    Read {
        /// As the settings name it.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A file that is not what it should be.
    #[error("{path} {why}", path = .path.display())]
    Wrong {
        /// As the settings name it.
        path: PathBuf,
        /// What is wrong, and what would be right.
        why: String,
    },
    /// Settings that do not go together; [`super::ServerTls::problems`] and its sibling tell first.
    #[error("{0}")]
    Settings(&'static str),
    /// The library refuses.
    #[error("TLS cannot be set up: {0}")]
    Library(#[from] rustls::Error),
}

pub(super) fn wrong(path: &Path, why: impl Into<String>) -> TlsError {
    TlsError::Wrong { path: path.to_owned(), why: why.into() }
}

/// The whole file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let failed = |error| TlsError::Read { path: path.to_owned(), error };
    let mut content = Vec::new();
    let file = fs::File::open(path).map_err(failed)?;
    file.take(BYTES_MAX + 1).read_to_end(&mut content).map_err(failed)?;
    if content.len() as u64 > BYTES_MAX {
        return Err(wrong(path, "is longer than 1 MiB: name a PEM file with certificates"));
    }
    Ok(content)
}

/// All certificates of a file, at least one.
fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let all = read.map_err(|error| wrong(path, format!("is not PEM: {error}")))?;
    if all.is_empty() {
        return Err(wrong(path, "has no certificate: expected PEM with BEGIN CERTIFICATE"));
    }
    Ok(all)
}

/// A certificate with its chain, and the key that belongs to it.
pub(super) fn identity(
    (chain_path, chain): (&Path, &[u8]),
    (key_path, key): (&Path, &[u8]),
) -> Result<Arc<CertifiedKey>, TlsError> {
    let chain = certificates(chain_path, chain)?;
    let encrypted = String::from_utf8_lossy(key).contains("ENCRYPTED");
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| {
        if encrypted {
            return wrong(key_path, "is encrypted: decrypt it with openssl pkey");
        }
        let why = format!("has no private key ({error}): expected PEM with BEGIN PRIVATE KEY");
        wrong(key_path, why)
    })?;
    let made = CertifiedKey::from_der(chain, key, &super::provider());
    made.map(Arc::new).map_err(|error| match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            let certificate = chain_path.display();
            wrong(key_path, format!("is not the key of the certificate in {certificate}"))
        }
        rustls::Error::InvalidCertificate(error) => {
            wrong(chain_path, format!("has a certificate that cannot be read: {error:?}"))
        }
        error => wrong(key_path, format!("has a key that cannot be used: {error}")),
    })
}

/// Authorities.
pub(super) fn authorities(path: &Path, pem: &[u8]) -> Result<Arc<RootCertStore>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, pem)? {
        roots.add(certificate).map_err(|error| {
            wrong(path, format!("has a certificate that is of no use as authority: {error}"))
        })?;
    }
    Ok(Arc::new(roots))
}
