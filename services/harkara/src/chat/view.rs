//! The chat as its user sees it: takes updates, results and typed commands, decides what is shown
//! and in which order. Lines wait in a queue until the names in them are known.

mod print;

use std::{
    collections::{BTreeMap, VecDeque},
    io::Write,
};

use harkara_client::{
    Change, Client, ClientId, ConversationEntry, ConversationId, Event, Me, Outcome, Seq, Update,
    UserId, What, WireRole,
};

use super::{
    command::HISTORY,
    rooms::Rooms,
    screen::{Screen, shown, shown_text},
    work::{self, Asking, Directory, Found, Learned, Work},
};

/// Events kept while a conversation is being opened.
const RECENT_MAX: usize = 256;

/// Seconds after which a message without an answer is shown as pending.
const PENDING_AFTER: u32 = 2;

/// Seconds for which "is typing" is not repeated.
const TYPING_PAUSE: u64 = 10;

/// Something to print.
#[derive(Debug)]
pub(super) enum Line {
    Note(String),
    Event(Event),
    News(ConversationId, UserId),
    Added(ConversationId),
    List,
    Opened(ConversationId),
    Members(Vec<(UserId, WireRole)>),
}

/// The open conversation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Open {
    pub(super) id: ConversationId,
    /// The oldest event that was shown.
    pub(super) first: Seq,
    /// The newest event that was shown.
    last: Seq,
}

/// A message of ours without an outcome.
#[derive(Debug)]
struct Pending {
    conversation: ConversationId,
    text: String,
    seconds: u32,
    told: bool,
}

/// Everything on the screen and behind it.
pub(super) struct View<W> {
    pub(super) screen: Screen<W>,
    pub(super) rooms: Rooms,
    pub(super) client: Client,
    pub(super) directory: Directory,
    pub(super) open: Option<Open>,
    /// A command's work under way.
    pub(super) work: Option<Work>,
    /// Names being looked up for the first line of the queue.
    pub(super) asking: Option<Asking>,
    /// Read up to here, not told to the server yet.
    pub(super) read: Option<(ConversationId, Seq)>,
    lines: VecDeque<Line>,
    recent: VecDeque<Event>,
    pending: BTreeMap<ClientId, Pending>,
    typing: BTreeMap<UserId, u64>,
    seconds: u64,
    pub(super) connected: bool,
    pub(super) ever: bool,
}

impl<W: Write> View<W> {
    pub(super) fn new(screen: Screen<W>, client: Client, directory: Directory) -> Self {
        let (rooms, lines, recent, pending, typing) = Default::default();
        let (open, work, asking, read) = (None, None, None, None);
        let (seconds, connected, ever) = (0, false, false);
        Self {
            screen,
            rooms,
            client,
            directory,
            open,
            work,
            asking,
            read,
            lines,
            recent,
            pending,
            typing,
            seconds,
            connected,
            ever,
        }
    }

    /// Is everything shown, and does every message of ours have its outcome?
    pub(super) fn is_idle(&self) -> bool {
        self.pending.is_empty() && self.lines.is_empty() && self.work.is_none()
    }

