//! The suite's part about timelines, rejections and snapshots.

use std::sync::Arc;

use harkara_domain::{Body, Event, Kind, Position, Rejection, Role, State, limits::SEQ_MAX};

use super::{
    StoreFactory, conversation, event, events, must, position, read_events, rejection, soon, state,
    tenant, user, write, write_events,
};
use crate::store::{Step, Store};

async fn rejections(store: &dyn Store, n: u8, after: Option<Position>) -> Vec<Rejection> {
    let read = soon(store.rejections(conversation(n), after), "a read must resolve").await;
    must(read, "a read must succeed")
}

async fn snapshot(store: &dyn Store, n: u8) -> Option<State> {
    let read = soon(store.snapshot(conversation(n)), "a read must resolve").await;
    must(read, "a read must succeed")
}

async fn write_snapshot(store: &dyn Store, n: u8, state: State) {
    let step = Step { snapshot: Some(Arc::new(state)), ..Step::default() };
    write(store, conversation(n), step).await;
}

pub(super) async fn empty_reads(store: &dyn Store) {
    let of = conversation(10);
    assert_eq!(read_events(store, of, 0, SEQ_MAX, 10).await, [], "nothing was written");
    assert_eq!(rejections(store, 10, None).await, [], "nothing was written");
    assert_eq!(snapshot(store, 10).await, None, "nothing was written");
    assert_eq!(must(store.cursors(of).await, "a read must succeed"), [], "nothing was written");
    let list = must(store.memberships(tenant(), user(900), None, 10).await, "a read must succeed");
    assert_eq!(list, [], "nothing was written");
    write(store, of, Step::default()).await;
}

pub(super) async fn events_by_range(store: &dyn Store) {
    let of = conversation(11);
    write_events(store, of, 1, 40).await;
    write_events(store, conversation(12), 1, 3).await;
    let cases = [
        ((0, 40, 100), events(1, 40), "all"),
        ((0, SEQ_MAX, 100), events(1, 40), "more than there is"),
        ((0, 40, 7), events(1, 7), "the first of them"),
        ((10, 20, 100), events(11, 20), "after the one, until the other"),
        ((10, 20, 3), events(11, 13), "the first of a piece"),
        ((39, 40, 1), events(40, 40), "the last one"),
        ((40, 50, 10), vec![], "behind the end"),
        ((20, 20, 10), vec![], "an empty range"),
        ((20, 10, 10), vec![], "a range that is none"),
        ((0, 40, 0), vec![], "no room"),
    ];
    for ((after, until, limit), expected, what) in cases {
        let read = read_events(store, of, after, until, limit).await;
        assert_eq!(read, expected, "{what}: events after {after} until {until}, at most {limit}");
    }
    write_events(store, of, 41, 41).await;
    assert_eq!(read_events(store, of, 40, 50, 10).await, events(41, 41), "written is readable");
}

/// Buckets end at multiples of 4,096.
pub(super) async fn events_across_buckets(store: &dyn Store) {
    let of = conversation(13);
    for (from, until) in [(4_000, 4_200), (8_100, 8_300)] {
        for from in (from..until).step_by(50) {
            write_events(store, of, from, from + 49).await;
        }
    }
    assert_eq!(read_events(store, of, 4_090, 4_100, 100).await, events(4_091, 4_100), "across one");
    assert_eq!(read_events(store, of, 4_095, 4_096, 9).await, events(4_096, 4_096), "a first one");
    assert_eq!(read_events(store, of, 4_094, 4_095, 9).await, events(4_095, 4_095), "a last one");
    let mut both = events(4_190, 4_199);
    both.extend(events(8_100, 8_299));
    assert_eq!(read_events(store, of, 4_189, 9_000, 500).await, both, "across several");
    assert_eq!(read_events(store, of, 8_191, 9_000, 2).await, events(8_192, 8_193), "with limits");
}

pub(super) async fn every_kind_of_event(store: &dyn Store) {
    let of = conversation(14);
    let (users, title) = (vec![user(1), user(2)], Some("सभा 🙂\u{202e}".to_owned()));
    let bodies = [
        Body::Created { kind: Kind::Group, title: title.clone(), members: users.clone() },
        Body::Updated { kind: Kind::Channel, title: None },
        Body::Added { users: users.clone(), role: Role::Admin },
        Body::Removed { users: users.clone() },
        Body::Left { successor: Some(user(1)) },
        Body::Left { successor: None },
        Body::RoleSet { users, role: Role::Owner },
    ];
    let written: Vec<Event> =
        (1..).zip(bodies).map(|(seq, body)| Event { body, ..event(seq) }).collect();
    let step = Step { events: written.iter().cloned().map(Arc::new).collect(), ..Step::default() };
    write(store, of, step).await;
    assert_eq!(read_events(store, of, 0, 99, 99).await, written, "events come back as they were");
}

