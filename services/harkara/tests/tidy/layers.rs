//! Which crate may know which: the layers of `docs/architecture.md`, read from that page and held
//! against `cargo metadata`. Dependencies for tests are free to point up where they are listed.

use std::collections::BTreeMap;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

use super::{none, tree};

/// The SDK, the load test and the fuzz targets stand outside of the layers.
const OUTSIDE: i32 = 100;

/// Test dependencies on a crate of the same layer or above, and why.
const TESTS_ON: [(&str, &str); 2] = [
    // Services are tested on real engines, which they know by their traits.
    ("services/fanout", "shared/engine-embedded"),
    ("services/gateway", "shared/engine-embedded"),
];

/// What the crates outside may know of this repository: public forms only, or nothing, or whatever
/// decodes.
const OUTSIDE_KNOWS: [(&str, &[&str]); 3] = [
    ("shared/client", &["shared/domain", "shared/protocol"]),
    ("loadtest", &[]),
    (
        "shared/fuzz",
        &[
            "shared/domain",
            "shared/protocol",
            "shared/engine-link",
            "shared/service-runtime",
            "services/fanout",
            "services/gateway",
        ],
    ),
];

/// What starts Kafka and Cassandra, and what counts allocations.
const FOR_TESTS: [&str; 2] = ["shared/test-engines", "shared/test-costs"];

/// All that `domain` is made of: no async, no serde, no I/O, no clock.
const DOMAIN_KNOWS: [&str; 4] = ["blake3", "bytes", "thiserror", "uuid"];

/// Crates from elsewhere that only these of ours name in their code (tests aside).
const ONLY_IN: [(&str, &[&str]); 13] = [
    ("fjall", &["shared/engine-embedded"]),
    ("rdkafka", &["shared/engine-kafka"]),
    ("scylla", &["shared/engine-scylla"]),
    // Who has a socket of its own under TLS; the settings and certificates are the runtime's.
    (
        "rustls",
        &[
            "shared/service-runtime",
            "shared/engine-link",
            "shared/engine-scylla",
            "services/gateway",
            "shared/client",
        ],
    ),
    ("bincode", &["shared/protocol"]),
    // The checker of the load test has its own canonical form, to find mistakes in ours.
    ("ryu-js", &["shared/protocol", "loadtest"]),
    ("serde_path_to_error", &["shared/protocol"]),
    ("figment", &["shared/service-runtime"]),
    ("jsonwebtoken", &["services/gateway"]),
    ("tokio-tungstenite", &["shared/client", "loadtest"]),
    // Chance and time: the rest gets them as arguments.
    ("rand", &["shared/service-runtime", "shared/client"]),
    ("jiff", &["shared/protocol", "services/harkara", "loadtest"]),
    ("serde_json", &SERDE_JSON),
];

/// The forms of the wire are JSON in `protocol` alone; the others have JSON of their own.
const SERDE_JSON: [&str; 7] = [
    "shared/protocol",
    // Settings and log lines.
    "shared/service-runtime",
    // REST bodies, JWKS documents, tokens.
    "services/gateway",
    // The line that announces the addresses.
    "services/harkara",
    // Answers to a device's requests, as applications read them.
    "services/sim",
    // The journal of what a device has not settled yet, and development tokens.
    "shared/client",
    // A decoder of its own, and reports.
    "loadtest",
];

#[test]
fn every_crate_has_a_layer() {
    let layers = layers();
    let missing: Vec<String> =
        tree::members().into_iter().filter(|path| !layers.contains_key(path)).collect();
    none("the picture of the layers in docs/architecture.md names every crate", &missing);
}

#[test]
fn dependencies_point_down() {
    let (layers, metadata) = (layers(), metadata());
    let layer = |path: &str| layers.get(path).copied().unwrap_or(0);
    let mut breaches = Vec::new();
    for package in metadata.workspace_packages() {
        let from = folder(&metadata, package);
        for (to, kind) in ours(&metadata, package) {
            let tested = kind == DependencyKind::Development
                && TESTS_ON.contains(&(from.as_str(), to.as_str()));
            // Real engines and another allocator are for tests, whoever's they are.
            let for_tests = FOR_TESTS.contains(&to.as_str()) && kind != DependencyKind::Development;
            if for_tests || (!may(&from, layer(&from), &to, layer(&to)) && !tested) {
                breaches.push(format!("{from} must not know {to} ({kind})"));
            }
        }
    }
    none("an arrow only points down", &breaches);
}

