//! The messages of the bare loops (`examples/floor.rs` of each engine) are as long as real ones.

use bytes::Bytes;
use harkara_domain::{
    Body, ClientId, Command, Content, ConversationId, DeviceId, Event, Fingerprint, Generation,
    Hash, Position, Record, Salt, TenantId, UserId,
};
use harkara_protocol::{record, stored};
use harkara_test_engines::floor::Messages;

const AT: u64 = 1_800_000_000_000;

#[test]
fn bare_loops_write_as_many_bytes_as_we_do() {
    for text in [40, 200, 2_000] {
        let made = Messages::new(text, 50).make();
        let content = format!(r#"{{"text":"{}","type":"text"}}"#, "x".repeat(text));
        let content = Content::from_canonical(Bytes::from(content));
        assert_eq!(made.record.len(), record::encode(&record(content.clone())).len(), "{text}");
        assert_eq!(made.event.len(), stored::encode_event(&event(content)).len(), "{text}");
    }
}

fn record(content: Content) -> Record {
    Record {
        tenant: TenantId::development(),
        conversation: ConversationId::from_bytes([1; 16]),
        sender: UserId::from_bytes([2; 16]),
        device: DeviceId::from_bytes([3; 16]),
        client_id: ClientId::from_bytes([4; 16]),
        rules: 1,
        origin: AT,
        command: Command::Send { content, reply_to: None, salt: Salt([5; 16]) },
    }
}

fn event(content: Content) -> Event {
    Event {
        tenant: TenantId::development(),
        seq: 1,
        ordinal: 1,
        at: AT,
        sender: UserId::from_bytes([2; 16]),
        device: DeviceId::from_bytes([3; 16]),
        client_id: ClientId::from_bytes([4; 16]),
        fingerprint: Fingerprint([6; 8]),
        position: Position { generation: Generation(AT << 20), offset: 0 },
        body: Body::Message { content, reply_to: None, salt: Salt([5; 16]) },
        chain: Hash([7; 32]),
    }
}