pub(super) async fn rewriting_changes_nothing(store: &dyn Store) {
    let of = conversation(15);
    let step = || Step {
        events: events(1, 20).into_iter().map(Arc::new).collect(),
        rejections: vec![rejection(15), rejection(25)],
        memberships: Vec::new(),
        snapshot: Some(Arc::new(state(of, 20, 5))),
    };
    for _ in 0..3 {
        write(store, of, step()).await;
    }
    write_events(store, of, 10, 25).await;
    assert_eq!(read_events(store, of, 0, 99, 99).await, events(1, 25), "each event once");
    let kept = [rejection(15), rejection(25)];
    assert_eq!(rejections(store, 15, None).await, kept, "each rejection once");
    assert_eq!(snapshot(store, 15).await, Some(state(of, 20, 5)), "the same snapshot");
}

pub(super) async fn rejections_after_a_position(store: &dyn Store) {
    for offset in [30, 10, 20, 70_000] {
        let step = Step { rejections: vec![rejection(offset)], ..Step::default() };
        write(store, conversation(16), step).await;
    }
    let of = |offsets: &[u64]| offsets.iter().map(|offset| rejection(*offset)).collect::<Vec<_>>();
    let all = of(&[10, 20, 30, 70_000]);
    assert_eq!(rejections(store, 16, None).await, all, "in rising order");
    let after = rejections(store, 16, Some(position(20))).await;
    assert_eq!(after, of(&[30, 70_000]), "only those behind the position");
    let after = rejections(store, 16, Some(position(29))).await;
    assert_eq!(after, of(&[30, 70_000]), "the position needs not be one of them");
    assert_eq!(rejections(store, 16, Some(position(70_000))).await, [], "none behind the last");
}

pub(super) async fn snapshots_replace_older_ones(store: &dyn Store) {
    let of = conversation(17);
    let step = Step {
        rejections: [10, 20, 30, 40].map(rejection).to_vec(),
        snapshot: Some(Arc::new(state(of, 5, 15))),
        ..Step::default()
    };
    write(store, of, step).await;
    assert_eq!(snapshot(store, 17).await, Some(state(of, 5, 15)), "the first snapshot");
    write_snapshot(store, 17, state(of, 9, 30)).await;
    assert_eq!(snapshot(store, 17).await, Some(state(of, 9, 30)), "the one with the higher head");
    write_snapshot(store, 17, state(of, 5, 15)).await;
    write_snapshot(store, 17, state(of, 8, 29)).await;
    assert_eq!(snapshot(store, 17).await, Some(state(of, 9, 30)), "a lower head changes nothing");
    // Those up to 30 may be forgotten; the one behind must stay.
    let after = rejections(store, 17, Some(position(30))).await;
    assert_eq!(after, [rejection(40)], "what is not in the snapshot must be kept");
    let all = rejections(store, 17, None).await;
    let known = [10, 20, 30, 40].map(rejection);
    assert!(all.iter().all(|one| known.contains(one)), "nothing that was not written");
    let mut large = state(of, 10, 31);
    large.members = (0..5_000)
        .map(|n| {
            let member =
                harkara_domain::Member { role: Role::Member, from: 1, sent: 1, sent_ordinal: 0 };
            (user(n), member)
        })
        .collect();
    write_snapshot(store, 17, large.clone()).await;
    assert!(snapshot(store, 17).await == Some(large), "a state of 5,000 members comes back");
}

pub(super) async fn history_survives_a_restart(factory: &dyn StoreFactory) {
    let store = factory.make().await;
    let of = conversation(18);
    write_events(&*store, of, 1, 300).await;
    write_snapshot(&*store, 18, state(of, 300, 3_000)).await;
    let generation = must(store.generation().await, "the generation must be readable");
    let store = factory.reopen(store).await;
    assert_eq!(read_events(&*store, of, 0, 999, 999).await, events(1, 300), "all events are there");
    assert_eq!(snapshot(&*store, 18).await, Some(state(of, 300, 3_000)), "the snapshot, too");
    let after = must(store.generation().await, "the generation must be readable");
    assert_eq!(after, generation, "a restart is no new life");
}
