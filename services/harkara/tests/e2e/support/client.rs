//! A client with no cleverness: requests by hand, answers and notifications as they come.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
};

use futures_util::{SinkExt as _, StreamExt as _};
use http::HeaderValue;
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest as _},
};

use super::{SOON, Server, http::token, uuid};

/// What arrives.
#[derive(Debug)]
pub enum Frame {
    Json(Value),
    /// The connection ended: with a close code, or without one where it was reset.
    Closed(Option<u16>),
}

/// One session.
pub struct Client {
    pub socket: WebSocketStream<TcpStream>,
    /// Notifications that nobody asked for yet.
    pub inbox: VecDeque<Value>,
    answers: BTreeMap<u64, Value>,
    asked: u64,
    /// The result of `session.start`.
    pub started: Value,
    pub user: String,
    pub device: String,
}

impl Client {
    /// Upgrades, nothing more.
    pub async fn open(at: SocketAddr, token: Option<&str>) -> Option<Self> {
        let stream = TcpStream::connect(at).await.ok()?;
        let mut request = format!("ws://{at}/v1/ws").into_client_request().expect("a request");
        let headers = request.headers_mut();
        headers.insert("sec-websocket-protocol", HeaderValue::from_static("harkara.v1.json"));
        if let Some(token) = token {
            let value = format!("Bearer {token}").parse().expect("a header");
            headers.insert("authorization", value);
        }
        let (socket, _) = timeout(SOON, client_async(request, stream)).await.ok()?.ok()?;
        let (inbox, answers, user, device) = Default::default();
        Some(Self { socket, inbox, answers, asked: 0, started: Value::Null, user, device })
    }

    /// A session of a development user.
    pub async fn join(server: &Server, name: &str) -> Self {
        Self::join_as(server, name, "default", json!({})).await
    }

    /// A session of a development user's device, with cursors.
    pub async fn join_as(server: &Server, name: &str, device: &str, cursors: Value) -> Self {
        let at = server.entrance();
        let token = token(at, name, device);
        let mut client = Self::open(at, Some(&token)).await.expect("an upgrade");
        client.start(json!({"cursors": cursors})).await.expect("a session");
        client
    }

    /// `session.start`.
    pub async fn start(&mut self, params: Value) -> Result<(), Value> {
        let id = self.post("session.start", params).await;
        self.started = self.answer(id).await?;
        let text = |key: &str| self.started[key].as_str().unwrap_or_default().to_owned();
        (self.user, self.device) = (text("user"), text("device"));
        Ok(())
    }

    /// Sends a request and doesn't wait.
    pub async fn post(&mut self, method: &str, params: Value) -> u64 {
        self.asked += 1;
        let id = self.asked;
        let frame = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.write(&frame.to_string()).await;
        id
    }

    /// Sends text. An error shows when something is read.
    pub async fn write(&mut self, text: &str) {
        let _broken = self.socket.send(Message::text(text.to_owned())).await;
    }

