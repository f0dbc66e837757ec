//! The canonical form of a message's content: what is compared, hashed, stored and delivered.
//!
//! RFC 8785 with one difference: integers keep their digits however many there are, so that a
//! number beyond 2^53 arrives exactly as it was sent. Numbers with a fraction or an exponent are
//! written as ECMAScript does. Unknown types and keys stay.

use std::{borrow::Cow, fmt};

use bytes::Bytes;
use harkara_domain::{Content, limits::CONTENT_BYTES_MAX};
use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;

use crate::client::{ErrorWord, RpcError};

/// Deepest nesting of a content. Rich text nests a dozen levels; 32 leaves room and keeps the
/// recursion here shallow.
pub const DEPTH_MAX: usize = 32;

/// Why a content is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// Not an object with a string `type`.
    #[error("content must be an object with a non-empty string \"type\"")]
    NoType,
    /// `{"type": "text"}` without text.
    #[error("content of type \"text\" must have a non-empty string \"text\"")]
    NoText,
    /// The same key twice in one object.
    #[error("content has the key {0:?} twice in one object")]
    DuplicateKey(String),
    /// A string with half of a surrogate pair.
    #[error("content has a string that is not valid Unicode (an unpaired surrogate)")]
    BadString,
    /// A number that no double holds.
    #[error("content has a number out of range: {0}")]
    BadNumber(String),
    /// Nested too deeply.
    #[error("content is nested deeper than {DEPTH_MAX} levels")]
    TooDeep,
    /// Too long.
    #[error("content has {0} bytes in canonical form, at most {CONTENT_BYTES_MAX} are taken")]
    TooLarge(usize),
}

impl ContentError {
    /// The word of the error that a client gets.
    #[must_use]
    pub const fn word(&self) -> ErrorWord {
        match self {
            Self::TooLarge(_) => ErrorWord::TooLarge,
            _ => ErrorWord::InvalidContent,
        }
    }
}

impl From<ContentError> for RpcError {
    fn from(error: ContentError) -> Self {
        Self::word(error.word(), error.to_string())
    }
}

/// Brings JSON text into canonical form and checks that it can be a content.
///
/// # Errors
/// What is wrong with it, in words for the client's author.
pub fn canonical(raw: &RawValue) -> Result<Content, ContentError> {
    let mut out = Vec::with_capacity(raw.get().len());
    write(&mut out, raw, DEPTH_MAX)?;
    // A derived struct also reads itself from a list of its fields: `["text"]` must not pass.
    if !out.starts_with(b"{") {
        return Err(ContentError::NoType);
    }
    let kind = Type::deserialize(&mut serde_json::Deserializer::from_slice(&out))
        .map_err(|_| ContentError::NoType)?;
    if kind.r#type.is_empty() {
        return Err(ContentError::NoType);
    }
    if kind.r#type == "text" {
        let text = serde_json::from_slice::<Text>(&out).map_err(|_| ContentError::NoText)?;
        if text.text.is_empty() {
            return Err(ContentError::NoText);
        }
    }
    if out.len() > CONTENT_BYTES_MAX {
        return Err(ContentError::TooLarge(out.len()));
    }
    Ok(Content::from_canonical(Bytes::from(out)))
}

#[derive(Deserialize)]
struct Type<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Text<'a> {
    #[serde(borrow)]
    text: Cow<'a, str>,
}

fn write(out: &mut Vec<u8>, raw: &RawValue, depth: usize) -> Result<(), ContentError> {
    let text = raw.get().trim();
    match text.as_bytes().first() {
        Some(b'{') => write_object(out, text, depth.checked_sub(1).ok_or(ContentError::TooDeep)?),
        Some(b'[') => write_array(out, text, depth.checked_sub(1).ok_or(ContentError::TooDeep)?),
        Some(b'"') => write_string(out, text),
        Some(b'-' | b'0'..=b'9') => write_number(out, text),
        _ => {
            out.extend_from_slice(text.as_bytes()); // true, false, null
            Ok(())
        }
    }
}

fn write_object(out: &mut Vec<u8>, text: &str, depth: usize) -> Result<(), ContentError> {
    let Members(mut members) = serde_json::from_str(text).map_err(|_| ContentError::BadString)?;
    members.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
    if let Some(pair) = members.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(ContentError::DuplicateKey(pair[0].0.to_string()));
    }
    out.push(b'{');
    for (i, (key, value)) in members.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        push_string(out, &key);
        out.push(b':');
        write(out, value, depth)?;
    }
    out.push(b'}');
    Ok(())
}

fn write_array(out: &mut Vec<u8>, text: &str, depth: usize) -> Result<(), ContentError> {
    let items: Vec<&RawValue> = serde_json::from_str(text).map_err(|_| ContentError::BadString)?;
    out.push(b'[');
    for (i, item) in items.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write(out, item, depth)?;
    }
    out.push(b']');
    Ok(())
}

