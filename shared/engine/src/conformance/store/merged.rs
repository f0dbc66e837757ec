//! The suite's part about what is merged: lists and cursors.

use std::sync::Arc;

use harkara_domain::{ConversationId, Cursor, Membership, UserId};

use super::{conversation, events, must, read_events, soon, tenant, user, write, write_events};
use crate::store::{Step, Store};

fn membership(of: UserId, n: u8, cause: u64, present: bool) -> Membership {
    Membership { tenant: tenant(), user: of, conversation: conversation(n), present, cause }
}

async fn write_membership(store: &dyn Store, membership: Membership) {
    let step = Step { memberships: vec![membership], ..Step::default() };
    write(store, membership.conversation, step).await;
}

async fn list(
    store: &dyn Store,
    of: UserId,
    after: Option<ConversationId>,
    limit: usize,
) -> Vec<Membership> {
    let read = soon(store.memberships(tenant(), of, after, limit), "a read must resolve").await;
    must(read, "a read must succeed")
}

pub(super) async fn memberships_by_cause(store: &dyn Store) {
    // Joined at 1, left at 5, joined again at 9: the last one holds, in any order of writing.
    let orders = [[1, 5, 9], [1, 9, 5], [5, 1, 9], [5, 9, 1], [9, 1, 5], [9, 5, 1]];
    for (n, order) in (100..).zip(orders) {
        for cause in order {
            write_membership(store, membership(user(n), 20, cause, cause != 5)).await;
        }
        let expected = [membership(user(n), 20, 9, true)];
        assert_eq!(list(store, user(n), None, 9).await, expected, "written as {order:?}");
    }
    let of = user(110);
    let both = vec![membership(of, 20, 2, false), membership(of, 20, 1, true)];
    write(store, conversation(20), Step { memberships: both, ..Step::default() }).await;
    assert_eq!(list(store, of, None, 9).await, [], "of two in one step the newer one holds");
    write_membership(store, membership(of, 20, 1, true)).await;
    assert_eq!(list(store, of, None, 9).await, [], "who left is not in the list again");
}

pub(super) async fn memberships_by_page(store: &dyn Store) {
    let of = user(120);
    for n in [25, 21, 24, 22, 23, 26] {
        write_membership(store, membership(of, n, 1, true)).await;
    }
    write_membership(store, membership(of, 23, 2, false)).await;
    write_membership(store, membership(user(121), 27, 1, true)).await;
    let ids = |list: &[Membership]| list.iter().map(|m| m.conversation).collect::<Vec<_>>();
    let of_numbers = |numbers: &[u8]| numbers.iter().map(|n| conversation(*n)).collect::<Vec<_>>();
    let all = list(store, of, None, 99).await;
    assert_eq!(
        ids(&all),
        of_numbers(&[21, 22, 24, 25, 26]),
        "rising, without those that were left"
    );
    let first = list(store, of, None, 2).await;
    assert_eq!(ids(&first), of_numbers(&[21, 22]), "the first page");
    let next = list(store, of, Some(conversation(22)), 2).await;
    assert_eq!(ids(&next), of_numbers(&[24, 25]), "a page has its size though one is left out");
    assert_eq!(
        ids(&list(store, of, Some(conversation(23)), 1).await),
        of_numbers(&[24]),
        "between"
    );
    assert_eq!(list(store, of, Some(conversation(26)), 2).await, [], "behind the last");
    assert_eq!(list(store, of, None, 0).await, [], "no room");
}

fn cursor(seq: u64) -> Cursor {
    Cursor { seq, ordinal: seq / 2 }
}

async fn cursors(store: &dyn Store, n: u8) -> Vec<(UserId, Cursor)> {
    let read = soon(store.cursors(conversation(n)), "a read must resolve").await;
    let mut read = must(read, "a read must succeed");
    read.sort_unstable_by_key(|(user, _)| *user);
    read
}

async fn advance(store: &dyn Store, n: u8, cursors: Vec<(UserId, Cursor)>) {
    let moved = soon(store.advance(conversation(n), cursors), "a write must resolve").await;
    must(moved, "a write must succeed");
}

pub(super) async fn cursors_only_advance(store: &dyn Store) {
    for (n, order) in [(30, [3, 7, 5]), (31, [7, 3, 5]), (32, [5, 7, 3])] {
        for seq in order {
            advance(store, n, vec![(user(1), cursor(seq))]).await;
        }
        assert_eq!(cursors(store, n).await, [(user(1), cursor(7))], "written as {order:?}");
    }
    let several = vec![(user(2), cursor(300)), (user(1), cursor(70_000)), (user(2), cursor(2))];
    advance(store, 30, several).await;
    let expected = [(user(1), cursor(70_000)), (user(2), cursor(300))];
    assert_eq!(cursors(store, 30).await, expected, "the largest of one call, each user's own");
    advance(store, 30, Vec::new()).await;
    assert_eq!(cursors(store, 31).await, [(user(1), cursor(7))], "each conversation's own");
}

/// Many writers at once: what resolved can be read by its writer, and the newest one stays.
pub(super) async fn concurrent_writers_agree(store: Arc<dyn Store>) {
    let tasks: Vec<_> = (0..32_u8)
        .map(|n| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let of = conversation(200 + n);
                for round in 0..8_u64 {
                    // Each task's numbers rise, and no two tasks have one in common.
                    let cause = 1 + round * 32 + u64::from(n);
                    advance(&*store, 33, vec![(user(7), cursor(cause))]).await;
                    let read = cursors(&*store, 33).await;
                    let mine = read.first().map_or(0, |(_, cursor)| cursor.seq);
                    assert!(mine >= cause, "a cursor that resolved must be read: {mine} < {cause}");
                    write_membership(&*store, membership(user(130), 34, cause, n % 2 == 0)).await;
                    write_events(&*store, of, 1 + round * 10, 10 + round * 10).await;
                    let read = read_events(&*store, of, 0, 999, 999).await;
                    assert_eq!(read, events(1, 10 + round * 10), "a writer reads what it wrote");
                }
            })
        })
        .collect();
    for task in tasks {
        must(soon(task, "writers must end").await, "a writer must not panic");
    }
    assert_eq!(cursors(&*store, 33).await, [(user(7), cursor(256))], "the largest cursor stays");
    // 256 is the last round of the task 31, which is odd: not present.
    assert_eq!(list(&*store, user(130), None, 9).await, [], "the highest cause stays");
}
