//! A token's claims, once its signature is good: from JSON to an [`Identity`].

use std::str::FromStr;

use harkara_domain::limits::NAME_BYTES_MAX;
use serde::Deserialize;
use serde_json::Value;

use super::{AuthError, Identity};

/// What counts of the claims. Each at most once; other claims are not looked at.
#[derive(Debug, Deserialize)]
pub(super) struct Claims {
    iss: Option<Value>,
    exp: Option<Value>,
    nbf: Option<Value>,
    iat: Option<Value>,
    sub: Option<Value>,
    tenant: Option<Value>,
    device: Option<Value>,
    name: Option<Value>,
}

/// The times that bound a token, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) leeway_ms: u64,
    pub(super) lifetime_max_ms: u64,
}

impl Claims {
    /// Checks form and times. Issuer and audience are checked already.
    pub(super) fn identity(self, now_ms: u64, bounds: Bounds) -> Result<Identity, AuthError> {
        if !matches!(self.iss, Some(Value::String(_))) {
            return Err(AuthError::Claim("iss"));
        }
        let exp = date(self.exp.as_ref(), "exp")?.ok_or(AuthError::Claim("exp"))?;
        let expires_at_ms = exp.saturating_add(bounds.leeway_ms);
        if expires_at_ms <= now_ms {
            return Err(AuthError::Expired);
        }
        let latest = now_ms.saturating_add(bounds.leeway_ms);
        for (claim, name) in [(&self.nbf, "nbf"), (&self.iat, "iat")] {
            if date(claim.as_ref(), name)?.is_some_and(|from| from > latest) {
                return Err(AuthError::NotYetValid);
            }
        }
        if exp > latest.saturating_add(bounds.lifetime_max_ms) {
            return Err(AuthError::Lifetime);
        }
        Ok(Identity {
            tenant: id(self.tenant, "tenant")?,
            user: id(self.sub, "sub")?,
            device: id(self.device, "device")?,
            name: name(self.name)?,
            expires_at_ms,
            signed_by: None,
        })
    }
}

fn id<T: FromStr>(claim: Option<Value>, name: &'static str) -> Result<T, AuthError> {
    let text = claim.as_ref().and_then(Value::as_str).ok_or(AuthError::Claim(name))?;
    text.parse().map_err(|_| AuthError::Claim(name))
}

/// A NumericDate (RFC 7519, 2), seconds with or without a fraction, as milliseconds.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range is checked first"
)]
fn date(claim: Option<&Value>, name: &'static str) -> Result<Option<u64>, AuthError> {
    let Some(claim) = claim.filter(|claim| !claim.is_null()) else { return Ok(None) };
    if let Some(seconds) = claim.as_u64() {
        return Ok(Some(seconds.saturating_mul(1_000)));
    }
    match claim.as_f64() {
        // 2^43 seconds are beyond any date; below it, milliseconds are exact.
        Some(seconds) if (0.0..8.8e12).contains(&seconds) => {
            Ok(Some((seconds * 1_000.0).floor() as u64))
        }
        _ => Err(AuthError::Claim(name)),
    }
}

/// The display name as the service keeps it.
fn name(claim: Option<Value>) -> Result<Option<String>, AuthError> {
    let Some(claim) = claim.filter(|claim| !claim.is_null()) else { return Ok(None) };
    let text = claim.as_str().ok_or(AuthError::Claim("name"))?.trim();
    if text.len() > NAME_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(AuthError::Claim("name"));
    }
    Ok(Some(text.to_owned()).filter(|text| !text.is_empty()))
}
