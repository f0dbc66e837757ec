//! Harkara under steady load: sessions as cheap as [`raw`] has them, spread over the gateways in
//! turn, requests written by hand. Durable messages, or notices of typing ([`super::typing`]).

use std::{
    cell::{Cell, RefCell},
    collections::HashSet,
    rc::Rc,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;
use tokio::{sync::Notify, time::timeout};

use super::{
    ground::{Ground, Room},
    typing::Typing,
};
use crate::{
    ids::Id,
    journal::Entry,
    raw::{self, Opened, Reader, frames, outlet::Outlet},
    system::{Session, Shape, Sink, Stamp, System},
    times,
    wire::frame::{self, Incoming, Started},
};

/// Longest wait until all conversations are live on all sessions.
const PATIENCE: Duration = Duration::from_secs(60);

/// The request that lists further conversations; the numbers of messages are below it.
const LIST: u64 = 1 << 40;

/// The whole of Harkara: one process, or those of a cluster with its engines.
#[derive(Debug)]
pub struct Harkara {
    name: String,
    pids: Vec<u32>,
    push: bool,
    ground: Ground,
}

impl Harkara {
    /// The gateways, all processes, whether to send what is not stored, and how many conversations
    /// the people of a room have together, which take turns.
    #[must_use]
    pub fn new(urls: Vec<String>, pids: Vec<u32>, push: bool, depth: usize) -> Self {
        Self { name: "harkara".to_owned(), pids, push, ground: Ground::new(urls, depth) }
    }

    /// With a name of its own, where there are several in one run.
    #[must_use]
    pub fn named(mut self, name: String) -> Self {
        self.name = name;
        self
    }
}

impl System for Harkara {
    type Session = Sender;

    fn name(&self) -> String {
        self.name.clone()
    }

    fn pids(&self) -> Vec<u32> {
        self.pids.clone()
    }

    fn copies(&self, shape: Shape) -> usize {
        shape.room - usize::from(self.push)
    }

    async fn open(&mut self, shape: Shape, sink: Rc<dyn Sink>) -> anyhow::Result<Vec<Sender>> {
        self.open_some(shape, 1, sink).await
    }
}

impl Harkara {
    /// Opens the first session of each `step`.
    ///
    /// # Errors
    /// When the rooms can't be made, or a session not be opened.
    pub async fn open_some(
        &mut self,
        shape: Shape,
        step: usize,
        sink: Rc<dyn Sink>,
    ) -> anyhow::Result<Vec<Sender>> {
        self.ground.grow(shape.sessions, shape.room).await?;
        let ground = &self.ground;
        let accounts = &ground.accounts[..shape.sessions];
        let places: Vec<usize> = (0..shape.sessions).step_by(step).collect();
        let opens = places.iter().map(|&place| (ground.url(place), place, &accounts[place]));
        let opened = raw::open_at(opens).await?;
        let users = accounts.iter().map(|account| account.user);
        let typing = self.push.then(|| Rc::new(Typing::new(users, shape.room)));
        let (missing, live) = (Cell::new(0), Notify::new());
        let common = Rc::new(Common { sink, typing, id: times::new_id(), missing, live });
        let mut senders = Vec::with_capacity(opened.len());
        for (place, mut opened) in places.into_iter().zip(opened) {
            let room = Rc::clone(&ground.rooms[place / shape.room]);
            let missing = not_live(&mut opened, &room).await?;
            senders.push(Sender::new(place, room, opened, missing, &common));
        }
        common.all_live().await?;
        Ok(senders)
    }
}

/// What all sessions share.
struct Common {
    sink: Rc<dyn Sink>,
    typing: Option<Rc<Typing>>,
    /// Begin of all client ids: its last four bytes become the number of the message.
    id: Id,
    /// Conversations that are not live yet on a session that has them.
    missing: Cell<usize>,
    live: Notify,
}

impl Common {
    async fn all_live(&self) -> anyhow::Result<()> {
        let all = async {
            while self.missing.get() > 0 {
                self.live.notified().await;
            }
        };
        if timeout(PATIENCE, all).await.is_err() {
            bail!("{} conversations did not come live in {PATIENCE:?}", self.missing.get());
        }
        Ok(())
    }

    fn frame(&self, place: usize, missing: &RefCell<HashSet<Id>>, payload: &[u8]) {
        if let Some(stamp) = Stamp::find(payload) {
            return self.sink.delivered(place, stamp);
        }
        if let Some(typing) = &self.typing
            && let Some(stamp) = typing.read(place, payload)
        {
            return self.sink.delivered(place, stamp);
        }
        let text = std::str::from_utf8(payload).unwrap_or_default();
        match frame::decode(text) {
            Ok(Incoming::Reply { id, result }) => {
                let Ok(number) = u32::try_from(id) else { return };
                match result {
                    // That typing was heard is no confirmation of anything.
                    Ok(_) if self.typing.is_some() => {}
                    Ok(_) => self.sink.answered(place, number, Ok(())),
                    Err(failure) => self.sink.answered(place, number, Err(&failure.code)),
                }
            }
            Ok(Incoming::Conversation { entry, .. })
                if is_live(&entry) && missing.borrow_mut().remove(&entry.n) =>
            {
                self.missing.set(self.missing.get() - 1);
                self.live.notify_one();
            }
            _ => {}
        }
    }

    /// The numbers of a run's messages are all different.
    fn client_id(&self, number: u32) -> Id {
        let mut bytes = *self.id.bytes();
        bytes[12..].copy_from_slice(&number.to_be_bytes());
        Id(uuid::Uuid::from_bytes(bytes))
    }
}

/// Events come once its owner has told the head.
fn is_live(entry: &Entry) -> bool {
    entry.head.is_some()
}

#[derive(Deserialize)]
struct Answer {
    result: Started,
}

/// The conversations of a room that are not live on a session yet; asks for all pages of its list.
async fn not_live(opened: &mut Opened, room: &Room) -> anyhow::Result<HashSet<Id>> {
    let mut missing: HashSet<Id> = room.conversations().iter().copied().collect();
    let mut listed = |started: Started| {
        let entries = started.conversations.into_iter().map(Entry::from);
        entries.filter(is_live).for_each(|entry| _ = missing.remove(&entry.n));
        started.next
    };
    let answer: Answer = serde_json::from_slice(&opened.answer)?;
    opened.answer = Vec::new();
    let mut next = listed(answer.result);
    while let Some(after) = next {
        let ask = format!(
            r#"{{"jsonrpc":"2.0","id":{LIST},"method":"conversation.list","params":{{"after":"{after}"}}}}"#
        );
        let frame = frames::masked(frames::TEXT, ask.as_bytes());
        tokio::io::AsyncWriteExt::write_all(&mut opened.socket, &frame).await?;
        next = loop {
            let text = raw::text(&mut opened.socket, &mut opened.rest).await?;
            let Incoming::Reply { id: LIST, result } = frame::decode(std::str::from_utf8(&text)?)?
            else {
                continue;
            };
            let page = result.map_err(|failure| anyhow::anyhow!("no list: {}", failure.message))?;
            break listed(serde_json::from_str(&page)?);
        };
    }
    Ok(missing)
}

/// A session that sends.
pub struct Sender {
    place: usize,
    room: Rc<Room>,
    outlet: Rc<Outlet>,
    common: Rc<Common>,
    _reader: Reader,
}

impl Sender {
    fn new(
        place: usize,
        room: Rc<Room>,
        opened: Opened,
        missing: HashSet<Id>,
        common: &Rc<Common>,
    ) -> Self {
        common.missing.set(common.missing.get() + missing.len());
        let (reads, ends) = (Rc::clone(common), Rc::clone(common));
        let missing = RefCell::new(missing);
        let (reader, outlet) = raw::read_whole(
            opened,
            move |payload| reads.frame(place, &missing, payload),
            move |why| ends.sink.ended(place, why),
        );
        Self { place, room, outlet, common: Rc::clone(common), _reader: reader }
    }
}

impl Session for Sender {
    async fn send(&mut self, text: &str) -> anyhow::Result<()> {
        let stamp = Stamp::find(text.as_bytes()).context("a message without a time")?;
        ensure!(u64::from(stamp.number) < LIST, "too many messages");
        let conversation = self.room.next().context("a room without conversations")?;
        let number = stamp.number;
        let request = match &self.common.typing {
            None => {
                let client_id = self.common.client_id(number);
                format!(
                    r#"{{"jsonrpc":"2.0","id":{number},"method":"message.send","params":{{"conversation":"{conversation}","client_id":"{client_id}","content":{{"type":"text","text":"{text}"}}}}}}"#
                )
            }
            Some(typing) => match typing.send(self.place, stamp, times::now()) {
                Ok(active) => format!(
                    r#"{{"jsonrpc":"2.0","id":{number},"method":"typing.set","params":{{"conversation":"{conversation}","active":{active}}}}}"#
                ),
                Err(why) => {
                    self.common.sink.answered(self.place, number, Err(why));
                    return Ok(());
                }
            },
        };
        let frame = frames::masked(frames::TEXT, request.as_bytes());
        Ok(self.outlet.write(&frame).await?)
    }
}
