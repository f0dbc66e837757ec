//! Who a client is: verifies bearer tokens (JWT, RFC 7519) by the rules of RFC 8725.
//!
//! Called by the upgrade (`Authorization` header) and by `session.start`. Each key has one pinned
//! algorithm, issuer and audience; a token chooses among keys and nothing else. Nothing is ever
//! fetched: keys stand in the settings or in a JWKS file that is read again when it changes.
//!
//! Danger: whatever a token says about itself is hostile until its signature is checked.

mod cache;
mod claims;
pub mod config;
pub mod dev;
pub mod dev_http;
mod header;
mod jwks;
mod keys;
#[cfg(test)]
mod tests;
mod ticket;
#[cfg(feature = "fuzzing")]
pub(crate) mod trial;
mod verifier;

use harkara_domain::{DeviceId, TenantId, UserId};

pub use self::{
    config::{Algorithm, Config, KeyConfig},
    dev::{DevIssuer, DevToken},
    keys::{Key, KeyError, KeyMark},
    ticket::ListMark,
    verifier::Verifier,
};

/// Who a verified token speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The claim `tenant`.
    pub tenant: TenantId,
    /// The claim `sub`.
    pub user: UserId,
    /// The claim `device`.
    pub device: DeviceId,
    /// The claim `name`, trimmed: 1 to 256 bytes without control characters.
    pub name: Option<String>,
    /// When a session with this token ends, in milliseconds since 1970: the claim `exp` and the
    /// leeway.
    pub expires_at_ms: u64,
    /// The key that signed it, where that key can be withdrawn: see [`Verifier::stands`].
    pub signed_by: Option<KeyMark>,
}

/// Why a token was refused. The messages are for the client: they say what would be right and
/// nothing about keys or other users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// Valid once. A session closes with 4001.
    #[error("the token has expired; get a new one")]
    Expired,
    /// `nbf` or `iat` lies ahead.
    #[error("the token is not valid yet; check the clocks")]
    NotYetValid,
    /// `exp` lies further ahead than this server allows.
    #[error("the token's exp is too far ahead")]
    Lifetime,
    /// Longer than any honest token.
    #[error("the token is longer than 8192 bytes")]
    TooLong,
    /// Not three base64url parts with JSON objects.
    #[error("the token is not a signed JWT of three parts")]
    Malformed,
    /// The header asks for something that is not taken.
    #[error("the token's header has {0}, which is not taken here")]
    Header(&'static str),
    /// No key of that name, or no key at all, or more than one without a name.
    #[error("the token's key (kid) is not known here")]
    UnknownKey,
    /// The key is for another algorithm, or the algorithm is none of ours.
    #[error("the token's algorithm (alg) is not the one of its key")]
    Algorithm,
    /// Signed by somebody else, or changed since.
    #[error("the token's signature does not match")]
    Signature,
    /// Another issuer.
    #[error("the token's issuer (iss) is not the one of its key")]
    Issuer,
    /// Meant for somebody else.
    #[error("the token's audience (aud) does not name this service")]
    Audience,
    /// A claim is missing or has the wrong form.
    #[error("the token's claim {0} is missing or malformed")]
    Claim(&'static str),
}
