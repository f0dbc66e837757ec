//! Tokens that are none: every part of one cut, doubled, encoded otherwise, or of another form of
//! JOSE. RFC 8725's attacks by well-formed tokens are in `attacks`.

use super::*;

/// Parts that are signed as they are, whatever they are.
fn sign_bytes(header: &[u8], claims: &[u8]) -> String {
    let body = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let key = private(Alg::EdDSA);
    let signature = jsonwebtoken::crypto::sign(body.as_bytes(), &key, Alg::EdDSA).unwrap();
    format!("{body}.{signature}")
}

const HEADER: &str = r#"{"alg":"EdDSA","kid":"ed"}"#;

#[test]
fn parts_are_three_and_whole() {
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
        format!(".{good}"),
        format!(" {good}"),
        format!("{good} "),
        format!("{good}\n"),
        format!("{}=.{}.{}", parts[0], parts[1], parts[2]),
        format!("{} .{}.{}", parts[0], parts[1], parts[2]),
        format!(".{}.{}", parts[1], parts[2]),
        "e30.e30.e30".into(),
        "ü.e30.e30".into(),
        // RFC 7516: five parts are encrypted. RFC 7515, 7.2: the forms that are JSON.
        format!("{good}.a.b"),
        format!(
            r#"{{"protected":"{}","payload":"{}","signature":"{}"}}"#,
            parts[0], parts[1], parts[2]
        ),
    ] {
        let verdict = refused(&bad);
        let expected = matches!(verdict, AuthError::Malformed | AuthError::Signature);
        assert!(expected, "{bad:?}: {verdict}");
    }
    for cut in 1..good.len() {
        assert!(verifier().verify(&good[..good.len() - cut], NOW_MS).is_err(), "{cut} less");
        assert!(verifier().verify(&good[cut..], NOW_MS).is_err(), "without the first {cut}");
    }
    assert_eq!(refused(&"x".repeat(64 * 1024)), AuthError::TooLong);
    assert_eq!(refused(&".".repeat(8 * 1024 + 1)), AuthError::TooLong);
    assert_eq!(refused(&token(&claims_with(&json!({"x": "y".repeat(9_000)})))), AuthError::TooLong);
}

/// One token has one spelling: another one for the same bytes is not it.
#[test]
fn a_token_has_one_spelling() {
    let good = token(&claims());
    let (body, signature) = good.rsplit_once('.').unwrap();
    assert_eq!(signature.len(), 86, "64 bytes, of which the last character carries two bits");
    let (most, last) = signature.split_at(85);
    for other in ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['-', '_']) {
        if !last.starts_with(other) {
            assert!(
                verifier().verify(&format!("{body}.{most}{other}"), NOW_MS).is_err(),
                "{other}"
            );
        }
    }
    for bad in [
        format!("{body}.{signature}=="),
        format!("{body}.{signature}A"),
        format!("{body}.{signature}AAAA"),
        format!("{body}.{}", signature.replace(['-', '_'], "+")),
        format!("{body}.\n{signature}"),
        format!("{body}.{signature}\0"),
    ] {
        assert!(bad == good || verifier().verify(&bad, NOW_MS).is_err(), "{bad:?}");
    }
}

#[test]
fn what_is_signed_is_an_honest_object() {
    let twice = claims().to_string().replacen('{', r#"{"sub":"x","#, 1);
    let issuer_twice = claims().to_string().replacen('{', r#"{"iss":"https://id.example","#, 1);
    let escaped = claims().to_string().replacen('{', r#"{"\u0065xp":9999999999,"#, 1);
    let trailing = format!("{} {{}}", claims());
    let deep = format!(r#"{{"sub":{}{}}}"#, "[".repeat(2_000), "]".repeat(2_000));
    for bad in [
        "",
        "[]",
        "null",
        "{",
        "7",
        "\"a\"",
        "not json",
        "{}{}",
        &twice,
        &issuer_twice,
        &escaped,
        &trailing,
        &deep,
    ] {
        assert_eq!(
            refused(&sign_bytes(HEADER.as_bytes(), bad.as_bytes())),
            AuthError::Malformed,
            "{bad:.60}"
        );
    }
    for bad in [
        "[]",
        "{}",
        "not json",
        "null",
        r#"{"alg":7}"#,
        r#"{"alg":null}"#,
        r#"{"alg":["EdDSA"]}"#,
        r#"{"alg":"EdDSA","kid":7}"#,
        r#"{"alg":"EdDSA","kid":["ed"]}"#,
        r#"{"alg":"EdDSA","kid":"ed","kid":"ec"}"#,
        r#"{"alg":"none","alg":"EdDSA","kid":"ed"}"#,
        r#"{"alg":"none","\u0061lg":"EdDSA","kid":"ed"}"#,
        r#"{"alg":"EdDSA","kid":"ed"} x"#,
    ] {
        let claims = claims().to_string();
        assert_eq!(
            refused(&sign_bytes(bad.as_bytes(), claims.as_bytes())),
            AuthError::Malformed,
            "{bad}"
        );
    }
}

/// RFC 8725, 3.7: UTF-8 and nothing else.
#[test]
fn both_parts_are_utf8() {
    let text = claims().to_string();
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let marked = [&b"\xef\xbb\xbf"[..], text.as_bytes()].concat();
    let latin = text.replace("Asha", "\u{1}").into_bytes();
    let latin: Vec<u8> = latin.into_iter().map(|b| if b == 1 { 0xe9 } else { b }).collect();
    for (what, bad) in [("UTF-16", utf16), ("a byte order mark", marked), ("Latin-1", latin)] {
        assert_eq!(refused(&sign_bytes(HEADER.as_bytes(), &bad)), AuthError::Malformed, "{what}");
        assert_eq!(refused(&sign_bytes(&bad, text.as_bytes())), AuthError::Malformed, "{what}");
    }
    let surrogate = text.replace("Asha", "\\ud800");
    assert!(
        verifier().verify(&sign_bytes(HEADER.as_bytes(), surrogate.as_bytes()), NOW_MS).is_err()
    );
}

#[test]
fn changed_tokens_are_refused() {
    let good = token(&claims());
    let parts: Vec<_> = good.split('.').collect();
    let other = URL_SAFE_NO_PAD.encode(claims_with(&json!({"name": "Eve"})).to_string());
    assert_eq!(refused(&format!("{}.{other}.{}", parts[0], parts[2])), AuthError::Signature);
    let header = URL_SAFE_NO_PAD.encode(HEADER);
    assert_eq!(refused(&format!("{header}.{}.{}", parts[1], parts[2])), AuthError::Signature);
    let stranger = EncodingKey::from_ed_der(&[&PKCS8_ED[..], &[9; 32]].concat());
    let forged = sign_text(HEADER, &claims().to_string(), &stranger, Alg::EdDSA);
    assert_eq!(refused(&forged), AuthError::Signature);
    // Every single bit.
    let verifier = verifier();
    for at in 0..good.len() {
        for bit in 0..7 {
            let mut changed = good.clone().into_bytes();
            changed[at] ^= 1 << bit;
            let changed = String::from_utf8(changed).unwrap();
            assert!(verifier.verify(&changed, NOW_MS).is_err(), "bit {bit} of byte {at}");
        }
    }
}

const PKCS8_ED: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
