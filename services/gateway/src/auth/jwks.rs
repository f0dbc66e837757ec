//! A JWKS document (RFC 7517) in a file, read again when its content changes.
//!
//! The content is compared rather than a time stamp: it is a few kilobytes, and that sees an edit
//! in place, a rename over it and a swapped symbolic link alike.

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::DecodingKey;
use serde::Deserialize;

use super::{
    config::{Algorithm, Config},
    keys::{Key, KeyMark, MODULUS_BYTES_MIN, SECRET_BYTES_MIN},
};

/// Longest document: a thousand RSA keys.
const BYTES_MAX: u64 = 1024 * 1024;

/// Why a document was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum JwksError {
    #[error("cannot read {0}: {1}")]
    Read(PathBuf, std::io::Error),
    #[error("{0} is not a JWKS document: {1}")]
    Form(PathBuf, serde_json::Error),
    #[error("{0} is longer than 1 MiB")]
    TooLong(PathBuf),
    #[error("{0} has no key that signs with EdDSA, ES256, RS256 or HS256")]
    Empty(PathBuf),
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Member>,
}

/// The members of a JWK that count.
#[derive(Deserialize)]
struct Member {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
    k: Option<String>,
}

/// The file, and when and what was last read.
#[derive(Debug)]
pub(super) struct JwksFile {
    path: PathBuf,
    issuer: String,
    audience: String,
    checked_ms: AtomicU64,
    seen: Mutex<Option<blake3::Hash>>,
}

impl JwksFile {
    pub(super) fn new(path: &Path, config: &Config) -> Self {
        Self {
            path: path.to_owned(),
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
            checked_ms: AtomicU64::new(0),
            seen: Mutex::new(None),
        }
    }

    /// Whether `pause_ms` has passed since the last look; claims the next look if so.
    pub(super) fn is_due(&self, now_ms: u64, pause_ms: u64) -> bool {
        let last = self.checked_ms.load(Ordering::Relaxed);
        now_ms.abs_diff(last) >= pause_ms
            && self
                .checked_ms
                .compare_exchange(last, now_ms, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// The keys, if the content is another one than at the last look. A content is judged once: a
    /// broken one is an error the first time and nothing new after that.
    pub(super) fn read_if_changed(&self) -> Result<Option<Vec<Key>>, JwksError> {
        let content = self.read();
        let told = content.as_ref().map_or_else(ToString::to_string, |_| String::new());
        let mark = blake3::hash(content.as_deref().unwrap_or(told.as_bytes()));
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.replace(mark) == Some(mark) {
            return Ok(None);
        }
        drop(seen);
        self.parse(&content?).map(Some)
    }

    fn read(&self) -> Result<Vec<u8>, JwksError> {
        let failed = |error| JwksError::Read(self.path.clone(), error);
        let mut content = Vec::new();
        let file = fs::File::open(&self.path).map_err(failed)?;
        file.take(BYTES_MAX + 1).read_to_end(&mut content).map_err(failed)?;
        if content.len() as u64 > BYTES_MAX {
            return Err(JwksError::TooLong(self.path.clone()));
        }
        Ok(content)
    }

    fn parse(&self, content: &[u8]) -> Result<Vec<Key>, JwksError> {
        let document: Document = serde_json::from_slice(content)
            .map_err(|error| JwksError::Form(self.path.clone(), error))?;
        let mut keys = Vec::new();
        for member in document.keys {
            let Some((alg, material)) = member.material() else {
                tracing::debug!(kid = member.kid, kty = member.kty, "key left out");
                continue;
            };
            let mark = Some(member.mark());
            let key = Key::new(member.kid, alg, material, &self.issuer, &self.audience);
            keys.push(Key { mark, ..key });
        }
        if keys.is_empty() { Err(JwksError::Empty(self.path.clone())) } else { Ok(keys) }
    }
}

impl Member {
    /// Its name and material.
    fn mark(&self) -> KeyMark {
        let mut hasher = blake3::Hasher::new();
        let kty = Some(self.kty.clone());
        for part in [&kty, &self.kid, &self.x, &self.y, &self.n, &self.e, &self.k] {
            let part = part.as_deref().unwrap_or_default();
            hasher.update(&(part.len() as u64).to_be_bytes()).update(part.as_bytes());
        }
        let mut mark = [0; 8];
        hasher.finalize_xof().fill(&mut mark);
        KeyMark(mark)
    }

    /// Algorithm and material of a key that verifies signatures by one of our algorithms. Keys for
    /// other purposes stand in the same documents and are left out.
    fn material(&self) -> Option<(Algorithm, DecodingKey)> {
        if self.usage.as_deref().is_some_and(|usage| usage != "sig") {
            return None;
        }
        let (alg, key) = match (self.kty.as_str(), self.crv.as_deref()) {
            ("OKP", Some("Ed25519")) => {
                let x = bytes(self.x.as_deref()?)?;
                (x.len() == 32).then_some((Algorithm::EdDSA, DecodingKey::from_ed_der(&x)))?
            }
            ("EC", Some("P-256")) => {
                let (x, y) = (bytes(self.x.as_deref()?)?, bytes(self.y.as_deref()?)?);
                let point = [&[4][..], &x, &y].concat();
                (x.len() == 32 && y.len() == 32)
                    .then_some((Algorithm::ES256, DecodingKey::from_ec_der(&point)))?
            }
            ("RSA", _) => {
                let (n, e) = (bytes(self.n.as_deref()?)?, bytes(self.e.as_deref()?)?);
                (n.len() >= MODULUS_BYTES_MIN)
                    .then(|| (Algorithm::RS256, DecodingKey::from_rsa_raw_components(&n, &e)))?
            }
            // A secret says itself what it is for.
            ("oct", _) if self.alg.is_some() => {
                let secret = bytes(self.k.as_deref()?)?;
                (secret.len() >= SECRET_BYTES_MIN)
                    .then(|| (Algorithm::HS256, DecodingKey::from_secret(&secret)))?
            }
            _ => return None,
        };
        match &self.alg {
            Some(named) if Algorithm::named(named) != Some(alg) => None,
            _ => Some((alg, key)),
        }
    }
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}
