//! Plays one file as one conversation.
//!
//! Messages are pipelined: up to a window of them have no outcome at one time, and nobody waits
//! for another's. One speaker's lines go out in their order on one session. Whoever comes or goes
//! is waited for, since a member's first message needs the membership, and leaving needs the last
//! message.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use tokio::{sync::Semaphore, task::JoinHandle};

use super::{
    Run, Speed,
    lane::Crew,
    names,
    parse::{Day, Step},
    pool::Lease,
};
use crate::{
    ids::Id,
    journal::{Line, What},
    times,
    wire::{Client, Refusal, Settled, client::Intent, timeline},
};

mod probes;

/// A member of the conversation that is being played.
#[derive(Debug)]
struct Person {
    /// Sequence of their joining: what they may answer comes later.
    from: u64,
    /// Their messages without an outcome, as far as we know.
    open: Vec<JoinHandle<()>>,
}

/// The sequence of each nick's newest message.
type Newest = Arc<Mutex<HashMap<String, u64>>>;

struct Play<'a> {
    run: &'a Arc<Run>,
    crew: &'a Crew,
    n: Id,
    people: HashMap<String, Person>,
    newest: Newest,
    window: Arc<Semaphore>,
    joined: u64,
    left: u64,
}

/// Plays it to the end: every message has its outcome, every reader is at the head.
///
/// # Errors
/// When the conversation can't go on; single refused messages are only counted.
pub async fn play(run: &Arc<Run>, crew: &Crew, day: Day) -> anyhow::Result<()> {
    let n = create(crew, &day.name).await?;
    let play = Play {
        run,
        crew,
        n,
        people: HashMap::new(),
        newest: Newest::default(),
        window: Arc::new(Semaphore::new(run.args.window.max(1))),
        joined: 0,
        left: 0,
    };
    let pace = Pace::new(run.args.speed, &day);
    let crew = [Arc::clone(&crew.operator)].into_iter().chain(crew.readers.iter().map(Arc::clone));
    live(run).insert(n, crew.collect());
    let played = play.all(day, &pace).await;
    live(run).remove(&n);
    played
}

async fn create(crew: &Crew, title: &str) -> anyhow::Result<Id> {
    let members: Vec<Id> = crew.readers.iter().map(|r| r.identity.account.user).collect();
    let params = json!({"kind": "group", "title": title, "members": members});
    let intent = Intent { what: What::Create, n: None, users: members };
    let created = said(crew.operator.change("conversation.create", params, intent).await)?;
    let n = created["conversation"].as_str().context("conversation.create gave no conversation")?;
    n.parse().context("conversation.create gave no id")
}

/// A refusal as an error.
fn said<T>(answer: Result<T, Refusal>) -> anyhow::Result<T> {
    match answer {
        Ok(value) => Ok(value),
        Err(Refusal::Failed(code, message)) => bail!("refused: {code}: {message}"),
        Err(Refusal::GivenUp) => bail!("the server did not come back in time"),
    }
}

