//! What the clients of a replay lived through, as JSON lines: written by `wire` and `replay`, read
//! by `check`. One file holds all clients; each client's own lines are in the order in which it
//! lived them.
//!
//! Event bodies are written once (`body`) and referred to by number, since hundreds of sessions
//! get the same one: a body is the same if its text is the same, byte for byte.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
    thread::JoinHandle,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::ids::Id;

/// The file's name inside the log directory.
pub const FILE: &str = "clients.jsonl";

/// Lines on their way to the file: about a tenth of a second of a busy replay. A client that finds
/// it full waits.
const QUEUE: usize = 16_384;

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// `message.send`
    Send,
    /// `conversation.create`
    Create,
    /// `members.add`
    Add,
    /// `members.remove`
    Remove,
    /// `conversation.leave`
    Leave,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// Its own event came.
    Event,
    /// The server said that it stands already.
    Settled,
    /// It was refused at its place in the order.
    Rejected,
    /// It was answered with its sequence.
    Answered,
}

/// A conversation in a user's list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Which.
    pub n: Id,
    /// First visible sequence.
    pub from: Option<u64>,
    /// Newest sequence.
    pub head: Option<u64>,
    /// The user's read cursor.
    pub read: Option<u64>,
    /// Too much was missed to be pushed.
    #[serde(default)]
    pub behind: bool,
}

/// One line. `c` is a client (a user's device), `s` one of its sessions, `n` a conversation, `i` a
/// request's client id, `q` a sequence, `b` a body, `t` milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "k", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the letters are explained above, the rest says what it is")]
pub enum Line {
    /// A client and whom it stands for.
    Client { c: u32, name: String, user: Id, device: Id },
    /// A session began, with these cursors.
    Session { c: u32, s: u32, t: u64, cursors: Vec<(Id, u64)>, entries: Vec<Entry>, reset: Vec<Id> },
    /// Later pages of the session's list.
    Entries { c: u32, s: u32, entries: Vec<Entry> },
    /// The session ended.
    Closed { c: u32, s: u32, t: u64, why: String },
    /// The client wants something, before it says so to anybody.
    Intent {
        c: u32,
        i: Id,
        n: Option<Id>,
        what: What,
        content: Option<Value>,
        reply_to: Option<u64>,
        users: Vec<Id>,
    },
    /// The request went out on this session.
    Sent { c: u32, s: u32, i: Id },
    /// `{"accepted": true}`.
    Accepted { c: u32, s: u32, i: Id },
    /// How it ended.
    Outcome { c: u32, s: u32, i: Id, how: How, q: Option<u64>, code: Option<String> },
    /// It was answered with an error.
    Failed { c: u32, s: u32, i: Id, code: String, retryable: bool },
    /// The client gave up waiting: the request may have happened or not.
    GivenUp { c: u32, i: Id },
    /// An event's body, exactly as received.
    Body { b: u64, x: Value },
    /// A live event.
    Event { c: u32, s: u32, n: Id, q: u64, b: u64 },
    /// Events that the client read from the timeline (sequence and body).
    Page { c: u32, s: u32, n: Id, after: u64, head: u64, events: Vec<(u64, u64)> },
    /// A `conversation` notification.
    Change { c: u32, s: u32, change: String, entry: Entry },
    /// A `read` notification.
    Read { c: u32, s: u32, n: Id, user: Id, q: u64 },
    /// After its own leaving the client asked for the timeline.
    AskedAfterLeaving { c: u32, n: Id, code: Option<String> },
    /// Another client looked for an event whose outcome its sender had.
    Looked { c: u32, n: Id, q: u64, head: u64, found: bool },
    /// The replay of a conversation ended; this client was a member from the start to the end.
    Finished { c: u32, n: Id, head: u64 },
}

/// An event as it came, to be written with its body.
#[derive(Debug)]
pub struct Received {
    /// Its sequence.
    pub seq: u64,
    /// The text of its params.
    pub raw: Box<str>,
}

#[derive(Debug)]
enum Item {
    Line(Box<Line>),
    Event { c: u32, s: u32, n: Id, received: Received },
    Page { c: u32, s: u32, n: Id, after: u64, head: u64, events: Vec<Received> },
}

/// Where clients write. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Journal(mpsc::Sender<Item>);

/// The thread that writes.
#[derive(Debug)]
pub struct Writer(JoinHandle<io::Result<()>>);

