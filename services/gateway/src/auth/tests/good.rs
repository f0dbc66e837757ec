//! Tokens that are taken, and settings that are not.

use super::*;

#[test]
fn each_algorithm_is_taken_with_its_own_key() {
    let verifier = verifier();
    for (kid, alg) in
        [("ed", Alg::EdDSA), ("ec", Alg::ES256), ("rsa", Alg::RS256), ("hmac", Alg::HS256)]
    {
        for header in [json!({"alg": alg, "kid": kid}), json!({"alg": alg, "typ": "at+JWT"})] {
            let token = sign_text(&header.to_string(), &claims().to_string(), &private(alg), alg);
            let identity = verifier.verify(&token, NOW_MS).unwrap();
            assert_eq!(identity.user.to_string(), "97b9d1f0-5d86-8ff4-b0f0-2d0b4ab3a4f1");
            assert_eq!(identity.tenant.to_string(), "0192f0c1-2345-7abc-8def-0123456789ab");
            assert_eq!(identity.device.to_string(), "0192f0c1-2345-7abc-8def-0123456789ac");
            assert_eq!(identity.name.as_deref(), Some("Asha \u{905}"), "trimmed");
            assert_eq!(identity.expires_at_ms, NOW_MS + 3_630_000, "with the leeway");
        }
    }
}

#[test]
fn an_audience_in_a_list_and_times_with_fractions_are_taken() {
    let changes = json!({"aud": ["mail", "harkara"], "exp": NOW as f64 + 10.5, "nbf": NOW + 29});
    let identity = verifier().verify(&token(&claims_with(&changes)), NOW_MS).unwrap();
    assert_eq!(identity.expires_at_ms, NOW_MS + 40_500);
}

#[test]
fn a_name_is_optional() {
    for name in [json!(null), json!(" ")] {
        let mut claims = claims();
        claims["name"] = name;
        assert_eq!(verifier().verify(&token(&claims), NOW_MS).unwrap().name, None);
    }
}

#[test]
fn known_tokens_are_remembered_until_they_expire() {
    let verifier = verifier();
    let token = token(&claims());
    let first = verifier.verify(&token, NOW_MS).unwrap();
    assert_eq!(verifier.cached(), 1);
    assert_eq!(verifier.verify(&token, NOW_MS + 1), Ok(first));
    assert_eq!(verifier.verify(&token, NOW_MS + 3_630_000), Err(AuthError::Expired));
    assert_eq!(verifier.cached(), 0);
}

#[test]
fn the_memory_for_tokens_is_bounded() {
    let verifier = Verifier::open(&Config { cache_tokens_max: 32, ..config() }).unwrap();
    for n in 0..200 {
        let header = json!({"alg": "HS256", "kid": "hmac"}).to_string();
        let claims = claims_with(&json!({"exp": NOW + 60 + n})).to_string();
        let token = sign_text(&header, &claims, &private(Alg::HS256), Alg::HS256);
        verifier.verify(&token, NOW_MS).unwrap();
        assert!(verifier.cached() <= 32);
    }
    let verifier = Verifier::open(&Config { cache_tokens_max: 0, ..config() }).unwrap();
    verifier.verify(&token(&claims()), NOW_MS).unwrap();
    assert_eq!(verifier.cached(), 0);
}

#[test]
fn an_issuer_of_its_own_is_pinned_to_a_key() {
    let mut config = config();
    config.keys[0].issuer = Some("https://other.example".into());
    let verifier = Verifier::open(&config).unwrap();
    assert_eq!(verifier.verify(&token(&claims()), NOW_MS), Err(AuthError::Issuer));
    let other = token(&claims_with(&json!({"iss": "https://other.example"})));
    assert!(verifier.verify(&other, NOW_MS).is_ok());
}

#[test]
fn keys_that_cannot_work_are_named() {
    let mut short = config();
    short.keys[3].secret = Some("c2hvcnQ=".into());
    let mut mixed = config();
    mixed.keys[0].pem = Some(EC_PUBLIC.into());
    let mut confused = config();
    confused.keys[3].secret = None;
    confused.keys[3].pem = Some(RSA_PUBLIC.into());
    let mut both = config();
    both.keys[0].file = Some("/nowhere".into());
    let mut twice = config();
    twice.keys[1].kid = Some("ed".into());
    let nobody = Config { issuer: String::new(), ..config() };
    for (config, key, right) in [
        (short, "auth.keys.3", "secret must be 32 bytes or more, as base64"),
        (mixed, "auth.keys.0", "expected a public Ed25519 key as PEM"),
        (confused, "auth.keys.3", "HS256 takes secret, not pem"),
        (both, "auth.keys.0", "exactly one of pem, secret and file must be set"),
        (twice, "auth.keys", "the kid ed is used twice"),
        (nobody, "auth.keys.0", "issuer must be set, here or as auth.issuer"),
    ] {
        let problem = Verifier::open(&config).unwrap_err();
        assert_eq!((problem.key.as_str(), problem.right.as_str()), (key, right));
    }
    assert_eq!(config().problems(), []);
}
