//! The state machine alone, and in front of a server that takes so many sends a second.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

const MS: u64 = 1_000_000;
const TARGET: u64 = 10 * MS;

/// So many sends in one look, of which each had its outcome after `delay`.
fn look(overload: &mut Overload, at: u64, sends: usize, delay: u64) -> u64 {
    for under_way in 1..=sends {
        overload.begun(under_way);
        overload.decided(at, at + delay);
    }
    overload.tick(at + LOOK_NS, 0);
    at + LOOK_NS
}

#[test]
fn stages_are_entered_one_by_one_and_left_in_turn() {
    let mut overload = Overload::new(TARGET, 1_000);
    let mut now = 0;
    let mut stages = vec![overload.stage()];
    while overload.stage() < Stage::Sends {
        assert_eq!(overload.limits(), stages.len() > HOT_LOOKS as usize, "not for a burst");
        now = look(&mut overload, now, 100, (FAR + 1) * TARGET);
        stages.push(overload.stage());
    }
    stages.dedup();
    assert_eq!(stages, Stage::ALL);
    assert!(overload.limits());
    for stage in Stage::ALL.into_iter().rev() {
        assert_eq!(overload.stage(), stage);
        for _ in 0..CALM_LOOKS {
            now = look(&mut overload, now, 100, TARGET / 4);
        }
    }
    assert_eq!((overload.stage(), overload.limits()), (Stage::Calm, false));
}

#[test]
fn a_load_near_the_limit_costs_typing_and_receipts_only() {
    let mut overload = Overload::new(TARGET, 1_000);
    let mut now = 0;
    for _ in 0..20 {
        now = look(&mut overload, now, 100, TARGET * 4 / 5);
    }
    assert_eq!((overload.stage(), overload.limits()), (Stage::Receipts, false));
}

#[test]
fn engines_that_are_slow_by_themselves_are_no_overload() {
    let mut overload = Overload::new(TARGET, 1_000);
    let mut now = 0;
    for _ in 0..30 {
        now = look(&mut overload, now, FEW, 6 * TARGET);
        assert_eq!(overload.stage(), Stage::Calm);
    }
    now = look(&mut overload, now, 100, 6 * TARGET);
    assert!(overload.stage() <= Stage::Receipts, "that is what they take");
    (0..10).for_each(|_| now = look(&mut overload, now, 100, 14 * TARGET));
    assert_eq!((overload.stage(), overload.limits()), (Stage::Receipts, true));
    (0..10).for_each(|_| now = look(&mut overload, now, 100, 12 * TARGET * FAR + MS));
    assert_eq!(overload.stage(), Stage::Sends);
}

#[test]
fn one_pause_of_a_disk_is_no_new_base() {
    let mut overload = Overload::new(TARGET, 1_000);
    let mut now = look(&mut overload, 0, 1, MS);
    now = look(&mut overload, now, 1, 400 * MS);
    assert_eq!(overload.target_ns(), TARGET);
    for _ in 0..4 {
        now = look(&mut overload, now, 100, 3 * TARGET);
    }
    assert_eq!((overload.stage(), overload.limits()), (Stage::Receipts, true));
}

#[test]
fn a_refusal_gives_up_everything_before_it_at_once_and_time_alone_ends_it() {
    let mut overload = Overload::new(TARGET, 1_000);
    overload.refused();
    assert_eq!(overload.stage(), Stage::Sends);
    overload.tick(LOOK_NS, 0);
    assert_eq!(overload.stage(), Stage::Sends);
    overload.tick(LOOK_NS * (1 + 5 * CALM_LOOKS), 0);
    assert_eq!(overload.stage(), Stage::Calm);
}

/// A server with one queue, and senders that offer a constant rate whatever it says: the delays of
/// what it took in the last second, and how many it took then.
fn flooded(capacity_per_s: u64, offered_per_s: u64, seconds: u64) -> (Vec<u64>, u64) {
    let mut overload = Overload::new(TARGET, 16_384);
    let (service, gap) = (1_000 * MS / capacity_per_s, 1_000 * MS / offered_per_s);
    let (mut queue, mut free_at) = (VecDeque::<(u64, u64)>::new(), 0);
    let (mut delays, mut taken) = (Vec::new(), 0);
    for now in (0..seconds * 1_000 * MS).step_by(usize::try_from(gap).unwrap()) {
        while queue.front().is_some_and(|(_, done)| *done <= now) {
            let (since, done) = queue.pop_front().unwrap();
            overload.decided(since, done);
            if since > (seconds - 1) * 1_000 * MS {
                delays.push(done - since);
            }
        }
        overload.tick(now, queue.len());
        if queue.len() >= overload.window() {
            overload.refused();
            continue;
        }
        free_at = now.max(free_at) + service;
        queue.push_back((now, free_at));
        overload.begun(queue.len());
        taken += u64::from(now > (seconds - 1) * 1_000 * MS);
    }
    delays.sort_unstable();
    (delays, taken)
}

#[test]
fn three_times_the_capacity_is_taken_as_far_as_it_goes_and_no_slower() {
    for capacity in [1_000, 3_000, 20_000] {
        let (delays, taken) = flooded(capacity, 3 * capacity, 5);
        let p99 = delays[delays.len() * 99 / 100];
        assert!(taken * 100 >= capacity * 95, "{taken} of {capacity}");
        assert!(p99 <= 2 * TARGET, "{capacity}/s: {} ms", p99 / MS);
        let (delays, taken) = flooded(capacity, capacity * 7 / 10, 5);
        assert!(taken * 100 >= capacity * 69, "nothing is refused of what fits: {taken}");
        assert!(delays[delays.len() - 1] < TARGET);
    }
}

proptest! {
    /// Whatever comes: the window stays between few and most, and calm lasting long enough ends
    /// everything.
    #[test]
    fn it_always_ends(
        ops in prop::collection::vec((0u8..4, 0usize..2_000, 0u64..2_000), 0..300),
    ) {
        let (mut overload, mut now) = (Overload::new(TARGET, 1_000), 0u64);
        for (op, under_way, ms) in ops {
            match op {
                0 => overload.begun(under_way),
                1 => overload.refused(),
                2 => overload.decided(now.saturating_sub(ms * MS), now),
                _ => { now += ms * MS; overload.tick(now, under_way); }
            }
            prop_assert!((FEW..=1_000).contains(&overload.aim()));
            prop_assert!(overload.retry_ms() <= RETRY_MS * (1 + RETRIES_MAX));
        }
        overload.tick(now + LOOK_NS * (2 + IDLE_LOOKS), 0);
        overload.tick(now + LOOK_NS * (4 + 2 * IDLE_LOOKS), 0);
        prop_assert_eq!((overload.stage(), overload.limits()), (Stage::Calm, false));
    }
}
