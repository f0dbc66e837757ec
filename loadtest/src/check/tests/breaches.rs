//! One world for each way in which an invariant can be broken.

use super::*;

#[test]
fn i1_an_accepted_message_is_gone() {
    let mut world = world();
    // Its outcome never came, but it was accepted.
    let i = id(0x999);
    let (c, n, what) = (OPERATOR, Some(room()), What::Send);
    let content = Some(text(9));
    world.lines.push(Line::Intent { c, i, n, what, content, reply_to: None, users: Vec::new() });
    world.lines.push(Line::Accepted { c, s: 1, i });
    assert_eq!(world.breached(), ["I1"]);
}

#[test]
fn i1_a_message_says_something_else() {
    let mut world = world();
    world.rewrite(|values| values[3]["content"]["text"] = "something else".into());
    assert_eq!(world.breached(), ["I1", "I7"]);
}

#[test]
fn i1_a_rejected_message_is_there() {
    let mut world = world();
    world.edit(|line| match line {
        Line::Outcome { i, how, q, .. } if *i == request(7) => {
            (*how, *q) = (How::Rejected, None);
            true
        }
        _ => false,
    });
    assert_eq!(world.breached(), ["I1"]);
}

#[test]
fn i2_a_message_stands_twice() {
    let mut world = world();
    world.rewrite(|values| {
        let mut twice = values[6].clone();
        twice["seq"] = 8.into();
        values.push(twice);
    });
    world.lines.push(got(OPERATOR, 1, 8));
    assert_eq!(world.breached(), ["I2", "I8"]);
}

#[test]
fn i3_a_hole_in_a_session() {
    let mut world = world();
    world.drop_line(|line| matches!(line, Line::Event { s: 1, q: 5, .. }));
    assert_eq!(world.breached(), ["I3"]);
}

#[test]
fn i3_a_repeat_after_resuming() {
    let mut world = world();
    let first = world.lines.iter().position(|l| matches!(l, Line::Event { s: 4, .. }));
    world.lines.insert(first.expect("a line"), got(READER, 4, 3));
    assert_eq!(world.breached(), ["I3"]);
}

#[test]
fn i3_the_end_never_arrives() {
    let mut world = world();
    world.drop_line(|line| matches!(line, Line::Event { s: 4, q: 7, .. }));
    assert_eq!(world.breached(), ["I3"]);
}

#[test]
fn i3_a_delivery_differs_from_the_store() {
    let mut world = world();
    world.edit(|line| match line {
        Line::Body { b: 3, x } => {
            x["content"]["text"] = "tampered".into();
            true
        }
        _ => false,
    });
    assert_eq!(world.breached(), ["I3"]);
}

#[test]
fn i3_two_members_read_different_things() {
    let mut world = world();
    world.again.as_mut().expect("a second reading")[1]["content"]["text"] = "other".into();
    assert_eq!(world.breached(), ["I3"]);
}

#[test]
fn i3_a_hole_in_the_history() {
    let mut world = world();
    world.values.remove(4);
    world.again = None;
    let breached = world.breached();
    assert!(["I1", "I3", "chain"].iter().all(|rule| breached.contains(rule)), "{breached:?}");
}

#[test]
fn i3_time_goes_back() {
    let mut world = world();
    world.rewrite(|values| values[4]["at"] = "2026-11-22T08:00:00.000Z".into());
    assert_eq!(world.breached(), ["I3"]);
}

#[test]
fn i4_a_write_that_was_answered_cannot_be_read() {
    let mut world = world();
    world.lines.push(Line::Looked { c: READER, n: room(), q: 7, head: 6, found: false });
    assert_eq!(world.breached(), ["I4"]);
}

#[test]
fn i4_the_head_goes_back_after_a_restart() {
    let mut world = world();
    world.lines.push(session(OPERATOR, 9, vec![entry(1, 6, 2)]));
    assert_eq!(world.breached(), ["I4"]);
}

#[test]
fn i4_a_cursor_is_reset() {
    let mut world = world();
    let (cursors, reset) = (vec![(room(), 7)], vec![room()]);
    let entries = vec![entry(1, 7, 2)];
    world.lines.push(Line::Session { c: OPERATOR, s: 9, t: 0, cursors, entries, reset });
    assert_eq!(world.breached(), ["I4"]);
}

#[test]
fn i5_an_event_after_leaving() {
    let mut world = world();
    let removed = world.lines.iter().position(|l| matches!(l, Line::Change { s: 3, .. }));
    world.lines.insert(removed.expect("a line"), got(SPEAKER, 3, 7));
    assert_eq!(world.breached(), ["I5"]);
}

