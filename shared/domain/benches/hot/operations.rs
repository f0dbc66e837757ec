//! What `domain` does for every message: hashes. Counted by `tests/allocations.rs`, timed by the
//! bench `hot`; the number in each line is the bound.

use bytes::Bytes;
use harkara_domain::{
    Body, ClientId, Command, Content, ConversationId, DeviceId, Event, Fingerprint, Partition,
    Position, Salt, TenantId, UserId, chain,
};
use harkara_test_costs::Operation;

const ROOM: ConversationId = ConversationId::from_bytes([0xc0; 16]);

/// 200 bytes of text, as in the targets for what is stored.
fn content() -> Content {
    let text = "x".repeat(200);
    Content::from_canonical(Bytes::from(format!(r#"{{"text":"{text}","type":"text"}}"#)))
}

fn message() -> Event {
    Event {
        tenant: TenantId::from_bytes([7; 16]),
        seq: 1_000,
        ordinal: 990,
        at: 1_795_338_000_123,
        sender: UserId::from_bytes([1; 16]),
        device: DeviceId::from_bytes([1; 16]),
        client_id: ClientId::from_bytes([2; 16]),
        fingerprint: Fingerprint::default(),
        position: Position::default(),
        body: Body::Message { content: content(), reply_to: None, salt: Salt([1; 16]) },
        chain: chain::start(ROOM),
    }
}

pub fn operations() -> Vec<Operation> {
    let (event, before) = (message(), chain::start(ROOM));
    let send = Command::Send { content: content(), reply_to: None, salt: Salt([1; 16]) };
    vec![
        // The body's canonical form, which grows once.
        Operation::new("chain: link a message", 2, || (), move |()| chain::link(before, &event)),
        Operation::new("fingerprint of a message", 0, || (), move |()| send.fingerprint()),
        Operation::new("partition of a conversation", 0, || (), |()| Partition::of(ROOM, 256)),
    ]
}
