//! Names, records, and a conversation that is driven without any engine.

use bytes::Bytes;
use harkara_domain::{
    ClientId, Command, Content, ConversationId, DeviceId, Event, Generation, Kind, Position,
    Record, Rejection, Role, Salt, State, TenantId, UserId, command::RULES_VERSION,
};
use harkara_fanout::conversation::{
    decide::{Decision, decide},
    evolve,
    window::Window,
};

pub const TENANT: TenantId = TenantId::from_bytes([7; 16]);

pub fn user(n: u8) -> UserId {
    UserId::from_bytes([n; 16])
}

pub fn conversation() -> ConversationId {
    ConversationId::from_bytes([0xc0; 16])
}

pub fn client_id(n: u64) -> ClientId {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&n.to_be_bytes());
    ClientId::from_bytes(bytes)
}

pub fn position(offset: u64) -> Position {
    Position { generation: Generation(1), offset }
}

/// A record of a user's only device.
pub fn record(sender: u8, id: u64, command: Command) -> Record {
    Record {
        tenant: TENANT,
        conversation: conversation(),
        sender: user(sender),
        device: DeviceId::from_bytes([sender; 16]),
        client_id: client_id(id),
        rules: RULES_VERSION,
        origin: 0,
        command,
    }
}

pub fn text(text: &str) -> Command {
    let json = format!(r#"{{"text":"{text}","type":"text"}}"#);
    let content = Content::from_canonical(Bytes::from(json));
    Command::Send { content, reply_to: None, salt: Salt([1; 16]) }
}

pub fn create(members: &[u8]) -> Command {
    let members = members.iter().map(|n| user(*n)).collect();
    Command::Create { kind: Kind::Group, title: Some("Control room".to_owned()), members }
}

pub fn add(users: &[u8]) -> Command {
    Command::Add { users: users.iter().map(|n| user(*n)).collect(), role: Role::Member }
}

pub fn remove(users: &[u8]) -> Command {
    Command::Remove { users: users.iter().map(|n| user(*n)).collect() }
}

/// What the store would hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    Event(Event),
    Rejection(Rejection),
}

/// A conversation with its rows, driven by hand.
#[derive(Debug, Clone)]
pub struct Driven {
    pub state: State,
    pub window: Window,
    pub rows: Vec<Row>,
}

impl Driven {
    pub fn new() -> Self {
        let state = State::empty(conversation());
        Self { state, window: Window::default(), rows: Vec::new() }
    }

    /// Decides a record and applies what it causes.
    pub fn take(&mut self, record: &Record, offset: u64, at: u64) -> Decision {
        let decision = decide(&self.state, &self.window, record, position(offset), at);
        match &decision {
            Decision::Event(event) => {
                evolve::event(&mut self.state, event).expect("an event fits its state");
                self.window.push(event);
                self.rows.push(Row::Event((**event).clone()));
            }
            Decision::Rejection(rejection) => {
                evolve::rejection(&mut self.state, *rejection);
                self.rows.push(Row::Rejection(*rejection));
            }
            _ => {}
        }
        decision
    }

    /// What a worker finds that takes over: a snapshot after `snapshot` rows, and `stored` rows.
    pub fn rebuilt(&self, snapshot: usize, stored: usize) -> Self {
        let mut rebuilt = Self::new();
        for (i, row) in self.rows[..stored].iter().enumerate() {
            if i == snapshot {
                // Through its stored form and back.
                let bytes = harkara_protocol::stored::encode_state(&rebuilt.state);
                rebuilt.state = harkara_protocol::stored::decode_state(&bytes).expect("a state");
            }
            match row {
                Row::Event(event) => {
                    evolve::event(&mut rebuilt.state, event).expect("rows fit");
                    rebuilt.window.push(event);
                }
                Row::Rejection(rejection) => evolve::rejection(&mut rebuilt.state, *rejection),
            }
        }
        rebuilt.rows = self.rows[..stored].to_vec();
        rebuilt
    }
}

/// The sequence of an event, or a panic that says what came instead.
pub fn seq(decision: &Decision) -> u64 {
    match decision {
        Decision::Event(event) => event.seq,
        other => panic!("expected an event, got {other:?}"),
    }
}
