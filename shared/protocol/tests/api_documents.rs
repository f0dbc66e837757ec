//! `docs/asyncapi.yaml` and `docs/openapi.yaml` against the golden frames: every frame is valid,
//! every message has a frame, a broken frame is not valid, and the schemas of requests take
//! exactly what the decoder takes.

use std::collections::BTreeSet;

use boon::{Compiler, Draft, SchemaIndex, Schemas};
use harkara_protocol::{client::Call, content, json};
use serde_json::{Value, json};

use crate::{
    fixtures::frames,
    support::{document, golden_text, repository},
};

/// A document with a compiler for the schemas inside.
struct Api {
    document: Value,
    schemas: Schemas,
    compiler: Compiler,
}

const HERE: &str = "http://harkara.invalid/api.json";

impl Api {
    fn new(path: &str, draft: Draft) -> Self {
        let document: Value = serde_norway::from_str(&document(path)).expect("YAML");
        let mut compiler = Compiler::new();
        compiler.set_default_draft(draft);
        compiler.enable_format_assertions();
        compiler.add_resource(HERE, document.clone()).expect("a document");
        Self { document, schemas: Schemas::new(), compiler }
    }

    fn schema(&mut self, pointer: &str) -> SchemaIndex {
        let place = format!("{HERE}#{pointer}");
        self.compiler
            .compile(&place, &mut self.schemas)
            .unwrap_or_else(|e| panic!("{pointer}: {e:#}"))
    }

    fn check(&mut self, pointer: &str, value: &Value) -> Result<(), String> {
        let index = self.schema(pointer);
        self.schemas.validate(value, index).map_err(|e| e.to_string())
    }
}

fn asyncapi() -> Api {
    Api::new("docs/asyncapi.yaml", Draft::V7)
}

fn payload(message: &str) -> String {
    format!("/components/messages/{message}/payload")
}

#[test]
fn every_frame_is_valid_and_every_message_has_one() {
    let mut api = asyncapi();
    let mut seen = BTreeSet::new();
    for frame in frames() {
        let text = golden_text(&format!("client/{}.json", frame.file));
        let value: Value = serde_json::from_str(&text).expect("JSON");
        let checked = api.check(&payload(&frame.message), &value);
        assert_eq!(checked, Ok(()), "{}", frame.file);
        seen.insert(frame.message);
    }
    let keys = |value: &Value| value.as_object().expect("a map").keys().cloned().collect();
    let messages: BTreeSet<String> = keys(&api.document["components"]["messages"]);
    assert_eq!(messages, seen);
    let listed: BTreeSet<String> = keys(&api.document["channels"]["session"]["messages"]);
    assert_eq!(listed, seen);
}

/// References outside schemas, which the validator doesn't follow.
#[test]
fn every_reference_leads_somewhere() {
    for path in ["docs/asyncapi.yaml", "docs/openapi.yaml"] {
        let whole: Value = serde_norway::from_str(&document(path)).expect("YAML");
        let mut rest = vec![&whole];
        while let Some(value) = rest.pop() {
            if let Some(target) = value.get("$ref").and_then(Value::as_str) {
                let pointer = target.strip_prefix('#').expect("a local reference");
                assert!(whole.pointer(pointer).is_some(), "{path}: {target}");
            }
            match value {
                Value::Object(map) => rest.extend(map.values()),
                Value::Array(list) => rest.extend(list),
                _ => {}
            }
        }
    }
}

/// Members that may be missing from what a server sends.
const OPTIONAL: [&str; 10] = [
    "ticket", // of a session with an older server
    "reply_to",
    "behind",
    "successor",
    "members", // of an event: there on creation only
    "retry_after_ms",
    "data", // of an error of JSON-RPC's own
    "role", // of an event: there when it says one
    "text", // of a content that is not text
    "salt", // inside other events
];

/// The frame without one member, for each member at each depth, with the path that was left out.
fn without_one(value: &Value) -> Vec<(Vec<String>, Value)> {
    let mut found = Vec::new();
    let keys: Vec<String> = match value {
        Value::Object(map) => map.keys().cloned().collect(),
        Value::Array(list) => (0..list.len()).map(|i| i.to_string()).collect(),
        _ => vec![],
    };
    for key in keys {
        if let Value::Object(map) = value {
            let mut short = map.clone();
            short.remove(&key);
            found.push((vec![key.clone()], Value::Object(short)));
        }
        let pointer = format!("/{key}");
        for (mut path, inner) in without_one(value.pointer(&pointer).unwrap_or(&Value::Null)) {
            path.insert(0, key.clone());
            let mut outer = value.clone();
            if let Some(slot) = outer.pointer_mut(&pointer) {
                *slot = inner;
            }
            found.push((path, outer));
        }
    }
    found
}

