//! The books of rounds that are made up.

use super::*;
use crate::system::Shape;

/// Two rooms of two, one message a second: two for warming up, two that count.
const PLAN: Plan =
    Plan { shape: Shape { sessions: 4, room: 2, bytes: 200 }, rate: 1.0, warm_up: 2, seconds: 2 };

/// A round that began ten seconds ago, with all four messages handed over.
fn round(first: u32) -> Rc<Tally> {
    let tally = Tally::new();
    let start = times::now().checked_sub(Duration::from_secs(10)).unwrap();
    tally.begin(PLAN, start, first, 2).unwrap();
    (0..4).for_each(|n| tally.handed(n));
    tally
}

fn stamp(n: u32, first: u32) -> Stamp {
    let intended = u64::try_from(PLAN.intended(n).as_nanos()).unwrap();
    Stamp { intended, number: first + n }
}

#[test]
fn latency_counts_from_the_intended_time_and_the_warm_up_does_not() {
    let tally = round(0);
    (0..4).for_each(|n| (0..2).for_each(|session| tally.delivered(session, stamp(n, 0))));
    let (second, arrived) = tally.second();
    assert_eq!((second.age, arrived), (Duration::ZERO, 8));
    let counts = tally.finish().unwrap();
    assert_eq!((counts.messages, counts.expected, counts.delivered), (2, 4, 4));
    // Those of seconds 2 and 3, delivered at second 10; the histogram keeps three digits.
    assert!(counts.deliver.min() >= 6_990_000 && counts.deliver.max() >= 7_990_000);
    assert!(counts.late.len() == 2 && counts.late.min() >= 6_990_000);
}

#[test]
fn what_is_missing_stays_missing() {
    let tally = round(100);
    (0..3).for_each(|n| tally.delivered(0, stamp(n, 100)));
    (0..3).for_each(|n| tally.delivered(1, stamp(n, 100)));
    tally.delivered(0, stamp(3, 100));
    tally.delivered(0, stamp(2, 100)); // a third copy
    tally.delivered(0, Stamp { intended: 0, number: 99 }); // of the round before
    tally.delivered(0, Stamp { intended: 0, number: 104 }); // of nobody
    assert!(tally.second().0.age >= Duration::from_secs(7), "message 3 is not everywhere");
    let counts = tally.finish().unwrap();
    assert_eq!((counts.expected, counts.delivered, counts.surplus, counts.stray), (4, 3, 1, 2));
    assert_eq!((counts.nowhere, counts.rooms_missing), (0, 1));
    let counts = round(0).finish().unwrap();
    assert_eq!((counts.nowhere, counts.rooms_missing), (2, 2));
}

#[test]
fn answers_find_their_messages() {
    let tally = round(7);
    // Rooms in turn: messages 7 to 10 are of sessions 0, 2, 1, 3.
    tally.confirmed(1);
    tally.confirmed(1); // nothing is left to confirm
    tally.answered(3, 10, Err("unavailable"));
    tally.answered(3, 10, Err("unavailable"));
    tally.answered(0, 8, Ok(())); // not that session's
    tally.ended(3, "reset");
    tally.ended(2, "closed");
    let counts = tally.finish().unwrap();
    assert_eq!(counts.confirm.len(), 1);
    assert_eq!(counts.refused, BTreeMap::from([("unavailable".to_owned(), 1)]));
    assert_eq!(counts.ended, (2, Some("reset".to_owned())));
}

#[tokio::test]
async fn draining_waits_for_what_was_taken() {
    let tally = round(0);
    let long = Duration::from_secs(60);
    let deliver = async {
        tokio::task::yield_now().await;
        (0..3).for_each(|n| (0..2).for_each(|session| tally.delivered(session, stamp(n, 0))));
        tally.answered(3, 3, Err("rate_limited"));
    };
    tokio::join!(tally.drained(long), deliver);
    assert_eq!(tally.outstanding(), 0);
    let tally = round(0);
    tally.drained(Duration::ZERO).await; // nothing comes: it gives up
    assert_eq!(tally.outstanding(), 8);
}
