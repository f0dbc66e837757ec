//! What stands behind a good signature, without one: for `shared/fuzz` by way of
//! [`crate::fuzzing`].

use super::{
    AuthError, Identity,
    claims::{Bounds, Claims},
    header::Header,
};

/// Reads a token's header.
///
/// # Errors
/// Why it is refused.
pub fn header(token: &str) -> Result<(), AuthError> {
    Header::read(token).map(|_| ())
}

/// Reads claims as a verifier with a leeway of 30 s and a longest lifetime of 90 days does, after
/// it has checked signature, issuer and audience.
///
/// # Errors
/// Why they are refused.
pub fn claims(json: &[u8], now_ms: u64) -> Result<Identity, AuthError> {
    let claims: Claims = serde_json::from_slice(json).map_err(|_| AuthError::Malformed)?;
    let bounds = Bounds { leeway_ms: 30_000, lifetime_max_ms: 90 * 24 * 3_600_000 };
    claims.identity(now_ms, bounds)
}
