//! The second half of the view: printing the queue of lines, each as soon as the names in it are
//! known. What is not known is asked for once; who stays unknown is shown by the id's beginning.

use std::io::{self, Write};

use harkara_client::{ConversationId, Event, UserId, What};

use super::{Line, View};
use crate::chat::{
    role_word,
    work::{names, partners},
};

/// Conversations in one list.
const LISTED_MAX: usize = 50;

impl<W: Write> View<W> {
    /// Prints what can be printed.
    pub(in crate::chat) fn print(&mut self) -> io::Result<()> {
        while self.asking.is_none() {
            let Some(line) = self.lines.front() else { return Ok(()) };
            let rooms = self.rooms_in(line);
            let nameless = self.rooms.without_partner(rooms.iter().copied());
            if !nameless.is_empty() && self.connected {
                self.asking = Some(partners(self.client.clone(), nameless, self.me()));
                return Ok(());
            }
            let users = self.users_in(line, &rooms);
            let nameless = self.rooms.unknown(users);
            if !nameless.is_empty() && self.connected {
                self.asking = Some(names(self.client.clone(), nameless));
                return Ok(());
            }
            if let Some(line) = self.lines.pop_front() {
                self.print_line(line)?;
            }
        }
        Ok(())
    }

    fn listed_rooms(&self) -> Vec<ConversationId> {
        let rooms = self.rooms.in_order();
        rooms.iter().take(LISTED_MAX).map(|room| room.entry.id.0).collect()
    }

    fn rooms_in(&self, line: &Line) -> Vec<ConversationId> {
        match line {
            Line::News(id, _) | Line::Added(id) | Line::Opened(id) => vec![*id],
            Line::List => self.listed_rooms(),
            Line::Note(_) | Line::Event(_) | Line::Members(_) => Vec::new(),
        }
    }

    fn users_in(&self, line: &Line, rooms: &[ConversationId]) -> Vec<UserId> {
        let partner = |id: &ConversationId| self.rooms.get(*id)?.partner;
        let mut users: Vec<UserId> = rooms.iter().filter_map(partner).collect();
        match line {
            Line::Event(event) => {
                users.push(event.sender);
                match &event.what {
                    What::Member { users: more, successor, .. } => {
                        users.extend(more.iter().chain(successor));
                    }
                    What::Conversation { .. } | What::Message { .. } | What::Other { .. } => {}
                }
            }
            Line::News(_, sender) => users.push(*sender),
            Line::Members(members) => users.extend(members.iter().map(|(user, _)| *user)),
            Line::Note(_) | Line::Added(_) | Line::List | Line::Opened(_) => {}
        }
        users
    }

    fn print_line(&mut self, line: Line) -> io::Result<()> {
        match line {
            Line::Note(note) => self.screen.note(&note),
            Line::Event(event) => self.print_event(&event),
            Line::News(id, sender) => {
                let (name, title) = (self.rooms.name(sender).into_owned(), self.rooms.title(id));
                let number = self.rooms.get(id).map_or(0, |room| room.number);
                self.screen.note(&format!("new from {name} in {title} (/open {number})"))
            }
            Line::Added(id) => {
                let (title, room) = (self.rooms.title(id), self.rooms.get(id));
                let number = room.map_or(0, |room| room.number);
                self.screen.note(&format!("new conversation: {title} (/open {number})"))
            }
            Line::List => self.print_list(),
            Line::Opened(id) => {
                let title = self.rooms.title(id);
                self.screen.line(&format!("--- {title} ---"))
            }
            Line::Members(members) => {
                for (user, role) in members {
                    let name = self.rooms.name(user).into_owned();
                    self.screen.line(&format!("     {name} ({})", role_word(role)))?;
                }
                Ok(())
            }
        }
    }

    fn print_event(&mut self, event: &Event) -> io::Result<()> {
        if self.open.is_some_and(|open| open.id == event.conversation) {
            let newer =
                self.read.is_none_or(|(id, seq)| id != event.conversation || seq < event.seq);
            if newer {
                self.read = Some((event.conversation, event.seq));
            }
        }
        let own = Some(event.sender) == self.me();
        let rooms = &self.rooms;
        self.screen.event(event, own, |user| rooms.name(user))
    }

    fn print_list(&mut self) -> io::Result<()> {
        let rooms = self.rooms.in_order();
        if rooms.is_empty() {
            return self.screen.note("no conversations yet; /new NAME begins one");
        }
        for room in rooms.iter().take(LISTED_MAX) {
            let open = self.open.is_some_and(|open| open.id == room.entry.id.0);
            self.screen.line(&self.rooms.list_line(room, open))?;
        }
        match rooms.len().saturating_sub(LISTED_MAX) {
            0 => Ok(()),
            more => self.screen.note(&format!("and {more} more; /open takes their names")),
        }
    }
}
