//! A JWKS file that changes, breaks, vanishes and comes back.

use std::{fs, path::Path};

use super::*;

fn public(alg: Alg, kid: &str) -> Value {
    let jwk = jsonwebtoken::jwk::Jwk::from_encoding_key(&private(alg), alg).unwrap();
    let mut jwk = serde_json::to_value(jwk).unwrap();
    jwk["kid"] = json!(kid);
    jwk["use"] = json!("sig");
    jwk
}

fn write(path: &Path, keys: &[Value]) {
    fs::write(path, json!({ "keys": keys }).to_string()).unwrap();
}

fn signed(alg: Alg, kid: &str) -> String {
    let header = json!({"alg": alg, "kid": kid}).to_string();
    sign_text(&header, &claims().to_string(), &private(alg), alg)
}

fn open(path: &Path) -> Result<Verifier, String> {
    let config = Config { keys: Vec::new(), jwks_file: Some(path.to_owned()), ..config() };
    Verifier::open(&config).map_err(|problem| problem.right)
}

#[test]
fn every_kind_of_key_is_read_and_others_are_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("jwks.json");
    let encryption = json!({"kty": "RSA", "use": "enc", "kid": "e", "n": "AQAB", "e": "AQAB"});
    let mut mislabeled = public(Alg::EdDSA, "mislabeled");
    mislabeled["alg"] = json!("RS256");
    let short = json!({"kty": "oct", "kid": "short", "alg": "HS256", "k": "c2hvcnQ"});
    let curve = json!({"kty": "EC", "kid": "p", "crv": "P-384", "x": "AA", "y": "AA"});
    let unknown = json!({"kty": "AKP", "kid": "pq", "alg": "ML-DSA-44", "pub": "AA"});
    let algs = [Alg::EdDSA, Alg::ES256, Alg::RS256, Alg::HS256];
    let mut keys: Vec<_> = algs.iter().map(|alg| public(*alg, &format!("{alg:?}"))).collect();
    keys.extend([encryption, mislabeled, short, curve, unknown]);
    write(&path, &keys);
    let verifier = open(&path).unwrap();
    for alg in algs {
        assert!(verifier.verify(&signed(alg, &format!("{alg:?}")), NOW_MS).is_ok(), "{alg:?}");
    }
    let mislabeled = signed(Alg::EdDSA, "mislabeled");
    assert_eq!(verifier.verify(&mislabeled, NOW_MS), Err(AuthError::UnknownKey));
}

#[test]
fn new_keys_are_taken_and_old_ones_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("jwks.json");
    write(&path, &[public(Alg::EdDSA, "a")]);
    let verifier = open(&path).unwrap();
    let (a, b) = (signed(Alg::EdDSA, "a"), signed(Alg::EdDSA, "b"));
    assert!(verifier.verify(&a, NOW_MS).is_ok());
    assert_eq!(verifier.verify(&b, NOW_MS), Err(AuthError::UnknownKey));

    // A rename over the file, as careful writers do.
    let new = dir.path().join("new.json");
    write(&new, &[public(Alg::EdDSA, "b")]);
    fs::rename(&new, &path).unwrap();
    assert_eq!(verifier.verify(&b, NOW_MS + 50), Err(AuthError::UnknownKey), "a look too soon");
    assert!(verifier.verify(&a, NOW_MS + 50).is_ok(), "known, and not looked yet");
    assert!(verifier.verify(&b, NOW_MS + 150).is_ok(), "an unknown key is looked for sooner");
    assert_eq!(verifier.verify(&a, NOW_MS + 151), Err(AuthError::UnknownKey), "not from memory");
}

#[test]
fn a_token_stands_as_long_as_its_key() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("jwks.json");
    write(&path, &[public(Alg::EdDSA, "a"), public(Alg::ES256, "b")]);
    let verifier = open(&path).unwrap();
    let key_of = |token: &str| verifier.verify(token, NOW_MS).unwrap().signed_by;
    let (a, b) = (key_of(&signed(Alg::EdDSA, "a")), key_of(&signed(Alg::ES256, "b")));
    assert!(a.is_some() && a != b);
    assert!(verifier.stands(a, NOW_MS) && verifier.stands(b, NOW_MS));
    // Told otherwise, it is the same key.
    let mut again = public(Alg::EdDSA, "a");
    again["alg"] = json!("EdDSA");
    write(&path, &[again, public(Alg::RS256, "b")]);
    assert!(verifier.stands(b, NOW_MS + 500), "not looked yet");
    assert!(verifier.stands(a, NOW_MS + 2_000));
    assert!(!verifier.stands(b, NOW_MS + 2_000), "another key under its name");
    write(&path, &[]);
    assert!(verifier.stands(a, NOW_MS + 4_000), "a file without keys is not taken");
    // A key of the settings has nothing to be taken out of.
    let fixed = super::verifier().verify(&token(&claims()), NOW_MS).unwrap();
    assert_eq!(fixed.signed_by, None);
    assert!(super::verifier().stands(None, NOW_MS));
}

#[test]
fn a_broken_file_leaves_the_keys_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("jwks.json");
    write(&path, &[public(Alg::EdDSA, "a")]);
    let verifier = open(&path).unwrap();
    let mut now = NOW_MS;
    let mut still = |what: &str| {
        now += 2_000;
        assert!(verifier.verify(&signed(Alg::EdDSA, "a"), now).is_ok(), "{what}");
    };
    fs::write(&path, "{\"keys\": [").unwrap();
    still("cut off");
    fs::write(&path, vec![b' '; 1024 * 1024 + 1]).unwrap();
    still("endless");
    write(&path, &[]);
    still("empty");
    write(&path, &[public(Alg::EdDSA, "b"), public(Alg::ES256, "b")]);
    still("a name twice");
    fs::remove_file(&path).unwrap();
    still("gone");
    write(&path, &[public(Alg::ES256, "c")]);
    now += 2_000;
    assert!(verifier.verify(&signed(Alg::ES256, "c"), now).is_ok(), "good again");
}

#[test]
fn a_symbolic_link_may_be_swapped() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("jwks.json");
    for (version, kid) in [("1", "a"), ("2", "b")] {
        write(&dir.path().join(version), &[public(Alg::EdDSA, kid)]);
    }
    std::os::unix::fs::symlink("1", &path).unwrap();
    let verifier = open(&path).unwrap();
    let next = dir.path().join("next");
    std::os::unix::fs::symlink("2", &next).unwrap();
    fs::rename(&next, &path).unwrap();
    assert!(verifier.verify(&signed(Alg::EdDSA, "b"), NOW_MS).is_ok());
}

#[test]
fn the_start_stops_at_a_bad_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("jwks.json");
    assert!(open(&path).unwrap_err().starts_with("cannot read /"));
    fs::write(&path, "[]").unwrap();
    assert!(open(&path).unwrap_err().contains("is not a JWKS document"));
    write(&path, &[]);
    assert!(open(&path).unwrap_err().ends_with("EdDSA, ES256, RS256 or HS256"));
}
