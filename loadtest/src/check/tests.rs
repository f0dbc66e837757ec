//! The checker's own check: a small world in which all is well, and for each invariant worlds in
//! which it is not, which it must notice. Every world is made of journal lines and a history.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Verdict, chain,
    history::{Event, Histories, History},
    logs::Logs,
    rules,
};
use crate::{
    ids::Id,
    journal::{Entry, How, Line, What},
};

mod breaches;
mod every;

/// Operator, reader and a speaker who joins at 3 and leaves at 6.
pub(super) const OPERATOR: u32 = 0;
pub(super) const READER: u32 = 1;
pub(super) const SPEAKER: u32 = 2;

pub(super) fn id(n: u128) -> Id {
    Id(Uuid::from_u128(n))
}

pub(super) fn room() -> Id {
    id(0xc0)
}

pub(super) fn user(c: u32) -> Id {
    id(0x100 + u128::from(c))
}

fn device(c: u32) -> Id {
    id(0x200 + u128::from(c))
}

/// The client id of the event at a sequence.
pub(super) fn request(q: u64) -> Id {
    id(0x300 + u128::from(q))
}

/// A world: lines and what the server has.
pub(super) struct World {
    pub(super) lines: Vec<Line>,
    pub(super) values: Vec<Value>,
    pub(super) again: Option<Vec<Value>>,
}

fn event(q: u64, c: u32, rest: Value) -> Value {
    let mut value = json!({
        "conversation": room(), "seq": q, "at": format!("2026-11-22T09:00:0{q}.000Z"),
        "sender": user(c), "device": device(c), "client_id": request(q),
    });
    for (key, field) in rest.as_object().expect("an object") {
        value[key] = field.clone();
    }
    value
}

pub(super) fn text(q: u64) -> Value {
    json!({"type": "text", "text": format!("message {q}")})
}

/// Links the chain through all events again, as an honest server would.
pub(super) fn relink(values: &mut [Value]) {
    let mut link = chain::start(room());
    for value in values {
        value["chain"] = Value::from("");
        let event = Event::new(value.clone()).expect("an event");
        link = chain::link(&link, &event).expect("a known kind");
        value["chain"] = chain::hex(&link).into();
    }
}

fn history() -> Vec<Value> {
    let message = |q: u64, c| {
        let salt = "000102030405060708090a0b0c0d0e0f";
        event(q, c, json!({"kind": "message", "content": text(q), "salt": salt}))
    };
    let members = [user(OPERATOR), user(READER)];
    let created = json!({
        "kind": "conversation", "conversation_kind": "group", "title": "day", "members": members,
    });
    let added = json!({
        "kind": "member", "action": "added", "users": [user(SPEAKER)], "role": "member",
    });
    let left = json!({"kind": "member", "action": "left", "users": [user(SPEAKER)]});
    let mut values = vec![
        event(1, OPERATOR, created),
        message(2, OPERATOR),
        event(3, OPERATOR, added),
        message(4, SPEAKER),
        message(5, SPEAKER),
        event(6, SPEAKER, left),
        message(7, OPERATOR),
    ];
    values[4]["reply_to"] = 4.into();
    relink(&mut values);
    values
}

pub(super) fn entry(from: u64, head: u64, read: u64) -> Entry {
    let (from, head, read) = (Some(from), Some(head), Some(read));
    Entry { n: room(), from, head, read, behind: false }
}

pub(super) fn session(c: u32, s: u32, entries: Vec<Entry>) -> Line {
    Line::Session { c, s, t: 0, cursors: Vec::new(), entries, reset: Vec::new() }
}

pub(super) fn got(c: u32, s: u32, q: u64) -> Line {
    Line::Event { c, s, n: room(), q, b: q - 1 }
}

fn asked(c: u32, s: u32, q: u64, what: What, users: Vec<Id>) -> Vec<Line> {
    let i = request(q);
    let is_send = what == What::Send;
    let n = (what != What::Create).then(room);
    let content = is_send.then(|| text(q));
    let reply_to = (q == 5).then_some(4);
    let how = if is_send { How::Event } else { How::Answered };
    let mut lines = vec![
        Line::Intent { c, i, n, what, content, reply_to, users },
        Line::Sent { c, s, i },
        Line::Outcome { c, s, i, how, q: Some(q), code: None },
    ];
    if is_send {
        lines.insert(2, Line::Accepted { c, s, i });
    }
    lines
}

