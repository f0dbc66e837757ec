//! Keys and the set of them: which key a token's header means.

use std::{fs, sync::Arc};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use harkara_service_runtime::entropy::{Entropy as _, SystemEntropy};
use jsonwebtoken::{DecodingKey, Validation};
use secrecy::ExposeSecret as _;

use super::{
    AuthError,
    config::{Algorithm, Config, KeyConfig},
};

/// Shortest HS256 secret in bytes (RFC 7518, 3.2: as long as the hash).
pub(super) const SECRET_BYTES_MIN: usize = 32;

/// Shortest RSA modulus in bytes (RFC 7518, 3.3: 2,048 bits).
pub(super) const MODULUS_BYTES_MIN: usize = 256;

/// A key that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not exactly one source.
    #[error("exactly one of pem, secret and file must be set")]
    Sources,
    /// The file cannot be read.
    #[error("cannot read the key file {0}")]
    File(String),
    /// A secret for a public-key algorithm, or the reverse.
    #[error("{0}")]
    Form(&'static str),
    /// No issuer.
    #[error("issuer must be set, here or as auth.issuer")]
    Issuer,
    /// Two keys of one name, or two nameless ones of one algorithm.
    #[error("the kid {0} is used twice")]
    Twice(String),
}

/// Which key of the JWKS file, by everything that it is: one of the same name with other material is
/// another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyMark(pub(super) [u8; 8]);

/// A key with all that is pinned to it.
#[derive(Clone)]
pub struct Key {
    pub(super) kid: Option<String>,
    pub(super) alg: Algorithm,
    pub(super) material: DecodingKey,
    pub(super) validation: Validation,
    /// None: it stays when the JWKS file changes.
    pub(super) mark: Option<KeyMark>,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key")
            .field("kid", &self.kid)
            .field("alg", &self.alg)
            .finish_non_exhaustive()
    }
}

impl From<Algorithm> for jsonwebtoken::Algorithm {
    fn from(alg: Algorithm) -> Self {
        match alg {
            Algorithm::EdDSA => Self::EdDSA,
            Algorithm::ES256 => Self::ES256,
            Algorithm::RS256 => Self::RS256,
            Algorithm::HS256 => Self::HS256,
        }
    }
}

impl Algorithm {
    /// By its name in a header; `none` and everything else is nothing.
    pub(super) fn named(name: &str) -> Option<Self> {
        [Self::EdDSA, Self::ES256, Self::RS256, Self::HS256]
            .into_iter()
            .find(|alg| name == format!("{alg:?}"))
    }
}

impl Key {
    pub(super) fn new(
        kid: Option<String>,
        alg: Algorithm,
        material: DecodingKey,
        issuer: &str,
        audience: &str,
    ) -> Self {
        let mut validation = Validation::new(alg.into());
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["iss", "aud"]);
        // Times are checked by `claims`, against the clock that is passed in.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        Self { kid, alg, material, validation, mark: None }
    }
}

/// Reads a key of the settings.
pub(super) fn from_settings(key: &KeyConfig, config: &Config) -> Result<Key, KeyError> {
    let text = match (&key.pem, &key.secret, &key.file) {
        (Some(pem), None, None) if key.alg != Algorithm::HS256 => pem.clone(),
        (Some(_), None, None) => return Err(KeyError::Form("HS256 takes secret, not pem")),
        (None, Some(secret), None) if key.alg == Algorithm::HS256 => {
            secret.expose_secret().to_owned()
        }
        (None, Some(_), None) => return Err(KeyError::Form("only HS256 takes secret; use pem")),
        (None, None, Some(path)) => fs::read_to_string(path)
            .map_err(|error| KeyError::File(format!("{}: {error}", path.display())))?,
        _ => return Err(KeyError::Sources),
    };
    let issuer = key.issuer.as_deref().unwrap_or(&config.issuer);
    if issuer.is_empty() {
        return Err(KeyError::Issuer);
    }
    let audience = key.audience.as_deref().unwrap_or(&config.audience);
    Ok(Key::new(key.kid.clone(), key.alg, material(key.alg, &text)?, issuer, audience))
}

