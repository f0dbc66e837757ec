//! A server in production mode, with keys of the test's and tokens that they sign.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::{Client, Home, Server, now_secs, uuid};

/// Whom tokens come from.
pub const ISSUER: &str = "https://id.example";

/// One key in the settings, and a home.
pub struct Production {
    pub secret: Vec<u8>,
    pub home: Home,
}

impl Production {
    pub fn new() -> Self {
        Self { secret: b"a secret of thirty-two bytes or more".to_vec(), home: Home::new() }
    }

    /// The secret as the settings have it.
    pub fn encoded(&self) -> String {
        STANDARD.encode(&self.secret)
    }

    pub fn start(&self) -> Server {
        self.start_with("")
    }

    /// With more settings, in sections of their own.
    pub fn start_with(&self, more: &str) -> Server {
        let secret = self.encoded();
        let text = format!(
            "mode = \"production\"\n[auth]\nleeway = \"0s\"\n[[auth.keys]]\nalg = \"HS256\"\n\
             issuer = \"{ISSUER}\"\nsecret = \"{secret}\"\n{more}\n"
        );
        let file = self.home.file("harkara.toml", &text);
        self.home.launch().arg("--config").arg(file).start()
    }

    /// A token that is good for so long, of somebody new but for what is changed.
    pub fn token(&self, lifetime_secs: i64, changed: &Value) -> String {
        signed(&self.secret, None, lifetime_secs, changed)
    }

    /// A session of somebody.
    pub async fn join(&self, server: &Server, who: &Value) -> Client {
        let token = self.token(600, who);
        let mut client = Client::open(server.clients, Some(&token)).await.expect("an upgrade");
        client.start(json!({})).await.expect("a session");
        client
    }
}

/// A token by a secret, with the name of its key where it has one.
pub fn signed(secret: &[u8], kid: Option<&str>, lifetime_secs: i64, changed: &Value) -> String {
    let mut claims = json!({
        "iss": ISSUER, "aud": "harkara", "sub": uuid(), "device": uuid(),
        "tenant": uuid(), "name": "Asha",
        "exp": i64::try_from(now_secs()).expect("a time") + lifetime_secs,
    });
    for (key, value) in changed.as_object().expect("an object") {
        claims[key] = value.clone();
    }
    let header = Header { kid: kid.map(str::to_owned), ..Header::new(Algorithm::HS256) };
    jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(secret)).expect("a token")
}
