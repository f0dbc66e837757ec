//! Authentication's settings (section `[auth]`).

use std::path::PathBuf;

use harkara_service_runtime::{HumanDuration, settings::Problem};
use secrecy::SecretString;
use serde::{Deserialize, Serialize, Serializer};

use super::keys;

/// The algorithms that keys may have (RFC 7518, RFC 8037).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Algorithm {
    /// Ed25519. The one to choose.
    EdDSA,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// RSA PKCS#1 v1.5 with SHA-256, 2,048 bits or more.
    RS256,
    /// HMAC with SHA-256, a secret of 32 bytes or more. Whoever verifies can also issue.
    HS256,
}

/// Settings of token verification. Unknown keys are refused.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What a token's `iss` must be, for keys that name none of their own.
    pub issuer: String,
    /// What a token's `aud` must be or contain, for keys that name none of their own.
    pub audience: String,
    /// Keys that tokens may be signed with.
    pub keys: Vec<KeyConfig>,
    /// A JWKS document (RFC 7517) with more keys; read again within a second when it changes. A
    /// broken one leaves the keys as they were.
    pub jwks_file: Option<PathBuf>,
    /// How far clocks may differ.
    pub leeway: HumanDuration,
    /// Tokens that expire further ahead are refused.
    pub lifetime_max: HumanDuration,
    /// Verified tokens remembered until they expire, so that a reconnect costs a hash instead of a
    /// signature: 32,768 × ~300 bytes = 10 MB. 0 remembers none.
    pub cache_tokens_max: usize,
    /// What tickets are sealed with, base64, 32 bytes or more: the same on all gateways, so that each
    /// opens those of the others. Without it each process has one of its own.
    #[serde(serialize_with = "hidden")]
    pub ticket_key: Option<SecretString>,
    /// How long a ticket may be used, and never longer than its token.
    pub ticket_lifetime: HumanDuration,
}

/// A key that tokens may be signed with: exactly one of `pem`, `secret` and `file`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyConfig {
    /// The name that tokens give in their header. Without it the key serves tokens that give none.
    pub kid: Option<String>,
    /// The only algorithm that this key is used with.
    pub alg: Algorithm,
    /// What `iss` must be instead of `auth.issuer`.
    pub issuer: Option<String>,
    /// What `aud` must be instead of `auth.audience`.
    pub audience: Option<String>,
    /// The public key as PEM text.
    pub pem: Option<String>,
    /// The secret of HS256, base64, 32 bytes or more.
    #[serde(serialize_with = "hidden")]
    pub secret: Option<SecretString>,
    /// A file with the PEM text or the base64 secret. Read at the start only.
    pub file: Option<PathBuf>,
}

#[expect(clippy::ref_option, reason = "serde's form")]
fn hidden<S: Serializer>(secret: &Option<SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    match secret {
        Some(_) => serializer.serialize_some("<hidden>"),
        None => serializer.serialize_none(),
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            issuer: String::new(),
            audience: "harkara".into(),
            keys: Vec::new(),
            jwks_file: None,
            leeway: HumanDuration::from_secs(30),
            lifetime_max: HumanDuration::from_secs(90 * 24 * 3_600),
            cache_tokens_max: 32_768,
            ticket_key: None,
            ticket_lifetime: HumanDuration::from_secs(24 * 3_600),
        }
    }
}

impl Config {
    /// Whether there is anything to verify tokens with.
    #[must_use]
    pub fn has_keys(&self) -> bool {
        !self.keys.is_empty() || self.jwks_file.is_some()
    }

    /// What this process could not work with: keys that do not parse, a missing issuer.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (at, key) in self.keys.iter().enumerate() {
            if let Err(error) = keys::from_settings(key, self) {
                problems.push(Problem::new(format!("auth.keys.{at}"), error.to_string()));
            }
        }
        if self.jwks_file.is_some() && self.issuer.is_empty() {
            problems.push(Problem::new("auth.issuer", "must be set where auth.jwks_file is"));
        }
        if self.audience.is_empty() {
            problems.push(Problem::new("auth.audience", "must not be empty"));
        }
        if let Err(error) = keys::ticket_secret(self) {
            problems.push(Problem::new("auth.ticket_key", error.to_string()));
        }
        if self.leeway.as_millis() > 300_000 {
            problems.push(Problem::new("auth.leeway", "must be 5m or less"));
        }
        problems
    }
}
