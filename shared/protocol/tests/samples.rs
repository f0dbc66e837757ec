//! The people, the conversation and the history that the golden files tell of.

use bytes::Bytes;
use harkara_domain::{
    Body, ClientId, Command, Content, ConversationId, DeviceId, Event, Fingerprint, Generation,
    Kind, Member, Position, Record, RejectCode, Rejection, Role, Salt, SessionId, State, TenantId,
    UserId, chain,
};

/// 2026-11-22T09:00:00.123Z.
pub const START: u64 = 1_795_338_000_123;

pub fn asha() -> UserId {
    UserId::development("asha")
}

pub fn bilal() -> UserId {
    UserId::development("bilal")
}

pub fn chitra() -> UserId {
    UserId::development("chitra")
}

pub fn phone() -> DeviceId {
    DeviceId::development("asha", "phone")
}

pub fn laptop() -> DeviceId {
    DeviceId::development("bilal", "laptop")
}

pub fn session() -> SessionId {
    "019a4c3e-7c80-7d10-b3a4-5e6f70819203".parse().expect("a UUID")
}

/// The group "Control room".
pub fn room() -> ConversationId {
    ConversationId::created(TenantId::development(), phone(), client(1))
}

/// The conversation of Asha and Bilal.
pub fn direct() -> ConversationId {
    ConversationId::direct(TenantId::development(), asha(), bilal())
}

/// The n-th client id (UUID version 7).
pub fn client(n: u8) -> ClientId {
    format!("019a4c3e-7b1a-7c21-9d42-6f0e5a3b1c{n:02x}").parse().expect("a UUID")
}

pub fn content(canonical: &str) -> Content {
    let raw = serde_json::from_str(canonical).expect("JSON");
    let content = harkara_protocol::content::canonical(raw).expect("a content");
    assert_eq!(content.as_str(), canonical, "not in canonical form");
    content
}

pub fn text(text: &str) -> Content {
    content(&format!(r#"{{"text":"{text}","type":"text"}}"#))
}

pub const HINDI: &str = "नमस्ते, बैठक दस बजे है";
pub const URDU: &str = "جی، میں دس بجے پہنچ جاؤں گا";

/// One body of each kind, with its author, in an order that makes sense.
fn bodies() -> Vec<(UserId, DeviceId, Body)> {
    let title = |text: &str| Some(text.to_owned());
    let mut pair = vec![asha(), bilal()];
    pair.sort_unstable();
    let (a, b) = ((asha(), phone()), (bilal(), laptop()));
    let message = |n: u8, content, reply_to| Body::Message { content, reply_to, salt: salt(n) };
    [
        (a, Body::Created { kind: Kind::Group, title: title("Control room"), members: pair }),
        (a, message(1, text(HINDI), None)),
        (b, message(2, text(URDU), Some(2))),
        (
            a,
            Body::Updated {
                kind: Kind::Group, title: title("नियंत्रण कक्ष")
            },
        ),
        (a, Body::Added { users: vec![chitra()], role: Role::Member }),
        (a, Body::RoleSet { users: vec![bilal()], role: Role::Admin }),
        (b, Body::Removed { users: vec![chitra()] }),
        (a, Body::Left { successor: Some(bilal()) }),
    ]
    .map(|((user, device), body)| (user, device, body))
    .into()
}

fn salt(n: u8) -> Salt {
    Salt(std::array::from_fn(|i| n.wrapping_mul(31).wrapping_add(i as u8 * 17)))
}

/// Eight events, one with each kind of body (and a reply), with their hash chain.
pub fn history() -> Vec<Event> {
    let mut chain = chain::start(room());
    let (mut events, mut ordinal) = (Vec::new(), 0);
    for (i, (sender, device, body)) in bodies().into_iter().enumerate() {
        ordinal += u64::from(body.is_message());
        let seq = i as u64 + 1;
        let mut event = Event {
            tenant: TenantId::development(),
            seq,
            ordinal,
            at: START + i as u64 * 61_000,
            sender,
            device,
            client_id: client(i as u8 + 1),
            fingerprint: Fingerprint([i as u8 + 1; 8]),
            position: Position { generation: Generation(3), offset: 1_000 + i as u64 },
            body,
            chain,
        };
        chain = chain::link(chain, &event);
        event.chain = chain;
        events.push(event);
    }
    events
}

/// One command of each kind.
pub fn commands() -> Vec<Command> {
    vec![
        Command::Create {
            kind: Kind::Group,
            title: Some("Control room".to_owned()),
            members: vec![bilal()],
        },
        Command::Update { title: Some("नियंत्रण कक्ष".to_owned()) },
        Command::Add { users: vec![chitra()], role: Role::Member },
        Command::Remove { users: vec![chitra()] },
        Command::Leave,
        Command::SetRole { users: vec![bilal()], role: Role::Admin },
        Command::Send { content: text(URDU), reply_to: Some(2), salt: salt(2) },
        Command::Inbox { user: chitra(), conversation: room(), cause: 5, present: true },
    ]
}

/// A record that carries `command`.
pub fn record(command: Command) -> Record {
    Record {
        tenant: TenantId::development(),
        conversation: room(),
        sender: asha(),
        device: phone(),
        client_id: client(7),
        rules: 1,
        origin: 0x0102_0304_0506_0708,
        command,
    }
}

/// A refused send, with the code of the wire form.
pub fn rejection(code: RejectCode) -> Rejection {
    Rejection {
        position: Position { generation: Generation(3), offset: 1_009 },
        device: laptop(),
        client_id: client(9),
        fingerprint: commands()[6].fingerprint(),
        code,
    }
}

pub const REJECT_CODES: [RejectCode; 7] = [
    RejectCode::NotAMember,
    RejectCode::Forbidden,
    RejectCode::Conflict,
    RejectCode::NotFound,
    RejectCode::InvalidContent,
    RejectCode::TooLarge,
    RejectCode::Unsupported,
];

/// The conversation after [`history`].
pub fn state() -> State {
    let history = history();
    let last = history.last().expect("events");
    let mut state = State::empty(room());
    state.tenant = TenantId::development();
    state.title = Some("नियंत्रण कक्ष".to_owned());
    state.head = last.seq;
    state.ordinal = last.ordinal;
    state.at = last.at;
    state.chain = last.chain;
    state.applied = Some(Position { generation: Generation(3), offset: 1_009 });
    state.members.insert(bilal(), Member { role: Role::Owner, from: 1, sent: 3, sent_ordinal: 2 });
    state.rejections.push_back(rejection(RejectCode::NotAMember));
    state
}

/// Content whose bytes are not looked at by the code under test.
pub fn opaque(text: String) -> Content {
    Content::from_canonical(Bytes::from(text))
}
