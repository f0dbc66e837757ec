//! A token's header, read strictly before any key is touched.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, de::IgnoredAny};

use super::{Algorithm, AuthError};

/// Longest token in bytes: a header of 200, claims of 2,000 and an RSA-4096 signature stay below
/// half of it.
const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// What counts of a header. Each member at most once.
#[derive(Deserialize)]
struct Parts {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<IgnoredAny>,
    jwk: Option<IgnoredAny>,
    jku: Option<IgnoredAny>,
    x5u: Option<IgnoredAny>,
    x5c: Option<IgnoredAny>,
    b64: Option<IgnoredAny>,
    zip: Option<IgnoredAny>,
    enc: Option<IgnoredAny>,
}

/// What a token says about its signature.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) alg: Algorithm,
    pub(super) kid: Option<String>,
}

impl Header {
    /// Reads the first part of a token.
    pub(super) fn read(token: &str) -> Result<Self, AuthError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(AuthError::TooLong);
        }
        let mut parts = token.split('.');
        let header = parts.next().unwrap_or_default();
        let (claims, signature) = (parts.next(), parts.next());
        if claims.is_none() || signature.is_none() || parts.next().is_some() {
            return Err(AuthError::Malformed);
        }
        let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| AuthError::Malformed)?;
        let parts: Parts = serde_json::from_slice(&header).map_err(|_| AuthError::Malformed)?;
        // A key, or a place to get one, that comes with the token proves nothing (RFC 8725, 3.10),
        // and an extension that must be understood is one that we do not (RFC 7515, 4.1.11).
        let embedded = [
            (parts.crit, "crit"),
            (parts.jwk, "jwk"),
            (parts.jku, "jku"),
            (parts.x5u, "x5u"),
            (parts.x5c, "x5c"),
            (parts.b64, "b64"),
            (parts.zip, "zip"),
            (parts.enc, "enc"),
        ];
        if let Some((_, name)) = embedded.into_iter().find(|(member, _)| member.is_some()) {
            return Err(AuthError::Header(name));
        }
        if let Some(typ) = &parts.typ {
            let typ = typ.to_ascii_lowercase();
            let short = typ.strip_prefix("application/").unwrap_or(&typ);
            if !matches!(short, "jwt" | "at+jwt") {
                return Err(AuthError::Header("another typ than JWT or at+jwt"));
            }
        }
        let alg = Algorithm::named(&parts.alg).ok_or(AuthError::Algorithm)?;
        Ok(Self { alg, kid: parts.kid })
    }
}