#[test]
fn i5_a_page_from_before_joining() {
    let mut world = world();
    world.edit(|line| match line {
        Line::Page { events, .. } => {
            events.insert(0, (2, 1));
            true
        }
        _ => false,
    });
    assert_eq!(world.breached(), ["I5"]);
}

#[test]
fn i5_reading_after_leaving() {
    let mut world = world();
    world.lines.push(Line::AskedAfterLeaving { c: SPEAKER, n: room(), code: None });
    assert_eq!(world.breached(), ["I5"]);
}

#[test]
fn i6_messages_change_places() {
    let mut world = world();
    let place = |world: &World, q| {
        let is = |line: &Line| matches!(line, Line::Sent { i, .. } if *i == request(q));
        world.lines.iter().position(is).expect("a line")
    };
    let (four, five) = (place(&world, 4), place(&world, 5));
    world.lines.swap(four, five);
    assert_eq!(world.breached(), ["I6"]);
}

#[test]
fn i6_a_message_that_had_to_be_repeated_may_be_late() {
    let mut world = world();
    let (c, s, i) = (SPEAKER, 3, request(5));
    world.lines.insert(0, Line::Sent { c, s, i });
    let code = "unavailable".to_owned();
    world.lines.push(Line::Failed { c, s, i, code, retryable: true });
    assert_eq!(world.breached(), [""; 0]);
}

#[test]
fn i7_a_message_that_nobody_sent() {
    let mut world = world();
    world.drop_line(|line| matches!(line, Line::Intent { i, .. } if *i == request(4)));
    assert_eq!(world.breached(), ["I7"]);
}

#[test]
fn i7_somebody_elses_name_on_it() {
    let mut world = world();
    world.rewrite(|values| values[3]["sender"] = json!(user(READER)));
    assert_eq!(world.breached(), ["I7"]);
}

#[test]
fn i7_an_event_of_a_conversation_that_is_not_in_the_list() {
    let mut world = world();
    let (c, s, n) = (READER, 4, id(0xdead));
    world.lines.push(Line::Event { c, s, n, q: 1, b: 0 });
    assert_eq!(world.breached(), ["I7"]);
}

#[test]
fn i7_an_event_after_the_conversation_left_the_list() {
    let mut world = world();
    world.lines.push(got(SPEAKER, 3, 7));
    assert_eq!(world.breached(), ["I5", "I7"].to_vec());
}

#[test]
fn i8_a_repeat_gets_another_sequence() {
    let mut world = world();
    let (c, s, i, how) = (OPERATOR, 1, request(7), How::Settled);
    world.lines.push(Line::Outcome { c, s, i, how, q: Some(2), code: None });
    assert_eq!(world.breached(), ["I8"]);
}

#[test]
fn i8_refused_and_done_all_the_same() {
    let mut world = world();
    let (c, s, i, code) = (OPERATOR, 1, request(7), "forbidden".to_owned());
    world.lines.push(Line::Failed { c, s, i, code, retryable: false });
    assert_eq!(world.breached(), ["I8"]);
}

#[test]
fn i9_a_read_cursor_goes_back() {
    let mut world = world();
    let mut told = |q| {
        let (c, s, n) = (READER, 4, room());
        world.lines.push(Line::Read { c, s, n, user: user(OPERATOR), q });
    };
    told(5);
    told(4);
    assert_eq!(world.breached(), ["I9"]);
}

#[test]
fn i9_a_read_cursor_beyond_the_head_or_of_a_stranger() {
    for (user, q) in [(user(OPERATOR), 8), (id(0xdead), 2), (user(SPEAKER), 2)] {
        let mut world = world();
        world.lines.push(Line::Read { c: READER, s: 4, n: room(), user, q });
        assert_eq!(world.breached(), ["I9"]);
    }
}

#[test]
fn i9_the_own_cursor_goes_back() {
    let mut world = world();
    world.lines.push(session(READER, 9, vec![entry(1, 7, 1)]));
    assert_eq!(world.breached(), ["I9"]);
}

#[test]
fn chain_an_altered_link() {
    for (field, value) in [
        ("salt", json!("ff0102030405060708090a0b0c0d0e0f")),
        ("at", json!("2026-11-22T09:00:03.001Z")),
        ("chain", json!("00")),
    ] {
        let mut world = world();
        let was = world.values.clone();
        world.rewrite(|values| values[3][field] = value.clone());
        for (value, was) in world.values.iter_mut().zip(was) {
            value["chain"] = was["chain"].clone();
        }
        if field == "chain" {
            world.values[3]["chain"] = value;
        }
        world.again = None;
        let breached = world.breached();
        assert!(breached.contains(&"chain"), "{field}: {breached:?}");
    }
}
