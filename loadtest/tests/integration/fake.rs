//! A server in memory that speaks as much of the protocol as a replay needs. It is honest unless
//! told otherwise ([`Manners`]); by chance with a seed it loses connections before or after it has
//! done what was asked.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use futures_util::{SinkExt as _, StreamExt as _};
use harkara_loadtest::ids::Id;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_tungstenite::tungstenite::{
    Message,
    handshake::server::{ErrorResponse, Request, Response},
};

mod room;

use room::Room;

/// Frames on their way to one session: more than any test has.
const QUEUE: usize = 50_000;

/// After a cursor so many events are pushed; more, and the client has to read.
const CATCH_UP: usize = 20;

/// How it behaves.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Manners {
    /// One request in so many costs the connection.
    pub(crate) drop_one_in: Option<u64>,
    /// What is read back is not what was sent.
    pub(crate) tampers: bool,
    /// Those who have left may go on reading.
    pub(crate) leaks: bool,
}

struct Live {
    user: Id,
    tx: mpsc::Sender<String>,
}

struct State {
    rooms: HashMap<Id, Room>,
    live: HashMap<u64, Live>,
    next: u64,
    seed: u64,
    manners: Manners,
}

type Shared = Arc<Mutex<State>>;

/// Starts one on a free port; it lives as long as the runtime.
pub(crate) async fn start(manners: Manners) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr: SocketAddr = listener.local_addr().expect("an address");
    let (rooms, live) = (HashMap::new(), HashMap::new());
    let state = Arc::new(Mutex::new(State { rooms, live, next: 1, seed: 42, manners }));
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            socket.set_nodelay(true).expect("no delay");
            tokio::spawn(serve(socket, Arc::clone(&state)));
        }
    });
    format!("ws://{addr}")
}

