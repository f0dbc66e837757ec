//! Questions asked now and then during a replay, for invariants that ordinary traffic does not
//! touch. The answers go into the journal; `check` judges them.

use serde_json::json;

use super::{Play, client, names};
use crate::{
    ids::Id,
    journal::{Journal, Line},
    wire::{Client, Refusal, timeline},
};

/// One in so many who join reads what was before them.
pub(super) const JOINS: u64 = 16;

/// One in so many who leave asks for the timeline.
pub(super) const LEAVES: u64 = 4;

/// One in so many sequences is looked for, and marked as read, by a reader.
const EVENTS: u64 = 64;

impl Play<'_> {
    /// A new member reads from the very beginning: what comes must not begin before their joining.
    /// (`Client` journals only pages that it reads by itself, so it is done here.)
    pub(super) async fn look_behind(&self, nick: &str) -> anyhow::Result<()> {
        let lease = self.run.pool.lease(&names::user(nick)).await?;
        let client = client(&lease)?;
        let params = json!({"conversation": self.n, "after": 0, "limit": 20});
        if let Ok(text) = client.ask("timeline.read", params).await {
            let page = timeline::decode(&text)?;
            let events = page.events.into_iter().map(|event| event.received).collect();
            let at = (client.identity.number, 0);
            self.run.settings.journal.page(at, self.n, (0, page.head), events).await;
        }
        Ok(())
    }
}

/// Somebody who has left asks for the timeline.
pub(super) async fn ask_after_leaving(client: &Client, journal: &Journal, n: Id) {
    let c = client.identity.number;
    let params = json!({"conversation": n, "limit": 1});
    let code = match client.ask("timeline.read", params).await {
        Ok(_) => None,
        Err(Refusal::Failed(code, _)) if code != "unavailable" => Some(code),
        Err(_) => return, // no answer, no judgment
    };
    journal.line(Line::AskedAfterLeaving { c, n, code }).await;
}

/// Somebody's message stands at `seq`: can a reader see it, maybe at another gateway? Then marks
/// it as read.
pub(super) async fn after(reader: &Client, journal: &Journal, n: Id, seq: u64) {
    if !seq.is_multiple_of(EVENTS) {
        return;
    }
    let params = json!({"conversation": n, "after": seq - 1, "limit": 1});
    if let Ok(text) = reader.ask("timeline.read", params).await
        && let Ok(page) = timeline::decode(&text)
    {
        let found = page.events.first().is_some_and(|event| event.received.seq == seq);
        let (c, head) = (reader.identity.number, page.head);
        journal.line(Line::Looked { c, n, q: seq, head, found }).await;
    }
    // Shows as `read` notifications at the other members; a refusal shows as their absence.
    let _ = reader.ask("read.advance", json!({"conversation": n, "seq": seq})).await;
}
