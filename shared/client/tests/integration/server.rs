//! The model of the server behind a real socket: development tokens over HTTP, sessions over
//! WebSocket, and connections that break at places a seed chooses.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use futures_util::{SinkExt, StreamExt};
use harkara_domain::{DeviceId, UserId};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};
use tokio_tungstenite::{
    accept_hdr_async,
    tungstenite::{
        Message,
        handshake::server::{ErrorResponse, Request, Response},
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

use crate::model::{Model, Session};

/// How connections break.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Chaos {
    /// Seed of the choice; 0: none break.
    pub(crate) seed: u64,
    /// A connection lives for at most this many frames.
    pub(crate) frames_max: u64,
}

pub(crate) struct State {
    pub(crate) model: Model,
    /// Tokens that are good, and whose.
    pub(crate) tokens: BTreeMap<String, (UserId, DeviceId)>,
    pub(crate) chaos: Chaos,
    /// Close frame for every session: code and reason.
    pub(crate) close: Option<(u16, &'static str)>,
    pub(crate) connections: u64,
    dice: u64,
}

impl State {
    fn roll(&mut self, sides: u64) -> u64 {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.dice >> 33) % sides.max(1)
    }
}

/// The server; it ends when dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
    changed: watch::Sender<u64>,
    accepting: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Server {
    pub(crate) async fn start(chaos: Chaos) -> Self {
        let (tokens, close, connections, dice) = (BTreeMap::new(), None, 0, chaos.seed);
        let model = Model::new();
        let state = State { model, tokens, chaos, close, connections, dice };
        let state = Arc::new(Mutex::new(state));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (changed, watch) = watch::channel(0);
        let accepting = tokio::spawn(accept(listener, Arc::clone(&state), changed.clone(), watch));
        Self { address, state, changed, accepting }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Lets every session look at what changed in the model.
    pub(crate) fn poke(&self) {
        self.changed.send_modify(|n| *n += 1);
    }
}

async fn accept(
    listener: TcpListener,
    state: Arc<Mutex<State>>,
    changed: watch::Sender<u64>,
    watch: watch::Receiver<u64>,
) {
    // Sessions end with the server.
    let mut sessions = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        sessions.spawn(serve(stream, Arc::clone(&state), changed.clone(), watch.clone()));
    }
}

async fn serve(
    stream: TcpStream,
    state: Arc<Mutex<State>>,
    changed: watch::Sender<u64>,
    watch: watch::Receiver<u64>,
) {
    let mut first = [0; 4];
    while stream.peek(&mut first).await.unwrap_or(0) < 4 {
        tokio::task::yield_now().await;
    }
    if &first == b"POST" {
        token(stream, &state).await;
    } else {
        session(stream, state, changed, watch).await;
    }
}

/// `POST /v1/dev/token`.
async fn token(mut stream: TcpStream, state: &Mutex<State>) {
    let mut request = Vec::new();
    while !request.ends_with(b"}") {
        let read = stream.read_buf(&mut request).await.unwrap_or(0);
        if read == 0 {
            return;
        }
    }
    let text = String::from_utf8(request).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /v1/dev/token HTTP/1.1"), "{head}");
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    let name = body["user"].as_str().unwrap();
    let device_name = body["device"].as_str().unwrap_or("default");
    let (user, device) = (UserId::development(name), DeviceId::development(name, device_name));
    let token = {
        let mut state = state.lock().unwrap();
        let token = format!("token-of-{name}-{}", state.tokens.len());
        state.tokens.insert(token.clone(), (user, device));
        state.model.names.insert(user, name.to_owned());
        token
    };
    let answer = serde_json::json!({
        "user": user.to_string(), "device": device.to_string(), "token": token,
        "expires_at": "2099-01-01T00:00:00.000Z",
    })
    .to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        answer.len()
    );
    stream.write_all(format!("{head}{answer}").as_bytes()).await.ok();
}

#[expect(clippy::result_large_err, reason = "the callback's type is tungstenite's")]
async fn session(
    stream: TcpStream,
    state: Arc<Mutex<State>>,
    changed: watch::Sender<u64>,
    mut watch: watch::Receiver<u64>,
) {
    let mut who = None;
    let check = |request: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
        assert_eq!(request.uri().path(), "/v1/ws");
        assert_eq!(request.headers()["sec-websocket-protocol"], "harkara.v1.json");
        let bearer = request.headers()["authorization"].to_str().unwrap();
        let token = bearer.strip_prefix("Bearer ").unwrap();
        who = state.lock().unwrap().tokens.get(token).copied();
        if who.is_none() {
            let mut refused = ErrorResponse::new(None);
            *refused.status_mut() = http::StatusCode::UNAUTHORIZED;
            return Err(refused);
        }
        let protocol = http::HeaderValue::from_static("harkara.v1.json");
        response.headers_mut().insert("sec-websocket-protocol", protocol);
        Ok(response)
    };
    let Ok(mut socket) = accept_hdr_async(stream, check).await else { return };
    let Some((user, device)) = who else { return };
    let mut session = Session::new(user, device);
    let mut life = {
        let mut state = state.lock().unwrap();
        state.connections += 1;
        let chaos = state.chaos;
        if chaos.seed == 0 { u64::MAX } else { state.roll(chaos.frames_max) }
    };
    loop {
        let frames = tokio::select! {
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    let answer = state.lock().unwrap().model.request(&mut session, &text);
                    changed.send_modify(|n| *n += 1);
                    answer
                }
                Some(Ok(_)) => Vec::new(),
                _ => return,
            },
            _ = watch.changed() => Vec::new(),
        };
        let (pushes, close) = {
            let state = state.lock().unwrap();
            (state.model.pump(&mut session), state.close)
        };
        if let Some((code, reason)) = close {
            let frame = CloseFrame { code: CloseCode::from(code), reason: reason.into() };
            socket.close(Some(frame)).await.ok();
            return;
        }
        for frame in frames.into_iter().chain(pushes) {
            // A connection that breaks does so between a request's effect and its answer too.
            let Some(left) = life.checked_sub(1) else { return };
            life = left;
            if socket.send(Message::text(frame)).await.is_err() {
                return;
            }
        }
    }
}
