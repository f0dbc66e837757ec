//! The one place that names `bincode`: a version byte, then the bincode of a versioned struct.
//!
//! bincode is unmaintained (RUSTSEC-2025-0141) and was asked for by name; golden fixtures pin
//! every form, so that a move to another codec is a change of this file (ADR 4).

use bincode::config::{self, Configuration, Limit, LittleEndian, Varint};
use serde::{Serialize, de::DeserializeOwned};

/// Largest form that is decoded: a snapshot of 20,000 members × 100 bytes, and room to spare.
const BYTES_MAX: usize = 8 * 1024 * 1024;

type Config = Configuration<LittleEndian, Varint, Limit<BYTES_MAX>>;

fn config() -> Config {
    config::standard().with_limit::<BYTES_MAX>()
}

/// Why a form can't be read (soundness S12: the two are handled differently).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A version this build does not know: stop, don't guess.
    #[error("written in version {found} of this form, this build reads up to {known}: upgrade it")]
    Newer {
        /// The version byte.
        found: u8,
        /// The highest one known here.
        known: u8,
    },
    /// A known version, but not that form: put it aside.
    #[error("malformed: {0}")]
    Malformed(String),
}

/// What most forms fit into: a message of 200 bytes with its ids. Larger ones make it grow.
const USUAL_BYTES: usize = 384;

/// Version byte and form.
pub(crate) fn encode<T: Serialize>(version: u8, form: &T) -> Vec<u8> {
    let mut out = Vec::with_capacity(USUAL_BYTES);
    out.push(version);
    // Writing our own structs to memory fails only beyond the size limit, which only decoding
    // has; an empty body is refused as malformed by every reader.
    if bincode::serde::encode_into_std_write(form, &mut out, config()).is_err() {
        out.truncate(1);
    }
    out
}

/// The version byte and the rest; refuses versions above `known`.
pub(crate) fn version(bytes: &[u8], known: u8) -> Result<(u8, &[u8]), DecodeError> {
    match bytes.split_first() {
        Some((&found, _)) if found > known => Err(DecodeError::Newer { found, known }),
        Some((&found, rest)) if found > 0 => Ok((found, rest)),
        _ => Err(DecodeError::Malformed("no version byte".to_owned())),
    }
}

/// Reads a form to its last byte.
pub(crate) fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, DecodeError> {
    let (form, rest) = decode_first(body)?;
    if !rest.is_empty() {
        return Err(DecodeError::Malformed(format!("{} bytes too many", rest.len())));
    }
    Ok(form)
}

/// Reads a form and gives back what follows it.
pub(crate) fn decode_first<T: DeserializeOwned>(body: &[u8]) -> Result<(T, &[u8]), DecodeError> {
    let (form, used) = bincode::serde::decode_from_slice(body, config())
        .map_err(|e| DecodeError::Malformed(e.to_string()))?;
    Ok((form, body.get(used..).unwrap_or_default()))
}
