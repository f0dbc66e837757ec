//! Invariants about what members see and when: I4, I5, I9.

use std::collections::HashMap;

use super::Seen;
use crate::{
    check::{Verdict, logs::Item},
    ids::Id,
    journal::Entry,
};

/// I4.
pub(super) fn reads_its_writes(seen: &Seen<'_>) -> Verdict {
    let says = "what was answered can be read everywhere, and no place goes back";
    let mut verdict = Verdict::new("I4", says, "reads and list entries");
    for look in &seen.logs.looks {
        verdict.expect(look.found && look.head >= look.q, || {
            let name = seen.name(look.c);
            format!(
                "{name} looked for {} at {}: found {}, head {}",
                look.n, look.q, look.found, look.head
            )
        });
    }
    // The newest place that each client was told or has seen.
    let mut heads: HashMap<(u32, Id), u64> = HashMap::new();
    for (s, session) in &seen.logs.sessions {
        let who = format!("{}, session {s}", seen.name(session.c));
        for n in &session.reset {
            let cursor = session.cursors.get(n);
            verdict.breach(|| format!("{who}: {n} has forgotten what stands at {cursor:?}"));
        }
        let changes = session.items.iter().filter_map(|item| match item {
            Item::Change { entry, .. } => Some(entry),
            _ => None,
        });
        for Entry { n, head, .. } in session.entries.iter().chain(changes) {
            let Some(head) = *head else { continue };
            let before = heads.get(&(session.c, *n)).copied().unwrap_or(0);
            // Notifications may have been overtaken by events of their own session, so only the
            // sessions before count.
            verdict.expect(head >= before, || format!("{who}: {n} has head {head} after {before}"));
        }
        for item in &session.items {
            if let Item::Event { n, q, .. } = item {
                let seen = heads.entry((session.c, *n)).or_default();
                *seen = (*seen).max(*q);
            }
        }
    }
    verdict
}

/// I5.
pub(super) fn only_members(seen: &Seen<'_>) -> Verdict {
    let says = "nothing before joining or after leaving";
    let mut verdict = Verdict::new("I5", says, "deliveries and reads");
    let spans: HashMap<Id, _> =
        seen.histories.iter().map(|(n, history)| (*n, history.spans())).collect();
    let user = |c: u32| seen.logs.clients.get(&c).map(|client| client.user);
    for (s, session) in &seen.logs.sessions {
        for item in &session.items {
            let Item::Event { n, q, .. } = item else { continue };
            let Some(spans) = spans.get(n) else { continue };
            let theirs = user(session.c).and_then(|user| spans.get(&user));
            let holds = theirs.is_some_and(|spans| {
                spans.iter().any(|(from, until)| from <= q && until.is_none_or(|until| *q <= until))
            });
            verdict.expect(holds, || {
                format!("{}, session {s}: {n} at {q}, a member {theirs:?}", seen.name(session.c))
            });
        }
    }
    for page in &seen.logs.pages {
        let Some(spans) = spans.get(&page.n) else { continue };
        let theirs = user(page.c).and_then(|user| spans.get(&user));
        let from = theirs
            .and_then(|spans| spans.iter().map(|(from, _)| *from).rfind(|from| *from <= page.head));
        for (q, _) in &page.events {
            verdict.expect(from.is_some_and(|from| from <= *q), || {
                format!("{} read {} at {q}, a member {theirs:?}", seen.name(page.c), page.n)
            });
        }
    }
    for (c, n, code) in &seen.logs.asked_after_leaving {
        let is_refused =
            matches!(code.as_deref(), Some("not_found" | "not_a_member" | "forbidden"));
        verdict.expect(is_refused, || format!("{} left {n} and read it: {code:?}", seen.name(*c)));
    }
    verdict
}

/// I9.
pub(super) fn read_cursors(seen: &Seen<'_>) -> Verdict {
    let says = "read cursors never go back, nor beyond the head, nor to strangers";
    let mut verdict = Verdict::new("I9", says, "cursors");
    let members: HashMap<Id, _> =
        seen.histories.iter().map(|(n, history)| (*n, history.spans())).collect();
    // Per client, what it was told about its own place.
    let mut own: HashMap<(u32, Id), u64> = HashMap::new();
    for (s, session) in &seen.logs.sessions {
        let who = format!("{}, session {s}", seen.name(session.c));
        for entry in &session.entries {
            let (Some(read), Some(head)) = (entry.read, entry.head) else { continue };
            // Leaving and joining again begins anew.
            let key = (session.c, entry.n);
            let before = own.insert(key, read).filter(|_| entry.from == Some(1)).unwrap_or(0);
            verdict.expect(before <= read && read <= head, || {
                format!("{who}: {} read {read} of {head}, before {before}", entry.n)
            });
        }
        let mut told: HashMap<(Id, Id), u64> = HashMap::new();
        for item in &session.items {
            let Item::Read { n, user, q } = item else { continue };
            let Some(history) = seen.histories.get(n) else { continue };
            let before = told.insert((*n, *user), *q).unwrap_or(0);
            let spans = members.get(n).and_then(|spans| spans.get(user));
            let is_member = spans.is_some_and(|spans| spans.iter().any(|(from, _)| from <= q));
            let has_been_away = spans.is_some_and(|spans| spans.len() > 1);
            let holds = is_member && (before <= *q || has_been_away) && *q <= history.head;
            verdict.expect(holds, || {
                format!("{who}: {user} read {n} up to {q}, before {before}, head {}", history.head)
            });
        }
    }
    verdict
}
