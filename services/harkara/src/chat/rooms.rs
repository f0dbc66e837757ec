//! What the terminal knows: conversations with their unread counts and numbers, people with their
//! names. Pure; `view` keeps it up to date and `work` fills in what has to be asked.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use harkara_client::{
    ConversationEntry, ConversationId, Event, Me, UserEntry, UserId, What, WireKind,
};

use super::screen::shown;

/// A conversation in the list.
#[derive(Debug, Clone)]
pub struct Room {
    pub entry: ConversationEntry,
    /// Messages that were not looked at.
    pub unread: u64,
    /// Its number in the last list.
    pub number: usize,
    /// The other one, of a direct conversation.
    pub partner: Option<UserId>,
    /// The other one was asked for.
    pub asked: bool,
    /// It was told that there is something new.
    pub announced: bool,
}

/// Conversations and people.
#[derive(Debug, Default)]
pub struct Rooms {
    pub me: Option<Me>,
    rooms: BTreeMap<ConversationId, Room>,
    names: BTreeMap<UserId, String>,
    /// Whose names nobody knows.
    nameless: BTreeSet<UserId>,
    /// Who was nameless and was asked for once more.
    heard: BTreeSet<UserId>,
}

impl Rooms {
    /// Takes over what the server says of a conversation.
    pub fn enter(&mut self, entry: ConversationEntry) {
        let number = self.rooms.values().map(|room| room.number).max().unwrap_or(0) + 1;
        let id = entry.id.0;
        let fresh = Room {
            unread: 0,
            number,
            partner: None,
            asked: false,
            announced: false,
            entry: ConversationEntry::new(id, None, false),
        };
        let room = self.rooms.entry(id).or_insert(fresh);
        // While its owner can't be reached an entry knows less than we do.
        if entry.head.is_some() {
            room.unread = entry.unread.unwrap_or(room.unread);
            room.entry = entry;
        }
    }

    /// It is no longer in the list.
    pub fn leave(&mut self, id: ConversationId) {
        self.rooms.remove(&id);
    }

    pub fn get(&self, id: ConversationId) -> Option<&Room> {
        self.rooms.get(&id)
    }

    pub fn get_mut(&mut self, id: ConversationId) -> Option<&mut Room> {
        self.rooms.get_mut(&id)
    }

    /// In the order of their numbers.
    pub fn in_order(&self) -> Vec<&Room> {
        let mut rooms: Vec<&Room> = self.rooms.values().collect();
        rooms.sort_by_key(|room| room.number);
        rooms
    }

    /// Counts an event of a conversation that nobody looks at. True if it is worth a note.
    pub fn count(&mut self, event: &Event) -> bool {
        let mine = self.me.is_some_and(|me| me.user == event.sender);
        let Some(room) = self.rooms.get_mut(&event.conversation) else { return false };
        let counted = room.entry.head.is_some_and(|head| event.seq <= head.0);
        if mine || counted || !matches!(event.what, What::Message { .. }) {
            return false;
        }
        room.unread += 1;
        !std::mem::replace(&mut room.announced, true)
    }

    /// Everything up to here was looked at.
    pub fn looked_at(&mut self, id: ConversationId) {
        if let Some(room) = self.rooms.get_mut(&id) {
            (room.unread, room.announced) = (0, false);
        }
    }

    /// Learns names; those asked for and not found stay nameless.
    pub fn learn(&mut self, asked: &[UserId], found: Vec<UserEntry>) {
        self.nameless.extend(asked);
        for user in found {
            self.nameless.remove(&user.id.0);
            self.names.insert(user.id.0, user.name);
        }
    }

    /// Learns names without having asked.
    pub fn call(&mut self, called: Vec<(UserId, String)>) {
        for (user, name) in called {
            self.nameless.remove(&user);
            self.names.insert(user, name);
        }
    }

    /// Somebody speaks: who came for the first time meanwhile has a name now, so it is asked for
    /// once more.
    pub fn heard(&mut self, user: UserId) {
        if self.nameless.contains(&user) && self.heard.insert(user) {
            self.nameless.remove(&user);
        }
    }