impl Writer {
    /// Waits until everything is on the disk; every [`Journal`] must be gone by then.
    ///
    /// # Errors
    /// The disk's.
    pub fn finish(self) -> io::Result<()> {
        self.0.join().unwrap_or_else(|_| Err(io::Error::other("the journal's writer panicked")))
    }
}

impl Journal {
    /// Starts a new journal in a directory, which is made if need be.
    ///
    /// # Errors
    /// When the file can't be made.
    pub fn create(dir: &Path) -> io::Result<(Self, Writer)> {
        std::fs::create_dir_all(dir)?;
        let file = File::create(dir.join(FILE))?;
        let (tx, rx) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || write_all(rx, BufWriter::with_capacity(1 << 20, file)))?;
        Ok((Self(tx), Writer(thread)))
    }

    /// Writes a line.
    pub async fn line(&self, line: Line) {
        self.put(Item::Line(Box::new(line))).await;
    }

    /// Writes a live event.
    pub async fn event(&self, c: u32, s: u32, n: Id, received: Received) {
        self.put(Item::Event { c, s, n, received }).await;
    }

    /// Writes a page of the timeline.
    pub async fn page(
        &self,
        (c, s): (u32, u32),
        n: Id,
        (after, head): (u64, u64),
        events: Vec<Received>,
    ) {
        self.put(Item::Page { c, s, n, after, head, events }).await;
    }

    async fn put(&self, entry: Item) {
        // The writer ends early only on a disk error, which `Writer::finish` reports.
        let _ = self.0.send(entry).await;
    }
}

fn write_all(mut rx: mpsc::Receiver<Item>, mut file: impl Write) -> io::Result<()> {
    let mut bodies = Bodies::default();
    while let Some(entry) = rx.blocking_recv() {
        let line = match entry {
            Item::Line(line) => *line,
            Item::Event { c, s, n, received } => {
                let b = bodies.number(&mut file, &received.raw)?;
                Line::Event { c, s, n, q: received.seq, b }
            }
            Item::Page { c, s, n, after, head, events } => {
                let mut numbered = Vec::with_capacity(events.len());
                for received in events {
                    numbered.push((received.seq, bodies.number(&mut file, &received.raw)?));
                }
                Line::Page { c, s, n, after, head, events: numbered }
            }
        };
        serde_json::to_writer(&mut file, &line)?;
        file.write_all(b"\n")?;
    }
    file.flush()
}

/// Which bodies stand in the file already, by their hash.
#[derive(Default)]
struct Bodies(HashMap<[u8; 16], u64>);

impl Bodies {
    fn number(&mut self, file: &mut impl Write, raw: &str) -> io::Result<u64> {
        let mut key = [0; 16];
        key.copy_from_slice(&blake3::hash(raw.as_bytes()).as_bytes()[..16]);
        if let Some(&number) = self.0.get(&key) {
            return Ok(number);
        }
        let number = self.0.len() as u64;
        self.0.insert(key, number);
        writeln!(file, "{{\"k\":\"body\",\"b\":{number},\"x\":{raw}}}")?;
        Ok(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::times;

    #[tokio::test]
    async fn bodies_are_written_once_and_lines_come_back() {
        let dir = tempfile::tempdir().expect("directory");
        let (journal, writer) = Journal::create(dir.path()).expect("journal");
        let n = times::new_id();
        let received = || Received { seq: 7, raw: r#"{"seq":7}"#.into() };
        journal.event(1, 2, n, received()).await;
        journal.page((1, 3), n, (6, 7), vec![received()]).await;
        journal.line(Line::Finished { c: 1, n, head: 7 }).await;
        drop(journal);
        writer.finish().expect("written");
        let text = std::fs::read_to_string(dir.path().join(FILE)).expect("text");
        let lines: Vec<Line> =
            text.lines().map(|l| serde_json::from_str(l).expect("a line")).collect();
        assert_eq!(lines[0], Line::Body { b: 0, x: serde_json::json!({"seq": 7}) });
        assert_eq!(lines[1], Line::Event { c: 1, s: 2, n, q: 7, b: 0 });
        let page = Line::Page { c: 1, s: 3, n, after: 6, head: 7, events: vec![(7, 0)] };
        assert_eq!(lines[2], page);
        assert_eq!(lines.len(), 4);
    }
}
