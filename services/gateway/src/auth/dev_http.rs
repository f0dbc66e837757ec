//! `POST /v1/dev/token`: [`DevIssuer`] over HTTP, on the client port, in development mode only.

use actix_web::{
    HttpResponse, Resource,
    http::StatusCode,
    web,
    web::{Bytes, Data, PayloadConfig},
};
use harkara_protocol::time;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::dev::{DevIssuer, IssueError};

/// Longest body: two names of 64 bytes, each byte escaped, and some to spare.
const BODY_BYTES_MAX: usize = 4 * 1024;

/// The route's path.
pub const PATH: &str = "/v1/dev/token";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    user: String,
    device: Option<String>,
}

#[derive(Serialize)]
struct Answer {
    user: String,
    device: String,
    token: String,
    expires_at: String,
}

/// The route, for the client port's `App`.
#[must_use]
pub fn resource(issuer: Data<DevIssuer>) -> Resource {
    web::resource(PATH)
        .app_data(issuer)
        .app_data(PayloadConfig::new(BODY_BYTES_MAX))
        .route(web::post().to(token))
}

/// `{"user":…,"device"?:…}` → `{"user","device","token","expires_at"}`.
async fn token(issuer: Data<DevIssuer>, body: Result<Bytes, actix_web::Error>) -> HttpResponse {
    let body = match body {
        Ok(body) => body,
        Err(error) => {
            let status = error.as_response_error().status_code();
            return refuse(
                status,
                &format!("the body must be JSON of at most {BODY_BYTES_MAX} bytes"),
            );
        }
    };
    let request: Request = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => {
            let message = format!(r#"expected {{"user": "asha", "device": "phone"}}: {error}"#);
            return refuse(StatusCode::BAD_REQUEST, &message);
        }
    };
    match issuer.issue(&request.user, request.device.as_deref()) {
        Ok(issued) => {
            HttpResponse::Ok().insert_header(("cache-control", "no-store")).json(Answer {
                user: issued.user.to_string(),
                device: issued.device.to_string(),
                token: issued.token,
                expires_at: time::format(issued.expires_at_ms),
            })
        }
        Err(IssueError::Name(bad)) => refuse(StatusCode::BAD_REQUEST, &bad.to_string()),
        Err(IssueError::Sign(error)) => {
            tracing::error!(%error, "cannot sign a development token");
            refuse(StatusCode::INTERNAL_SERVER_ERROR, "cannot sign a token; see the server's log")
        }
    }
}

/// An error as JSON.
fn refuse(status: StatusCode, message: &str) -> HttpResponse {
    let code = if status.is_server_error() { "unavailable" } else { "invalid_content" };
    HttpResponse::build(status).json(json!({"error": {"code": code, "message": message}}))
}