/// All is well. Sessions: 1 operator, 2 and 4 reader (resumed after 3), 3 speaker.
pub(super) fn world() -> World {
    let values = history();
    let mut lines = Vec::new();
    for (c, name) in [(OPERATOR, "log"), (READER, "reader"), (SPEAKER, "asha")] {
        let (user, device) = (user(c), device(c));
        lines.push(Line::Client { c, name: name.to_owned(), user, device });
    }
    lines.extend(values.iter().zip(0..).map(|(x, b)| Line::Body { b, x: x.clone() }));
    lines.push(session(OPERATOR, 1, Vec::new()));
    lines.push(session(READER, 2, Vec::new()));
    let change = || "added".to_owned();
    lines.push(Line::Change { c: OPERATOR, s: 1, change: change(), entry: entry(1, 1, 0) });
    lines.push(Line::Change { c: READER, s: 2, change: change(), entry: entry(1, 1, 0) });
    lines.extend(asked(OPERATOR, 1, 1, What::Create, vec![user(READER)]));
    lines.extend(asked(OPERATOR, 1, 2, What::Send, Vec::new()));
    lines.extend(asked(OPERATOR, 1, 3, What::Add, vec![user(SPEAKER)]));
    lines.push(session(SPEAKER, 3, vec![entry(3, 3, 3)]));
    lines.extend(asked(SPEAKER, 3, 4, What::Send, Vec::new()));
    lines.extend(asked(SPEAKER, 3, 5, What::Send, Vec::new()));
    lines.extend(asked(SPEAKER, 3, 6, What::Leave, Vec::new()));
    lines.extend(asked(OPERATOR, 1, 7, What::Send, Vec::new()));
    lines.extend((2..=7).map(|q| got(OPERATOR, 1, q)));
    lines.extend((2..=3).map(|q| got(READER, 2, q)));
    lines.push(Line::Read { c: READER, s: 2, n: room(), user: user(OPERATOR), q: 2 });
    lines.push(Line::Session {
        c: READER,
        s: 4,
        t: 0,
        cursors: vec![(room(), 3)],
        entries: vec![entry(1, 5, 2)],
        reset: Vec::new(),
    });
    lines.extend((4..=7).map(|q| got(READER, 4, q)));
    lines.extend((4..=6).map(|q| got(SPEAKER, 3, q)));
    lines.push(Line::Change {
        c: SPEAKER,
        s: 3,
        change: "removed".to_owned(),
        entry: Entry { n: room(), from: None, head: None, read: None, behind: false },
    });
    let (after, head, events) = (0, 3, vec![(3, 2)]);
    lines.push(Line::Page { c: SPEAKER, s: 0, n: room(), after, head, events });
    let code = Some("not_found".to_owned());
    lines.push(Line::AskedAfterLeaving { c: SPEAKER, n: room(), code });
    lines.push(Line::Looked { c: READER, n: room(), q: 4, head: 5, found: true });
    for c in [OPERATOR, READER] {
        lines.push(Line::Finished { c, n: room(), head: 7 });
    }
    World { lines, again: Some(values.clone()), values }
}

fn events(values: Vec<Value>) -> Vec<Event> {
    values.into_iter().map(|value| Event::new(value).expect("an event")).collect()
}

impl World {
    pub(super) fn judge(self) -> Vec<Verdict> {
        let mut logs = Logs::default();
        self.lines.into_iter().for_each(|line| logs.take(line));
        let events_ = events(self.values);
        let head = events_.last().map_or(0, |event| event.seq);
        let history = History { events: events_, again: self.again.map(events), head };
        rules::all(&logs, &Histories::from([(room(), history)]))
    }

    /// The rules that were breached.
    pub(super) fn breached(self) -> Vec<&'static str> {
        let verdicts = self.judge();
        verdicts.into_iter().filter(|v| v.breaches > 0).map(|v| v.rule).collect()
    }

    /// Server and clients agree on other events than before.
    pub(super) fn rewrite(&mut self, change: impl FnOnce(&mut Vec<Value>)) {
        change(&mut self.values);
        relink(&mut self.values);
        self.again = Some(self.values.clone());
        self.lines.retain(|line| !matches!(line, Line::Body { .. }));
        let bodies = self.values.iter().zip(0..).map(|(x, b)| Line::Body { b, x: x.clone() });
        self.lines.splice(0..0, bodies);
    }

    /// Changes the first line that `change` takes.
    pub(super) fn edit(&mut self, mut change: impl FnMut(&mut Line) -> bool) {
        assert!(self.lines.iter_mut().any(&mut change), "no such line");
    }

    pub(super) fn drop_line(&mut self, is: impl FnMut(&Line) -> bool) {
        let place = self.lines.iter().position(is).expect("no such line");
        self.lines.remove(place);
    }
}

#[test]
fn a_clean_world_passes_and_everything_is_looked_at() {
    let verdicts = world().judge();
    for verdict in &verdicts {
        assert_eq!(verdict.breaches, 0, "{verdict:?}");
        assert!(verdict.checked > 0, "{verdict:?}");
    }
    let rules: Vec<&str> = verdicts.iter().map(|v| v.rule).collect();
    assert_eq!(rules, ["I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9", "chain"]);
}