/// The same name gives the same id.
fn named(kind: &str, name: &str) -> Id {
    let hash = blake3::hash(format!("{kind} {name}").as_bytes());
    let bytes = hash.as_bytes()[..16].try_into().expect("16 bytes");
    Id(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

async fn serve(socket: TcpStream, state: Shared) {
    let mut first = [0; 4];
    match socket.peek(&mut first).await {
        Ok(4) if &first == b"POST" => token(socket).await,
        Ok(_) => session(socket, state).await,
        Err(_) => {}
    }
}

/// A token is the name of the user and the device.
async fn token(mut socket: TcpStream) {
    let mut request = Vec::new();
    while !request.ends_with(b"}") {
        if socket.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let text = String::from_utf8(request).expect("text");
    let (_, body) = text.split_once("\r\n\r\n").expect("a body");
    let ask: Value = serde_json::from_str(body).expect("JSON");
    let (user, device) = (ask["user"].as_str().expect("user"), ask["device"].as_str());
    let device = named("device", &format!("{user} {device:?}"));
    let user = named("user", user);
    let answer = json!({
        "user": user, "device": device, "token": format!("{user}.{device}"), "expires_at": "later",
    })
    .to_string();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", answer.len());
    let _ = socket.write_all((head + &answer).as_bytes()).await;
}

#[expect(clippy::result_large_err, reason = "the library's signature")]
async fn session(socket: TcpStream, state: Shared) {
    let mut bearer = String::new();
    let upgrade = |request: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
        let header = |name: &str| request.headers()[name].to_str().expect("text").to_owned();
        bearer = header("authorization");
        assert_eq!(header("sec-websocket-protocol"), "harkara.v1.json");
        let protocol = "harkara.v1.json".parse().expect("a value");
        response.headers_mut().insert("sec-websocket-protocol", protocol);
        Ok(response)
    };
    let Ok(mut socket) = tokio_tungstenite::accept_hdr_async(socket, upgrade).await else { return };
    let (user, device) = bearer
        .strip_prefix("Bearer ")
        .and_then(|token| token.split_once('.'))
        .map(|(user, device)| (user.parse().expect("an id"), device.parse().expect("an id")))
        .expect("a token");
    let (tx, mut rx) = mpsc::channel(QUEUE);
    let number = state.lock().expect("state").number();
    loop {
        tokio::select! {
            biased;
            Some(frame) = rx.recv() => {
                if socket.send(Message::text(frame)).await.is_err() { break }
            }
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    let request: Value = serde_json::from_str(&text).expect("JSON");
                    let mut state = state.lock().expect("state");
                    if !state.request(number, (user, device), &tx, &request) { break }
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => break,
                Some(Ok(_)) => {}
            },
        }
    }
    state.lock().expect("state").live.remove(&number);
}

impl State {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// An xorshift: the same faults in every run with the same requests.
    fn chance(&mut self) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed
    }

    /// False if the connection is to be lost.
    fn request(
        &mut self,
        session: u64,
        who: (Id, Id),
        tx: &mpsc::Sender<String>,
        request: &Value,
    ) -> bool {
        let chance = self.chance();
        let is_fault = self.manners.drop_one_in.is_some_and(|n| chance.is_multiple_of(n));
        if is_fault && chance & 1 << 40 == 0 {
            return false;
        }
        let params = &request["params"];
        let answer = match request["method"].as_str().expect("a method") {
            "session.start" => {
                let (result, events) = self.started(who.0, params);
                self.live.insert(session, Live { user: who.0, tx: tx.clone() });
                put(tx, &json!({"id": request["id"], "result": result}));
                events.iter().for_each(|event| put(tx, &notification("event", event)));
                return true;
            }
            "conversation.create" => self.create(who, params),
            method => self.in_room(who, method, params, tx),
        };
        if is_fault {
            return false;
        }
        match answer {
            Ok(result) => put(tx, &json!({"id": request["id"], "result": result})),
            Err(code) => put(
                tx,
                &json!({"id": request["id"], "error": {"code": -32000, "message": code,
                    "data": {"code": code, "retryable": false}}}),
            ),
        }
        true
    }

    fn started(&self, user: Id, params: &Value) -> (Value, Vec<Value>) {
        let (mut entries, mut pushed, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
        let cursors = params["cursors"].as_object().cloned().unwrap_or_default();
        for room in self.rooms.values() {
            let cursor = cursors.get(&room.id.to_string()).and_then(Value::as_u64);
            let Some(mut entry) = room.entry(user) else {
                unknown.extend(cursor.map(|_| room.id));
                continue;
            };
            if let Some(cursor) = cursor {
                let from = room.members[&user].max(cursor + 1);
                let missing: Vec<Value> = room.visible(from).cloned().collect();
                if missing.len() > CATCH_UP {
                    entry["behind"] = true.into();
                } else {
                    pushed.extend(missing);
                }
            }
            entries.push(entry);
        }
        let result = json!({
            "conversations": entries, "next": null, "reset": [], "unknown": unknown,
            "limits": {"requests_in_flight_max": 8},
        });
        (result, pushed)
    }

    fn create(&mut self, (user, device): (Id, Id), params: &Value) -> Result<Value, &'static str> {
        let id = named("room", &format!("{device} {}", params["client_id"]));
        if let Entry::Vacant(vacant) = self.rooms.entry(id) {
            let room = vacant.insert(Room::new(id, (user, device), params));
            let members: Vec<Id> = room.members.keys().copied().collect();
            members.iter().for_each(|member| self.tell_change(id, *member, "added"));
        }
        Ok(json!({"conversation": id, "seq": 1}))
    }

    fn in_room(
        &mut self,
        who: (Id, Id),
        method: &str,
        params: &Value,
        tx: &mpsc::Sender<String>,
    ) -> Result<Value, &'static str> {
        let id: Id = params["conversation"].as_str().and_then(|c| c.parse().ok()).expect("an id");
        let manners = self.manners;
        let room = self.rooms.get_mut(&id).ok_or("not_found")?;
        if let Some(&seq) = room.done.get(&(who.1, params["client_id"].to_string())) {
            if method == "message.send" {
                let settled = json!({
                    "conversation": id, "client_id": params["client_id"], "seq": seq,
                });
                put(tx, &notification("settled", &settled));
                return Ok(json!({"accepted": true}));
            }
            return Ok(json!({ "seq": seq }));
        }
        let from = match room.members.get(&who.0) {
            Some(&from) => from,
            None if manners.leaks && method == "timeline.read" => 1,
            None => return Err("not_found"),
        };
        match method {
            "timeline.read" => return Ok(room.page(from, params, manners.tampers)),
            "read.advance" => {
                let read = json!({"conversation": id, "user": who.0, "seq": params["seq"]});
                if room.advance(who.0, params["seq"].as_u64().expect("a seq")) {
                    self.tell(id, &[], &notification("read", &read));
                }
                return Ok(json!({}));
            }
            "typing.set" => {
                let typing = json!({"conversation": id, "user": who.0, "active": params["active"]});
                self.tell(id, &[who.0], &notification("typing", &typing));
                return Ok(json!({}));
            }
            _ => {}
        }
        let before: Vec<Id> = room.members.keys().copied().collect();
        let seq = room.happens(who, method, params);
        let event = room.events.last().expect("an event").clone();
        let gone: Vec<Id> =
            before.iter().copied().filter(|user| !room.members.contains_key(user)).collect();
        let new: Vec<Id> =
            room.members.keys().copied().filter(|user| !before.contains(user)).collect();
        self.tell(id, &new, &notification("event", &event));
        new.iter().for_each(|user| self.tell_change(id, *user, "added"));
        gone.iter().for_each(|user| self.tell_change(id, *user, "removed"));
        let is_send = method == "message.send";
        Ok(if is_send { json!({"accepted": true}) } else { json!({ "seq": seq }) })
    }

    /// To all members but some.
    fn tell(&self, id: Id, but: &[Id], frame: &Value) {
        let members = &self.rooms[&id].members;
        for live in self.live.values() {
            if members.contains_key(&live.user) && !but.contains(&live.user) {
                put(&live.tx, frame);
            }
        }
    }

    fn tell_change(&self, id: Id, user: Id, change: &str) {
        let mut params = self.rooms[&id].entry(user).unwrap_or_else(|| json!({ "id": id }));
        params["conversation"] = json!(id);
        params["change"] = change.into();
        for live in self.live.values().filter(|live| live.user == user) {
            put(&live.tx, &notification("conversation", &params));
        }
    }
}

fn notification(method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "method": method, "params": params})
}

fn put(tx: &mpsc::Sender<String>, frame: &Value) {
    // A session that has ended gets nothing more.
    let _ = tx.try_send(frame.to_string());
}
