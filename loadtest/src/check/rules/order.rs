//! I3, and the walk through every session's deliveries that it shares with I7.

use std::collections::{BTreeSet, HashMap};

use super::Seen;
use crate::{
    check::{
        Verdict,
        logs::{Item, Session},
    },
    ids::Id,
    journal::Entry,
};

/// What a session must get next of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Exactly this sequence.
    Seq(u64),
    /// Any, since nobody told the head; after that in order.
    Any,
    /// Nothing: it is no longer in the list.
    Gone,
}

/// Goes through all sessions: (deliveries without a hole and as stored, deliveries of what isn't
/// in the list).
pub(super) fn walk(seen: &Seen<'_>) -> (Verdict, Verdict) {
    let says = "one order without holes, the same for everybody";
    let mut order = Verdict::new("I3", says, "deliveries and events");
    let says = "nothing that nobody asked for, nothing of other conversations";
    let mut strays = Verdict::new("I7", says, "deliveries and events");
    let spans: HashMap<Id, _> =
        seen.histories.iter().map(|(n, history)| (*n, history.spans())).collect();
    for (s, session) in &seen.logs.sessions {
        let mut next = beginning(session);
        let user = seen.logs.clients.get(&session.c).map(|client| client.user);
        let has_joined = |n: Id, at: u64| {
            let theirs = user.and_then(|user| spans.get(&n)?.get(&user));
            theirs.is_some_and(|spans| spans.iter().any(|(from, _)| *from == at))
        };
        let who = format!("{}, session {s}", seen.name(session.c));
        for item in &session.items {
            match item {
                Item::Event { n, q, b } => {
                    let expected = next.get(n).copied().unwrap_or(Next::Gone);
                    strays.expect(expected != Next::Gone, || {
                        format!("{who}: {n} at {q}, which is not in the list")
                    });
                    let is_next = !matches!(expected, Next::Seq(seq) if seq != *q);
                    order.expect(is_next, || format!("{who}: {n} at {q}, expected {expected:?}"));
                    if is_read(seen, *n) && !seen.is_stored(*n, *q, *b) {
                        order.breach(|| format!("{who}: {n} at {q} is not what is stored there"));
                    }
                    if expected != Next::Gone {
                        next.insert(*n, Next::Seq(q + 1));
                    }
                }
                Item::Change { change, entry } => changed(&mut next, change, entry, has_joined),
                Item::Read { .. } => {}
            }
        }
    }
    (order, strays)
}

/// Conversations of other runs on the same server are not read.
fn is_read(seen: &Seen<'_>, n: Id) -> bool {
    seen.histories.contains_key(&n)
}

fn beginning(session: &Session) -> HashMap<Id, Next> {
    let mut next = HashMap::new();
    for entry in &session.entries {
        let cursor = session.cursors.get(&entry.n).filter(|_| !session.reset.contains(&entry.n));
        let begin = match (cursor, entry.head) {
            (Some(cursor), _) if !entry.behind => {
                Next::Seq((cursor + 1).max(entry.from.unwrap_or(1)))
            }
            (_, Some(head)) => Next::Seq(head + 1),
            (_, None) => Next::Any,
        };
        next.insert(entry.n, begin);
    }
    // The list's later pages were asked for while events came already.
    for entry in &session.later {
        let cursor = session.cursors.get(&entry.n);
        next.entry(entry.n).or_insert(cursor.map_or(Next::Any, |cursor| Next::Seq(cursor + 1)));
    }
    next
}

fn changed(
    next: &mut HashMap<Id, Next>,
    change: &str,
    entry: &Entry,
    has_joined: impl Fn(Id, u64) -> bool,
) {
    let known = next.get(&entry.n).copied();
    let from = entry.from.unwrap_or(0);
    let comes = |seq: Next| {
        // Who left and was added again may hear of the second before the list's news of the first:
        // then a new membership begins at or behind what would have come next.
        let goes_on = matches!(known, Some(Next::Seq(next)) if from < next);
        (!goes_on).then_some(seq)
    };
    let seq = match change {
        "removed" => Some(Next::Gone),
        "added" => comes(entry.head.map_or(Next::Any, |head| Next::Seq(head + 1))),
        // A session that began while the conversation's owner was away hears of a membership that
        // it has not known with the first news. History must know of it, too.
        _ => comes(Next::Seq(from)).filter(|_| {
            matches!(known, Some(Next::Seq(next)) if next < from) && has_joined(entry.n, from)
        }),
    };
    if let Some(seq) = seq {
        next.insert(entry.n, seq);
    }
}

