//! The beginning of a session: `session.start` with cursors, the rest of the list, reading what
//! was too much to be pushed, and holding back what is too old to be repeated unseen.

use super::*;
use crate::{ids::Id, wire::timeline};

/// Longest wait for the answer to `session.start`.
const PATIENCE: Duration = Duration::from_secs(10);

impl Worker {
    /// Starts the session and gives what isn't done back to the outbox.
    pub(super) async fn start(&mut self, socket: &mut Socket) -> Result<(), String> {
        self.session = self.settings.sessions.fetch_add(1, Relaxed) + 1;
        self.catching.clear();
        self.list_ids.clear();
        self.open_frames.clear();
        let id = self.outbox.fresh_id();
        let params = if self.cursors.is_empty() {
            json!({})
        } else {
            let cursors: serde_json::Map<_, _> =
                self.cursors.iter().map(|(n, q)| (n.to_string(), json!(q))).collect();
            json!({ "cursors": cursors })
        };
        let frame =
            json!({"jsonrpc": "2.0", "id": id, "method": "session.start", "params": params});
        socket.send(Message::text(frame.to_string())).await.map_err(|e| e.to_string())?;
        let answer = tokio::time::timeout(PATIENCE, answer(socket, id))
            .await
            .map_err(|_| format!("session.start had no answer in {PATIENCE:?}"))??;
        let started: frame::Started =
            serde_json::from_str(&answer).map_err(|e| format!("a strange session.start: {e}"))?;
        self.alive = times::now();
        let allowed = started.limits.requests_in_flight_max.unwrap_or(IN_FLIGHT);
        let now = times::now();
        let old = self.outbox.is_old(now, OLD);
        self.outbox.reconnected(allowed.clamp(1, IN_FLIGHT));
        self.hold = old.then(|| (HashMap::new(), now + HOLD));
        self.started(started).await;
        Counters::add(&self.settings.metrics.count.sessions);
        Ok(())
    }

    async fn started(&mut self, started: frame::Started) {
        let entries: Vec<Entry> = started.conversations.into_iter().map(Into::into).collect();
        let line = Line::Session {
            c: self.identity.number,
            s: self.session,
            t: times::wall_ms(),
            cursors: self.cursors.iter().map(|(&n, &q)| (n, q)).collect(),
            entries: entries.clone(),
            reset: started.reset.clone(),
        };
        self.settings.journal.line(line).await;
        for n in started.unknown.iter().chain(&started.reset) {
            self.cursors.remove(n);
        }
        for n in started.reset {
            self.read_after(n, 0); // from the first visible one
        }
        self.list(&entries, started.next);
    }

    /// Takes a page of the user's list and asks for the next.
    pub(super) fn list(&mut self, entries: &[Entry], next: Option<Id>) {
        for entry in entries {
            self.entry(entry);
        }
        if let Some(after) = next {
            let id = self.outbox.fresh_id();
            self.list_ids.insert(id);
            let frame = json!({
                "jsonrpc": "2.0", "id": id, "method": "conversation.list",
                "params": {"after": after},
            });
            self.open_frames.push(frame.to_string());
        }
    }

    fn entry(&mut self, entry: &Entry) {
        let Some(head) = entry.head else { return };
        match self.cursors.get(&entry.n) {
            Some(&cursor) if entry.behind => {
                self.catching.insert(entry.n, Catching { target: head, live: head });
                self.read_after(entry.n, cursor);
            }
            Some(_) => {}
            // Live from the head on.
            None => drop(self.cursors.insert(entry.n, head)),
        }
        if let (Some((heads, _)), Some(&cursor)) = (&mut self.hold, self.cursors.get(&entry.n))
            && cursor < head
        {
            heads.insert(entry.n, head);
        }
    }

    pub(super) fn read_after(&mut self, n: Id, after: u64) {
        let params = json!({"conversation": n, "after": after, "limit": timeline::PAGE});
        let done = crate::wire::outbox::Done::Page(n, after);
        let job = crate::wire::outbox::Job::new("timeline.read", params, None, done, times::now());
        self.outbox.push(job);
    }

    /// Is anything held back until the client has read on?
    pub(super) fn is_holding(&mut self, now: Instant) -> bool {
        if let Some((heads, until)) = &mut self.hold {
            let cursors = &self.cursors;
            heads.retain(|n, head| cursors.get(n).is_some_and(|cursor| cursor < head));
            if heads.is_empty() || *until <= now {
                self.hold = None;
            }
        }
        self.hold.is_some()
    }
}

/// Reads up to the answer; nothing else may come before it but pings.
async fn answer(socket: &mut Socket, id: u64) -> Result<Box<str>, String> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => match frame::decode(&text) {
                Ok(Incoming::Reply { id: got, result }) if got == id => {
                    return result.map_err(|f| format!("session.start: {}: {}", f.code, f.message));
                }
                Ok(Incoming::GoAway { .. }) => return Err("the server goes away".to_owned()),
                other => return Err(format!("not an answer to session.start: {other:?}")),
            },
            Some(Ok(Message::Close(frame))) => return Err(format!("closed: {frame:?}")),
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(error.to_string()),
            None => return Err("the connection ended".to_owned()),
        }
    }
}
