//! The clients' logs in memory, arranged for the rules.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs::File,
    io::{BufRead as _, BufReader},
    path::Path,
};

use anyhow::Context as _;
use serde_json::Value;

use crate::{
    ids::Id,
    journal::{self, Entry, How, Line, What},
};

/// Who a client is.
#[derive(Debug, Clone)]
pub struct Client {
    /// The user's name.
    pub name: String,
    /// The user.
    pub user: Id,
    /// The device.
    pub device: Id,
}

/// What somebody wanted.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "as in the journal")]
pub struct Intent {
    pub c: u32,
    pub i: Id,
    pub n: Option<Id>,
    pub what: What,
    pub content: Option<Value>,
    pub reply_to: Option<u64>,
    pub users: Vec<Id>,
}

/// What was heard about a request.
#[derive(Debug, Clone, Default)]
pub struct Fate {
    /// The sessions on which it went out, in order.
    pub sent: Vec<u32>,
    /// It was answered with `accepted`.
    pub accepted: bool,
    /// Every outcome: how, at which sequence, with which code.
    pub outcomes: Vec<(How, Option<u64>, Option<String>)>,
    /// Errors: the code, and whether it may succeed later.
    pub failed: Vec<(String, bool)>,
    /// The client stopped waiting.
    pub given_up: bool,
}

/// Something that came during a session.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "as in the journal")]
pub enum Item {
    Event { n: Id, q: u64, b: u64 },
    Change { change: String, entry: Entry },
    Read { n: Id, user: Id, q: u64 },
}

/// A session.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "as in the journal")]
pub struct Session {
    pub c: u32,
    pub cursors: HashMap<Id, u64>,
    /// The list as `session.start` gave it.
    pub entries: Vec<Entry>,
    /// Later pages of it.
    pub later: Vec<Entry>,
    pub reset: Vec<Id>,
    /// Requests that went out, in order.
    pub sent: Vec<Id>,
    pub items: Vec<Item>,
}

/// A page of a timeline that a client read.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "as in the journal")]
pub struct Page {
    pub c: u32,
    pub n: Id,
    pub after: u64,
    pub head: u64,
    pub events: Vec<(u64, u64)>,
}

/// A look for an event whose outcome its sender had.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "as in the journal")]
pub struct Look {
    pub c: u32,
    pub n: Id,
    pub q: u64,
    pub head: u64,
    pub found: bool,
}

/// All of it.
#[derive(Debug, Default)]
#[expect(missing_docs, reason = "as in the journal")]
pub struct Logs {
    pub clients: HashMap<u32, Client>,
    pub sessions: BTreeMap<u32, Session>,
    pub intents: HashMap<Id, Intent>,
    pub fates: HashMap<Id, Fate>,
    pub bodies: Vec<Value>,
    pub pages: Vec<Page>,
    pub asked_after_leaving: Vec<(u32, Id, Option<String>)>,
    pub looks: Vec<Look>,
    pub finished: Vec<(u32, Id, u64)>,
}

impl Logs {
    /// Every conversation that the clients wanted something of.
    #[must_use]
    pub fn conversations(&self) -> HashSet<Id> {
        let wanted = self.intents.values().filter_map(|intent| intent.n);
        wanted.chain(self.finished.iter().map(|&(_, n, _)| n)).collect()
    }

    /// Takes a line.
    pub fn take(&mut self, line: Line) {
        match line {
            Line::Client { c, name, user, device } => {
                self.clients.insert(c, Client { name, user, device });
            }
            Line::Body { b, x } => {
                debug_assert_eq!(b, self.bodies.len() as u64, "bodies are numbered in order");
                self.bodies.push(x);
            }
            Line::Page { c, n, after, head, events, s: _ } => {
                self.pages.push(Page { c, n, after, head, events });
            }
            Line::AskedAfterLeaving { c, n, code } => self.asked_after_leaving.push((c, n, code)),
            Line::Looked { c, n, q, head, found } => {
                self.looks.push(Look { c, n, q, head, found });
            }
            Line::Finished { c, n, head } => self.finished.push((c, n, head)),
            line @ (Line::Session { .. }
            | Line::Entries { .. }
            | Line::Event { .. }
            | Line::Change { .. }
            | Line::Read { .. }
            | Line::Closed { .. }) => self.take_session(line),
            line => self.take_request(line),
        }
    }

    fn take_session(&mut self, line: Line) {
        match line {
            Line::Session { c, s, cursors, entries, reset, t: _ } => {
                let session = self.sessions.entry(s).or_default();
                session.c = c;
                session.cursors = cursors.into_iter().collect();
                session.entries = entries;
                session.reset = reset;
            }
            Line::Entries { s, entries, .. } => {
                self.sessions.entry(s).or_default().later.extend(entries);
            }
            Line::Event { s, n, q, b, .. } => self.item(s, Item::Event { n, q, b }),
            Line::Change { s, change, entry, .. } => self.item(s, Item::Change { change, entry }),
            Line::Read { s, n, user, q, .. } => self.item(s, Item::Read { n, user, q }),
            _ => {}
        }
    }

    fn item(&mut self, s: u32, item: Item) {
        self.sessions.entry(s).or_default().items.push(item);
    }

    fn take_request(&mut self, line: Line) {
        match line {
            Line::Intent { c, i, n, what, content, reply_to, users } => {
                self.intents.insert(i, Intent { c, i, n, what, content, reply_to, users });
            }
            Line::Sent { s, i, .. } => {
                self.sessions.entry(s).or_default().sent.push(i);
                self.fates.entry(i).or_default().sent.push(s);
            }
            Line::Accepted { i, .. } => self.fates.entry(i).or_default().accepted = true,
            Line::Outcome { i, how, q, code, .. } => {
                self.fates.entry(i).or_default().outcomes.push((how, q, code));
            }
            Line::Failed { i, code, retryable, .. } => {
                self.fates.entry(i).or_default().failed.push((code, retryable));
            }
            Line::GivenUp { i, .. } => self.fates.entry(i).or_default().given_up = true,
            _ => {}
        }
    }
}

/// Reads a log directory.
///
/// # Errors
/// When there is none, or a line that is none.
pub fn load(dir: &Path) -> anyhow::Result<Logs> {
    let path = dir.join(journal::FILE);
    let file = File::open(&path)
        .with_context(|| format!("can't read {}: name a replay's --log-dir", path.display()))?;
    let mut logs = Logs::default();
    for (number, text) in BufReader::with_capacity(1 << 20, file).lines().enumerate() {
        let line = serde_json::from_str(&text?)
            .with_context(|| format!("{}:{}", path.display(), number + 1))?;
        logs.take(line);
    }
    Ok(logs)
}
