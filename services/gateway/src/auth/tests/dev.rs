//! Development tokens, issued and over HTTP.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, sync::Arc};

use actix_web::{App, http::StatusCode, test as http, web::Data};
use harkara_service_runtime::{clock::Clock, entropy::SystemEntropy};

use super::*;

struct Fixed;

impl Clock for Fixed {
    fn now_ms(&self) -> u64 {
        NOW_MS
    }

    fn elapsed_ns(&self) -> u64 {
        0
    }
}

fn issuer(dir: &Path) -> DevIssuer {
    DevIssuer::open(dir, Arc::new(Fixed), &SystemEntropy).unwrap()
}

#[test]
fn tokens_are_verified_and_outlive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let token = issuer(dir.path()).issue("asha", Some("phone")).unwrap();
    assert_eq!(token.user, UserId::development("asha"));
    assert_eq!(token.expires_at_ms, NOW_MS + 30 * 86_400_000);

    let verifier = verifier();
    let again = issuer(dir.path());
    again.register(&verifier).unwrap();
    let identity = verifier.verify(&token.token, NOW_MS).unwrap();
    assert_eq!((identity.user, identity.device), (token.user, token.device));
    assert_eq!(identity.tenant, TenantId::development());
    assert_eq!(identity.name.as_deref(), Some("asha"));
    assert!(again.register(&verifier).is_err(), "its name is taken");
    assert_ne!(again.issue("asha", None).unwrap().device, token.device);

    let mode = fs::metadata(dir.path().join(super::super::dev::KEY_FILE)).unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
}

#[test]
fn other_directories_have_other_keys() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let verifier = verifier();
    issuer(one.path()).register(&verifier).unwrap();
    let foreign = issuer(two.path()).issue("asha", None).unwrap();
    assert_eq!(verifier.verify(&foreign.token, NOW_MS), Err(AuthError::UnknownKey));
}

#[test]
fn a_file_that_is_no_key_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(super::super::dev::KEY_FILE);
    fs::write(&path, "junk").unwrap();
    let error = DevIssuer::open(dir.path(), Arc::new(Fixed), &SystemEntropy).unwrap_err();
    assert!(error.to_string().ends_with("remove it to get a new one (old tokens end)"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "junk");
}

#[test]
fn bad_names_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let issuer = issuer(dir.path());
    for bad in ["", " ", "a\n", "a\tb", "\u{7f}", " asha", &"x".repeat(65)] {
        assert!(issuer.issue(bad, None).is_err(), "{bad:?}");
        assert!(issuer.issue("asha", Some(bad)).is_err(), "{bad:?}");
    }
    for good in ["a", "अशा", "A B", "O'Neil; DROP", &"x".repeat(64)] {
        assert!(issuer.issue(good, Some(good)).is_ok(), "{good:?}");
    }
}

async fn post(body: &str) -> (StatusCode, Value) {
    let dir = tempfile::tempdir().unwrap();
    let app = App::new().service(dev_http::resource(Data::new(issuer(dir.path()))));
    let app = http::init_service(app).await;
    let request = http::TestRequest::post().uri(dev_http::PATH).set_payload(body.to_owned());
    let response = http::call_service(&app, request.to_request()).await;
    let status = response.status();
    (status, http::read_body_json(response).await)
}

#[actix_web::test]
async fn a_token_is_answered_as_the_protocol_says() {
    let (status, answer) = post(r#"{"user": "asha", "device": "phone"}"#).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(answer["user"], UserId::development("asha").to_string());
    assert_eq!(answer["device"], DeviceId::development("asha", "phone").to_string());
    assert_eq!(answer["expires_at"], "2026-12-22T09:00:00.000Z");
    assert_eq!(answer["token"].as_str().unwrap().split('.').count(), 3);
    assert_eq!(answer.as_object().unwrap().len(), 4);
    assert_eq!(post(r#"{"user":"asha"}"#).await.0, StatusCode::OK);
}

#[actix_web::test]
async fn bad_requests_get_json_that_says_what_is_right() {
    for body in ["", "{}", "[]", r#"{"user":7}"#, r#"{"user":""}"#, r#"{"user":"a","devcie":"b"}"#]
    {
        let (status, answer) = post(body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(answer["error"]["code"], "invalid_content", "{body}");
        assert!(answer["error"]["message"].as_str().unwrap().len() > 20, "{body}");
    }
    let (status, answer) = post(&" ".repeat(5_000)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(answer["error"]["message"], "the body must be JSON of at most 4096 bytes");
}
