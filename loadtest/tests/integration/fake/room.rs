//! A conversation of the fake server.

use std::collections::{BTreeMap, HashMap};

use harkara_loadtest::{
    check::{chain, history::Event},
    ids::Id,
};
use serde_json::{Value, json};

pub(crate) struct Room {
    pub(crate) id: Id,
    pub(crate) events: Vec<Value>,
    /// Members and the first sequence that each may see.
    pub(crate) members: BTreeMap<Id, u64>,
    /// Requests that were done, and where they stand.
    pub(crate) done: HashMap<(Id, String), u64>,
    reads: HashMap<Id, u64>,
    link: [u8; 32],
}

impl Room {
    pub(crate) fn new(id: Id, (user, device): (Id, Id), params: &Value) -> Self {
        let members: Vec<Id> = serde_json::from_value(params["members"].clone()).expect("members");
        let members: BTreeMap<Id, u64> =
            members.into_iter().chain([user]).map(|u| (u, 1)).collect();
        let mut room = Self {
            id,
            events: Vec::new(),
            done: HashMap::new(),
            reads: HashMap::new(),
            link: chain::start(id),
            members,
        };
        let members: Vec<&Id> = room.members.keys().collect();
        let body = json!({
            "kind": "conversation", "conversation_kind": "group", "title": params["title"],
            "members": members,
        });
        room.append((user, device), params, body);
        room
    }

    fn head(&self) -> u64 {
        self.events.len() as u64
    }

    pub(crate) fn entry(&self, user: Id) -> Option<Value> {
        let from = self.members.get(&user)?;
        let read = self.reads.get(&user).copied().unwrap_or(0);
        Some(json!({"id": self.id, "from": from, "head": self.head(), "read": read}))
    }

    pub(crate) fn visible(&self, from: u64) -> impl Iterator<Item = &Value> {
        self.events.iter().skip(usize::try_from(from - 1).expect("small"))
    }

    /// False if it was there already.
    pub(crate) fn advance(&mut self, user: Id, seq: u64) -> bool {
        let before = self.reads.insert(user, seq).unwrap_or(0);
        self.reads.insert(user, seq.max(before));
        seq > before
    }

    pub(crate) fn page(&self, from: u64, params: &Value, tampers: bool) -> Value {
        let limit = usize::try_from(params["limit"].as_u64().unwrap_or(500)).expect("small");
        let visible: Vec<&Value> = match params["after"].as_u64() {
            Some(after) => self.visible(from.max(after + 1)).collect(),
            None => self.visible(from).skip(self.events.len().saturating_sub(limit)).collect(),
        };
        let is_complete = visible.len() <= limit;
        let mut events: Vec<Value> = visible.into_iter().take(limit).cloned().collect();
        let message = events.iter_mut().find(|event| event["kind"] == "message");
        if let (true, Some(message)) = (tampers, message) {
            message["content"]["text"] = "this was never said".into();
        }
        json!({"events": events, "head": self.head(), "complete": is_complete})
    }

    /// Does what a member asked for.
    pub(crate) fn happens(&mut self, who: (Id, Id), method: &str, params: &Value) -> u64 {
        let users: Vec<Id> = serde_json::from_value(params["users"].clone()).unwrap_or_default();
        let next = self.head() + 1;
        let body = match method {
            "members.add" => {
                self.members.extend(users.iter().map(|user| (*user, next)));
                json!({"kind": "member", "action": "added", "users": users, "role": "member"})
            }
            "members.remove" => {
                self.members.retain(|user, _| !users.contains(user));
                json!({"kind": "member", "action": "removed", "users": users})
            }
            "conversation.leave" => {
                self.members.remove(&who.0);
                json!({"kind": "member", "action": "left", "users": [who.0]})
            }
            "message.send" => {
                let salt = "000102030405060708090a0b0c0d0e0f";
                let mut body = json!({
                    "kind": "message", "content": params["content"], "salt": salt,
                });
                if let Some(reply_to) = params.get("reply_to") {
                    body["reply_to"] = reply_to.clone();
                }
                body
            }
            other => panic!("the fake does not know {other}"),
        };
        self.append(who, params, body)
    }

    fn append(&mut self, (user, device): (Id, Id), params: &Value, mut body: Value) -> u64 {
        let seq = self.head() + 1;
        let at = format!("2026-11-22T09:{:02}:{:02}.{:03}Z", seq / 60 % 60, seq % 60, seq % 1000);
        for (name, value) in [
            ("conversation", json!(self.id)),
            ("seq", json!(seq)),
            ("at", json!(at)),
            ("sender", json!(user)),
            ("device", json!(device)),
            ("client_id", params["client_id"].clone()),
        ] {
            body[name] = value;
        }
        let event = Event::new(body.clone()).expect("an event");
        self.link = chain::link(&self.link, &event).expect("a known kind");
        body["chain"] = chain::hex(&self.link).into();
        self.events.push(body);
        self.done.insert((device, params["client_id"].to_string()), seq);
        seq
    }
}
