//! Single rules, each with the story that made it one. Names in brackets are the rules' numbers
//! in `docs/architecture.md`.

use harkara_domain::{Command, Kind, RejectCode, Role, limits};
use harkara_fanout::conversation::{decide::Decision, view, window::Window};

use crate::support::{Driven, add, create, record, remove, seq, text, user};

fn room() -> Driven {
    let mut room = Driven::new();
    assert_eq!(seq(&room.take(&record(1, 1, create(&[2])), 0, 10)), 1);
    room
}

fn refused(decision: &Decision) -> RejectCode {
    match decision {
        Decision::Rejection(rejection) => rejection.code,
        Decision::Repeated(code) => *code,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

/// [S1] A send by an outsider is refused at 5; 6 adds him; a replay from 5 must not accept it.
#[test]
fn a_replay_does_not_accept_what_was_refused() {
    let mut room = room();
    let outsider = record(9, 50, text("let me in"));
    assert_eq!(refused(&room.take(&outsider, 5, 10)), RejectCode::NotAMember);
    assert_eq!(seq(&room.take(&record(1, 2, add(&[9])), 6, 10)), 2);
    let mut taken_over = room.rebuilt(0, room.rows.len());
    assert_eq!(taken_over.take(&outsider, 5, 10), Decision::Skip);
    // Sent again by the device it gets the same answer, though he is a member by now [S13].
    assert_eq!(refused(&taken_over.take(&outsider, 7, 10)), RejectCode::NotAMember);
    assert_eq!(seq(&taken_over.take(&record(9, 51, text("hello")), 8, 10)), 3);
}

/// [S2] Positions of another life of the log are later than all of the one before.
#[test]
fn a_new_life_of_the_log_is_later() {
    use harkara_domain::{Generation, Position};
    let old = Position { generation: Generation(1), offset: 1_000_000 };
    let new = Position { generation: Generation(2), offset: 0 };
    assert!(new > old);
}

/// [S7] Added again, a member sees from there on, and has read nothing of it.
#[test]
fn a_returning_member_starts_anew() {
    let mut room = room();
    room.take(&record(1, 2, text("one")), 1, 10);
    assert_eq!(seq(&room.take(&record(1, 3, remove(&[2])), 2, 10)), 3);
    room.take(&record(1, 4, text("secret")), 3, 10);
    assert_eq!(seq(&room.take(&record(1, 5, add(&[2])), 4, 10)), 5);
    room.take(&record(1, 6, text("welcome back")), 5, 10);
    let entry = view::entry(&room.state, &view::Cursors::new(), user(2)).expect("a member");
    assert_eq!((entry.from, entry.head, entry.read, entry.unread), (5, 6, 4, 1));
}

/// [S8] A creation that is repeated, or a direct conversation opened by both, is the first one.
#[test]
fn creating_again_is_a_repeat() {
    let mut room = room();
    assert_eq!(room.take(&record(1, 1, create(&[2])), 1, 10), Decision::Settled(1));
    let mut direct = Driven::new();
    let open = |other| Command::Create { kind: Kind::Direct, title: None, members: vec![other] };
    assert_eq!(seq(&direct.take(&record(1, 1, open(user(2))), 0, 10)), 1);
    assert_eq!(direct.take(&record(2, 77, open(user(1))), 1, 10), Decision::Settled(1));
    assert!(direct.state.members.values().all(|m| m.role == Role::Owner));
    assert_eq!(refused(&direct.take(&record(1, 2, add(&[3])), 2, 10)), RejectCode::Forbidden);
    assert_eq!(refused(&direct.take(&record(1, 3, Command::Leave), 3, 10)), RejectCode::Forbidden);
}

/// [S9] The log's time steps back: an event's time doesn't.
#[test]
fn time_never_steps_back() {
    let mut room = room();
    room.take(&record(1, 2, text("a")), 1, 90_000_000);
    room.take(&record(1, 3, text("b")), 2, 5);
    assert_eq!(room.state.at, 90_000_000);
}

/// A client id with another body is a conflict; the first one stands.
#[test]
fn another_body_is_a_conflict() {
    let mut room = room();
    assert_eq!(seq(&room.take(&record(1, 2, text("a")), 1, 10)), 2);
    assert_eq!(refused(&room.take(&record(1, 2, text("b")), 2, 10)), RejectCode::Conflict);
    assert_eq!(room.take(&record(1, 2, text("a")), 3, 10), Decision::Settled(2));
    // Another device's id is its own.
    assert_eq!(seq(&room.take(&record(2, 2, text("b")), 4, 10)), 3);
}

/// [D3] Repeats are recognized among the last 8,192 requests, not before.
#[test]
fn the_window_has_its_documented_size() {
    let mut room = room();
    let first = record(1, 2, text("first"));
    room.take(&first, 1, 10);
    let window = limits::WINDOW_SENDS as u64;
    for n in 0..window - 1 {
        room.take(&record(1, 100 + n, text("x")), 2 + n, 10);
    }
    assert_eq!(room.take(&first, window + 10, 10), Decision::Settled(2));
    room.take(&record(1, 50_000, text("y")), window + 11, 10);
    assert_eq!(seq(&room.take(&first, window + 12, 10)), room.state.head);
    assert_eq!(Window::after(room.state.head), room.state.head - window);
}

/// The last owner leaves: the longest-standing of the highest role follows.
#[test]
fn somebody_always_owns_it() {
    let mut room = room();
    room.take(&record(1, 2, add(&[4, 3])), 1, 10);
    let promote = Command::SetRole { users: vec![user(3)], role: Role::Admin };
    room.take(&record(1, 3, promote), 2, 10);
    room.take(&record(1, 4, Command::Leave), 3, 10);
    assert_eq!(room.state.members[&user(3)].role, Role::Owner);
    room.take(&record(3, 5, Command::Leave), 4, 10);
    assert_eq!(room.state.members[&user(2)].role, Role::Owner, "a member since the creation");
    let demote = Command::SetRole { users: vec![user(2)], role: Role::Member };
    assert_eq!(refused(&room.take(&record(2, 6, demote), 5, 10)), RejectCode::Forbidden);
}

/// In a channel members read and admins write.
#[test]
fn channels_are_for_readers() {
    let mut channel = Driven::new();
    let open = Command::Create { kind: Kind::Channel, title: None, members: vec![user(2)] };
    channel.take(&record(1, 1, open), 0, 10);
    assert_eq!(refused(&channel.take(&record(2, 2, text("me too")), 1, 10)), RejectCode::Forbidden);
    assert_eq!(seq(&channel.take(&record(1, 3, text("news")), 2, 10)), 2);
}

/// A reply refers to something that its sender can see.
#[test]
fn replies_point_at_what_is_there() {
    let mut room = room();
    room.take(&record(1, 2, text("one")), 1, 10);
    room.take(&record(1, 3, add(&[5])), 2, 10);
    let reply = |to| match text("re") {
        Command::Send { content, salt, .. } => Command::Send { content, salt, reply_to: Some(to) },
        other => other,
    };
    assert_eq!(refused(&room.take(&record(5, 4, reply(2)), 3, 10)), RejectCode::InvalidContent);
    assert_eq!(refused(&room.take(&record(1, 5, reply(4)), 4, 10)), RejectCode::InvalidContent);
    assert_eq!(seq(&room.take(&record(5, 6, reply(3)), 5, 10)), 4);
}

/// Unread is what others wrote behind the cursor; having sent is having read.
#[test]
fn unread_counts_messages_only() {
    let mut room = room();
    room.take(&record(1, 2, text("one")), 1, 10);
    room.take(&record(1, 3, add(&[5])), 2, 10);
    room.take(&record(1, 4, text("two")), 3, 10);
    let entry = |room: &Driven, n| view::entry(&room.state, &view::Cursors::new(), user(n));
    assert_eq!(entry(&room, 2).map(|e| (e.read, e.unread)), Some((0, 2)));
    assert_eq!(entry(&room, 1).map(|e| (e.read, e.unread)), Some((4, 0)));
    assert_eq!(entry(&room, 9), None);
    room.take(&record(2, 5, text("three")), 4, 10);
    assert_eq!(entry(&room, 2).map(|e| (e.read, e.unread)), Some((5, 0)));
    assert_eq!(entry(&room, 1).map(|e| e.unread), Some(1));
}
