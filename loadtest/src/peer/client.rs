//! A compared server with its sessions, whatever it speaks: what `steady` drives, and what is
//! counted while sessions do nothing.

use std::{cell::Cell, rc::Rc, time::Duration};

use anyhow::Context as _;
use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio::time::timeout;

use super::{
    link::{Dialect, Link, Talk},
    process::Server,
};
use crate::system::{Shape, Sink, System};

/// Sessions that are being opened at one time.
const AT_ONCE: usize = 64;

/// Longest wait for a session to be open.
const PATIENCE: Duration = Duration::from_secs(20);

/// Rooms of one opening at most. Each opening has rooms of its own, so that it never meets sessions of
/// the one before that the server has not let go yet.
const ROOMS: usize = 1_000_000;

/// A running server and what it speaks.
#[derive(Debug)]
pub struct Peer<D> {
    name: String,
    server: Server,
    dialect: Rc<D>,
    openings: Cell<usize>,
}

impl<D: Dialect> Peer<D> {
    /// A server that is ready.
    #[must_use]
    pub fn new(name: &str, server: Server, dialect: D) -> Self {
        let (name, dialect, openings) = (name.to_owned(), Rc::new(dialect), Cell::new(0));
        Self { name, server, dialect, openings }
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// Opens sessions for the first `count` users, authenticated and in no room.
    ///
    /// # Errors
    /// When one can't be opened.
    pub async fn connect(&self, count: usize) -> anyhow::Result<Vec<Talk<D>>> {
        let opens = (0..count).map(|user| in_time(user, self.login(user)));
        futures_util::stream::iter(opens).buffered(AT_ONCE).try_collect().await
    }

    /// Lets every session join its rooms, numbered from 0 in each opening, and be read; it sends to
    /// the last of them.
    ///
    /// # Errors
    /// When one isn't let in.
    pub async fn join(
        &self,
        talks: Vec<Talk<D>>,
        rooms: impl Fn(usize) -> Vec<usize>,
        sink: &Rc<dyn Sink>,
    ) -> anyhow::Result<Vec<Link<D>>> {
        let first = self.openings.replace(self.openings.get() + 1) * ROOMS;
        let joins = talks.into_iter().enumerate().map(|(user, talk)| {
            let rooms = rooms(user).into_iter().map(|room| first + room).collect();
            in_time(user, enter(talk, rooms, Rc::clone(sink)))
        });
        futures_util::stream::iter(joins).buffered(AT_ONCE).try_collect().await
    }

    async fn login(&self, user: usize) -> anyhow::Result<Talk<D>> {
        Talk::login(&self.dialect, self.server.addr(), user).await
    }
}

/// The session is read from the moment when it is in all its rooms: others join after it.
async fn enter<D: Dialect>(
    mut talk: Talk<D>,
    rooms: Vec<usize>,
    sink: Rc<dyn Sink>,
) -> anyhow::Result<Link<D>> {
    for &room in &rooms {
        talk.join(room).await?;
    }
    Ok(talk.read(rooms.last().copied().unwrap_or_default(), sink))
}

async fn in_time<T>(
    user: usize,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let done = timeout(PATIENCE, work).await;
    done.with_context(|| format!("session {user}: no answer in {PATIENCE:?}"))?
        .with_context(|| format!("session {user}"))
}

impl<D: Dialect> System for Peer<D> {
    type Session = Link<D>;

    fn name(&self) -> String {
        self.name.clone()
    }

    fn pids(&self) -> Vec<u32> {
        vec![self.pid()]
    }

    async fn open(&mut self, shape: Shape, sink: Rc<dyn Sink>) -> anyhow::Result<Vec<Link<D>>> {
        let talks = self.connect(shape.sessions).await.with_context(|| self.name())?;
        let room = |user| vec![user / shape.room];
        self.join(talks, room, &sink).await.with_context(|| self.name())
    }
}