fn live(run: &Run) -> MutexGuard<'_, HashMap<Id, Vec<Arc<Client>>>> {
    run.live.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Play<'_> {
    async fn all(mut self, day: Day, pace: &Pace) -> anyhow::Result<()> {
        for (i, line) in day.lines.into_iter().enumerate() {
            if self.run.is_over() {
                break;
            }
            pace.wait(i).await;
            self.step(line.step).await?;
        }
        self.end().await
    }

    async fn step(&mut self, step: Step) -> anyhow::Result<()> {
        match step {
            Step::Join(nick) => self.add(&nick).await,
            Step::Leave(nick) => self.leave(&nick).await,
            Step::Kick(nick) => self.kick(&nick).await,
            Step::Rename(old, new) => {
                self.leave(&old).await?;
                self.add(&new).await
            }
            Step::Say { nick, text, action } => {
                self.add(&nick).await?;
                self.say(nick, text, action).await
            }
        }
    }

    async fn add(&mut self, nick: &str) -> anyhow::Result<()> {
        if self.people.contains_key(nick) {
            return Ok(());
        }
        let user = self.user(nick).await?;
        let params = json!({"conversation": self.n, "users": [user]});
        let intent = Intent { what: What::Add, n: Some(self.n), users: vec![user] };
        let added = said(self.crew.operator.change("members.add", params, intent).await)
            .with_context(|| format!("adding {nick:?}"))?;
        let from = added["seq"].as_u64().context("members.add gave no seq")?;
        self.people.insert(nick.to_owned(), Person { from, open: Vec::new() });
        self.joined += 1;
        if self.joined.is_multiple_of(probes::JOINS) {
            self.look_behind(nick).await?;
        }
        Ok(())
    }

    async fn say(&mut self, nick: String, text: String, action: bool) -> anyhow::Result<()> {
        let room = Arc::clone(&self.window).acquire_owned().await.context("no window")?;
        let lease = self.run.pool.lease(&names::user(&nick)).await?;
        let reply_to = self.reply_to(&nick, &text);
        let client = client(&lease)?;
        let outcome = client.send(self.n, content(text, action), reply_to).await;
        let (newest, speaker) = (Arc::clone(&self.newest), nick.clone());
        let reader = self.crew.readers.first().map(Arc::clone);
        let (n, journal) = (self.n, self.run.settings.journal.clone());
        let task = tokio::spawn(async move {
            let settled = outcome.await;
            drop((room, lease));
            if let Ok(Settled::At(seq)) = settled {
                newest.lock().unwrap_or_else(PoisonError::into_inner).insert(speaker, seq);
                if let Some(reader) = reader {
                    probes::after(&reader, &journal, n, seq).await;
                }
            }
        });
        if let Some(person) = self.people.get_mut(&nick) {
            person.open.retain(|open| !open.is_finished());
            person.open.push(task);
        }
        Ok(())
    }

    /// `nick: …` answers the newest message of that nick, if the speaker could see it.
    fn reply_to(&self, speaker: &str, text: &str) -> Option<u64> {
        let end = text.find([':', ','])?;
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let seq = *newest.get(&text[..end])?;
        self.people.get(speaker).filter(|person| person.from <= seq).map(|_| seq)
    }

    async fn leave(&mut self, nick: &str) -> anyhow::Result<()> {
        let Some(person) = self.people.remove(nick) else { return Ok(()) };
        settle(person).await;
        let lease = self.run.pool.lease(&names::user(nick)).await?;
        let client = client(&lease)?;
        let params = json!({"conversation": self.n});
        let intent = Intent { what: What::Leave, n: Some(self.n), users: Vec::new() };
        said(client.change("conversation.leave", params, intent).await)
            .with_context(|| format!("{nick:?} leaving"))?;
        self.left += 1;
        if self.left.is_multiple_of(probes::LEAVES) {
            probes::ask_after_leaving(client, &self.run.settings.journal, self.n).await;
        }
        Ok(())
    }

    async fn kick(&mut self, nick: &str) -> anyhow::Result<()> {
        let Some(person) = self.people.remove(nick) else { return Ok(()) };
        settle(person).await;
        let user = self.user(nick).await?;
        let params = json!({"conversation": self.n, "users": [user]});
        let intent = Intent { what: What::Remove, n: Some(self.n), users: vec![user] };
        said(self.crew.operator.change("members.remove", params, intent).await)
            .with_context(|| format!("removing {nick:?}"))?;
        Ok(())
    }

    async fn user(&self, nick: &str) -> anyhow::Result<Id> {
        Ok(self.run.directory.identity(&names::user(nick)).await?.account.user)
    }

    async fn end(self) -> anyhow::Result<()> {
        for person in self.people.into_values() {
            settle(person).await;
        }
        let params = json!({"conversation": self.n, "limit": 1});
        let page = said(self.crew.operator.ask("timeline.read", params).await)?;
        let head = timeline::decode(&page)?.head;
        let crew = self.crew.readers.iter().chain([&self.crew.operator]);
        for member in crew {
            let reached = member.reached(self.n, head);
            let patience = self.run.settings.patience;
            if !matches!(tokio::time::timeout(patience, reached).await, Ok(true)) {
                let name = &member.identity.name;
                self.run.trouble(format!("{name} did not get everything up to {head} in time"));
            }
            let c = member.identity.number;
            self.run.settings.journal.line(Line::Finished { c, n: self.n, head }).await;
        }
        Ok(())
    }
}

async fn settle(person: Person) {
    for open in person.open {
        // A task that panicked has been reported by the runtime; its message shows in the check.
        let _ = open.await;
    }
}

fn client(lease: &Lease) -> anyhow::Result<&Client> {
    lease.as_deref().context("a lease without a client")
}

/// Text as people see it; actions carry a member of their own, which servers keep as it is.
fn content(text: String, action: bool) -> Value {
    if action {
        json!({"type": "text", "text": text, "action": true})
    } else {
        json!({"type": "text", "text": text})
    }
}

/// When each line is due. Minutes are the log's only clock: a minute's lines are spread over it.
struct Pace {
    start: Instant,
    due: Vec<Duration>,
}

impl Pace {
    fn new(speed: Speed, day: &Day) -> Self {
        let start = times::now();
        let Speed::Times(times) = speed else { return Self { start, due: Vec::new() } };
        let first = day.lines.first().map_or(0, |line| line.minute);
        let mut due = Vec::with_capacity(day.lines.len());
        for minute in day.lines.chunk_by(|a, b| a.minute == b.minute) {
            for place in 0..minute.len() {
                let base = f64::from(minute[0].minute - first);
                #[expect(clippy::cast_precision_loss, reason = "a minute has a few hundred lines")]
                let within = place as f64 / minute.len() as f64;
                due.push(Duration::from_secs_f64((base + within) * 60.0 / times));
            }
        }
        Self { start, due }
    }

    async fn wait(&self, line: usize) {
        if let Some(due) = self.due.get(line) {
            tokio::time::sleep(due.saturating_sub(self.start.elapsed())).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::parse;

    #[test]
    fn a_minute_is_spread_evenly() {
        let text = b"[01:00] <a> 1\n[01:00] <a> 2\n[01:02] <a> 3\n";
        let day = parse::day("d", text, usize::MAX);
        let due: Vec<u128> =
            Pace::new(Speed::Times(60.0), &day).due.iter().map(Duration::as_millis).collect();
        assert_eq!(due, [0, 500, 2000]);
        assert!(Pace::new(Speed::Flat, &day).due.is_empty());
    }
}
