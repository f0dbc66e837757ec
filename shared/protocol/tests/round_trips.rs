//! Property tests: whatever is written is read back the same.

use bytes::Bytes;
use harkara_domain::{
    Body, ClientId, Command, Content, ConversationId, DeviceId, Event, Fingerprint, Generation,
    Hash, Kind, Member, Position, Record, Rejection, Role, Salt, State, TenantId, UserId,
};
use harkara_protocol::{json, record, stored};
use proptest::{collection::vec, option, prelude::*};

use crate::{
    link_forms,
    samples::{REJECT_CODES, opaque},
};

fn user() -> impl Strategy<Value = UserId> {
    any::<[u8; 16]>().prop_map(UserId::from_bytes)
}

fn users() -> impl Strategy<Value = Vec<UserId>> {
    vec(user(), 0..20)
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Direct), Just(Kind::Group), Just(Kind::Channel)]
}

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Member), Just(Role::Admin), Just(Role::Owner)]
}

fn title() -> impl Strategy<Value = Option<String>> {
    option::of(".*")
}

fn content() -> impl Strategy<Value = Content> {
    ".*".prop_map(|text| opaque(serde_json::json!({"type": "text", "text": text}).to_string()))
}

fn salt() -> impl Strategy<Value = Salt> {
    any::<[u8; 16]>().prop_map(Salt)
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        (kind(), title(), users()).prop_map(|(kind, title, members)| Command::Create {
            kind,
            title,
            members
        }),
        title().prop_map(|title| Command::Update { title }),
        (users(), role()).prop_map(|(users, role)| Command::Add { users, role }),
        users().prop_map(|users| Command::Remove { users }),
        Just(Command::Leave),
        (users(), role()).prop_map(|(users, role)| Command::SetRole { users, role }),
        (content(), any::<Option<u64>>(), salt())
            .prop_map(|(content, reply_to, salt)| Command::Send { content, reply_to, salt }),
        (user(), any::<[u8; 16]>(), any::<u64>(), any::<bool>()).prop_map(
            |(user, conversation, cause, present)| {
                let conversation = ConversationId::from_bytes(conversation);
                Command::Inbox { user, conversation, cause, present }
            }
        ),
    ]
}

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        (kind(), title(), users()).prop_map(|(kind, title, members)| Body::Created {
            kind,
            title,
            members
        }),
        (kind(), title()).prop_map(|(kind, title)| Body::Updated { kind, title }),
        (users(), role()).prop_map(|(users, role)| Body::Added { users, role }),
        users().prop_map(|users| Body::Removed { users }),
        option::of(user()).prop_map(|successor| Body::Left { successor }),
        (users(), role()).prop_map(|(users, role)| Body::RoleSet { users, role }),
        (content(), option::of(0..1_u64 << 53), salt())
            .prop_map(|(content, reply_to, salt)| Body::Message { content, reply_to, salt }),
    ]
}

fn position() -> impl Strategy<Value = Position> {
    any::<(u64, u64)>()
        .prop_map(|(generation, offset)| Position { generation: Generation(generation), offset })
}

type Author = ([u8; 16], [u8; 16], [u8; 16]);

prop_compose! {
    fn a_record()(
        tenant in any::<[u8; 16]>(), conversation in any::<[u8; 16]>(),
        (sender, device, client_id) in any::<Author>(),
        rules in any::<u16>(), origin in any::<u64>(), command in command(),
    ) -> Record {
        Record {
            tenant: TenantId::from_bytes(tenant),
            conversation: ConversationId::from_bytes(conversation),
            sender: UserId::from_bytes(sender),
            device: DeviceId::from_bytes(device),
            client_id: ClientId::from_bytes(client_id),
            rules, origin, command,
        }
    }
}

prop_compose! {
    fn event()(
        tenant in any::<[u8; 16]>(),
        (seq, ordinal, at) in (0..1_u64 << 53, any::<u64>(), 0..253_402_300_800_000_u64),
        (sender, device, client_id) in any::<Author>(),
        fingerprint in any::<[u8; 8]>(), position in position(),
        body in body(), chain in any::<[u8; 32]>(),
    ) -> Event {
        Event {
            tenant: TenantId::from_bytes(tenant),
            seq, ordinal, at, position, body,
            sender: UserId::from_bytes(sender),
            device: DeviceId::from_bytes(device),
            client_id: ClientId::from_bytes(client_id),
            fingerprint: Fingerprint(fingerprint),
            chain: Hash(chain),
        }
    }
}

