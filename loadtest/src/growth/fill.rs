//! Gives conversations a history: one member of each sends as fast as its own messages come back.
//! The others are away; answers alone say nothing about how far the server has got.

use std::{cell::Cell, rc::Rc, time::Duration};

use anyhow::{Context as _, bail};
use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio::{sync::Semaphore, time::timeout};

use crate::{
    out,
    steady::Harkara,
    system::{Session, Shape, Sink, Stamp},
    times,
};

/// Messages of one session that have not come back: below the 64 requests that a server reads.
const WINDOW: u32 = 48;

/// Longest wait for a message to come back.
const PATIENCE: Duration = Duration::from_secs(60);

/// Attempts to have all messages taken.
const ATTEMPTS: u32 = 20;

/// Sends until each room has `messages` more; the sessions are closed afterwards.
///
/// # Errors
/// When sessions can't be opened, end, or messages are not taken in the end.
pub(crate) async fn fill(
    system: &mut Harkara,
    shape: Shape,
    messages: usize,
) -> anyhow::Result<()> {
    let rooms = shape.sessions / shape.room;
    out::note(format!("sending {} messages into {rooms} rooms", messages * rooms));
    let filling = Rc::new(Filling::new(rooms, shape.room));
    let sink = Rc::clone(&filling) as Rc<dyn Sink>;
    let mut sessions = system.open_some(shape, shape.room, sink).await?;
    for attempt in 0..ATTEMPTS {
        let quotas = filling.missing.iter().map(|missing| match attempt {
            0 => messages,
            _ => missing.replace(0),
        });
        let lanes = sessions.iter_mut().zip(quotas).enumerate();
        let lanes: Vec<_> = lanes
            .map(|(room, (session, quota))| send(session, &filling, room, quota, shape.bytes))
            .collect();
        let all = futures_util::stream::iter(lanes).buffer_unordered(rooms);
        all.try_collect::<()>().await?;
        if filling.missing.iter().all(|missing| missing.get() == 0) {
            return Ok(());
        }
        tokio::time::sleep(times::backoff(attempt)).await;
    }
    bail!("the server does not take all messages of a history")
}

async fn send(
    session: &mut impl Session,
    filling: &Filling,
    room: usize,
    quota: usize,
    bytes: usize,
) -> anyhow::Result<()> {
    let window = &filling.windows[room];
    let permits = |count| async move {
        let permits = timeout(PATIENCE, window.acquire_many(count)).await;
        permits.context("a message does not come back")?.context("a session ended")
    };
    for _ in 0..quota {
        permits(1).await?.forget();
        let number = filling.next.get();
        filling.next.set(number.checked_add(1).context("too many messages")?);
        session.send(&Stamp { intended: 0, number }.text(bytes)).await?;
    }
    // All messages are there once all permits are.
    permits(WINDOW).await.map(drop)
}

/// Counts what was not taken; what comes back opens the windows.
struct Filling {
    next: Cell<u32>,
    /// Members of a room, of which the first one sends.
    members: usize,
    windows: Vec<Semaphore>,
    missing: Vec<Cell<usize>>,
}

impl Filling {
    fn new(rooms: usize, members: usize) -> Self {
        let windows = (0..rooms).map(|_| Semaphore::new(WINDOW as usize)).collect();
        Self { next: Cell::new(0), members, windows, missing: vec![Cell::new(0); rooms] }
    }

    fn come_back(&self, session: usize) {
        self.windows[session / self.members].add_permits(1);
    }
}

impl Sink for Filling {
    fn delivered(&self, session: usize, _: Stamp) {
        self.come_back(session);
    }

    fn confirmed(&self, _: usize) {}

    fn answered(&self, session: usize, _: u32, outcome: Result<(), &str>) {
        if outcome.is_err() {
            let missing = &self.missing[session / self.members];
            missing.set(missing.get() + 1);
            self.come_back(session);
        }
    }

    fn ended(&self, session: usize, _: &str) {
        self.windows[session / self.members].close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes every message but each third, and gives it back at once.
    struct Echo {
        place: usize,
        sink: Rc<Filling>,
        taken: Rc<Cell<usize>>,
    }

    impl Session for Echo {
        async fn send(&mut self, text: &str) -> anyhow::Result<()> {
            let stamp = Stamp::find(text.as_bytes()).expect("a stamp");
            let is_taken = !stamp.number.is_multiple_of(3);
            let outcome = if is_taken { Ok(()) } else { Err("unavailable") };
            self.sink.answered(self.place, stamp.number, outcome);
            if is_taken {
                self.taken.set(self.taken.get() + 1);
                self.sink.delivered(self.place, stamp);
            }
            Ok(())
        }
    }

    #[tokio::test]
    async fn what_is_not_taken_is_counted() {
        let (sink, taken) = (Rc::new(Filling::new(2, 5)), Rc::new(Cell::new(0)));
        let mut echo = Echo { place: 5, sink: Rc::clone(&sink), taken: Rc::clone(&taken) };
        send(&mut echo, &sink, 1, 300, 40).await.expect("all come back");
        assert_eq!((taken.get(), sink.missing[1].get(), sink.missing[0].get()), (200, 100, 0));
        sink.ended(5, "reset");
        assert!(send(&mut echo, &sink, 1, 1, 40).await.is_err());
    }
}
