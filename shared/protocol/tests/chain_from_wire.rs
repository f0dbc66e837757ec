//! The hash chain, recomputed from nothing but frames, as `docs/protocol.md` tells client authors.

use serde_json::{Map, Value};

use crate::support::{document, golden_text};

/// RFC 8785 for values without fractions, which the sample has none of. `serde_json` keeps keys
/// in order of their bytes, which is the RFC's order for keys of the basic plane.
fn canonical(value: &Map<String, Value>) -> String {
    serde_json::to_string(value).expect("JSON")
}

fn id(event: &Value, name: &str) -> Vec<u8> {
    let text = event[name].as_str().expect("an id").replace('-', "");
    hex::decode(text).expect("hex")
}

/// The chain before the first event.
fn start(conversation: &[u8]) -> Vec<u8> {
    blake3::derive_key("harkara 2026 conversation chain v1", conversation).to_vec()
}

fn kind_byte(event: &Value) -> u8 {
    match (event["kind"].as_str(), event["action"].as_str()) {
        (Some("conversation"), _) if event.get("members").is_some() => 1,
        (Some("conversation"), _) => 2,
        (_, Some("added")) => 3,
        (_, Some("removed")) => 4,
        (_, Some("left")) => 5,
        (_, Some("role")) => 6,
        _ => 7,
    }
}

fn body(event: &Value) -> String {
    let mut body = event.as_object().expect("an object").clone();
    let common =
        ["conversation", "seq", "at", "sender", "device", "kind", "client_id", "salt", "chain"];
    common.iter().for_each(|name| drop(body.remove(*name)));
    if event["action"] == "left" {
        body.remove("users");
    }
    canonical(&body)
}

fn leaf(event: &Value) -> [u8; 32] {
    let salt = hex::decode(event["salt"].as_str().unwrap_or_default()).expect("hex");
    *blake3::hash(&[salt.as_slice(), body(event).as_bytes()].concat()).as_bytes()
}

fn link(before: &[u8], event: &Value) -> Vec<u8> {
    let at = event["at"].as_str().and_then(harkara_protocol::time::parse).expect("a time");
    let input = [
        before,
        &event["seq"].as_u64().expect("a sequence").to_be_bytes(),
        &at.to_be_bytes(),
        &id(event, "sender"),
        &id(event, "device"),
        &id(event, "client_id"),
        &[kind_byte(event)],
        &leaf(event),
    ]
    .concat();
    blake3::hash(&input).as_bytes().to_vec()
}

fn events() -> Vec<Value> {
    let frame = golden_text("client/timeline.read.result.json");
    let frame: Value = serde_json::from_str(&frame).expect("JSON");
    frame["result"]["events"].as_array().expect("events").clone()
}

#[test]
fn a_client_can_verify_the_chain_from_frames_alone() {
    let events = events();
    let mut chain = start(&id(&events[0], "conversation"));
    for event in &events {
        chain = link(&chain, event);
        assert_eq!(event["chain"], hex::encode(&chain), "sequence {}", event["seq"]);
    }
}

#[test]
fn what_was_left_out_altered_or_moved_shows() {
    let good = events();
    let breaks = |events: &[Value]| {
        let mut chain = start(&id(&good[0], "conversation"));
        events.iter().any(|event| {
            chain = link(&chain, event);
            event["chain"] != hex::encode(&chain)
        })
    };
    assert!(!breaks(&good));
    for at in 0..good.len() - 1 {
        let mut short = good.clone();
        short.remove(at);
        assert!(breaks(&short), "left out {at}");
        let mut moved = good.clone();
        moved.swap(at, at + 1);
        assert!(breaks(&moved), "moved {at}");
    }
    let mut altered = good.clone();
    altered[1]["content"]["text"] = "बैठक ग्यारह बजे है".into();
    assert!(breaks(&altered));
}

/// The numbers of the worked example in `docs/protocol.md` are the real ones.
#[test]
fn the_worked_example_is_right() {
    let page = document("docs/protocol.md");
    let events = events();
    let before = start(&id(&events[0], "conversation"));
    let first = link(&before, &events[0]);
    let second = link(&first, &events[1]);
    for (what, text) in [
        ("chain(0)", hex::encode(before)),
        ("chain(1)", hex::encode(&first)),
        ("body(2)", body(&events[1])),
        ("leaf(2)", hex::encode(leaf(&events[1]))),
        ("chain(2)", hex::encode(second)),
    ] {
        let line = format!("{what} = {text}\n");
        assert!(page.replace("  ", " ").contains(&line), "docs/protocol.md lacks: {line}");
    }
}
