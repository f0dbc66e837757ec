//! Records of the log: read, decided over, and pushed. A record that makes no sense must be put
//! aside, never stop a partition or change what it may not.

use harkara_domain::{ConversationId, Event, Generation, Position, Record, State};
use harkara_fanout::conversation::{
    decide::{Decision, decide},
    evolve,
    window::Window,
};
use harkara_protocol::{json, record, stored};

use crate::check_refusal;

/// Reads a record and lets it happen to a conversation that isn't there and to one that is.
pub fn run(bytes: &[u8]) {
    match record::decode(bytes) {
        Ok(record) => {
            assert_eq!(record::decode(&record::encode(&record)).as_ref(), Ok(&record));
            happen(State::empty(record.conversation), &record);
            happen(room(&record), &record);
        }
        Err(error) => check_refusal(&error, bytes, record::VERSION),
    }
}

/// A group that the record's sender has made, under the id it speaks of.
fn room(record: &Record) -> State {
    let mut state = State::empty(record.conversation);
    let create = harkara_domain::Command::Create {
        kind: harkara_domain::Kind::Group,
        title: None,
        members: Vec::new(),
    };
    // Another request of the same device.
    let client_id = harkara_domain::ClientId::from_bytes([0xaa; 16]);
    let made = Record { client_id, command: create, ..record.clone() };
    let position = Position { generation: Generation(1), offset: 1 };
    if let Decision::Event(event) = decide(&state, &Window::default(), &made, position, 1) {
        assert_eq!(evolve::event(&mut state, &event), Ok(()));
    }
    assert!(state.exists());
    state
}

fn happen(mut state: State, record: &Record) {
    let (mut window, before) = (Window::default(), state.clone());
    let position = |offset| Position { generation: Generation(1), offset };
    let decision = decide(&state, &window, record, position(7), 5);
    match &decision {
        Decision::Event(event) => {
            assert_eq!(evolve::event(&mut state, event), Ok(()), "what is decided fits");
            window.push(event);
            told(record.conversation, event);
            let repeat = decide(&state, &window, record, position(8), 6);
            assert_eq!(repeat, Decision::Settled(event.seq), "once");
        }
        Decision::Rejection(rejection) => {
            evolve::rejection(&mut state, *rejection);
            let repeat = decide(&state, &window, record, position(8), 6);
            assert_eq!(repeat, Decision::Repeated(rejection.code), "once");
            assert_eq!((state.head, &state.members), (before.head, &before.members));
        }
        Decision::Settled(_) | Decision::Repeated(_) | Decision::Skip => {}
    }
    let replayed = decide(&state, &window, record, position(7), 5);
    let skipped = matches!(decision, Decision::Event(_) | Decision::Rejection(_));
    assert!(!skipped || replayed == Decision::Skip, "a replay changes nothing: {replayed:?}");
    let kept = stored::decode_state(&stored::encode_state(&state));
    assert_eq!(kept.as_ref(), Ok(&state), "its snapshot is the same state");
}

/// It is stored and told as it is.
fn told(conversation: ConversationId, event: &Event) {
    let row = stored::encode_event(event);
    assert_eq!(stored::decode_event(event.seq, &row).as_ref(), Ok(event));
    let frame = json::encode_event(conversation, event);
    let frame = str::from_utf8(&frame).unwrap_or_default();
    assert!(json::decode_server_frame(frame).is_ok(), "not a frame: {frame}");
}