/// I3: `deliveries`, and the history itself.
pub(super) fn one_order(seen: &Seen<'_>, deliveries: Verdict) -> Verdict {
    let mut verdict = deliveries;
    for (n, history) in seen.histories {
        let mut at = 0;
        for (event, expected) in history.events.iter().zip(1..) {
            let holds = event.seq == expected && event.at >= at;
            verdict.expect(holds, || {
                format!(
                    "{n}: {} at {} ms, expected {expected} not before {at}",
                    event.seq, event.at
                )
            });
            at = event.at;
        }
        let last = history.events.last().map_or(0, |event| event.seq);
        if last != history.head {
            verdict.breach(|| format!("{n}: read up to {last}, the head is {}", history.head));
        }
        if let Some(again) = &history.again {
            let pairs = history.events.iter().zip(again);
            let difference = pairs.into_iter().find(|(one, other)| one != other);
            if difference.is_some() || again.len() != history.events.len() {
                let seq = difference.map(|(one, _)| one.seq);
                verdict.breach(|| format!("{n}: two members read different things, at {seq:?}"));
            }
        }
    }
    for page in &seen.logs.pages {
        for (q, b) in &page.events {
            let holds = !is_read(seen, page.n) || seen.is_stored(page.n, *q, *b);
            let name = seen.name(page.c);
            verdict.expect(holds, || format!("{name} read {} at {q}: not what is stored", page.n));
        }
    }
    everything_arrived(seen, &mut verdict);
    verdict
}

/// Members from start to end have got every event after the first one they got.
fn everything_arrived(seen: &Seen<'_>, verdict: &mut Verdict) {
    let mut got: HashMap<(u32, Id), BTreeSet<u64>> = HashMap::new();
    for &(c, n, _) in &seen.logs.finished {
        got.insert((c, n), BTreeSet::new());
    }
    for session in seen.logs.sessions.values() {
        for item in &session.items {
            if let Item::Event { n, q, .. } = item
                && let Some(got) = got.get_mut(&(session.c, *n))
            {
                got.insert(*q);
            }
        }
    }
    for page in &seen.logs.pages {
        if let Some(got) = got.get_mut(&(page.c, page.n)) {
            got.extend(page.events.iter().map(|(q, _)| *q));
        }
    }
    for &(c, n, head) in &seen.logs.finished {
        let got = &got[&(c, n)];
        let first = got.first().copied().unwrap_or(head);
        let missing = (first..=head).find(|q| !got.contains(q));
        let name = seen.name(c);
        // The creation itself may be all there is, and it is not pushed.
        let holds = head <= 1 || missing.is_none();
        verdict.expect(holds, || format!("{name} never got {n} at {missing:?} of {head}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes next after "added" with this entry, for a session that expected 488.
    fn after_added(from: u64, head: u64) -> Next {
        let n = Id(uuid::Uuid::from_u128(7));
        let mut next = HashMap::from([(n, Next::Seq(488))]);
        let entry = Entry { n, from: Some(from), head: Some(head), read: None, behind: false };
        changed(&mut next, "added", &entry, |_, _| false);
        next[&n]
    }

    /// What comes next after "changed" for such a session, if history knows of a joining at 500.
    fn after_changed(from: u64) -> Next {
        let n = Id(uuid::Uuid::from_u128(7));
        let mut next = HashMap::from([(n, Next::Seq(488))]);
        let entry = Entry { n, from: Some(from), head: Some(510), read: None, behind: false };
        changed(&mut next, "changed", &entry, |_, at| at == 500);
        next[&n]
    }

    #[test]
    fn a_membership_that_a_session_first_hears_of_by_a_change_is_believed_if_history_has_it() {
        assert_eq!(after_changed(500), Next::Seq(500), "added there while the owner was away");
        assert_eq!(after_changed(501), Next::Seq(488), "nobody was added there");
        assert_eq!(after_changed(3), Next::Seq(488), "the membership that it knows");
    }

    #[test]
    fn a_new_membership_begins_anew_and_an_old_one_goes_on() {
        assert_eq!(after_added(488, 488), Next::Seq(489), "left at 487, added again at 488");
        assert_eq!(after_added(500, 510), Next::Seq(511), "what lies between is not theirs");
        assert_eq!(after_added(2, 520), Next::Seq(488), "told again: nothing may be left out");
    }
}