/// What tickets are sealed with: the setting and the fixed keys, so that tickets of a key that was
/// taken out of the settings fall with it; or chance.
pub(super) fn ticket_secret(config: &Config) -> Result<Vec<u8>, KeyError> {
    let Some(own) = &config.ticket_key else {
        return Ok([SystemEntropy.bytes16(), SystemEntropy.bytes16()].concat());
    };
    let own = secret_bytes(own.expose_secret().trim().as_bytes())?;
    let mut hasher = blake3::Hasher::new_keyed(blake3::hash(&own).as_bytes());
    for key in &config.keys {
        let file = key.file.as_deref().map(fs::read).transpose();
        let file = file.map_err(|error| KeyError::File(error.to_string()))?;
        let secret = key.secret.as_ref().map(|secret| secret.expose_secret().as_bytes());
        for part in [key.pem.as_deref().map(str::as_bytes), secret, file.as_deref()] {
            let part = part.unwrap_or_default();
            hasher.update(&(part.len() as u64).to_be_bytes()).update(part);
        }
    }
    Ok(hasher.finalize().as_bytes().to_vec())
}

/// A secret from base64, long enough.
fn secret_bytes(text: &[u8]) -> Result<Vec<u8>, KeyError> {
    let secret = STANDARD.decode(text).or_else(|_| URL_SAFE_NO_PAD.decode(text));
    let secret = secret.map_err(|_| KeyError::Form("secret is not base64"))?;
    if secret.len() < SECRET_BYTES_MIN {
        return Err(KeyError::Form("secret must be 32 bytes or more, as base64"));
    }
    Ok(secret)
}

/// Key material from PEM text or a base64 secret, checked for its size: a wrong one must stop the
/// start, not every client.
fn material(alg: Algorithm, text: &str) -> Result<DecodingKey, KeyError> {
    let pem = text.trim().as_bytes();
    let (key, good) = match alg {
        Algorithm::HS256 => {
            return Ok(DecodingKey::from_secret(&secret_bytes(pem)?));
        }
        Algorithm::EdDSA => (DecodingKey::from_ed_pem(pem), 32..=32),
        Algorithm::ES256 => (DecodingKey::from_ec_pem(pem), 65..=65),
        Algorithm::RS256 => (DecodingKey::from_rsa_pem(pem), MODULUS_BYTES_MIN..=4_096),
    };
    let wrong = KeyError::Form(match alg {
        Algorithm::EdDSA => "expected a public Ed25519 key as PEM",
        Algorithm::ES256 => "expected a public P-256 key as PEM",
        _ => "expected a public RSA key of 2048 bits or more as PEM",
    });
    let key = key.map_err(|_| wrong.clone())?;
    let bytes = key.try_get_as_bytes().map_err(|_| wrong.clone())?.len();
    if good.contains(&bytes) { Ok(key) } else { Err(wrong) }
}

/// All keys at one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct KeySet {
    /// Grows with every change; what was verified by an older set is verified again.
    pub(super) generation: u64,
    keys: Vec<Arc<Key>>,
}

impl KeySet {
    /// These keys beside those of `self` that are fixed (`keep_fixed`) or all of them.
    pub(super) fn with(&self, new: Vec<Key>, keep: fn(&Key) -> bool) -> Result<Self, KeyError> {
        let mut keys: Vec<_> = self.keys.iter().filter(|key| keep(key)).cloned().collect();
        for key in new {
            if key.kid.is_some() && keys.iter().any(|other| other.kid == key.kid) {
                return Err(KeyError::Twice(key.kid.unwrap_or_default()));
            }
            keys.push(Arc::new(key));
        }
        Ok(Self { generation: self.generation + 1, keys })
    }

    /// Whether the key with this mark is one of them.
    pub(super) fn has(&self, mark: KeyMark) -> bool {
        self.keys.iter().any(|key| key.mark == Some(mark))
    }

    /// The key that a header means: by name, or the only one of its algorithm.
    pub(super) fn choose(&self, kid: Option<&str>, alg: Algorithm) -> Result<&Key, AuthError> {
        let Some(kid) = kid else {
            let mut of_alg = self.keys.iter().filter(|key| key.alg == alg);
            return match (of_alg.next(), of_alg.next()) {
                (Some(key), None) => Ok(key),
                _ => Err(AuthError::UnknownKey),
            };
        };
        let named = self.keys.iter().find(|key| key.kid.as_deref() == Some(kid));
        let key = named.ok_or(AuthError::UnknownKey)?;
        if key.alg == alg { Ok(key) } else { Err(AuthError::Algorithm) }
    }
}
