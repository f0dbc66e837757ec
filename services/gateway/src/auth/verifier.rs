//! Verifies tokens against the keys of the moment. Shared by all worker threads.

use std::sync::{Arc, PoisonError, RwLock};

use harkara_service_runtime::settings::Problem;
use jsonwebtoken::errors::ErrorKind;

use super::{
    AuthError, Identity, KeyMark,
    cache::Cache,
    claims::{Bounds, Claims},
    config::Config,
    header::Header,
    jwks::JwksFile,
    keys::{self, Key, KeyError, KeySet},
    ticket::{ListMark, Tickets},
};

/// Pause between two looks at the JWKS file.
const LOOK_EVERY_MS: u64 = 1_000;

/// The same when a token names a key that is not known: a token may be faster than the look, but a
/// flood of such tokens must not become a flood of reads.
const LOOK_FOR_KEY_EVERY_MS: u64 = 100;

/// Verifies tokens. A check takes a read lock for a reference count and costs a hash for a token
/// that is known; a file is read at most once a second.
pub struct Verifier {
    keys: RwLock<Arc<KeySet>>,
    jwks: Option<JwksFile>,
    cache: Cache,
    bounds: Bounds,
    tickets: Tickets,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").field("jwks", &self.jwks).finish_non_exhaustive()
    }
}

impl Verifier {
    /// Reads all keys.
    ///
    /// # Errors
    ///
    /// A key or the JWKS file cannot be used.
    pub fn open(config: &Config) -> Result<Self, Problem> {
        let mut fixed = Vec::new();
        for (at, key) in config.keys.iter().enumerate() {
            let key = keys::from_settings(key, config);
            fixed.push(key.map_err(|e| Problem::new(format!("auth.keys.{at}"), e.to_string()))?);
        }
        let wrong = |error: KeyError| Problem::new("auth.keys", error.to_string());
        let mut set = KeySet::default().with(fixed, |_| true).map_err(wrong)?;
        let jwks = config.jwks_file.as_deref().map(|path| JwksFile::new(path, config));
        if let Some(file) = &jwks {
            let wrong = |error: String| Problem::new("auth.jwks_file", error);
            let keys = file.read_if_changed().map_err(|error| wrong(error.to_string()))?;
            set = set
                .with(keys.unwrap_or_default(), |_| true)
                .map_err(|error| wrong(error.to_string()))?;
        }
        let secret = keys::ticket_secret(config);
        let secret = secret.map_err(|e| Problem::new("auth.ticket_key", e.to_string()))?;
        Ok(Self {
            tickets: Tickets::new(&secret, config.ticket_lifetime.as_millis()),
            keys: RwLock::new(Arc::new(set)),
            jwks,
            cache: Cache::new(config.cache_tokens_max),
            bounds: Bounds {
                leeway_ms: config.leeway.as_millis(),
                lifetime_max_ms: config.lifetime_max.as_millis(),
            },
        })
    }

    /// Takes one more key that stays.
    ///
    /// # Errors
    ///
    /// Its name is in use.
    pub fn add_key(&self, key: Key) -> Result<(), KeyError> {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        *keys = Arc::new(keys.with(vec![key], |_| true)?);
        Ok(())
    }

    /// Whom a token speaks for at `now_ms` (milliseconds since 1970).
    ///
    /// # Errors
    ///
    /// Why the token is refused, fit to be shown to the client.
    pub fn verify(&self, token: &str, now_ms: u64) -> Result<Identity, AuthError> {
        self.look(now_ms, LOOK_EVERY_MS);
        match self.verify_now(token, now_ms) {
            Err(AuthError::UnknownKey) if self.look(now_ms, LOOK_FOR_KEY_EVERY_MS) => {
                self.verify_now(token, now_ms)
            }
            verdict => verdict,
        }
    }

