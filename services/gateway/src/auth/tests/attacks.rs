//! RFC 8725's attacks, one by one.

use super::*;

#[test]
fn no_signature_is_none() {
    for alg in ["none", "None", "NONE", ""] {
        let header = URL_SAFE_NO_PAD.encode(json!({"alg": alg, "kid": "ed"}).to_string());
        let body = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims().to_string()));
        assert_eq!(refused(&format!("{body}.")), AuthError::Algorithm);
        assert_eq!(refused(&format!("{body}.AAAA")), AuthError::Algorithm);
    }
    let token = token(&claims());
    let (unsigned, _) = token.rsplit_once('.').unwrap();
    assert_eq!(refused(&format!("{unsigned}.")), AuthError::Signature);
}

#[test]
fn a_public_key_is_no_secret() {
    // The classic: the server's public RSA key used as the secret of an HMAC.
    for (kid, public) in [("rsa", RSA_PUBLIC), ("ed", ED_PUBLIC), ("hmac", RSA_PUBLIC)] {
        let header = json!({"alg": "HS256", "kid": kid}).to_string();
        let key = EncodingKey::from_secret(public.as_bytes());
        let forged = sign_text(&header, &claims().to_string(), &key, Alg::HS256);
        let expected = if kid == "hmac" { AuthError::Signature } else { AuthError::Algorithm };
        assert_eq!(refused(&forged), expected);
    }
}

#[test]
fn a_key_works_with_its_own_algorithm_only() {
    for (kid, alg) in [("ec", Alg::EdDSA), ("ed", Alg::ES256), ("hmac", Alg::RS256)] {
        let header = json!({"alg": alg, "kid": kid}).to_string();
        let forged = sign_text(&header, &claims().to_string(), &private(alg), alg);
        assert_eq!(refused(&forged), AuthError::Algorithm, "{kid}");
    }
    for alg in ["HS384", "RS512", "PS256", "ES384", "EdDSA "] {
        let forged = with_header(&json!({"alg": alg, "kid": "ed"}), &claims());
        assert_eq!(refused(&forged), AuthError::Algorithm, "{alg}");
    }
}

#[test]
fn unknown_keys_are_refused() {
    for kid in ["other", "", "ed ", "../ed", "ed' OR 1=1"] {
        let forged = with_header(&json!({"alg": "EdDSA", "kid": kid}), &claims());
        assert_eq!(refused(&forged), AuthError::UnknownKey, "{kid}");
    }
    let mut two = config();
    two.keys.push(KeyConfig { kid: Some("ed2".into()), ..two.keys[0].clone() });
    let nameless = with_header(&json!({"alg": "EdDSA"}), &claims());
    let verdict = Verifier::open(&two).unwrap().verify(&nameless, NOW_MS);
    assert_eq!(verdict, Err(AuthError::UnknownKey), "two keys could be meant");
}

#[test]
fn keys_that_come_with_the_token_are_refused() {
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode([7; 32])});
    for (name, value) in [
        ("jwk", jwk),
        ("jku", json!("https://evil.example/jwks.json")),
        ("x5u", json!("https://evil.example/cert.pem")),
        ("x5c", json!(["MIIB"])),
        ("crit", json!(["b64"])),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
        ("enc", json!("A128GCM")),
    ] {
        let forged = with_header(&json!({"alg": "EdDSA", "kid": "ed", name: value}), &claims());
        assert_eq!(refused(&forged), AuthError::Header(name));
    }
}

#[test]
fn other_kinds_of_tokens_are_refused() {
    for typ in ["dpop+jwt", "secevent+jwt", "JWE", "logout+jwt"] {
        let other = with_header(&json!({"alg": "EdDSA", "kid": "ed", "typ": typ}), &claims());
        assert!(matches!(refused(&other), AuthError::Header(_)), "{typ}");
    }
    for typ in ["jwt", "JWT", "at+jwt", "application/at+JWT"] {
        let good = with_header(&json!({"alg": "EdDSA", "kid": "ed", "typ": typ}), &claims());
        assert!(verifier().verify(&good, NOW_MS).is_ok(), "{typ}");
    }
}

#[test]
fn wrong_issuers_and_audiences_are_refused() {
    for iss in [json!("https://id.example/"), json!(""), json!(null)] {
        assert_eq!(refused(&token(&claims_with(&json!({"iss": iss})))), AuthError::Issuer);
    }
    let list = json!({"iss": ["https://id.example"]});
    assert_eq!(refused(&token(&claims_with(&list))), AuthError::Claim("iss"));
    for aud in [json!("mail"), json!(["mail"]), json!([]), json!(null), json!("Harkara")] {
        assert_eq!(refused(&token(&claims_with(&json!({"aud": aud})))), AuthError::Audience);
    }
}

