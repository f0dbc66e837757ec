//! Tidy is a test: the rules of `docs/contributing.md` and the layers of `docs/architecture.md`,
//! checked against every file of the workspace. Reads files and `cargo metadata --offline` only.
//!
//! A failure lists every breach with its place; nothing here stops at the first.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod docs;
mod functions;
mod layers;
mod manifests;
mod metrics;
mod scan;
mod sources;
mod top_level;
mod tree;

/// Fails with all breaches at once.
#[track_caller]
fn none(rule: &str, breaches: &[String]) {
    let (count, list) = (breaches.len(), breaches.join("\n  "));
    assert!(breaches.is_empty(), "{rule}: {count} breaches\n  {list}\n");
}