prop_compose! {
    fn rejection()(
        position in position(), (_, device, client_id) in any::<Author>(),
        fingerprint in any::<[u8; 8]>(), code in prop::sample::select(&REJECT_CODES[..]),
    ) -> Rejection {
        Rejection {
            position, code,
            device: DeviceId::from_bytes(device),
            client_id: ClientId::from_bytes(client_id),
            fingerprint: Fingerprint(fingerprint),
        }
    }
}

prop_compose! {
    fn member()(role in role(), (from, sent, sent_ordinal) in any::<(u64, u64, u64)>()) -> Member {
        Member { role, from, sent, sent_ordinal }
    }
}

prop_compose! {
    fn state()(
        tenant in any::<[u8; 16]>(), kind in kind(), title in title(),
        (head, ordinal, at) in any::<(u64, u64, u64)>(), chain in any::<[u8; 32]>(),
        applied in option::of(position()),
        members in vec((user(), member()), 0..20), rejections in vec(rejection(), 0..5),
    ) -> State {
        State {
            tenant: TenantId::from_bytes(tenant), chain: Hash(chain),
            members: members.into_iter().collect(), rejections: rejections.into(),
            kind, title, head, ordinal, at, applied,
        }
    }
}

proptest! {
    #[test]
    fn records(record in a_record()) {
        prop_assert_eq!(record::decode(&record::encode(&record)), Ok(record));
    }

    #[test]
    fn events(event in event()) {
        let bytes = stored::encode_event(&event);
        prop_assert_eq!(stored::decode_event(event.seq, &bytes), Ok(event.clone()));
        let bytes = stored::encode_body(&event.body);
        prop_assert_eq!(stored::decode_body(&bytes), Ok(event.body));
    }

    #[test]
    fn states(state in state()) {
        prop_assert_eq!(stored::decode_state(&stored::encode_state(&state)), Ok(state));
    }

    #[test]
    fn rejections(rejection in rejection()) {
        let bytes = stored::encode_rejection(&rejection);
        prop_assert_eq!(stored::decode_rejection(&bytes), Ok(rejection));
    }

    #[test]
    fn link_frames((frame, down) in link_forms::any_frame()) {
        let bytes = link_forms::encode(&frame, down.as_ref());
        prop_assert_eq!(link_forms::decode(&bytes), Ok((frame, down)));
    }

    #[test]
    fn event_frames(event in event(), conversation in any::<[u8; 16]>()) {
        let frame = json::encode_event(ConversationId::from_bytes(conversation), &event);
        let text = std::str::from_utf8(&frame).expect("UTF-8");
        let again = match json::decode_server_frame(text) {
            Ok(json::ServerFrame::Notification(params)) => json::encode_notification(&params),
            other => panic!("{other:?}"),
        };
        prop_assert_eq!(again, frame);
    }

    /// Whatever id a client chooses comes back as it was written.
    #[test]
    fn request_ids(number in any::<i128>(), text in ".{0,20}") {
        for id in [number.to_string(), serde_json::to_string(&text).expect("JSON"), "0".into()] {
            prop_assume!(id.len() <= 128);
            let frame = format!(r#"{{"id": {id} ,"jsonrpc":"2.0","method":"session.start"}}"#);
            let request = json::decode_request(&frame).expect("a request");
            let reply = json::encode_result(&request.id, &true);
            let expected = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":true}}"#);
            prop_assert_eq!(reply, Bytes::from(expected));
        }
    }

    #[test]
    fn nothing_from_outside_panics(bytes in vec(any::<u8>(), 0..200), text in ".*") {
        let _ = record::decode(&bytes);
        let _ = stored::decode_event(1, &bytes);
        let _ = stored::decode_state(&bytes);
        let _ = stored::decode_rejection(&bytes);
        let _ = link_forms::decode(&bytes);
        let _ = json::decode_request(&text);
        let _ = json::decode_server_frame(&text);
    }
}
