//! Everything that reads strangers' bytes, and what must hold for any bytes at all.
//!
//! Outside of the layers, like the SDK: it knows decoders and is known by nobody. Each module has
//! one `run`, which panics where a promise is broken. They are driven twice: by `cargo fuzz`
//! (`targets/`, needs a nightly compiler) and by this crate's tests, which run on a stable one over
//! the same [`corpus`] with mutations of their own. `docs/contributing.md` says how.

pub mod corpus;
pub mod frames;
pub mod link;
pub mod records;
pub mod requests;
mod rfc6455;
pub mod settings;
pub mod snapshots;
pub mod tokens;

use harkara_protocol::record::DecodeError;

/// A target: its name and what it runs.
pub type Target = (&'static str, fn(&[u8]));

/// Every target, by the name of its module and of its binary.
pub const TARGETS: [Target; 7] = [
    ("frames", frames::run),
    ("requests", requests::run),
    ("tokens", tokens::run),
    ("link", link::run),
    ("records", records::run),
    ("snapshots", snapshots::run),
    ("settings", settings::run),
];

/// The two ways not to be readable are told apart by the version byte alone (soundness S12).
fn check_refusal(error: &DecodeError, bytes: &[u8], version: u8) {
    let first = bytes.first().copied().unwrap_or(0);
    match error {
        DecodeError::Newer { found, known } => {
            assert!(first > version, "version {first} is known");
            assert_eq!((*found, *known), (first, version));
        }
        DecodeError::Malformed(why) => {
            assert!(first <= version, "version {first} is newer, not damaged: {why}");
            assert!(why.len() < 1_000, "a reason of {} bytes", why.len());
        }
    }
}
