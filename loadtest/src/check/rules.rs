//! The invariants. Each function looks at everything it can and counts.

use std::collections::HashMap;

use super::{
    Verdict, chain,
    history::{Event, Histories},
    logs::Logs,
};
use crate::ids::Id;

mod members;
mod order;
mod requests;

/// What the rules look at, with indexes.
#[derive(Debug)]
pub struct Seen<'a> {
    /// The clients' logs.
    pub logs: &'a Logs,
    /// The fresh read.
    pub histories: &'a Histories,
    /// Where each request stands: every event with that device and client id.
    places: HashMap<(Id, Id), Vec<(Id, &'a Event)>>,
    /// Per body: where it says it belongs, and is it the history's event there?
    bodies: Vec<Option<(Id, u64, bool)>>,
}

impl<'a> Seen<'a> {
    /// Builds the indexes.
    #[must_use]
    pub fn new(logs: &'a Logs, histories: &'a Histories) -> Self {
        let mut places: HashMap<(Id, Id), Vec<(Id, &Event)>> = HashMap::new();
        for (&n, history) in histories {
            for event in &history.events {
                places.entry((event.device, event.client_id)).or_default().push((n, event));
            }
        }
        let bodies = logs.bodies.iter().map(|body| {
            let n: Id = body["conversation"].as_str()?.parse().ok()?;
            let q = body["seq"].as_u64()?;
            let stored = histories.get(&n).and_then(|history| history.at(q));
            Some((n, q, stored.is_some_and(|event| event.value == *body)))
        });
        let bodies = bodies.collect();
        Self { logs, histories, places, bodies }
    }

    /// The events that a client's request caused.
    fn placed(&self, c: u32, client_id: Id) -> &[(Id, &'a Event)] {
        let device = self.logs.clients.get(&c).map(|client| client.device);
        let places = device.and_then(|device| self.places.get(&(device, client_id)));
        places.map(Vec::as_slice).unwrap_or_default()
    }

    /// Is this body the history's event at that place?
    fn is_stored(&self, n: Id, q: u64, b: u64) -> bool {
        let body = usize::try_from(b).ok().and_then(|b| self.bodies.get(b));
        matches!(body, Some(Some((at, seq, true))) if *at == n && *seq == q)
    }

    /// A client for people.
    fn name(&self, c: u32) -> &str {
        self.logs.clients.get(&c).map_or("somebody unknown", |client| &client.name)
    }
}

/// All verdicts, in the order of the invariants.
#[must_use]
pub fn all(logs: &Logs, histories: &Histories) -> Vec<Verdict> {
    let seen = Seen::new(logs, histories);
    let (delivered, strays) = order::walk(&seen);
    vec![
        requests::nothing_lost(&seen),
        requests::nothing_doubled(&seen),
        order::one_order(&seen, delivered),
        members::reads_its_writes(&seen),
        members::only_members(&seen),
        requests::in_send_order(&seen),
        requests::no_phantoms(&seen, strays),
        requests::honest_uncertainty(&seen),
        members::read_cursors(&seen),
        hash_chain(&seen),
    ]
}

fn hash_chain(seen: &Seen<'_>) -> Verdict {
    let mut verdict = Verdict::new("chain", "every event is linked to all before it", "events");
    for (&n, history) in seen.histories {
        let mut chain = chain::start(n);
        for event in &history.events {
            let link = chain::link(&chain, event);
            let given = event.word("chain");
            verdict.expect(link.is_some_and(|link| chain::hex(&link) == given), || {
                let ours = link.as_ref().map(chain::hex);
                format!("{n} at {}: given {given:?}, computed {ours:?}", event.seq)
            });
            let Some(link) = link else { break };
            chain = link;
        }
    }
    verdict
}