#[test]
fn a_frame_with_a_missing_member_is_not_valid() {
    let mut api = asyncapi();
    let mut broken = 0;
    for frame in frames().into_iter().filter(|frame| !frame.message.ends_with("request")) {
        let value: Value = serde_json::from_str(&frame.text).expect("JSON");
        for (path, short) in without_one(&value) {
            let last = path.last().expect("a path").as_str();
            if OPTIONAL.contains(&last) {
                continue;
            }
            let checked = api.check(&payload(&frame.message), &short);
            assert!(checked.is_err(), "{} is valid without {path:?}", frame.file);
            broken += 1;
        }
    }
    assert!(broken > 200, "only {broken} frames were broken");
}

fn decodes(frame: &str) -> bool {
    match json::decode_request(frame) {
        Ok(json::Request { call: Call::MessageSend(send), .. }) => {
            content::canonical(&send.content).is_ok()
        }
        other => other.is_ok(),
    }
}

/// Each member of each request is left out and replaced by values of every type: schema and
/// decoder agree on what is good.
#[test]
fn schemas_of_requests_take_what_the_decoder_takes() {
    let mut api = asyncapi();
    let others = [
        json!(null),
        json!(true),
        json!(-1),
        json!(0),
        json!(1.5),
        json!(9_007_199_254_740_993_u64),
        json!(""),
        json!("direct"),
        json!("admin"),
        json!("2.0"),
        json!("037f55cd-c70b-89b5-886e-1f676e52e6f8"),
        json!([]),
        json!([1]),
        json!(["037f55cd-c70b-89b5-886e-1f676e52e6f8"]),
        json!({}),
        json!({"type": "x/y"}),
    ];
    for frame in frames().into_iter().filter(|frame| frame.message.ends_with("request")) {
        let value: Value = serde_json::from_str(&frame.text).expect("JSON");
        let mut variants = Vec::new();
        for (path, short) in without_one(&value) {
            let pointer = format!("/{}", path.join("/"));
            for other in &others {
                let mut changed = value.clone();
                *changed.pointer_mut(&pointer).expect("a member") = other.clone();
                variants.push((format!("{pointer} = {other}"), changed));
            }
            variants.push((format!("without {pointer}"), short));
        }
        for (what, variant) in variants {
            let text = variant.to_string();
            let schema = api.check(&payload(&frame.message), &variant);
            // Another method is another message's business.
            if variant["method"] == value["method"] {
                assert_eq!(schema.is_ok(), decodes(&text), "{}: {what}: {schema:?}", frame.file);
            }
        }
    }
}

#[test]
fn the_error_words_are_the_closed_list() {
    let api = asyncapi();
    let words = harkara_protocol::client::ErrorWord::ALL.map(|word| json!(word.word()));
    let listed = &api.document["components"]["schemas"]["ErrorWord"]["enum"];
    assert_eq!(listed.as_array().expect("a list").as_slice(), words);
}

#[test]
fn openapi_has_the_endpoints_and_its_json_twin() {
    let mut api = Api::new("docs/openapi.yaml", Draft::V2020_12);
    let paths: Vec<&String> = api.document["paths"].as_object().expect("paths").keys().collect();
    let expected =
        ["/healthz", "/metrics", "/readyz", "/v1/dev/token", "/v1/openapi.json", "/v1/ws"];
    assert_eq!(paths, expected);

    let twin = repository("docs/openapi.json");
    if !twin.exists() && std::env::var_os("HARKARA_WRITE_FIXTURES").is_some() {
        let text = serde_json::to_string_pretty(&api.document).expect("JSON") + "\n";
        std::fs::write(&twin, text).expect("docs/openapi.json");
    }
    let twin: Value = serde_json::from_str(&document("docs/openapi.json")).expect("JSON");
    let advice = "delete docs/openapi.json and run the tests with HARKARA_WRITE_FIXTURES=1";
    assert_eq!(twin, api.document, "{advice}");

    let token = "/components/schemas/Token";
    let good = json!({
        "user": "a2338d30-9178-84af-84e8-8743837e2bbb",
        "device": "42788976-88e8-8fa6-9526-16a661630f39",
        "token": "eyJhbGciOiJFZERTQSJ9.e30.c2ln",
        "expires_at": "2026-12-22T09:00:00.000Z",
    });
    assert_eq!(api.check(token, &good), Ok(()));
    for (path, short) in without_one(&good) {
        assert!(api.check(token, &short).is_err(), "valid without {path:?}");
    }
    let ask = "/components/schemas/TokenRequest";
    assert_eq!(api.check(ask, &json!({"user": "asha"})), Ok(()));
    assert_eq!(api.check(ask, &json!({"user": "asha", "device": "phone"})), Ok(()));
    for bad in [json!({}), json!({"user": ""}), json!({"user": 1}), json!({"device": "phone"})] {
        assert!(api.check(ask, &bad).is_err(), "{bad}");
    }
}
