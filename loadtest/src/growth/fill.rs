//! Gives conversations a history: everybody sends as fast as answers come.

use std::{cell::Cell, rc::Rc, time::Duration};

use anyhow::{Context as _, bail};
use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio::{sync::Semaphore, time::timeout};

use crate::{
    out,
    steady::Harkara,
    system::{Session, Shape, Sink, Stamp, System},
    times,
};

/// Sends of one session without an answer: below the 64 that a server reads.
const WINDOW: u32 = 48;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Attempts to have all messages taken.
const ATTEMPTS: u32 = 20;

/// Sends until each room has `messages` more; the sessions are closed afterwards.
///
/// # Errors
/// When sessions can't be opened, end, or messages are not taken in the end.
pub(super) async fn fill(
    system: &mut Harkara,
    shape: Shape,
    messages: usize,
) -> anyhow::Result<()> {
    let rooms = shape.sessions / shape.room;
    out::note(format!("sending {} messages into {rooms} rooms", messages * rooms));
    let filling = Rc::new(Filling::new(shape.sessions));
    let mut sessions = system.open(shape, Rc::clone(&filling) as Rc<dyn Sink>).await?;
    for attempt in 0..ATTEMPTS {
        let missing = filling.missing.iter().zip(&mut sessions).enumerate();
        let lanes = missing.map(|(place, (_, session))| {
            let quota = match attempt {
                0 => share(messages, shape.room, place % shape.room),
                _ => filling.missing[place].replace(0),
            };
            send(session, &filling, place, quota, shape.bytes)
        });
        let lanes: Vec<_> = lanes.collect();
        let all = futures_util::stream::iter(lanes).buffer_unordered(shape.sessions);
        all.try_collect::<()>().await?;
        if filling.missing.iter().all(|missing| missing.get() == 0) {
            return Ok(());
        }
        tokio::time::sleep(times::backoff(attempt)).await;
    }
    bail!("the server does not take all messages of a history")
}

/// The part of `place` when all of `parts` share.
fn share(all: usize, parts: usize, place: usize) -> usize {
    all / parts + usize::from(place < all % parts)
}

async fn send(
    session: &mut impl Session,
    filling: &Filling,
    place: usize,
    quota: usize,
    bytes: usize,
) -> anyhow::Result<()> {
    let window = &filling.windows[place];
    let permits = |count| async move {
        let permits = timeout(PATIENCE, window.acquire_many(count)).await;
        permits.context("no answer to a send")?.context("a session ended")
    };
    for _ in 0..quota {
        permits(1).await?.forget();
        let number = filling.next.get();
        filling.next.set(number.checked_add(1).context("too many messages")?);
        session.send(&Stamp { intended: 0, number }.text(bytes)).await?;
    }
    // All answers are there once all permits are back.
    permits(WINDOW).await.map(drop)
}

/// Counts what was not taken; answers open the windows.
struct Filling {
    next: Cell<u32>,
    windows: Vec<Semaphore>,
    missing: Vec<Cell<usize>>,
}

impl Filling {
    fn new(sessions: usize) -> Self {
        let windows = (0..sessions).map(|_| Semaphore::new(WINDOW as usize)).collect();
        Self { next: Cell::new(0), windows, missing: vec![Cell::new(0); sessions] }
    }
}

impl Sink for Filling {
    fn delivered(&self, _: usize, _: Stamp) {}

    fn confirmed(&self, session: usize) {
        self.windows[session].add_permits(1);
    }

    fn answered(&self, session: usize, _: u32, outcome: Result<(), &str>) {
        if outcome.is_err() {
            let missing = &self.missing[session];
            missing.set(missing.get() + 1);
        }
        self.windows[session].add_permits(1);
    }

    fn ended(&self, session: usize, _: &str) {
        self.windows[session].close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes every message but each third, and says so at once.
    struct Echo {
        place: usize,
        sink: Rc<Filling>,
        taken: Rc<Cell<usize>>,
    }

    impl Session for Echo {
        async fn send(&mut self, text: &str) -> anyhow::Result<()> {
            let number = Stamp::find(text.as_bytes()).expect("a stamp").number;
            let outcome = if number.is_multiple_of(3) { Err("unavailable") } else { Ok(()) };
            self.taken.set(self.taken.get() + usize::from(outcome.is_ok()));
            self.sink.answered(self.place, number, outcome);
            Ok(())
        }
    }

    #[tokio::test]
    async fn what_is_not_taken_is_counted() {
        let (sink, taken) = (Rc::new(Filling::new(2)), Rc::new(Cell::new(0)));
        let mut echo = Echo { place: 1, sink: Rc::clone(&sink), taken: Rc::clone(&taken) };
        send(&mut echo, &sink, 1, 300, 40).await.expect("all are answered");
        assert_eq!((taken.get(), sink.missing[1].get(), sink.missing[0].get()), (200, 100, 0));
        sink.ended(1, "reset");
        assert!(send(&mut echo, &sink, 1, 1, 40).await.is_err());
    }

    #[test]
    fn shares_add_up() {
        assert_eq!((0..7).map(|place| share(1_000, 7, place)).sum::<usize>(), 1_000);
    }
}
