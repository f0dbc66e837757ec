//! Invariants about what clients asked for: I1, I2, I6, I7, I8.

use std::collections::{HashMap, HashSet};

use super::Seen;
use crate::{
    check::{
        Verdict,
        history::Event,
        logs::{Fate, Intent},
    },
    ids::Id,
    journal::{How, What},
};

impl Fate {
    fn seqs(&self) -> HashSet<u64> {
        self.outcomes.iter().filter_map(|(_, q, _)| *q).collect()
    }

    fn is_rejected(&self) -> bool {
        self.outcomes.iter().any(|(how, ..)| *how == How::Rejected)
    }

    /// Did the server say that it will happen, or has?
    fn is_acknowledged(&self) -> bool {
        self.accepted || !self.seqs().is_empty()
    }
}

fn fates<'a>(seen: &Seen<'a>) -> impl Iterator<Item = (&'a Intent, &'a Fate)> {
    let logs = seen.logs;
    logs.intents.values().filter_map(|intent| Some((intent, logs.fates.get(&intent.i)?)))
}

/// I1.
pub(super) fn nothing_lost(seen: &Seen<'_>) -> Verdict {
    let mut verdict = Verdict::new("I1", "nothing acknowledged is lost", "requests");
    for (intent, fate) in fates(seen).filter(|(_, fate)| fate.is_acknowledged()) {
        let name = seen.name(intent.c);
        let places = seen.placed(intent.c, intent.i);
        let Some((n, event)) = places.first() else {
            verdict.expect(fate.is_rejected(), || {
                format!("{name} asked {:?} as {}: acknowledged, not there", intent.what, intent.i)
            });
            continue;
        };
        let at = format!("{name}, {} at {n} {}", intent.i, event.seq);
        verdict.expect(!fate.is_rejected(), || format!("{at}: was rejected and is there"));
        if intent.what == What::Send && !says(intent, event) {
            verdict.breach(|| format!("{at}: another content than sent: {}", event.value));
        }
        let seqs = fate.seqs();
        if !seqs.is_empty() && !seqs.contains(&event.seq) {
            verdict.breach(|| format!("{at}: was told {seqs:?}"));
        }
    }
    verdict
}

/// Is the event what the message was to be?
fn says(intent: &Intent, event: &Event) -> bool {
    event.value.get("content") == intent.content.as_ref()
        && event.value.get("reply_to").and_then(serde_json::Value::as_u64) == intent.reply_to
}

/// I2.
pub(super) fn nothing_doubled(seen: &Seen<'_>) -> Verdict {
    let mut verdict = Verdict::new("I2", "one sequence for each request", "events");
    for ((device, client_id), places) in &seen.places {
        let mut counts: HashMap<Id, Vec<u64>> = HashMap::new();
        places.iter().for_each(|(n, event)| counts.entry(*n).or_default().push(event.seq));
        for (n, seqs) in counts {
            verdict.checked += seqs.len() as u64;
            if seqs.len() > 1 {
                verdict.breach(|| format!("{n}: {client_id} of device {device} at {seqs:?}"));
            }
        }
    }
    verdict
}

/// I6. Requests count in the order of their first transmission; one that was answered with an
/// error was repeated later by its client, so its place says nothing.
pub(super) fn in_send_order(seen: &Seen<'_>) -> Verdict {
    let says = "one session's messages stand in the order they were sent";
    let mut verdict = Verdict::new("I6", says, "messages");
    for (s, session) in &seen.logs.sessions {
        let mut last: HashMap<Id, (u64, Id)> = HashMap::new();
        // What is said again on the same session stands where it was said first.
        let mut first = HashSet::new();
        for i in session.sent.iter().filter(|i| first.insert(**i)) {
            let Some(fate) = seen.logs.fates.get(i) else { continue };
            let is_message = seen.logs.intents.get(i).is_some_and(|it| it.what == What::Send);
            if !is_message || fate.sent.first() != Some(s) || !fate.failed.is_empty() {
                continue;
            }
            for (n, event) in seen.placed(session.c, *i) {
                let before = last.insert(*n, (event.seq, *i));
                let holds = before.is_none_or(|(seq, _)| seq < event.seq);
                let name = seen.name(session.c);
                verdict.expect(holds, || {
                    format!("{name}, {n}: {i} at {} was sent after {before:?}", event.seq)
                });
            }
        }
    }
    verdict
}

/// I7; `strays` are deliveries outside the receiver's list of conversations.
pub(super) fn no_phantoms(seen: &Seen<'_>, strays: Verdict) -> Verdict {
    let mut verdict = strays;
    for (n, history) in seen.histories {
        for event in &history.events {
            let intent = seen.logs.intents.get(&event.client_id);
            let holds = intent.is_some_and(|intent| is_caused_by(seen, *n, event, intent));
            verdict.expect(holds, || {
                format!("{n} at {}: nobody asked for this: {}", event.seq, event.value)
            });
        }
    }
    verdict
}

fn is_caused_by(seen: &Seen<'_>, n: Id, event: &Event, intent: &Intent) -> bool {
    let Some(client) = seen.logs.clients.get(&intent.c) else { return false };
    let is_theirs = client.user == event.sender && client.device == event.device;
    let is_here = intent.n.is_none_or(|wanted| wanted == n);
    let is_that = match (event.word("kind"), event.word("action")) {
        ("message", _) => intent.what == What::Send && says(intent, event),
        ("conversation", _) => {
            let mut members = event.users("members");
            members.retain(|user| *user != client.user);
            intent.what == What::Create && is_same(&members, &intent.users)
        }
        ("member", "added") => intent.what == What::Add && among(event, intent),
        ("member", "removed") => intent.what == What::Remove && among(event, intent),
        ("member", "left") => intent.what == What::Leave,
        _ => false,
    };
    is_theirs && is_here && is_that
}

fn is_same(a: &[Id], b: &[Id]) -> bool {
    a.iter().collect::<HashSet<_>>() == b.iter().collect()
}

fn among(event: &Event, intent: &Intent) -> bool {
    event.users("users").iter().all(|user| intent.users.contains(user))
}

/// I8.
pub(super) fn honest_uncertainty(seen: &Seen<'_>) -> Verdict {
    let says = "a repeat changes nothing, and what was refused did not happen";
    let mut verdict = Verdict::new("I8", says, "requests");
    for (intent, fate) in fates(seen) {
        let name = seen.name(intent.c);
        let places = seen.placed(intent.c, intent.i).len();
        let what = format!("{name}, {:?} {}", intent.what, intent.i);
        verdict.expect(places <= 1, || format!("{what}: happened {places} times"));
        let seqs = fate.seqs();
        if seqs.len() > 1 {
            verdict.breach(|| format!("{what}: told different sequences: {seqs:?}"));
        }
        if fate.is_rejected() && !seqs.is_empty() {
            verdict.breach(|| format!("{what}: told both {seqs:?} and rejected"));
        }
        let is_refused = fate.failed.iter().any(|(_, retryable)| !retryable);
        if is_refused && fate.sent.len() == 1 && places > 0 {
            verdict.breach(|| format!("{what}: refused with {:?} and it happened", fate.failed));
        }
    }
    verdict
}