    /// The next frame, whatever it is.
    pub async fn frame(&mut self) -> Frame {
        loop {
            match timeout(SOON, self.socket.next()).await.expect("a frame in time") {
                Some(Ok(Message::Text(text))) => {
                    return Frame::Json(serde_json::from_str(&text).expect("JSON"));
                }
                Some(Ok(Message::Close(close))) => {
                    return Frame::Closed(close.map(|close| close.code.into()));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Frame::Closed(None),
            }
        }
    }

    /// Takes in one frame; false at the connection's end.
    pub async fn take(&mut self) -> bool {
        match self.frame().await {
            Frame::Json(frame) => self.sort(frame),
            Frame::Closed(_) => return false,
        }
        true
    }

    fn sort(&mut self, frame: Value) {
        match frame["id"].as_u64() {
            Some(id) => {
                let before = self.answers.insert(id, frame);
                assert!(before.is_none(), "answered twice: {before:?}");
            }
            None => self.inbox.push_back(frame),
        }
    }

    /// The answer to a request, if it is here already.
    pub fn answered(&mut self, id: u64) -> Option<Result<Value, Value>> {
        let mut frame = self.answers.remove(&id)?;
        Some(match frame.get_mut("result") {
            Some(result) => Ok(result.take()),
            None => Err(frame["error"].take()),
        })
    }

    /// The answer to a request.
    pub async fn answer(&mut self, id: u64) -> Result<Value, Value> {
        loop {
            if let Some(answer) = self.answered(id) {
                return answer;
            }
            assert!(self.take().await, "the session ended before the answer");
        }
    }

    /// A request that must succeed.
    pub async fn call(&mut self, method: &str, params: Value) -> Value {
        let told = format!("{method} {params}");
        let id = self.post(method, params).await;
        self.answer(id).await.unwrap_or_else(|error| panic!("{told}: {error}"))
    }

    /// A request that must fail: the error.
    pub async fn refused(&mut self, method: &str, params: Value) -> Value {
        let told = format!("{method} {params}");
        let id = self.post(method, params).await;
        match self.answer(id).await {
            Ok(result) => panic!("{told} succeeded: {result}"),
            Err(error) => error,
        }
    }

    /// The word of a request that must fail, or its number where it has none.
    pub async fn word(&mut self, method: &str, params: Value) -> String {
        let error = self.refused(method, params).await;
        error["data"]["code"].as_str().map_or_else(|| error["code"].to_string(), str::to_owned)
    }

    /// The first notification that fits; others wait.
    pub async fn notice(&mut self, fits: impl Fn(&Value) -> bool) -> Value {
        let found = timeout(SOON, self.first(fits)).await.ok();
        found.unwrap_or_else(|| panic!("not told in time; came: {:?}", self.inbox))
    }

    async fn first(&mut self, fits: impl Fn(&Value) -> bool) -> Value {
        loop {
            if let Some(at) = self.inbox.iter().position(&fits) {
                return self.inbox.remove(at).expect("there");
            }
            assert!(self.take().await, "the session ended; came: {:?}", self.inbox);
        }
    }

    /// The params of the first notification of a method about a conversation.
    pub async fn told(&mut self, method: &str, conversation: &str) -> Value {
        let fits = |n: &Value| n["method"] == method && n["params"]["conversation"] == conversation;
        self.notice(fits).await["params"].take()
    }

    /// The next event of a conversation, which must be the one with this sequence.
    pub async fn event(&mut self, conversation: &str, seq: u64) -> Value {
        let event = self.told("event", conversation).await;
        assert_eq!(event["seq"], seq, "{event}");
        event
    }

    /// How the connection ends.
    pub async fn closed(&mut self) -> Option<u16> {
        loop {
            match self.frame().await {
                Frame::Json(frame) => self.sort(frame),
                Frame::Closed(code) => return code,
            }
        }
    }

    /// Makes a conversation of ids.
    pub async fn create(&mut self, kind: &str, title: Option<&str>, members: &[&str]) -> String {
        let params = json!({"client_id": uuid(), "kind": kind, "title": title, "members": members});
        let created = self.call("conversation.create", params).await;
        assert_eq!(created["seq"], 1);
        created["conversation"].as_str().expect("an id").to_owned()
    }

    /// Sends a text, which must be accepted; its client id.
    pub async fn say(&mut self, conversation: &str, text: &str) -> String {
        let client_id = uuid();
        let answer = self.call("message.send", message(conversation, &client_id, text)).await;
        assert_eq!(answer, json!({"accepted": true}));
        client_id
    }

    /// Everything from the first sequence on, page by page.
    pub async fn history(&mut self, conversation: &str) -> Vec<Value> {
        let mut events = Vec::new();
        loop {
            let after = events.last().map_or(0, |e: &Value| e["seq"].as_u64().expect("a number"));
            let params = json!({"conversation": conversation, "after": after});
            let mut page = self.call("timeline.read", params).await;
            events.append(page["events"].as_array_mut().expect("events"));
            if page["complete"] == true {
                return events;
            }
        }
    }

    /// The user's entry of a conversation.
    pub async fn entry(&mut self, conversation: &str) -> Value {
        self.call("conversation.get", json!({"conversation": conversation})).await
    }
}

/// Params of a text.
pub fn message(conversation: &str, client_id: &str, text: &str) -> Value {
    let content = json!({"type": "text", "text": text});
    json!({"conversation": conversation, "client_id": client_id, "content": content})
}
