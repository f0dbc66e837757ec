//! Tokens through the whole server: what is refused and in which words, the end of a session with
//! its token, keys that come and go under load. Single attacks are the gateway's own tests.

use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::support::{
    Client, Home, Server, Stopwatch, http,
    production::{ISSUER, Production, signed},
    until, uuid,
};

#[tokio::test]
async fn a_session_ends_with_its_token() {
    let production = Production::new();
    let server = production.start();
    let user = json!({"sub": uuid(), "tenant": uuid(), "device": uuid()});
    let token = production.token(3, &user);
    let mut client = Client::open(server.clients, Some(&token)).await.unwrap();
    client.start(json!({})).await.unwrap();
    assert_eq!(client.user, user["sub"]);
    assert_eq!(client.started["limits"]["sends_per_second_max"], 50);
    let group = client.create("group", None, &[]).await;
    let watch = Stopwatch::start();
    assert_eq!(client.closed().await, Some(4001));
    assert!(watch.elapsed() < Duration::from_secs(10));
    assert!(Client::open(server.clients, Some(&token)).await.is_none(), "expired");
    let mut client =
        Client::open(server.clients, Some(&production.token(60, &user))).await.unwrap();
    client.start(json!({})).await.unwrap();
    assert_eq!(client.started["conversations"][0]["id"], group);
    let (status, _) = http::post(server.clients, "/v1/dev/token", r#"{"user":"asha"}"#).unwrap();
    assert_eq!(status, 404, "no tokens for the asking in production");
}

#[tokio::test]
async fn the_token_of_session_start_counts() {
    let production = Production::new();
    let server = production.start();
    let user = json!({"sub": uuid(), "tenant": uuid(), "device": uuid()});
    // The longer one came with the upgrade; the session ends with the other one.
    let (long, short) = (production.token(600, &user), production.token(3, &user));
    let mut client = Client::open(server.clients, Some(&long)).await.unwrap();
    client.start(json!({"token": short})).await.unwrap();
    assert_eq!(client.closed().await, Some(4001));
    // And the other way round.
    let (long, short) = (production.token(600, &user), production.token(3, &user));
    let mut client = Client::open(server.clients, Some(&short)).await.unwrap();
    client.start(json!({"token": long})).await.unwrap();
    let watch = Stopwatch::start();
    while Client::open(server.clients, Some(&short)).await.is_some() {
        assert!(watch.elapsed() < Duration::from_secs(10), "it does not expire");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    client.call("users.get", json!({"users": []})).await;
}

#[tokio::test]
async fn a_token_that_is_not_right_is_refused() {
    let production = Production::new();
    let server = production.start();
    for wrong in [
        json!({"iss": "https://other.example"}),
        json!({"aud": "other"}),
        json!({"sub": "asha"}),
        json!({"device": null}),
        json!({"tenant": 7}),
        json!({"exp": null}),
        json!({"exp": 4_000_000_000_u64}),
        json!({"nbf": crate::support::now_secs() + 600}),
        json!({"name": "a\nb"}),
    ] {
        let token = production.token(60, &wrong);
        let mut client = Client::open(server.clients, None).await.unwrap();
        let error = client.start(json!({"token": token})).await.unwrap_err();
        assert_eq!(error["data"]["code"], "unauthenticated", "{wrong}");
        assert!(!error["message"].as_str().unwrap().contains(&token));
        assert!(Client::open(server.clients, Some(&token)).await.is_none(), "{wrong}");
    }
    for wrong in ["", " ", "a.b.c", "null", &"x".repeat(60_000), "\u{202e}", "e30.e30.e30"] {
        let mut client = Client::open(server.clients, None).await.unwrap();
        let error = client.start(json!({"token": wrong})).await.unwrap_err();
        assert_eq!(error["data"]["code"], "unauthenticated", "{wrong:.20}");
        assert!(error["message"].as_str().unwrap().len() < 200, "{wrong:.20}");
    }
}

/// Keys in a file, as an identity provider would write them.
struct Rotating {
    home: Home,
    file: PathBuf,
}

fn secret(kid: &str) -> Vec<u8> {
    format!("the secret of the key {kid}, long enough").into_bytes()
}

impl Rotating {
    fn start(kids: &[&str]) -> (Self, Server) {
        let home = Home::new();
        let file = home.path().join("jwks.json");
        let rotating = Self { home, file };
        rotating.publish(kids);
        let text = format!(
            "mode = \"production\"\n[gateway]\nheartbeat = \"2s\"\n[auth]\nissuer = \"{ISSUER}\"\n\
             jwks_file = \"{}\"\n",
            rotating.file.display()
        );
        let config = rotating.home.file("harkara.toml", &text);
        let server = rotating.home.launch().arg("--config").arg(config).start();
        (rotating, server)
    }

    /// A rename over the file, as careful writers do.
    fn publish(&self, kids: &[&str]) {
        let key = |kid: &&str| {
            let k = URL_SAFE_NO_PAD.encode(secret(kid));
            json!({"kty": "oct", "use": "sig", "alg": "HS256", "kid": kid, "k": k})
        };
        let keys: Vec<Value> = kids.iter().map(key).collect();
        let new = self.home.file("jwks.new", &json!({"keys": keys}).to_string());
        fs::rename(new, &self.file).unwrap();
    }

    fn token(kid: &str) -> String {
        signed(&secret(kid), Some(kid), 600, &json!({}))
    }
}

async fn session(server: &Server, kid: &str) -> Option<Client> {
    let mut client = Client::open(server.clients, Some(&Rotating::token(kid))).await?;
    client.start(json!({})).await.ok()?;
    Some(client)
}

/// Asks, and is answered, until it is done.
async fn lives(client: &mut Client, done: &AtomicBool) {
    while !done.load(Ordering::SeqCst) {
        client.call("users.get", json!({"users": []})).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    client.call("users.get", json!({"users": []})).await;
}

#[tokio::test]
async fn a_withdrawn_key_ends_its_sessions_and_no_others() {
    let (rotating, server) = Rotating::start(&["a", "b"]);
    let mut of_a = session(&server, "a").await.unwrap();
    let mut of_b = session(&server, "b").await.unwrap();
    rotating.publish(&["b", "c"]);
    // Nobody asks for a token to be verified: the session itself looks.
    let done = AtomicBool::new(false);
    let ends = async {
        assert_eq!(of_a.closed().await, Some(4001));
        done.store(true, Ordering::SeqCst);
    };
    tokio::join!(ends, lives(&mut of_b, &done));
    assert!(session(&server, "a").await.is_none(), "its tokens are refused");
    session(&server, "c").await.unwrap();
    let evicted = server.metrics().sum("harkara_sessions_evicted_total", "token_revoked");
    assert!((evicted - 1.0).abs() < f64::EPSILON, "{evicted}");
}

#[tokio::test]
async fn a_key_of_the_same_name_with_other_material_is_another() {
    let (rotating, server) = Rotating::start(&["a", "b"]);
    let mut of_a = session(&server, "a").await.unwrap();
    let text = fs::read_to_string(&rotating.file).unwrap();
    let (old, new) = (secret("a"), secret("z"));
    let text = text.replace(&URL_SAFE_NO_PAD.encode(old), &URL_SAFE_NO_PAD.encode(new));
    fs::rename(rotating.home.file("jwks.new", &text), &rotating.file).unwrap();
    assert_eq!(of_a.closed().await, Some(4001));
    assert!(session(&server, "a").await.is_none());
}

/// Rotations during which clients come all the time.
const ROTATIONS: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_rotate_under_load_and_nobody_with_a_good_token_is_refused() {
    let kids = ["k0", "k1", "k2", "k3", "k4", "k5"];
    let (rotating, server) = Rotating::start(&["always", kids[0], kids[1]]);
    let (done, came, current) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let mut lasting = session(&server, "always").await.unwrap();
    let comer = async || {
        while !done.load(Ordering::SeqCst) {
            // A key signs nothing before it was published and taken.
            let newest = kids[current.load(Ordering::SeqCst) + 1];
            for kid in ["always", newest] {
                assert!(session(&server, kid).await.is_some(), "{kid} is good and was refused");
                came.fetch_add(1, Ordering::SeqCst);
            }
        }
    };
    let rotate = async {
        for n in 0..ROTATIONS {
            let enough = came.load(Ordering::SeqCst) + 20;
            while came.load(Ordering::SeqCst) < enough {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            // The next one is added and the oldest one goes, in one step.
            rotating.publish(&["always", kids[n + 1], kids[n + 2]]);
            let watch = Stopwatch::start();
            while Client::open(server.clients, Some(&Rotating::token(kids[n]))).await.is_some() {
                assert!(watch.elapsed() < Duration::from_secs(10), "{} is still taken", kids[n]);
            }
            current.store(n + 1, Ordering::SeqCst);
        }
        done.store(true, Ordering::SeqCst);
    };
    tokio::join!(rotate, comer(), comer(), comer(), lives(&mut lasting, &done));
    until("those who left are gone", || {
        (server.metrics().sum("harkara_sessions", "") == 1.0).then_some(())
    });
}
