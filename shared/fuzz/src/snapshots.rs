//! What the store gives back: snapshots of conversations, events, bodies, rejections. The first
//! byte of an input says which.

use harkara_protocol::stored;

use crate::check_refusal;

/// Reads a form; what is read is written as it was read.
pub fn run(bytes: &[u8]) {
    let Some((&form, bytes)) = bytes.split_first() else { return };
    match form % 4 {
        0 => match stored::decode_state(bytes) {
            Ok(state) => {
                assert_eq!(stored::decode_state(&stored::encode_state(&state)), Ok(state));
            }
            Err(error) => check_refusal(&error, bytes, stored::VERSION),
        },
        1 => match stored::decode_event(7, bytes) {
            Ok(event) => {
                assert_eq!(event.seq, 7);
                assert_eq!(stored::decode_event(7, &stored::encode_event(&event)), Ok(event));
            }
            Err(error) => check_refusal(&error, bytes, stored::VERSION),
        },
        2 => match stored::decode_rejection(bytes) {
            Ok(rejection) => {
                let row = stored::encode_rejection(&rejection);
                assert_eq!(stored::decode_rejection(&row), Ok(rejection));
            }
            Err(error) => check_refusal(&error, bytes, stored::VERSION),
        },
        _ => match stored::decode_body(bytes) {
            Ok(body) => assert_eq!(stored::decode_body(&stored::encode_body(&body)), Ok(body)),
            Err(error) => check_refusal(&error, bytes, stored::VERSION),
        },
    }
}
