//! The hash chain as `docs/protocol.md` tells it, recomputed from what a member was given.

use std::collections::BTreeMap;

use serde_json::Value;

const COMMON: [&str; 9] =
    ["conversation", "seq", "at", "sender", "device", "kind", "client_id", "salt", "chain"];

fn id(text: &Value) -> [u8; 16] {
    *text.as_str().and_then(|text| text.parse::<uuid::Uuid>().ok()).expect("an id").as_bytes()
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hex");
    (0..text.len()).step_by(2).map(digit).collect()
}

fn tag(event: &Value) -> u8 {
    match (event["kind"].as_str(), event["action"].as_str()) {
        (Some("message"), _) => 7,
        (Some("conversation"), _) if event.get("members").is_some() => 1,
        (Some("conversation"), _) => 2,
        (_, Some("added")) => 3,
        (_, Some("removed")) => 4,
        (_, Some("left")) => 5,
        (_, Some("role")) => 6,
        _ => panic!("an unknown kind: {event}"),
    }
}

fn link(before: [u8; 32], event: &Value) -> [u8; 32] {
    let own: BTreeMap<&str, &Value> = event
        .as_object()
        .expect("an object")
        .iter()
        .map(|(key, value)| (key.as_str(), value))
        .filter(|(key, _)| !COMMON.contains(key))
        .filter(|(key, _)| *key != "users" || event["action"] != "left")
        .collect();
    let body = serde_json::to_string(&own).expect("JSON");
    let salt = unhex(event["salt"].as_str().unwrap_or_default());
    let leaf = blake3::hash(&[&salt, body.as_bytes()].concat());
    let at = harkara_protocol::time::parse(event["at"].as_str().expect("a time")).expect("a time");
    let mut hasher = blake3::Hasher::new();
    hasher.update(&before);
    hasher.update(&event["seq"].as_u64().expect("a number").to_be_bytes());
    hasher.update(&at.to_be_bytes());
    for key in ["sender", "device", "client_id"] {
        hasher.update(&id(&event[key]));
    }
    hasher.update(&[tag(event)]);
    hasher.update(leaf.as_bytes());
    *hasher.finalize().as_bytes()
}

/// All events from the first one: sequences without a gap and a chain without a break.
pub fn check(events: &[Value]) {
    let conversation = id(&events[0]["conversation"]);
    let mut chain = blake3::derive_key("harkara 2026 conversation chain v1", &conversation);
    for (seq, event) in (1_u64..).zip(events) {
        assert_eq!(event["seq"], seq, "a gap");
        chain = link(chain, event);
        let hex = blake3::Hash::from(chain).to_hex().to_string();
        assert_eq!(event["chain"], hex.as_str(), "the chain breaks at {seq}: {event}");
    }
}
