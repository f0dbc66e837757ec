//! Layers, messages and printing, on a small set of settings.

use std::fs;

use serde::Deserialize;

use super::*;
use crate::HumanDuration;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Demo {
    listen: String,
    depth: Depth,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Depth {
    ports: Vec<u16>,
    names: Vec<String>,
    wait: HumanDuration,
    #[serde(with = "unlimited")]
    rate: Option<u32>,
    level: Level,
    endpoint: Option<String>,
    secret: Option<String>,
    keys: Vec<Key>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Low,
    High,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Key {
    kid: String,
    secret: Option<String>,
}

impl Default for Demo {
    fn default() -> Self {
        Self { listen: "127.0.0.1:1".into(), depth: Depth::default() }
    }
}

impl Default for Depth {
    fn default() -> Self {
        Self {
            ports: vec![1],
            names: Vec::new(),
            wait: HumanDuration::from_secs(3),
            rate: Some(5),
            level: Level::Low,
            endpoint: None,
            secret: None,
            keys: Vec::new(),
        }
    }
}

fn variables(pairs: &[(&str, &str)]) -> Sources {
    let environment = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Sources { environment, ..Sources::default() }
}

fn message(sources: &Sources) -> String {
    sources.load(&Demo::default()).unwrap_err().to_string()
}

#[test]
fn later_layers_win_and_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("harkara.toml");
    fs::write(&file, "listen = 'file:1'\n[depth]\nwait = '4s'\nlevel = 'high'\n").unwrap();
    let mut sources = variables(&[
        ("HARKARA_DEPTH__WAIT", "5s"),
        ("HARKARA_DEPTH__NAMES", "a, 7"),
        ("HARKARA_DEPTH__RATE", "unlimited"),
        ("PATH", "/bin"),
    ]);
    sources.file = Some(file.clone());
    sources.flags = vec![Flag { flag: "--listen", key: "listen", text: "80".into() }];
    let loaded = sources.load(&Demo::default()).unwrap();
    assert_eq!(loaded.value.listen, "80", "text stays text where text is due");
    assert_eq!(loaded.value.depth.wait, HumanDuration::from_secs(5));
    assert_eq!(loaded.value.depth.level, Level::High);
    assert_eq!(loaded.value.depth.names, ["a", "7"]);
    assert_eq!(loaded.value.depth.rate, None);
    assert_eq!(loaded.origin("listen"), "flag --listen");
    assert_eq!(loaded.origin("depth.wait"), "variable HARKARA_DEPTH__WAIT");
    assert_eq!(loaded.origin("depth.level"), format!("file {}", file.display()));
    assert_eq!(loaded.origin("depth.ports"), "default");
    assert!(!loaded.is_set("depth.endpoint"));
}

#[test]
fn unknown_keys_are_named_with_the_nearest() {
    let sources = variables(&[("HARKARA_DEPTH__WAITS", "5s"), ("HARKARA_ZZZZZZ", "1")]);
    assert_eq!(
        message(&sources),
        "depth.waits = \"5s\" (variable HARKARA_DEPTH__WAITS): unknown key, did you mean \
         depth.wait?\nzzzzzz = 1 (variable HARKARA_ZZZZZZ): unknown key, expected one of depth, \
         listen"
    );
}

#[test]
fn bad_values_say_what_would_be_right() {
    let cases = [
        (
            ("HARKARA_DEPTH__WAIT", "soon"),
            "depth.wait = \"soon\" (variable HARKARA_DEPTH__WAIT): expected a length of time such \
             as \"250ms\", \"30s\", \"5m\" or \"7days\"",
        ),
        (
            ("HARKARA_DEPTH__LEVEL", "deep"),
            "depth.level = \"deep\" (variable HARKARA_DEPTH__LEVEL): expected one of low, high",
        ),
        (
            ("HARKARA_DEPTH__PORTS", "[1, -2]"),
            "depth.ports.1 = -2 (variable HARKARA_DEPTH__PORTS): expected a whole number from 0 to \
             65535",
        ),
        (
            ("HARKARA_DEPTH__RATE", "0"),
            "depth.rate = 0 (variable HARKARA_DEPTH__RATE): expected a whole number from 1 to \
             4294967295 or \"unlimited\"",
        ),
        (("HARKARA_DEPTH", "1"), "depth = 1 (variable HARKARA_DEPTH): expected a table of keys"),
        (
            ("HARKARA_DEPTH__KEYS", "[{kid=a,sekret=b}]"),
            "depth.keys.0.sekret = \"<hidden>\" (variable HARKARA_DEPTH__KEYS): unknown key, expected one \
             of kid, secret",
        ),
    ];
    for (variable, expected) in cases {
        assert_eq!(message(&variables(&[variable])), expected);
    }
}

#[test]
fn a_missing_or_broken_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.toml");
    let sources = Sources { file: Some(file.clone()), ..Sources::default() };
    assert!(message(&sources).starts_with("cannot read the settings file /"), "{sources:?}");
    fs::write(&file, "listen = [").unwrap();
    assert!(message(&sources).contains("is not TOML, near line 1: "));
    fs::write(&file, "listen = \"a\"\n[depth]\nsecret = \"hunter2\" x\n").unwrap();
    let told = message(&sources);
    assert!(told.contains("is not TOML, near line 3: ") && !told.contains("hunter2"), "{told}");
}

#[test]
fn problems_carry_value_and_origin() {
    let loaded = variables(&[("HARKARA_LISTEN", "x")]).load(&Demo::default()).unwrap();
    let problems = [
        Problem::new("listen", "must be an address and a port"),
        Problem::new("depth.endpoint", "is needed"),
    ];
    assert_eq!(
        loaded.refuse(&problems).unwrap_err().to_string(),
        "listen = \"x\" (variable HARKARA_LISTEN): must be an address and a port\n\
         depth.endpoint (not set): is needed"
    );
    assert_eq!(loaded.refuse(&[]), Ok(()));
}

#[test]
fn printing_hides_secrets_and_reads_back() {
    let sources = variables(&[
        ("HARKARA_DEPTH__KEYS", "[{kid=a,secret=hush},{kid=b}]"),
        ("HARKARA_DEPTH__SECRET", "hush"),
    ]);
    let text = sources.load(&Demo::default()).unwrap().print();
    assert!(!text.contains("hush"), "{text}");
    assert!(text.contains("secret = \"<hidden>\" # variable HARKARA_DEPTH__SECRET\n"), "{text}");
    assert!(text.contains("listen = \"127.0.0.1:1\" # default\n"), "{text}");
    assert!(text.contains("# endpoint is not set\n"), "{text}");
    let read: Demo = toml::from_str(&text).unwrap();
    assert_eq!(read.depth.wait, HumanDuration::from_secs(3));
    assert_eq!(read.depth.keys.len(), 2);
}
