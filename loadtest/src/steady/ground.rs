//! What is there before sessions open: users with their tokens, and the rooms they are in.

use std::{cell::Cell, rc::Rc};

use anyhow::{Context as _, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde_json::json;

use crate::{
    ids::Id,
    out, raw, times,
    wire::{caller::Caller, token::Account},
};

/// Rooms that are made at the same time.
const AT_ONCE: usize = 32;

/// Members named in the request that makes a room at most, as the protocol has it.
const MEMBERS_MAX: usize = 1_000;

/// Users and rooms, on a server that knew neither.
#[derive(Debug)]
pub struct Ground {
    urls: Vec<String>,
    /// Part of all names, so that a run meets no rooms of another.
    name: String,
    /// Conversations of each room.
    depth: usize,
    /// The users, `room` of them for each room.
    pub accounts: Vec<Account>,
    /// The rooms.
    pub rooms: Vec<Rc<Room>>,
}

/// The same people, in one conversation or more.
#[derive(Debug)]
pub struct Room {
    conversations: Vec<Id>,
    turn: Cell<usize>,
}

impl Room {
    /// The conversation of the next message: they take turns.
    #[must_use]
    pub fn next(&self) -> Option<Id> {
        let turn = self.turn.get();
        self.turn.set((turn + 1) % self.conversations.len().max(1));
        self.conversations.get(turn).copied()
    }

    /// All conversations.
    #[must_use]
    pub fn conversations(&self) -> &[Id] {
        &self.conversations
    }
}

impl Ground {
    /// Nothing is there yet.
    #[must_use]
    pub fn new(urls: Vec<String>, depth: usize) -> Self {
        let id = times::new_id().to_string();
        let name = format!("steady-{}-", &id[24..]);
        Self { urls, name, depth, accounts: Vec::new(), rooms: Vec::new() }
    }

    /// The gateway of a session.
    #[must_use]
    pub fn url(&self, session: usize) -> &str {
        self.urls.get(session % self.urls.len().max(1)).map_or("", String::as_str)
    }

    /// Makes what is missing for so many sessions in rooms of `room`.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn grow(&mut self, sessions: usize, room: usize) -> anyhow::Result<()> {
        ensure!(!self.urls.is_empty(), "name a gateway: --url ws://host:port");
        ensure!(room <= MEMBERS_MAX, "rooms have {MEMBERS_MAX} members at most here");
        ensure!(
            self.accounts.len() == self.rooms.len() * room,
            "this run has rooms of another size"
        );
        let (rooms, users) = (self.rooms.len(), self.accounts.len());
        if users >= sessions {
            return Ok(());
        }
        out::note(format!("making {} users and their rooms", sessions - users));
        let prefix = format!("{}{users}-", self.name);
        let fresh = raw::accounts(self.url(0), &prefix, sessions - users).await?;
        let makes = fresh.chunks(room).enumerate().map(|(i, members)| {
            let url = self.url(rooms + i);
            make(url, members, self.depth)
        });
        let made: Vec<_> =
            futures_util::stream::iter(makes).buffered(AT_ONCE).try_collect().await?;
        self.rooms.extend(made.into_iter().map(Rc::new));
        self.accounts.extend(fresh);
        Ok(())
    }
}

/// The first member makes the conversations.
async fn make(url: &str, members: &[Account], depth: usize) -> anyhow::Result<Room> {
    let (maker, others) = members.split_first().context("a room without members")?;
    let others: Vec<Id> = others.iter().map(|account| account.user).collect();
    let mut caller = Caller::start(url, maker).await?;
    let mut conversations = Vec::with_capacity(depth);
    for _ in 0..depth {
        let params = json!({
            "client_id": times::new_id(), "kind": "group", "title": "steady", "members": others,
        });
        let created = caller.ask("conversation.create", params).await.context("making a room")?;
        let id = created["conversation"].as_str().context("a room without an id")?;
        conversations.push(id.parse()?);
    }
    caller.close().await;
    Ok(Room { conversations, turn: Cell::new(0) })
}
