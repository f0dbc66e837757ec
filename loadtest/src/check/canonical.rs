//! JSON in canonical form (RFC 8785): keys in the order of their UTF-16 units, the shortest
//! escapes, numbers as ECMAScript writes them. Integers keep their digits as far as 64 bits go,
//! which is all that a replay sends.

use serde_json::Value;

/// The canonical text.
#[must_use]
pub fn text(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value);
    out
}

/// Appends the canonical text.
pub fn write(out: &mut String, value: &Value) {
    match value {
        Value::Object(members) => {
            let mut keys: Vec<&String> = members.keys().collect();
            keys.sort_by_cached_key(|key| key.encode_utf16().collect::<Vec<u16>>());
            for (i, key) in keys.into_iter().enumerate() {
                out.push(if i == 0 { '{' } else { ',' });
                string(out, key);
                out.push(':');
                write(out, &members[key]);
            }
            out.push_str(if members.is_empty() { "{}" } else { "}" });
        }
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write(out, item);
            }
            out.push(']');
        }
        Value::String(text) => string(out, text),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => {
                out.push_str(ryu_js::Buffer::new().format_finite(float));
            }
            _ => out.push_str(&number.to_string()),
        },
        Value::Bool(_) | Value::Null => out.push_str(&value.to_string()),
    }
}

fn string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_form() {
        let given = "{\"z\": [1.0, 1e30, -5, 0.000001, true, null], \"a\": {}, \
                     \"\\ue000\": 2, \"\\ud800\\udc00\": \"\\u0000\\u001f\\u007f\\/é\"}";
        let value: Value = serde_json::from_str(given).expect("JSON");
        let expected = "{\"a\":{},\"z\":[1,1e+30,-5,0.000001,true,null],\
                        \"\u{10000}\":\"\\u0000\\u001f\u{7f}/é\",\"\u{e000}\":2}";
        assert_eq!(text(&value), expected);
    }
}