    pub(super) fn me(&self) -> Option<UserId> {
        self.rooms.me.map(|me| me.user)
    }

    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.lines.push_back(Line::Note(note.into()));
    }

    pub(super) fn show(&mut self, line: Line) {
        self.lines.push_back(line);
    }

    /// What the SDK tells.
    pub(super) fn update(&mut self, update: Update) {
        match update {
            Update::Connected { me, conversations, .. } => self.connected(me, conversations),
            Update::Disconnected { why } => {
                self.connected = false;
                match self.ever {
                    true => self.note(format!("connection lost, trying again ({why})")),
                    false => self.note(format!("no connection yet, trying again ({why})")),
                }
            }
            Update::Conversation { change, entry } => self.listed(change, entry),
            Update::Event(event) => self.event(event),
            Update::Reset { conversation, from } => {
                if let Some(open) = self.open.as_mut().filter(|open| open.id == conversation) {
                    open.last = from.saturating_sub(1);
                }
                let title = self.rooms.title(conversation);
                self.note(format!("{title}: the server starts it again with #{from}"));
            }
            Update::Accepted { client_id, .. } => {
                if let Some(pending) = self.pending.get(&client_id).filter(|p| p.told) {
                    let text = shown_text(&pending.text);
                    self.note(format!("accepted: {text}"));
                }
            }
            Update::Outcome { conversation, client_id, outcome } => {
                self.outcome(conversation, client_id, outcome);
            }
            Update::Typing { conversation, user, active } => {
                self.typing(conversation, user, active)
            }
            Update::Skipped { .. } | Update::Read { .. } | Update::Stopped(_) => {}
        }
    }

    fn connected(&mut self, me: Me, conversations: Vec<ConversationEntry>) {
        self.connected = true;
        self.rooms.me = Some(me);
        conversations.into_iter().for_each(|entry| self.rooms.enter(entry));
        if let Some(open) = self.open {
            self.rooms.looked_at(open.id);
        }
        if self.ever {
            self.note("back");
        } else {
            self.ever = true;
            self.show(Line::List);
        }
    }

    fn listed(&mut self, change: Change, entry: ConversationEntry) {
        let id = entry.id.0;
        let known = self.rooms.get(id).is_some();
        if change == Change::Removed {
            if known {
                let title = self.rooms.title(id);
                self.note(format!("you are no longer in {title}"));
            }
            self.rooms.leave(id);
            self.open = self.open.filter(|open| open.id != id);
            return;
        }
        self.rooms.enter(entry);
        if self.open.is_some_and(|open| open.id == id) {
            self.rooms.looked_at(id);
        } else if !known && self.work.is_none() && !self.open_first(id) {
            self.show(Line::Added(id));
        }
    }

    /// Opens a conversation where none is open, so that whoever is written to sees it and can
    /// answer at once. True if it did.
    fn open_first(&mut self, id: ConversationId) -> bool {
        let free = self.open.is_none() && self.work.is_none();
        if free {
            self.work = Some(work::open(self.client.clone(), id, self.me(), HISTORY));
        }
        free
    }

    /// Opens the conversation that is meant when none was named: the only one.
    pub(super) fn open_only(&mut self) {
        let only = match self.rooms.in_order().as_slice() {
            [room] => Some(room.entry.id.0),
            _ => None,
        };
        if let Some(id) = only {
            self.open_first(id);
        }
    }

    fn event(&mut self, event: Event) {
        self.rooms.heard(event.sender);
        if let (What::Conversation { title, .. }, Some(room)) =
            (&event.what, self.rooms.get_mut(event.conversation))
        {
            room.entry.title.clone_from(title);
        }
        match &mut self.open {
            Some(open) if open.id == event.conversation => {
                if event.seq > open.last {
                    open.last = event.seq;
                    self.lines.push_back(Line::Event(event));
                }
            }
            _ => {
                if self.rooms.count(&event) && !self.open_first(event.conversation) {
                    self.show(Line::News(event.conversation, event.sender));
                }
                if self.work.is_some() {
                    self.recent.push_back(event);
                    self.recent.truncate(RECENT_MAX);
                }
            }
        }
    }

    /// A message of ours was taken.
    pub(super) fn sent(&mut self, conversation: ConversationId, client_id: ClientId, text: String) {
        let told = !self.connected;
        if told {
            let text = shown_text(&text);
            self.note(format!("pending, sent when the connection is back: {text}"));
        }
        let pending = Pending { conversation, text, seconds: 0, told };
        self.pending.insert(client_id, pending);
    }

    fn outcome(&mut self, conversation: ConversationId, client_id: ClientId, outcome: Outcome) {
        let pending = self.pending.remove(&client_id);
        match (outcome, pending) {
            (Outcome::Settled { seq }, Some(pending)) => {
                // In the open conversation its event says so.
                let open = self.open.is_some_and(|open| open.id == pending.conversation);
                if !open {
                    let title = self.rooms.title(conversation);
                    let text = shown_text(&pending.text);
                    self.note(format!("✓ #{seq} in {title}: {text}"));
                }
            }
            (Outcome::Settled { .. }, None) => {}
            (Outcome::Rejected { message, .. }, pending) => {
                let text = pending.map_or("a message from before".to_owned(), |p| p.text);
                let (text, message) = (shown_text(&text), shown(&message));
                self.note(format!("✗ failed: {text} ({message})"));
            }
        }
    }

    fn typing(&mut self, conversation: ConversationId, user: UserId, active: bool) {
        let open = self.open.is_some_and(|open| open.id == conversation);
        let quiet = self.typing.get(&user).is_some_and(|at| at + TYPING_PAUSE > self.seconds);
        let unknown = !self.rooms.unknown([user]).is_empty();
        if active && open && !quiet && !unknown && self.screen.is_interactive() {
            self.typing.insert(user, self.seconds);
            let name = self.rooms.name(user).into_owned();
            self.note(format!("{name} is typing"));
        }
    }

    /// A second has passed.
    pub(super) fn second(&mut self) {
        self.seconds += 1;
        let mut late = Vec::new();
        for pending in self.pending.values_mut() {
            pending.seconds += 1;
            if pending.seconds >= PENDING_AFTER && !pending.told {
                pending.told = true;
                late.push(shown_text(&pending.text));
            }
        }
        for text in late {
            self.note(format!("pending: {text}"));
        }
    }

    /// A command's work is done.
    pub(super) fn found(&mut self, found: Found) {
        self.work = None;
        let recent = std::mem::take(&mut self.recent);
        match found {
            Found::Opened { entry, partner, page, called } => {
                let id = entry.id.0;
                self.rooms.call(called);
                self.rooms.enter(entry);
                self.rooms.pair(&[], partner.map(|partner| (id, partner)).into_iter().collect());
                self.rooms.looked_at(id);
                let first = page.events.first().map_or(page.head + 1, |event| event.seq);
                let last = page.events.last().map_or(page.head, |event| event.seq);
                self.open = Some(Open { id, first, last });
                self.show(Line::Opened(id));
                page.events.into_iter().for_each(|event| self.show(Line::Event(event)));
                // What came while the page was on its way.
                recent.into_iter().filter(|e| e.conversation == id).for_each(|e| self.event(e));
            }
            Found::Earlier(page) => {
                if page.events.is_empty() {
                    self.note("nothing earlier");
                }
                if let (Some(open), Some(event)) = (&mut self.open, page.events.first()) {
                    open.first = event.seq;
                }
                page.events.into_iter().for_each(|event| self.show(Line::Event(event)));
            }
            Found::Members(members) => self.show(Line::Members(members)),
            Found::Left(id) => {
                self.open = self.open.filter(|open| open.id != id);
            }
            Found::Nothing(problem) => self.note(shown(&problem)),
        }
    }

    /// What a line was waiting for is there, or will not come.
    pub(super) fn learned(&mut self, learned: Learned) {
        self.asking = None;
        match learned {
            Learned::Names(asked, found) => self.rooms.learn(&asked, found),
            Learned::Partners(asked, found) => self.rooms.pair(&asked, found),
        }
    }
}
