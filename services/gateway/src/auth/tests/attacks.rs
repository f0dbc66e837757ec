//! RFC 8725's attacks and rules by their sections, one by one. Tokens that are malformed are in
//! `malformed`, keys that are too weak (3.5) in `good` and `rotation`.

use super::*;

/// 2.1 and 3.1: an algorithm of the attacker's choice.
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

/// 2.1: the public key as a secret.
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

/// 3.1: "Each key MUST be used with exactly one algorithm".
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

/// 3.10: `kid` is a name among ours and nothing else.
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

/// 2.9 and 3.10: nothing that comes with the token is believed or fetched; 3.6: nothing is unpacked.
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
        ("x5c", json!([])),
        ("jwk", json!({})),
        ("zip", json!("DEF")),
        ("enc", json!("A128GCM")),
    ] {
        let forged = with_header(&json!({"alg": "EdDSA", "kid": "ed", name: value}), &claims());
        assert_eq!(refused(&forged), AuthError::Header(name));
    }
}

/// 2.8, 3.11 and 3.12: a token for something else.
#[test]
fn other_kinds_of_tokens_are_refused() {
    for typ in [
        "dpop+jwt",
        "secevent+jwt",
        "JWE",
        "logout+jwt",
        "",
        "at+jwt ",
        "application/application/jwt",
        "text/jwt",
    ] {
        let other = with_header(&json!({"alg": "EdDSA", "kid": "ed", "typ": typ}), &claims());
        assert!(matches!(refused(&other), AuthError::Header(_)), "{typ}");
    }
    for typ in ["jwt", "JWT", "at+jwt", "application/at+JWT"] {
        let good = with_header(&json!({"alg": "EdDSA", "kid": "ed", "typ": typ}), &claims());
        assert!(verifier().verify(&good, NOW_MS).is_ok(), "{typ}");
    }
}

/// 3.8 and 3.9: issuer and audience.
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

/// RFC 7519, 4.1.4 to 4.1.6: times.
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

/// 2.10 and 3.8: who it is about.
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

/// 3.3: signatures that are true of everything, or of the right form for another library.
#[test]
fn signatures_of_zeros_and_other_forms_are_refused() {
    let body = |alg: &str, kid: &str| {
        let header = URL_SAFE_NO_PAD.encode(json!({"alg": alg, "kid": kid}).to_string());
        format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims().to_string()))
    };
    // The order of P-256: r = n, s = n is (0, 0) to who forgets to look.
    let order = hex_bytes("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
    let der = [&[0x30, 6, 2, 1, 1, 2, 1][..], &[1]].concat();
    for (alg, kid, length) in
        [("ES256", "ec", 64), ("EdDSA", "ed", 64), ("RS256", "rsa", 256), ("HS256", "hmac", 32)]
    {
        let one = [vec![0; length - 1], vec![1]].concat();
        for bytes in
            [vec![0; length], vec![0xff; length], one, order.repeat(2), der.clone(), vec![]]
        {
            let forged = format!("{}.{}", body(alg, kid), URL_SAFE_NO_PAD.encode(&bytes));
            let verdict = refused(&forged);
            assert_eq!(verdict, AuthError::Signature, "{alg} {bytes:02x?}");
        }
    }
}

fn hex_bytes(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

#[test]
fn what_clients_are_told_names_no_key() {
    for error in [AuthError::UnknownKey, AuthError::Signature, AuthError::Claim("sub")] {
        let text = error.to_string();
        assert!(!text.ends_with('.') && text.starts_with("the token"), "{text}");
    }
}