fn write_string(out: &mut Vec<u8>, text: &str) -> Result<(), ContentError> {
    let value: Str<'_> = serde_json::from_str(text).map_err(|_| ContentError::BadString)?;
    push_string(out, &value.0);
    Ok(())
}

/// `serde_json` writes strings with exactly the escapes of RFC 8785.
fn push_string(out: &mut Vec<u8>, value: &str) {
    // Writing a string to memory does not fail.
    let _ = serde_json::to_writer(out, value);
}

fn write_number(out: &mut Vec<u8>, text: &str) -> Result<(), ContentError> {
    let is_integer = !text.bytes().any(|b| matches!(b, b'.' | b'e' | b'E'));
    if is_integer {
        out.extend_from_slice(if text == "-0" { b"0" } else { text.as_bytes() });
        return Ok(());
    }
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => {
            out.extend_from_slice(ryu_js::Buffer::new().format_finite(number).as_bytes());
            Ok(())
        }
        _ => Err(ContentError::BadNumber(text.chars().take(40).collect())),
    }
}

#[derive(Deserialize)]
struct Str<'a>(#[serde(borrow)] Cow<'a, str>);

/// An object's members in their order, repeats included.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some((Str(key), value)) = map.next_entry::<Str<'de>, &'de RawValue>()? {
                    members.push((key, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(text: &str) -> Result<String, ContentError> {
        let raw: Box<RawValue> = serde_json::from_str(text).expect("JSON");
        canonical(&raw).map(|content| content.as_str().to_owned())
    }

    #[test]
    fn equal_values_have_one_form() {
        let form = r#"{"a":[1,2.5,1e+30],"text":"é\u0000\n","type":"text"}"#;
        assert_eq!(run(form).as_deref(), Ok(form));
        let other =
            " {\"type\" : \"text\", \"a\":[1.0, 25e-1, 1e30],\t\"text\":\"\\u00e9\\u0000\\u000a\"}";
        assert_eq!(run(other).as_deref(), Ok(form));
    }

    #[test]
    fn integers_keep_their_digits() {
        let form = r#"{"n":9007199254740993,"type":"x/y","z":-123456789012345678901234567890}"#;
        assert_eq!(run(form).as_deref(), Ok(form));
        assert_eq!(run(r#"{"n":-0,"type":"x"}"#).as_deref(), Ok(r#"{"n":0,"type":"x"}"#));
    }

    #[test]
    fn keys_are_sorted_by_utf16_units() {
        let form = "{\"type\":\"x\",\"\u{10000}\":1,\"\u{e000}\":2}";
        assert_eq!(run("{\"\u{e000}\":2,\"\u{10000}\":1,\"type\":\"x\"}").as_deref(), Ok(form));
    }

    #[test]
    fn text_passes_unchanged() {
        let text = "a\u{202e}b\u{200d}\u{1f469}\u{200d}\u{1f680}\u{2066}x\u{2069} نمستے";
        let form = format!(r#"{{"text":"{text}","type":"text"}}"#);
        assert_eq!(run(&form).as_deref(), Ok(form.as_str()));
    }

    #[test]
    fn nonsense_is_refused() {
        for (text, error) in [
            ("[]", ContentError::NoType),
            (r#"["x/y"]"#, ContentError::NoType),
            ("null", ContentError::NoType),
            (r#"{"text":"x"}"#, ContentError::NoType),
            (r#"{"type":1}"#, ContentError::NoType),
            (r#"{"type":""}"#, ContentError::NoType),
            (r#"{"type":"text"}"#, ContentError::NoText),
            (r#"{"type":"text","text":""}"#, ContentError::NoText),
            (r#"{"type":"x","a":{"k":1,"\u006b":2}}"#, ContentError::DuplicateKey("k".into())),
            (r#"{"type":"x","a":"\ud800"}"#, ContentError::BadString),
            (r#"{"type":"x","\udc00":1}"#, ContentError::BadString),
            (r#"{"type":"x","a":1e400}"#, ContentError::BadNumber("1e400".into())),
        ] {
            assert_eq!(run(text), Err(error), "{text}");
        }
        let deep = format!("{{\"type\":\"x\",\"a\":{}{}}}", "[".repeat(40), "]".repeat(40));
        assert_eq!(run(&deep), Err(ContentError::TooDeep));
        let long = format!(r#"{{"type":"text","text":"{}"}}"#, "x".repeat(CONTENT_BYTES_MAX));
        assert!(matches!(run(&long), Err(ContentError::TooLarge(_))));
    }

    proptest! {
        #[test]
        fn canonical_is_a_fixed_point(text in ".*", n in any::<f64>(), key in ".*") {
            prop_assume!(key != "type" && key != "text" && !text.is_empty());
            let n = if n.is_finite() { n } else { 0.5 };
            let value = serde_json::json!({"type": "text", "text": text, key: [n]});
            let once = run(&value.to_string()).expect("canonical");
            prop_assert_eq!(run(&once), Ok(once.clone()));
            let back: serde_json::Value = serde_json::from_str(&once).expect("JSON");
            prop_assert_eq!(&back["text"], &value["text"]);
        }
    }
}
