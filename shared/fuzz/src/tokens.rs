//! Bearer tokens: nobody gets in without a signature, and behind a good one claims are read
//! strictly.

use std::sync::LazyLock;

use harkara_domain::limits::NAME_BYTES_MAX;
use harkara_gateway::{
    auth::{Algorithm, AuthError, Config, KeyConfig, Verifier},
    fuzzing,
};

/// 2026-11-22T09:00:00Z.
pub const NOW_MS: u64 = 1_795_338_000_000;

static VERIFIER: LazyLock<Option<Verifier>> = LazyLock::new(|| {
    let key = |kid: &str, secret: &str| KeyConfig {
        kid: Some(kid.to_owned()),
        alg: Algorithm::HS256,
        issuer: None,
        audience: None,
        pem: None,
        secret: Some(secret.into()),
        file: None,
    };
    // Nobody signs with these.
    let keys = vec![
        key("a", "bm9ib2R5IHNpZ25zIHdpdGggdGhpcyBrZXksIG5vdCBldmVy"),
        key("b", "YW5kIG5vYm9keSBzaWducyB3aXRoIHRoaXMgb25lLCBlaXRoZXI="),
    ];
    let config = Config { issuer: "https://id.example".to_owned(), keys, ..Config::default() };
    Verifier::open(&config).ok()
});

/// Reads a token, and the same bytes as claims.
pub fn run(bytes: &[u8]) {
    if let Ok(token) = str::from_utf8(bytes) {
        let verdict = VERIFIER.as_ref().map(|verifier| verifier.verify(token, NOW_MS));
        assert!(matches!(&verdict, Some(Err(_))), "let in: {verdict:?}");
        let header = fuzzing::header(token);
        // Only a good header leads to the keys.
        if let (Err(strict), Some(Err(error))) = (header, verdict) {
            assert_eq!(strict, error);
        }
    }
    match fuzzing::claims(bytes, NOW_MS) {
        Ok(identity) => {
            assert!(identity.expires_at_ms > NOW_MS, "expired at {}", identity.expires_at_ms);
            let name = identity.name.unwrap_or_else(|| "-".to_owned());
            assert!((1..=NAME_BYTES_MAX).contains(&name.len()), "a name of {} bytes", name.len());
            assert!(!name.chars().any(char::is_control), "{name:?}");
            assert_eq!(name, name.trim());
        }
        Err(error) => assert_ne!(error, AuthError::Signature),
    }
}
