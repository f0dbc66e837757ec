//! JSON text in its canonical form (RFC 8785 escapes, keys in order), for the few bodies whose
//! fields the server itself writes. A message's content arrives canonical from the gateway.

use std::fmt::Write as _;

use crate::ids::UserId;

/// Writes a string with exactly the escapes of RFC 8785, 3.2.2.2.
pub(crate) fn string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{9}' => out.push_str("\\t"),
            '\u{a}' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\u{d}' => out.push_str("\\r"),
            c if (c as u32) < 0x20 => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Writes a list of ids as JSON strings.
pub(crate) fn users(out: &mut String, users: &[UserId]) {
    out.push('[');
    for (i, user) in users.iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        let _ = write!(out, "{comma}\"{user}\"");
    }
    out.push(']');
}

#[cfg(test)]
mod tests {
    #[test]
    fn escapes_are_those_of_rfc_8785() {
        let mut out = String::new();
        super::string(&mut out, "\u{20ac}$\u{f}\nA'B\"\\\\\"/");
        assert_eq!(out, r#""€$\u000f\nA'B\"\\\\\"/""#);
    }
}
