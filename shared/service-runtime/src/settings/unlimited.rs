//! A limit that may be absent, for settings: a whole number from 1 on, or the word `unlimited`.
//! TOML has no null, and 0 would read as "nothing at all".

use std::fmt;

use serde::{Deserializer, Serializer, de};

/// The word for no limit.
pub const WORD: &str = "unlimited";

/// Writes the number or the word.
///
/// # Errors
///
/// Those of the serializer.
pub fn serialize<S: Serializer>(limit: &Option<u32>, serializer: S) -> Result<S::Ok, S::Error> {
    match limit {
        Some(limit) => serializer.serialize_u32(*limit),
        None => serializer.serialize_str(WORD),
    }
}

/// Reads the number or the word.
///
/// # Errors
///
/// Anything else.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    deserializer.deserialize_any(Limit)
}

struct Limit;

impl de::Visitor<'_> for Limit {
    type Value = Option<u32>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from 1 to {} or \"{WORD}\"", u32::MAX)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Option<u32>, E> {
        match u32::try_from(number) {
            Ok(limit @ 1..) => Ok(Some(limit)),
            _ => Err(E::invalid_value(de::Unexpected::Unsigned(number), &self)),
        }
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Option<u32>, E> {
        match u32::try_from(number) {
            Ok(limit @ 1..) => Ok(Some(limit)),
            _ => Err(E::invalid_value(de::Unexpected::Signed(number), &self)),
        }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Option<u32>, E> {
        if text == WORD {
            return Ok(None);
        }
        Err(E::invalid_value(de::Unexpected::Str(text), &self))
    }
}