/// The rules, by folders and layers.
fn may(from: &str, from_layer: i32, to: &str, to_layer: i32) -> bool {
    match OUTSIDE_KNOWS.iter().find(|(name, _)| *name == from) {
        Some((_, known)) => known.contains(&to),
        // The binary has the terminal client in it, and is alone in naming engines.
        None if from == "services/harkara" => to != "loadtest",
        // The simulator has engines of its own, and the SDK's state machine as its devices.
        None if from == "services/sim" => {
            to == "shared/client" || to_layer < from_layer && to_layer != 3
        }
        None => {
            let service_on_engine = from.starts_with("services/") && to_layer == 3;
            to_layer < from_layer && !service_on_engine
        }
    }
}

#[test]
fn domain_knows_no_async_no_serde_no_io() {
    let breaches: Vec<String> = foreign("shared/domain")
        .into_iter()
        .filter(|name| !DOMAIN_KNOWS.contains(&name.as_str()))
        .collect();
    none(&format!("shared/domain is made of {DOMAIN_KNOWS:?}"), &breaches);
}

#[test]
fn foreign_crates_stay_where_they_are() {
    let mut breaches = Vec::new();
    for member in tree::members() {
        for name in foreign(&member) {
            let rule = ONLY_IN.iter().find(|(only, _)| *only == name);
            let fits = rule.is_none_or(|(_, members)| members.contains(&member.as_str()));
            if !fits || (name.starts_with("actix") && !member.starts_with("services/")) {
                breaches.push(format!("{member} must not know {name}"));
            }
        }
    }
    none("one client of a kind per crate", &breaches);
}

/// Names of the crates from elsewhere that a member is made of.
fn foreign(member: &str) -> Vec<String> {
    let metadata = metadata();
    let mut names = Vec::new();
    for package in metadata.workspace_packages() {
        if folder(&metadata, package) == member {
            let normal = |kind| kind != DependencyKind::Development;
            let foreign =
                package.dependencies.iter().filter(|d| d.path.is_none() && normal(d.kind));
            names.extend(foreign.map(|dependency| dependency.name.clone()));
        }
    }
    assert!(!names.is_empty(), "{member} is not in the metadata");
    names
}

/// Our own crates that one of ours depends on.
fn ours(metadata: &Metadata, package: &Package) -> Vec<(String, DependencyKind)> {
    let within = package.dependencies.iter().filter_map(|d| Some((d.path.as_ref()?, d.kind)));
    within.map(|(path, kind)| (relative(metadata, path.as_str()), kind)).collect()
}

fn folder(metadata: &Metadata, package: &Package) -> String {
    relative(metadata, package.manifest_path.as_str().trim_end_matches("/Cargo.toml"))
}

fn relative(metadata: &Metadata, path: &str) -> String {
    let top = metadata.workspace_root.as_str();
    path.strip_prefix(top).unwrap_or(path).trim_start_matches('/').to_owned()
}

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(tree::top().join("Cargo.toml"))
        .no_deps()
        .other_options(["--offline".to_owned()])
        .exec()
        .expect("cargo metadata works offline")
}

/// Folder of each crate in the page's picture, and its layer.
fn layers() -> BTreeMap<String, i32> {
    let page = tree::read("docs/architecture.md");
    let section = page.split("## Layers").nth(1).expect("the page has a section about layers");
    let picture = section.split("```").nth(1).expect("the section has a picture");
    let mut layers = BTreeMap::new();
    for line in picture.lines() {
        let mut words = line.split_whitespace();
        let layer = match words.next() {
            Some("–") => OUTSIDE,
            Some(number) => match number.parse() {
                Ok(layer) => layer,
                Err(_) => continue,
            },
            None => continue,
        };
        let folders = words.filter(|word| word.contains('/') || *word == "loadtest");
        layers.extend(folders.map(|folder| (folder.to_owned(), layer)));
    }
    layers
}
