//! `docs/protocol.md` against the code: every frame on it decodes, and everything that the code
//! knows by a name stands on it.

use std::collections::{BTreeMap, BTreeSet};

use harkara_protocol::{
    client::{
        ErrorWord, Notification,
        requests::{METHODS, UNSUPPORTED_METHODS},
    },
    content,
    json::{self, ServerFrame},
};
use serde_json::Value;

use crate::{
    fixtures::{frames, reread},
    support::{compact, document},
};

/// The blocks of a page between a fence with this language and the next fence.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let mut parts = page.split("\n```");
    let mut found = Vec::new();
    while let Some(opening) = parts.nth(1) {
        let (tag, text) = opening.split_once('\n').expect("a block");
        if tag == language {
            found.push(text.to_owned());
        }
    }
    found
}

fn page() -> String {
    document("docs/protocol.md")
}

/// What a block is: the method and the form of its message.
fn check(block: &str, methods: &mut BTreeMap<String, String>) -> String {
    let value: Value = serde_json::from_str(block).unwrap_or_else(|e| panic!("{block}: {e}"));
    let id = value["id"].to_string();
    if value.get("id").is_some() && value.get("method").is_some() {
        let request = json::decode_request(block).unwrap_or_else(|e| panic!("{block}: {e:?}"));
        if let harkara_protocol::client::Call::MessageSend(send) = &request.call {
            content::canonical(&send.content).unwrap_or_else(|e| panic!("{block}: {e}"));
        }
        let method = request.call.method().to_owned();
        assert_eq!(methods.insert(id, method.clone()), None, "an id twice on the page: {block}");
        return format!("{method}.request");
    }
    match json::decode_server_frame(block).unwrap_or_else(|e| panic!("{block}: {e}")) {
        ServerFrame::Reply { outcome: Ok(result), .. } => {
            let method = methods.get(&id).unwrap_or_else(|| panic!("no request before: {block}"));
            assert_eq!(compact(&reread(method, result)), compact(result.get()), "{block}");
            format!("{method}.result")
        }
        ServerFrame::Reply { outcome: Err(_), .. } => "error".to_owned(),
        ServerFrame::Notification(notification) => {
            assert_eq!(json::encode_notification(&notification), compact(block), "{block}");
            let word = value["method"].as_str().expect("a method");
            assert!(!matches!(*notification, Notification::GoAway { reconnect_after_ms: 0, .. }));
            format!("{word}.notification")
        }
        ServerFrame::Unknown => panic!("no frame: {block}"),
    }
}

#[test]
fn every_frame_on_the_page_decodes_and_every_message_is_there() {
    let mut methods = BTreeMap::new();
    let page = page();
    let blocks = blocks(&page, "json");
    assert!(blocks.len() > 50, "only {} blocks", blocks.len());
    let shown: BTreeSet<String> = blocks.iter().map(|b| check(b, &mut methods)).collect();
    let known: BTreeSet<String> = frames().into_iter().map(|frame| frame.message).collect();
    let missing: Vec<_> = known.difference(&shown).collect();
    assert!(missing.is_empty(), "docs/protocol.md shows no {missing:?}");
}

#[test]
fn what_is_shown_is_a_golden_frame() {
    let golden: BTreeSet<String> = frames().into_iter().map(|frame| frame.text).collect();
    let page = page();
    let others: Vec<_> = blocks(&page, "json")
        .into_iter()
        .filter(|block| !golden.contains(&compact(block)))
        .collect();
    // One page of history is cut short, since the golden one shows all eight events.
    assert_eq!(others.len(), 1, "{others:#?}");
}

#[test]
fn every_name_stands_on_the_page() {
    let page = page();
    let has = |name: &str| assert!(page.contains(&format!("`{name}`")), "no `{name}` on the page");
    METHODS.iter().chain(UNSUPPORTED_METHODS).for_each(|method| has(method));
    ErrorWord::ALL.iter().for_each(|word| has(word.word()));
    let mut names = BTreeSet::new();
    for frame in frames() {
        let value: Value = serde_json::from_str(&frame.text).expect("JSON");
        for part in ["params", "result"] {
            collect(value.get(part).unwrap_or(&Value::Null), &mut names);
        }
    }
    let is_absent = |name: &&String| !page.contains(&format!("`{name}`"));
    let absent: Vec<_> = names.iter().filter(is_absent).collect();
    assert!(absent.is_empty(), "docs/protocol.md lacks the members {absent:?}");
}

/// The names of members at every depth, without ids as keys and without the inside of contents.
fn collect(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map.iter().filter(|(key, _)| key.len() != 36) {
                names.insert(key.clone());
                if key != "content" {
                    collect(inner, names);
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|inner| collect(inner, names)),
        _ => {}
    }
}

/// The words of the table of errors say the same about retrying as the code.
#[test]
fn the_table_of_errors_is_right() {
    let page = page();
    for word in ErrorWord::ALL {
        let retryable = if word.retryable() { "yes" } else { "no" };
        let row = format!("| `{}` | {retryable} |", word.word());
        assert!(page.contains(&row), "docs/protocol.md lacks the row {row}");
    }
}

/// The limits that the code fixes stand on the page with their numbers.
#[test]
fn the_table_of_limits_is_right() {
    use harkara_domain::limits;
    let page = page();
    for (name, value) in [
        ("content_bytes_max", limits::CONTENT_BYTES_MAX),
        ("timeline_page_max", limits::TIMELINE_PAGE_MAX),
        ("users_per_request_max", limits::USERS_PER_REQUEST_MAX),
        ("members_max", limits::MEMBERS_MAX),
        ("dedup_window", limits::WINDOW_SENDS),
    ] {
        let digits = value.to_string();
        let shown = match digits.len() {
            0..=3 => digits,
            n => format!("{},{}", &digits[..n - 3], &digits[n - 3..]),
        };
        assert!(page.contains(&format!("| `{name}` | {shown} |")), "{name} is {shown}");
    }
}
