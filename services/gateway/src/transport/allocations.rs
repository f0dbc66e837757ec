//! What a socket allocates for a message in and a frame out, held to bounds: both happen once per
//! delivery and session, so one more here is more than any other.

use std::rc::Rc;

use actix_http::ws::{OpCode, Parser};
use bytes::BytesMut;
use harkara_service_runtime::clock::SystemClock;
use harkara_test_costs::{Operation, assert_within};

use super::{
    Limits, Settings, SocketHandle, decoder::Decoder, frames::encode_text_frame, outbox::Outbox,
};

fn settings() -> Settings {
    Settings { limits: Limits::default(), clock: SystemClock::shared() }
}

/// A message that came whole, as clients send it. The last one's buffer is still there.
fn decode() -> Operation {
    let settings = settings();
    let mut decoder = Decoder::new(&settings.limits, BytesMut::new());
    let mut masked = BytesMut::new();
    Parser::write_message(&mut masked, [b'x'; 400], OpCode::Text, true, true);
    Operation::new(
        "decode a message",
        3,
        || (),
        move |()| {
            decoder.feed(&masked);
            let message = decoder.next(&settings);
            assert!(matches!(message, Ok(Some(_))), "a whole message came");
            // As the reader does before it sleeps.
            (message, decoder.next(&settings))
        },
    )
}

/// Frames that are queued and then taken by the kernel, all at once: an idle socket has no queue.
fn queue(name: &'static str, frames: usize, allocations_max: u64) -> Operation {
    let outbox = Rc::new(Outbox::new(Rc::new(settings())));
    let (handle, frame) = (SocketHandle::new(Rc::clone(&outbox)), encode_text_frame(&[b'x'; 400]));
    Operation::new(
        name,
        allocations_max,
        || (),
        move |()| {
            for _ in 0..frames {
                handle.send(frame.clone());
            }
            let queued = handle.queued_bytes();
            outbox.consume(queued);
        },
    )
}

#[test]
fn sockets_keep_to_their_allocations() {
    assert_within(vec![decode(), queue("queue a frame", 1, 1), queue("queue 64 frames", 64, 5)]);
}
