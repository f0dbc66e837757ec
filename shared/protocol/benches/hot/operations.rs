//! The forms that every message goes through, with a text of 200 bytes. Counted by
//! `tests/allocations.rs`, timed by the bench `hot`; the number in each line is the bound.

#![expect(clippy::expect_used, reason = "samples are good ones")]

use bytes::Bytes;
use harkara_domain::{
    Body, ClientId, Command, Content, ConversationId, DeviceId, Event, Fingerprint, Position,
    Record, Salt, TenantId, UserId, chain, command::RULES_VERSION,
};
use harkara_protocol::{
    client::{Call, RequestId, replies::Accepted, requests::MessageSend},
    content, json, link, record, stored,
};
use harkara_test_costs::Operation;

const ROOM: ConversationId = ConversationId::from_bytes([0xc0; 16]);
const LANES: [u16; 4] = [0, 1, 2, 3];

fn text() -> String {
    format!(r#"{{"text":"{}","type":"text"}}"#, "x".repeat(200))
}

fn send_frame() -> String {
    let (client_id, content) = (ClientId::from_bytes([2; 16]), text());
    format!(
        r#"{{"jsonrpc":"2.0","id":17,"method":"message.send","params":{{"conversation":"{ROOM}","client_id":"{client_id}","content":{content}}}}}"#
    )
}

fn sent() -> MessageSend {
    match json::decode_request(&send_frame()).expect("a request").call {
        Call::MessageSend(params) => params,
        other => unreachable!("not {}", other.method()),
    }
}

fn content() -> Content {
    Content::from_canonical(Bytes::from(text()))
}

fn sample_record(content: Content) -> Record {
    Record {
        tenant: TenantId::from_bytes([7; 16]),
        conversation: ROOM,
        sender: UserId::from_bytes([1; 16]),
        device: DeviceId::from_bytes([1; 16]),
        client_id: ClientId::from_bytes([2; 16]),
        rules: RULES_VERSION,
        origin: 1 << 40,
        command: Command::Send { content, reply_to: None, salt: Salt([1; 16]) },
    }
}

fn event() -> Event {
    Event {
        tenant: TenantId::from_bytes([7; 16]),
        seq: 1_000,
        ordinal: 990,
        at: 1_795_338_000_123,
        sender: UserId::from_bytes([1; 16]),
        device: DeviceId::from_bytes([1; 16]),
        client_id: ClientId::from_bytes([2; 16]),
        fingerprint: Fingerprint([4; 8]),
        position: Position { offset: 1_000_000, ..Position::default() },
        body: Body::Message { content: content(), reply_to: None, salt: Salt([1; 16]) },
        chain: chain::start(ROOM),
    }
}

/// What a worker makes of an event once for all gateways, as the link does.
fn push_body(event: &Event) -> Vec<u8> {
    let what = link::What::Event { seq: event.seq, event: stored::encode_event(event) };
    link::encode_down(&link::Down {
        partition: 3,
        epoch: 1_795_338_000_123_000,
        conversation: *ROOM.as_bytes(),
        what,
    })
}

/// What a gateway makes of it again.
fn read_push(bytes: &[u8]) -> (link::Frame, Event) {
    let (frame, rest) = link::decode(bytes).expect("a frame");
    let down = link::decode_down(rest).expect("what an owner says");
    let link::What::Event { seq, event } = down.what else { unreachable!("an event was pushed") };
    (frame, stored::decode_event(seq, &event).expect("an event"))
}

pub fn operations() -> Vec<Operation> {
    let mut operations = requests();
    operations.extend(answers());
    operations.extend(rows());
    operations.extend(link_frames());
    operations
}

/// From a client's frame to the log.
fn requests() -> Vec<Operation> {
    let (frame, again, params) = (send_frame(), send_frame(), sent());
    let appended = sample_record(content());
    vec![
        Operation::new(
            "request: decode message.send",
            13,
            || (),
            move |()| json::decode_request(&frame),
        ),
        Operation::new(
            "content: canonical form",
            7,
            || (),
            move |()| content::canonical(&params.content),
        ),
        Operation::new("record: encode a message", 10, || (), move |()| record::encode(&appended)),
        // What a gateway does with a message, but for its socket and the log.
        Operation::new(
            "request to record",
            30,
            || (),
            move |()| {
                let call = json::decode_request(&again).expect("a request").call;
                let Call::MessageSend(params) = call else { unreachable!("a message is sent") };
                let content = content::canonical(&params.content).expect("a content");
                record::encode(&sample_record(content))
            },
        ),
    ]
}

/// From an event to the frame that all sessions of a thread share, and the sender's answer.
fn answers() -> Vec<Operation> {
    let (event, id) = (event(), RequestId::number(17));
    vec![
        Operation::new(
            "event frame: encode a message",
            11,
            || (),
            move |()| json::encode_event(ROOM, &event),
        ),
        Operation::new(
            "answer: encode accepted",
            2,
            || (),
            move |()| json::encode_result(&id, &Accepted { accepted: true }),
        ),
    ]
}

/// What workers read from the log, and write to and read from the store.
fn rows() -> Vec<Operation> {
    let (record, event) = (record::encode(&sample_record(content())), event());
    let row = stored::encode_event(&event);
    vec![
        Operation::new("record: decode a message", 1, || (), move |()| record::decode(&record)),
        Operation::new("row: encode a message", 10, || (), move |()| stored::encode_event(&event)),
        Operation::new(
            "row: decode a message",
            1,
            || (),
            move |()| stored::decode_event(1_000, &row),
        ),
    ]
}

/// From a worker's process to a gateway's.
fn link_frames() -> Vec<Operation> {
    let event = event();
    let mut push = link::encode(&link::Frame::Push { lanes: LANES.to_vec() });
    push.extend(push_body(&event));
    vec![
        Operation::new("link: encode an event for all", 17, || (), move |()| push_body(&event)),
        Operation::new(
            "link: encode the head of a push",
            3,
            || LANES.to_vec(),
            |lanes| link::encode(&link::Frame::Push { lanes }),
        ),
        Operation::new("link: decode a push of an event", 3, || (), move |()| read_push(&push)),
    ]
}