#[test]
fn times_are_checked() {
    let verdict = |changes: Value| refused(&token(&claims_with(&changes)));
    assert_eq!(verdict(json!({"exp": NOW - 30})), AuthError::Expired);
    assert_eq!(verdict(json!({"exp": 0})), AuthError::Expired);
    assert_eq!(verdict(json!({"nbf": NOW + 31})), AuthError::NotYetValid);
    assert_eq!(verdict(json!({"iat": NOW + 31})), AuthError::NotYetValid);
    assert_eq!(verdict(json!({"exp": NOW + 91 * 86_400})), AuthError::Lifetime);
    for far in [json!(u64::MAX), json!(4e12), json!(i64::MAX)] {
        assert_eq!(verdict(json!({"exp": far})), AuthError::Lifetime);
    }
    for absurd in [json!(null), json!("1795341600"), json!(-1), json!(1e300), json!([1]), json!({})]
    {
        let verdict = verdict(json!({ "exp": &absurd }));
        assert!(matches!(verdict, AuthError::Claim("exp") | AuthError::Malformed), "{absurd}");
    }
    assert_eq!(verdict(json!({"nbf": "soon"})), AuthError::Claim("nbf"));
    let good = token(&claims_with(&json!({"exp": NOW - 29})));
    assert!(verifier().verify(&good, NOW_MS).is_ok(), "within the leeway");
}

#[test]
fn ids_and_names_are_checked() {
    for claim in ["sub", "tenant", "device"] {
        for bad in [json!(null), json!("asha"), json!(7), json!("97b9d1f05d868ff4b0f02d0b4ab3a4f1")]
        {
            let verdict = refused(&token(&claims_with(&json!({claim: bad}))));
            assert_eq!(verdict, AuthError::Claim(claim));
        }
    }
    for bad in [json!("a\nb"), json!("a\u{0}"), json!("x".repeat(257)), json!(["a"])] {
        let verdict = refused(&token(&claims_with(&json!({"name": bad}))));
        assert_eq!(verdict, AuthError::Claim("name"));
    }
}

#[test]
fn changed_tokens_are_refused() {
    let good = token(&claims());
    let parts: Vec<_> = good.split('.').collect();
    let other = URL_SAFE_NO_PAD.encode(claims_with(&json!({"name": "Eve"})).to_string());
    assert_eq!(refused(&format!("{}.{other}.{}", parts[0], parts[2])), AuthError::Signature);
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"EdDSA","kid":"ed"}"#);
    assert_eq!(refused(&format!("{header}.{}.{}", parts[1], parts[2])), AuthError::Signature);
    let stranger = EncodingKey::from_ed_der(&[&PKCS8_ED[..], &[9; 32]].concat());
    let header = json!({"alg": "EdDSA", "kid": "ed"}).to_string();
    let forged = sign_text(&header, &claims().to_string(), &stranger, Alg::EdDSA);
    assert_eq!(refused(&forged), AuthError::Signature);
}

const PKCS8_ED: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

#[test]
fn malformed_tokens_are_refused() {
    let good = token(&claims());
    let parts: Vec<_> = good.split('.').collect();
    for bad in [
        String::new(),
        ".".into(),
        "..".into(),
        "...".into(),
        "Bearer".into(),
        parts[0].into(),
        format!("{}.{}", parts[0], parts[1]),
        format!("{good}.{}", parts[2]),
        format!("{good}."),
        format!(" {good}"),
        format!("{}=.{}.{}", parts[0], parts[1], parts[2]),
        "e30.e30.e30".into(),
        "ü.e30.e30".into(),
    ] {
        assert_eq!(refused(&bad), AuthError::Malformed, "{bad}");
    }
    for cut in 1..=86 {
        let verdict = refused(&good[..good.len() - cut]);
        assert!(matches!(verdict, AuthError::Signature | AuthError::Malformed), "{cut}");
    }
    assert_eq!(refused(&"x".repeat(64 * 1024)), AuthError::TooLong);
    assert_eq!(refused(&token(&claims_with(&json!({"x": "y".repeat(9_000)})))), AuthError::TooLong);
}

#[test]
fn what_is_signed_must_be_an_honest_object() {
    let header = r#"{"alg":"EdDSA","kid":"ed"}"#;
    let sign =
        |header: &str, claims: &str| sign_text(header, claims, &private(Alg::EdDSA), Alg::EdDSA);
    let twice = claims().to_string().replacen('{', r#"{"sub":"x","#, 1);
    let issuer_twice = claims().to_string().replacen('{', r#"{"iss":"https://id.example","#, 1);
    for bad in ["", "[]", "null", "{", "7", "\"a\"", "not json", &twice, &issuer_twice] {
        assert_eq!(refused(&sign(header, bad)), AuthError::Malformed, "{bad}");
    }
    for bad in [
        "[]",
        "{}",
        "not json",
        r#"{"alg":7}"#,
        r#"{"alg":"EdDSA","kid":7}"#,
        r#"{"alg":"EdDSA","kid":"ed","kid":"ec"}"#,
        r#"{"alg":"none","alg":"EdDSA","kid":"ed"}"#,
    ] {
        assert_eq!(refused(&sign(bad, &claims().to_string())), AuthError::Malformed, "{bad}");
    }
}

#[test]
fn what_clients_are_told_names_no_key() {
    for error in [AuthError::UnknownKey, AuthError::Signature, AuthError::Claim("sub")] {
        let text = error.to_string();
        assert!(!text.ends_with('.') && text.starts_with("the token"), "{text}");
    }
}
