//! Soundness S6: the timestamp of every row is its own order, and what is late never wins.

use std::sync::Arc;

use harkara_domain::{
    ConversationId, Cursor, Membership, Profile, Rejection, limits::REJECTIONS_KEPT,
};
use harkara_engine::{Store, store::Step};
use harkara_engine_scylla::{Config, ScyllaStore};
use harkara_test_engines::{Cassandra, engines_or_skip};
use scylla::client::session::Session;

use crate::support::{
    config, conversation, event, made, position, query, rejection, run, session, state, tenant,
    user, write,
};

async fn begin() -> (Config, ScyllaStore, Session) {
    let config = config(Cassandra::shared().contact_points());
    let store = made(&config).await;
    let session = session(&config).await;
    (config, store, session)
}

fn membership(cause: u64, present: bool) -> Step {
    let of = Membership {
        tenant: tenant(),
        user: user(2),
        conversation: conversation(1),
        present,
        cause,
    };
    Step { memberships: vec![of], ..Step::default() }
}

fn snapshot(of: ConversationId, head: u64, applied: u64) -> Step {
    Step { snapshot: Some(Arc::new(state(of, head, applied))), ..Step::default() }
}

async fn name(store: &ScyllaStore, name: &str, at: u64) {
    let profile = Profile { tenant: tenant(), user: user(2), name: name.to_owned(), at };
    store.put_profile(profile).await.expect("a write");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timestamps_are_the_order_of_the_data() {
    engines_or_skip!();
    let (config, store, session) = begin().await;
    let mut step = membership(41, true);
    step.events = vec![event(42)];
    step.rejections = vec![rejection(430)];
    step.snapshot = Some(Arc::new(state(conversation(1), 42, 430)));
    write(&store, 1, step).await.expect("a write");
    let cursor = Cursor { seq: 40, ordinal: 39 };
    store.advance(conversation(1), vec![(user(2), cursor)]).await.expect("a write");
    name(&store, "Asha", 1_700_000_000_000).await;
    for (table, column, expected) in [
        ("events", "event", 42),
        ("rejections", "rejection", 1),
        ("snapshots", "state", 42),
        ("memberships", "present", 41),
        ("memberships", "cause", 41),
        ("cursors", "seq", 40),
        ("cursors", "ordinal", 40),
        ("profiles", "name", 1_700_000_000_000),
        ("profiles", "at", 1_700_000_000_000),
    ] {
        let text = format!("SELECT WRITETIME({column}) FROM {}.{table}", config.keyspace);
        assert_eq!(query::<(i64,)>(&session, &text).await, [(expected,)], "{table}.{column}");
    }
    // Rows without other columns than their key show their time by what deletes them.
    let names = format!("SELECT name FROM {}.names", config.keyspace);
    for (at, left) in [(1_699_999_999_999_i64, 1), (1_700_000_000_000, 0)] {
        let row = "tenant = 01010101-0101-0101-0101-010101010101 AND prefix = 'as'";
        let delete =
            format!("DELETE FROM {}.names USING TIMESTAMP {at} WHERE {row}", config.keyspace);
        run(&session, &delete).await;
        assert_eq!(query::<(String,)>(&session, &names).await.len(), left, "deleted at {at}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_older_write_does_not_win() {
    engines_or_skip!();
    let (_, store, _) = begin().await;
    let of = conversation(1);
    // Each newer one first, the older one late, and the newer one once more as a repeat.
    for (head, applied) in [(9, 90), (5, 50), (9, 90), (9, 80), (8, 700)] {
        write(&store, 1, snapshot(of, head, applied)).await.expect("a write");
    }
    assert_eq!(store.snapshot(of).await, Ok(Some(state(of, 9, 90))), "also at the same head");
    write(&store, 1, snapshot(of, 9, 95)).await.expect("a write");
    assert_eq!(store.snapshot(of).await, Ok(Some(state(of, 9, 95))), "the later record counts");
    for (cause, present) in [(9, false), (7, true), (9, false)] {
        write(&store, 1, membership(cause, present)).await.expect("a write");
    }
    let row = store.membership(tenant(), user(2), of).await.expect("a read").expect("a row");
    assert_eq!((row.cause, row.present), (9, false));
    for seq in [9, 3, 9, 0] {
        let cursor = Cursor { seq, ordinal: seq / 2 };
        store.advance(of, vec![(user(2), cursor)]).await.expect("a write");
    }
    assert_eq!(store.cursors(of).await, Ok(vec![(user(2), Cursor { seq: 9, ordinal: 4 })]));
    store.advance(of, vec![(user(3), Cursor::default())]).await.expect("a write at 0");
    store.advance(of, vec![(user(3), Cursor { seq: 1, ordinal: 1 })]).await.expect("a write");
    let read = store.cursors(of).await.expect("a read");
    assert!(read.contains(&(user(3), Cursor { seq: 1, ordinal: 1 })), "{read:?}");
    for (given, at) in [("Bilal", 9), ("Asha", 3), ("Bilal", 9)] {
        name(&store, given, at).await;
    }
    let found = |found: Vec<Profile>| found.into_iter().map(|p| p.name).collect::<Vec<_>>();
    let read = store.profiles(tenant(), vec![user(2)]).await.expect("a read");
    assert_eq!(found(read), ["Bilal"]);
    let read = store.find_profiles(tenant(), "", 9).await.expect("a read");
    assert_eq!(found(read), ["Bilal"], "the old name is not found");
    name(&store, "Asha", 10).await;
    let read = store.find_profiles(tenant(), "a", 9).await.expect("a read");
    assert_eq!(found(read), ["Asha"], "a name that comes back is found again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_forgotten_stays_forgotten() {
    engines_or_skip!();
    let (_, store, _) = begin().await;
    let of = conversation(1);
    let all: Vec<Rejection> = (1..=REJECTIONS_KEPT as u64 + 44).map(rejection).collect();
    let offsets = |read: &[Rejection]| read.iter().map(|r| r.position.offset).collect::<Vec<_>>();
    let remembered = |count: usize| {
        let mut state = state(of, 1, count as u64);
        let from = count.saturating_sub(REJECTIONS_KEPT);
        state.rejections = all[from..count].iter().copied().collect();
        Step { snapshot: Some(Arc::new(state)), ..Step::default() }
    };
    write(&store, 1, Step { rejections: all.clone(), ..Step::default() }).await.expect("a write");
    write(&store, 1, remembered(200)).await.expect("a write");
    let read = store.rejections(of, None).await.expect("a read");
    assert_eq!(read, all, "a ring that is not full has pushed nothing out");
    write(&store, 1, remembered(all.len())).await.expect("a write");
    let read = store.rejections(of, None).await.expect("a read");
    assert_eq!(offsets(&read), (45..=300).collect::<Vec<_>>(), "what the ring holds is kept");
    // Who loads from the older snapshot at this moment finds all that its ring will hold.
    let later = store.rejections(of, Some(position(200))).await.expect("a read");
    assert_eq!(offsets(&later), (201..=300).collect::<Vec<_>>());
    write(&store, 1, Step { rejections: all.clone(), ..Step::default() }).await.expect("a write");
    let read = store.rejections(of, None).await.expect("a read");
    assert_eq!(offsets(&read), (45..=300).collect::<Vec<_>>(), "a late write brings none back");
}