    /// A ticket for the next session of a client that was told this list.
    pub fn seal(&self, identity: &Identity, list: Option<ListMark>, now_ms: u64) -> String {
        self.tickets.seal(identity, list, now_ms)
    }

    /// Whose ticket this is, and which list they were told.
    ///
    /// # Errors
    ///
    /// It is none of ours, it has ended, or the key of its token was withdrawn.
    pub fn open_ticket(
        &self,
        ticket: &str,
        now_ms: u64,
    ) -> Result<(Identity, Option<ListMark>), AuthError> {
        let (identity, list) = self.tickets.open(ticket, now_ms)?;
        if !self.stands(identity.signed_by, now_ms) {
            return Err(AuthError::UnknownKey);
        }
        Ok((identity, list))
    }

    /// Whether the key that signed a verified token is still one of ours at `now_ms`. A key that is
    /// taken out of the JWKS file takes its tokens along; keys of the settings stay.
    pub fn stands(&self, identity_key: Option<KeyMark>, now_ms: u64) -> bool {
        let Some(mark) = identity_key else { return true };
        self.look(now_ms, LOOK_EVERY_MS);
        self.keys.read().unwrap_or_else(PoisonError::into_inner).has(mark)
    }

    fn verify_now(&self, token: &str, now_ms: u64) -> Result<Identity, AuthError> {
        let keys = Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner));
        // First, so that nothing long is hashed.
        let header = Header::read(token)?;
        let hash = *blake3::hash(token.as_bytes()).as_bytes();
        if let Some(identity) = self.cache.get(&hash, keys.generation, now_ms) {
            return Ok(identity);
        }
        let key = keys.choose(header.kid.as_deref(), header.alg)?;
        let claims = jsonwebtoken::decode::<Claims>(token, &key.material, &key.validation)
            .map_err(|error| refusal(error.kind()))?
            .claims;
        let identity = Identity { signed_by: key.mark, ..claims.identity(now_ms, self.bounds)? };
        self.cache.put(hash, keys.generation, identity.clone());
        Ok(identity)
    }

    /// Looks at the JWKS file if the pause is over; true where the keys are new.
    fn look(&self, now_ms: u64, pause_ms: u64) -> bool {
        let Some(file) = self.jwks.as_ref().filter(|file| file.is_due(now_ms, pause_ms)) else {
            return false;
        };
        let new = match file.read_if_changed() {
            Ok(Some(new)) => new,
            Ok(None) => return false,
            Err(error) => {
                tracing::warn!(%error, "the keys stay as they were; put a good file there");
                return false;
            }
        };
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        match keys.with(new, |key| key.mark.is_none()) {
            Ok(set) => *keys = Arc::new(set),
            Err(error) => {
                tracing::warn!(%error, "the keys stay as they were; put a good file there");
                return false;
            }
        }
        tracing::info!(generation = keys.generation, "took new keys from the jwks file");
        true
    }

    #[cfg(test)]
    pub(super) fn cached(&self) -> usize {
        self.cache.len()
    }
}

/// The library's verdict in our words.
fn refusal(kind: &ErrorKind) -> AuthError {
    match kind {
        ErrorKind::InvalidSignature
        | ErrorKind::InvalidEcdsaKey
        | ErrorKind::InvalidEddsaKey
        | ErrorKind::InvalidRsaKey(_)
        | ErrorKind::InvalidKeyFormat => AuthError::Signature,
        ErrorKind::InvalidAlgorithm
        | ErrorKind::InvalidAlgorithmName
        | ErrorKind::UnsupportedAlgorithm => AuthError::Algorithm,
        ErrorKind::InvalidIssuer => AuthError::Issuer,
        ErrorKind::InvalidAudience => AuthError::Audience,
        ErrorKind::MissingRequiredClaim(claim) if claim == "iss" => AuthError::Issuer,
        ErrorKind::MissingRequiredClaim(claim) if claim == "aud" => AuthError::Audience,
        _ => AuthError::Malformed,
    }
}
