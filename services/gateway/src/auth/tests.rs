//! What tokens are taken and what is refused. The keys in `testdata` are for these tests alone.

mod attacks;
mod dev;
mod good;
mod malformed;
mod rotation;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm as Alg, EncodingKey};
use serde_json::{Value, json};

use super::*;

/// 2026-11-22T09:00:00Z.
const NOW_MS: u64 = 1_795_338_000_000;
const NOW: u64 = NOW_MS / 1_000;

const ED_PUBLIC: &str = include_str!("testdata/eddsa.pub.pem");
const EC_PUBLIC: &str = include_str!("testdata/es256.pub.pem");
const RSA_PUBLIC: &str = include_str!("testdata/rs256.pub.pem");

/// 32 bytes in base64.
const SECRET: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const SECRET_BYTES: &[u8] = b"0123456789abcdef0123456789abcdef";

fn private(alg: Alg) -> EncodingKey {
    match alg {
        Alg::EdDSA => EncodingKey::from_ed_pem(include_bytes!("testdata/eddsa.pem")).unwrap(),
        Alg::ES256 => EncodingKey::from_ec_pem(include_bytes!("testdata/es256.pem")).unwrap(),
        Alg::RS256 => EncodingKey::from_rsa_pem(include_bytes!("testdata/rs256.pem")).unwrap(),
        _ => EncodingKey::from_secret(SECRET_BYTES),
    }
}

/// A key of each algorithm, named after it, and the issuer `https://id.example`.
fn config() -> Config {
    let key = |kid: &str, alg, pem: Option<&str>, secret: Option<&str>| KeyConfig {
        kid: Some(kid.into()),
        alg,
        issuer: None,
        audience: None,
        pem: pem.map(Into::into),
        secret: secret.map(Into::into),
        file: None,
    };
    Config {
        issuer: "https://id.example".into(),
        keys: vec![
            key("ed", Algorithm::EdDSA, Some(ED_PUBLIC), None),
            key("ec", Algorithm::ES256, Some(EC_PUBLIC), None),
            key("rsa", Algorithm::RS256, Some(RSA_PUBLIC), None),
            key("hmac", Algorithm::HS256, None, Some(SECRET)),
        ],
        ..Config::default()
    }
}

fn verifier() -> Verifier {
    Verifier::open(&config()).unwrap()
}

fn claims() -> Value {
    json!({
        "iss": "https://id.example",
        "aud": "harkara",
        "exp": NOW + 3_600,
        "sub": "97b9d1f0-5d86-8ff4-b0f0-2d0b4ab3a4f1",
        "tenant": "0192f0c1-2345-7abc-8def-0123456789ab",
        "device": "0192f0c1-2345-7abc-8def-0123456789ac",
        "name": " Asha \u{905}",
    })
}

/// Claims with some replaced; null takes one away.
fn claims_with(changes: &Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => claims.as_object_mut().unwrap().remove(name),
            value => claims.as_object_mut().unwrap().insert(name.clone(), value.clone()),
        };
    }
    claims
}

/// Signs exactly these texts.
fn sign_text(header: &str, claims: &str, key: &EncodingKey, alg: Alg) -> String {
    let body = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = jsonwebtoken::crypto::sign(body.as_bytes(), key, alg).unwrap();
    format!("{body}.{signature}")
}

/// A token by the Ed25519 key.
fn token(claims: &Value) -> String {
    with_header(&json!({"alg": "EdDSA", "kid": "ed", "typ": "JWT"}), claims)
}

fn with_header(header: &Value, claims: &Value) -> String {
    sign_text(&header.to_string(), &claims.to_string(), &private(Alg::EdDSA), Alg::EdDSA)
}

fn refused(token: &str) -> AuthError {
    verifier().verify(token, NOW_MS).unwrap_err()
}
