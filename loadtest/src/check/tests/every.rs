//! Not one world for each breach but every delivery and every event of the small world: none of
//! them may be left out, come twice, change places or say something else unnoticed.

use super::*;

/// The places of all deliveries, and each one's session and sequence.
fn deliveries() -> Vec<(usize, u32, u64)> {
    let lines = world().lines;
    let deliveries = lines.iter().enumerate().filter_map(|(place, line)| match line {
        Line::Event { s, q, .. } => Some((place, *s, *q)),
        _ => None,
    });
    let deliveries: Vec<_> = deliveries.collect();
    assert!(deliveries.len() > 10, "the world is too small to say anything");
    deliveries
}

#[test]
fn a_delivery_that_is_dropped_is_missed() {
    for (place, s, q) in deliveries() {
        let mut world = world();
        world.lines.remove(place);
        // The speaker's session ends with its leaving: whether that last event still came to it is
        // left to chance, since nobody who was put out can be sure to hear of it.
        let is_own_leaving = (s, q) == (3, 6);
        let expected: &[&str] = if is_own_leaving { &[] } else { &["I3"] };
        assert_eq!(world.breached(), expected, "session {s} at {q}");
    }
}

#[test]
fn a_delivery_that_is_doubled_is_noticed() {
    for (place, s, q) in deliveries() {
        let mut world = world();
        let twice = world.lines[place].clone();
        world.lines.insert(place, twice);
        assert_eq!(world.breached(), ["I3"], "session {s} at {q}");
    }
}

#[test]
fn deliveries_that_change_places_are_noticed() {
    let all = deliveries();
    for pair in all.windows(2).filter(|pair| pair[0].1 == pair[1].1) {
        let mut world = world();
        world.lines.swap(pair[0].0, pair[1].0);
        assert_eq!(world.breached(), ["I3"], "session {} at {}", pair[0].1, pair[0].2);
    }
}

#[test]
fn a_gap_of_any_length_is_noticed() {
    let all = deliveries();
    for (first, s, q) in &all {
        for (last, ..) in all.iter().filter(|it| it.1 == *s && it.0 > *first) {
            let mut world = world();
            world.lines.drain(first..=last);
            // Two gaps say nothing. A resumed session's cursor is the client's own word for what it
            // has, so that one that had got nothing could not name it; and a session that ends for
            // good may end before what came last.
            let is_end = !all.iter().any(|it| it.1 == *s && it.0 > *last);
            let is_all = is_end && !all.iter().any(|it| it.1 == *s && it.0 < *first);
            if !(is_all && *s == 2 || is_end && *s == 3) {
                assert_eq!(world.breached(), ["I3"], "session {s} from {q}, {first} to {last}");
            }
        }
    }
}

#[test]
fn an_event_that_is_lost_from_the_store_is_missed() {
    for place in 0..world().values.len() {
        let mut world = world();
        world.values.remove(place);
        world.again = Some(world.values.clone());
        let breached = world.breached();
        let seq = place + 1;
        assert!(breached.contains(&"I1") && breached.contains(&"I3"), "{seq}: {breached:?}");
    }
}

#[test]
fn an_event_that_is_doubled_in_the_store_is_noticed_wherever_it_stands() {
    for place in 0..world().values.len() {
        let mut world = world();
        let mut twice = world.values[place].clone();
        twice["seq"] = 8.into();
        twice["at"] = "2026-11-22T09:00:08.000Z".into();
        world.rewrite(|values| values.push(twice));
        let breached = world.breached();
        assert!(breached.contains(&"I2") && breached.contains(&"I8"), "{place}: {breached:?}");
    }
}