    /// A user's name, safe to print, or the beginning of the id.
    pub fn name(&self, user: UserId) -> Cow<'_, str> {
        match self.names.get(&user) {
            Some(name) => shown(name).into(),
            None => user.to_string().chars().take(8).chain("…".chars()).collect(),
        }
    }

    /// Whose names among these nobody has asked for yet.
    pub fn unknown(&self, users: impl IntoIterator<Item = UserId>) -> Vec<UserId> {
        let known = |user: &UserId| self.names.contains_key(user) || self.nameless.contains(user);
        let unknown: BTreeSet<UserId> = users.into_iter().filter(|user| !known(user)).collect();
        unknown.into_iter().collect()
    }

    /// A conversation's name, safe to print.
    pub fn title(&self, id: ConversationId) -> String {
        let Some(room) = self.rooms.get(&id) else { return "a conversation".to_owned() };
        match (&room.entry.title, room.partner, room.entry.kind) {
            (Some(title), ..) => shown(title),
            (None, Some(partner), _) => self.name(partner).into_owned(),
            (None, None, Some(WireKind::Direct)) => "a direct conversation".to_owned(),
            _ => format!("conversation {}", room.number),
        }
    }

    /// Learns who is at the other end of direct conversations.
    pub fn pair(&mut self, asked: &[ConversationId], found: Vec<(ConversationId, UserId)>) {
        for id in asked {
            if let Some(room) = self.rooms.get_mut(id) {
                room.asked = true;
            }
        }
        for (id, partner) in found {
            if let Some(room) = self.rooms.get_mut(&id) {
                room.partner = Some(partner);
            }
        }
    }

    /// Direct conversations among these whose other member nobody has asked for yet.
    pub fn without_partner(
        &self,
        ids: impl IntoIterator<Item = ConversationId>,
    ) -> Vec<ConversationId> {
        let lacks = |id: &ConversationId| {
            self.rooms.get(id).is_some_and(|room| {
                let direct = room.entry.kind == Some(WireKind::Direct);
                direct && room.partner.is_none() && !room.asked
            })
        };
        ids.into_iter().filter(lacks).collect()
    }

    /// The conversation meant by a number of the list, or by a name or the beginning of one.
    pub fn find(&self, what: &str) -> Result<ConversationId, String> {
        if let Ok(number) = what.parse::<usize>()
            && let Some(room) = self.rooms.values().find(|room| room.number == number)
        {
            return Ok(room.entry.id.0);
        }
        let wanted = what.to_lowercase();
        let named = |id: &ConversationId| self.plain_title(*id).to_lowercase();
        let exact: Vec<_> = self.rooms.keys().filter(|id| named(id) == wanted).collect();
        let begins = |id: &&ConversationId| named(id).starts_with(&wanted);
        let found =
            if exact.is_empty() { self.rooms.keys().filter(begins).collect() } else { exact };
        match found.as_slice() {
            [id] => Ok(**id),
            [] => Err(format!(
                "no conversation is called {what:?}; /list shows them, /new NAME begins one",
            )),
            _ => Err(format!("several are called {what:?}; /list shows their numbers")),
        }
    }

    fn plain_title(&self, id: ConversationId) -> &str {
        let room = self.rooms.get(&id);
        let partner = || self.names.get(&room?.partner?).map(String::as_str);
        room.and_then(|room| room.entry.title.as_deref()).or_else(partner).unwrap_or_default()
    }

    /// A line of the list.
    pub fn list_line(&self, room: &Room, open: bool) -> String {
        let mark = if open { '>' } else { ' ' };
        let title = self.title(room.entry.id.0);
        let members = match (room.entry.kind, room.entry.members) {
            (Some(WireKind::Direct), _) => String::new(),
            (Some(WireKind::Channel), Some(n)) => format!(" (channel, {n} members)"),
            (_, Some(n)) => format!(" (group, {n} members)"),
            (_, None) => " (not reachable now)".to_owned(),
        };
        let unread = match room.unread {
            0 => String::new(),
            n => format!(", {n} unread"),
        };
        format!("{mark}{:>3}  {title}{members}{unread}", room.number)
    }
}
