//! Golden files of what the log carries, the store keeps and the link sends, byte for byte, and
//! what damage does.

use std::fmt::Debug;

use harkara_domain::State;
use harkara_protocol::{record, record::DecodeError, stored};

use crate::{link_forms, samples, support::golden, support::golden_names};

type Decode = fn(&[u8]) -> Result<String, DecodeError>;

/// A form's name, its bytes, the value inside as text, and its decoder.
struct Form {
    name: &'static str,
    bytes: Vec<u8>,
    value: String,
    decode: Decode,
}

fn shown<T: Debug>(value: &T) -> String {
    format!("{value:?}")
}

const RECORDS: [&str; 8] =
    ["create", "update", "add", "remove", "leave", "set_role", "send", "inbox"];
const EVENTS: [&str; 8] =
    ["created", "message", "reply", "updated", "added", "role_set", "removed", "left"];
const REJECTIONS: [&str; 7] = [
    "not_a_member",
    "forbidden",
    "conflict",
    "not_found",
    "invalid_content",
    "too_large",
    "unsupported",
];

fn name(group: &str, name: &str) -> &'static str {
    format!("{group}.{name}.v1").leak()
}

fn forms() -> Vec<Form> {
    let mut forms = Vec::new();
    for (word, command) in RECORDS.into_iter().zip(samples::commands()) {
        let record = samples::record(command);
        forms.push(Form {
            name: name("record", word),
            bytes: record::encode(&record).to_vec(),
            value: shown(&record),
            decode: |bytes| record::decode(bytes).map(|value| shown(&value)),
        });
    }
    for (word, event) in EVENTS.into_iter().zip(samples::history()) {
        let with_seq = |seq| harkara_domain::Event { seq, ..event.clone() };
        forms.push(Form {
            name: name("event", word),
            bytes: stored::encode_event(&event),
            value: shown(&with_seq(40)),
            decode: |bytes| stored::decode_event(40, bytes).map(|value| shown(&value)),
        });
        forms.push(Form {
            name: name("body", word),
            bytes: stored::encode_body(&event.body),
            value: shown(&event.body),
            decode: |bytes| stored::decode_body(bytes).map(|value| shown(&value)),
        });
    }
    for (word, code) in REJECTIONS.into_iter().zip(samples::REJECT_CODES) {
        let rejection = samples::rejection(code);
        forms.push(Form {
            name: name("rejection", word),
            bytes: stored::encode_rejection(&rejection),
            value: shown(&rejection),
            decode: |bytes| stored::decode_rejection(bytes).map(|value| shown(&value)),
        });
    }
    for (word, state) in
        [("empty", State::empty(samples::room())), ("eight_events", samples::state())]
    {
        forms.push(Form {
            name: name("state", word),
            bytes: stored::encode_state(&state),
            value: shown(&state),
            decode: |bytes| stored::decode_state(bytes).map(|value| shown(&value)),
        });
    }
    forms.extend(link_forms::frames().into_iter().map(|(word, frame, down)| Form {
        name: name("link", word),
        bytes: link_forms::encode(&frame, down.as_ref()),
        value: shown(&(frame, down)),
        decode: |bytes| link_forms::decode(bytes).map(|value| shown(&value)),
    }));
    forms
}

/// Hex, 32 bytes a line.
fn hex_lines(bytes: &[u8]) -> String {
    bytes.chunks(32).map(|line| hex::encode(line) + "\n").collect()
}

fn bytes_of(text: &str) -> Vec<u8> {
    hex::decode(text.split_whitespace().collect::<String>()).expect("hex")
}

#[test]
fn forms_are_the_golden_ones_byte_for_byte() {
    for form in forms() {
        let text = golden(&format!("binary/{}.hex", form.name), || hex_lines(&form.bytes));
        assert_eq!(text, hex_lines(&form.bytes), "{}: the stored form changed", form.name);
        let decoded = (form.decode)(&bytes_of(&text));
        assert_eq!(decoded.as_ref(), Ok(&form.value), "{}", form.name);
    }
}

#[test]
fn every_golden_file_is_tested() {
    let mut names: Vec<_> = forms().iter().map(|form| form.name.to_owned()).collect();
    names.sort();
    assert_eq!(golden_names("binary", ".hex"), names);
}

#[test]
fn a_newer_version_is_told_apart_from_damage() {
    for form in forms() {
        let mut bytes = form.bytes.clone();
        bytes[0] = 2;
        let newer = DecodeError::Newer { found: 2, known: 1 };
        assert_eq!((form.decode)(&bytes), Err(newer), "{}", form.name);
        bytes[0] = 0;
        assert!(matches!((form.decode)(&bytes), Err(DecodeError::Malformed(_))), "{}", form.name);
    }
}

#[test]
fn every_truncation_and_every_addition_is_malformed() {
    for form in forms() {
        for length in 0..form.bytes.len() {
            let cut = (form.decode)(&form.bytes[..length]);
            let place = format!("{} cut to {length} bytes", form.name);
            assert!(matches!(cut, Err(DecodeError::Malformed(_))), "{place}: {cut:?}");
        }
        let longer = [form.bytes.as_slice(), &[0]].concat();
        assert!(matches!((form.decode)(&longer), Err(DecodeError::Malformed(_))), "{}", form.name);
    }
}

/// A flipped bit gives an error or another value; it never panics and never allocates what a
/// damaged length asks for.
#[test]
fn every_flipped_bit_gives_an_error_or_a_value() {
    for form in forms() {
        for at in 0..form.bytes.len() {
            for bit in 0..8 {
                let mut bytes = form.bytes.clone();
                bytes[at] ^= 1 << bit;
                let decoded = (form.decode)(&bytes);
                assert_ne!(decoded.as_ref(), Ok(&form.value), "{} byte {at}", form.name);
            }
            for value in [0, 0x7f, 0xfb, 0xfc, 0xfd, 0xfe, 0xff] {
                let mut bytes = form.bytes.clone();
                bytes[at] = value;
                let _ = (form.decode)(&bytes);
            }
        }
    }
}

#[test]
fn a_length_that_lies_does_not_allocate() {
    // A state whose title claims 2^63 bytes, and one whose members claim as many entries.
    let bytes = stored::encode_state(&State::empty(samples::room()));
    let mut title = bytes[..18].to_vec();
    title.extend_from_slice(&[1, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0x80]);
    assert!(matches!(stored::decode_state(&title), Err(DecodeError::Malformed(_))));
}

#[test]
fn the_largest_snapshot_can_be_read() {
    let mut state = samples::state();
    for n in 0..harkara_domain::limits::MEMBERS_MAX as u128 {
        let user = harkara_domain::UserId::from_bytes((n << 64).to_be_bytes());
        let big = u64::MAX;
        let role = harkara_domain::Role::Member;
        let member = harkara_domain::Member { role, from: big, sent: big, sent_ordinal: big };
        state.members.insert(user, member);
    }
    let rejection = samples::rejection(harkara_domain::RejectCode::Conflict);
    state.rejections.resize(harkara_domain::limits::REJECTIONS_KEPT, rejection);
    assert_eq!(stored::decode_state(&stored::encode_state(&state)), Ok(state));
}
