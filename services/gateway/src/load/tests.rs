//! Who gets how much of a window.

use harkara_domain::{ConversationId, TenantId};

use super::*;

const MS: u64 = 1_000_000;

fn send(tenant: u8, conversation: u8, since: u64) -> Entry {
    let conversation = ConversationId::from_bytes([conversation; 16]);
    Entry { tenant: TenantId::from_bytes([tenant; 16]), conversation, since }
}

/// A thread that has seen a flood, with two hundred sends that fit; and what time it is.
fn flooded() -> (Load, u64) {
    let load = Load::new(&Config::default(), Rc::default());
    let mut now = 0;
    for _ in 0..3 {
        let sends: Vec<_> = (0..200).map(|n| send(1, n, now)).collect();
        sends.iter().for_each(|it| load.begun(*it));
        now += 20 * MS;
        sends.iter().for_each(|it| load.decided(*it, now));
        now += 30 * MS;
        load.look(now);
    }
    assert_eq!((load.look(now), load.under_way()), (Stage::Receipts, 0));
    assert_eq!(load.state.borrow().overload.window(), 200);
    (load, now)
}

/// How many sends of a kind are taken, one after the other.
fn taken(load: &Load, send: Entry) -> usize {
    (0..1_000).take_while(|_| load.admit(send, 0).map(|()| load.begun(send)).is_ok()).count()
}

#[test]
fn a_flood_of_one_conversation_leaves_room_for_others() {
    let (load, now) = flooded();
    assert_eq!(taken(&load, send(1, 1, now)), 134, "two thirds");
    let others: usize = (2..200).map(|n| taken(&load, send(1, n, now))).sum();
    assert_eq!(134 + others, 200, "all of it, if they want it");
}

#[test]
fn a_flood_of_one_tenant_leaves_room_for_others() {
    let (load, now) = flooded();
    let flood = |load: &Load| -> usize { (0..200).map(|n| taken(load, send(1, n, now))).sum() };
    assert_eq!(flood(&load), 200, "alone it has everything");
    assert!(load.admit(send(2, 201, now), 0).is_ok(), "who comes new finds room");

    let (load, now) = flooded();
    load.begun(send(2, 201, now));
    assert_eq!(flood(&load), 160, "four fifths, if there is another one");
    assert!(taken(&load, send(2, 201, now)) > 20);
}

#[test]
fn without_overload_nobody_is_limited() {
    let load = Load::new(&Config::default(), Rc::default());
    assert_eq!(taken(&load, send(1, 1, 0)), 1_000);
    assert_eq!(load.session_max(), 64);
}

#[test]
fn who_pours_is_held_back_before_anybody_is_refused() {
    let (load, now) = flooded();
    (0..10).for_each(|_| load.busy(true));
    assert_eq!(load.session_max(), 10, "ten sessions share half of the window");
    for _ in 0..10 {
        (0..10).for_each(|n| {
            load.admit(send(1, n, now), 0).expect("taken");
            load.begun(send(1, n, now));
        });
    }
    (0..990).for_each(|_| load.busy(true));
    assert_eq!(load.session_max(), 1);
}

/// What goes to a worker that froze does not keep what goes to the others out.
#[test]
fn what_stands_still_is_in_nobodys_way() {
    let (load, now) = flooded();
    let frozen: usize = (0..=250).map(|n| taken(&load, send(2, n, now))).sum();
    assert_eq!(frozen, 200);
    assert!(load.admit(send(2, 251, now + 100 * MS), 0).is_err());
    assert!(load.admit(send(2, 251, now + 2_000 * MS), 0).is_ok());
    assert_eq!(load.under_way(), 200);
}
