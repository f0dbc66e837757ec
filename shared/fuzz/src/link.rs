//! Frames between gateways and the owners of partitions: as one connection carries them, and one
//! by one.

use std::sync::LazyLock;

use harkara_engine_link::{Options, fuzzing};
use harkara_protocol::link::{self, Frame};
use tokio::runtime::{Builder, Runtime};

use crate::check_refusal;

static RUNTIME: LazyLock<Option<Runtime>> =
    LazyLock::new(|| Builder::new_current_thread().enable_time().build().ok());

/// Reads the bytes as a connection's, as one frame, and as what an owner says.
pub fn run(bytes: &[u8]) {
    connection(bytes);
    match link::decode(bytes) {
        Ok((frame, rest)) => one(frame, rest),
        Err(error) => check_refusal(&error, bytes, link::VERSION),
    }
    said(bytes);
}

fn connection(bytes: &[u8]) {
    let options = Options::new("fuzz", 64);
    let Some(runtime) = &*RUNTIME else { return };
    let (frames, ended) = runtime.block_on(fuzzing::read(bytes, &options));
    let told: usize = frames.iter().map(|(_, rest)| rest.len()).sum();
    assert!(told <= bytes.len(), "more came out than went in");
    assert!(!ended.chars().any(char::is_control), "not fit for a log line: {ended:?}");
    assert!(ended.len() < 2_000, "a reason of {} bytes", ended.len());
}

/// A frame is written as it was read.
fn one(frame: Frame, rest: &[u8]) {
    assert!(rest.is_empty() || matches!(frame, Frame::Push { .. }));
    let written = [&link::encode(&frame), rest].concat();
    // A frame of the largest size in another codec's waste might come out shorter, never changed.
    assert_eq!(link::decode(&written), Ok((frame.clone(), rest)));
    match frame {
        Frame::Ask { ask, .. } => {
            let (_, again) = fuzzing::question(ask.clone());
            assert_eq!(again, ask);
        }
        Frame::Push { .. } => said(rest),
        _ => {}
    }
}

fn said(bytes: &[u8]) {
    match fuzzing::down(bytes) {
        Ok(down) => assert_eq!(fuzzing::down(&fuzzing::encode(&down)), Ok(down)),
        Err(error) => {
            // What is wrong inside a good form has a version byte of its own.
            let outer = link::decode_down(bytes);
            if let Err(outer) = outer {
                assert_eq!(outer, error);
                check_refusal(&error, bytes, link::VERSION);
            }
        }
    }
}
