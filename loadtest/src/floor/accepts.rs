//! As many sends as are accepted: each session keeps a window of sends without an answer full, to a
//! room where nobody else is, so that the log is what works and not the deliveries. (Its own event
//! still comes back to each sender: everything is stored and delivered on the way.)

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

use anyhow::ensure;
use tokio::{
    sync::{Notify, Semaphore},
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    effort::Effort,
    honest::{self, Breath},
    process,
    system::{Session, Shape, Sink, Stamp, System},
};

/// Wait for the deliveries of what was accepted, since the last one.
const PATIENCE: Duration = Duration::from_secs(10);

/// A round, as it was seen.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// Accepted sends within the window.
    pub accepted: u64,
    /// The window, seconds.
    pub seconds: f64,
    /// Accepted and not yet delivered at its end: how far the rest of the server was behind the log.
    pub behind: u64,
    /// Accepted and never delivered.
    pub missing: u64,
    /// Sends in the round that were not taken, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Sessions that ended, in this round or before.
    pub ended: usize,
    /// What limited it, if it was this program or the machine.
    pub breath: Breath,
}

impl Accepted {
    /// Accepted sends a second.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts below 2^53")]
    pub fn per_s(&self) -> f64 {
        self.accepted as f64 / self.seconds
    }

    /// Whether everything came that was accepted, and everybody stayed.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.missing == 0 && self.ended == 0
    }
}

/// Counts of all rounds.
#[derive(Debug, Default)]
struct Books {
    /// Places for sends without an answer, per session.
    windows: Vec<Semaphore>,
    sending: Cell<bool>,
    begins: Notify,
    sent: Cell<u32>,
    answered: Cell<u32>,
    accepted: Cell<u64>,
    delivered: Cell<u64>,
    refused: RefCell<BTreeMap<String, u64>>,
    ended: RefCell<BTreeSet<usize>>,
    moved: Notify,
}

/// Sessions that are open and wait for a round. They close when it is dropped.
#[derive(Debug)]
pub struct Accepts {
    pids: Vec<u32>,
    pinned: Option<usize>,
    books: Rc<Books>,
    _tasks: JoinSet<()>,
}

impl Accepts {
    /// Opens sessions with a window each. Call it within a `LocalSet`.
    ///
    /// # Errors
    /// When one can't be opened.
    pub async fn open<S: System>(
        system: &mut S,
        shape: Shape,
        window: usize,
        pinned: Option<usize>,
    ) -> anyhow::Result<Self>
    where
        S::Session: 'static,
    {
        ensure!(shape.room == 1, "a room with nobody else in it");
        process::need_files(shape.sessions)?;
        let windows = (0..shape.sessions).map(|_| Semaphore::new(window)).collect();
        let books = Rc::new(Books { windows, ..Books::default() });
        let sessions = system.open(shape, Rc::clone(&books) as Rc<dyn Sink>).await?;
        let mut tasks = JoinSet::new();
        for (place, session) in sessions.into_iter().enumerate() {
            tasks.spawn_local(send(session, place, shape.bytes, Rc::clone(&books)));
        }
        Ok(Self { pids: system.pids(), pinned, books, _tasks: tasks })
    }

    /// Sends for so many seconds, of which the first ones do not count, and waits until all that was
    /// accepted is delivered.
    ///
    /// # Errors
    /// When a measured process is gone.
    pub async fn round(&self, warm_up: u32, seconds: u32) -> anyhow::Result<Accepted> {
        let books = &self.books;
        books.refused.borrow_mut().clear();
        books.sending.set(true);
        books.begins.notify_waiters();
        sleep(Duration::from_secs(warm_up.into())).await;
        let (before, effort) = (books.accepted.get(), Effort::begin(&self.pids)?);
        sleep(Duration::from_secs(seconds.into())).await;
        let spent = effort.spent()?;
        let accepted = books.accepted.get() - before;
        let behind = books.behind();
        books.sending.set(false);
        books.caught_up().await;
        let (server, generator) = (honest::share(spent.server, spent.wall), spent.share());
        Ok(Accepted {
            accepted,
            seconds: spent.wall.as_secs_f64(),
            behind,
            missing: books.behind(),
            refused: books.refused.borrow().clone(),
            ended: books.ended.borrow().len(),
            breath: Breath { generator, server, late_ms: 0.0, pinned: self.pinned },
        })
    }
}

impl Books {
    /// Accepted and not delivered. An event may come before the answer to its send.
    fn behind(&self) -> u64 {
        self.accepted.get().saturating_sub(self.delivered.get())
    }

    /// Until every send is answered and all that was accepted is delivered, or nothing moves.
    async fn caught_up(&self) {
        loop {
            let moved = self.moved.notified();
            if self.answered.get() == self.sent.get() && self.behind() == 0 {
                return;
            }
            if timeout(PATIENCE, moved).await.is_err() {
                return;
            }
        }
    }

    /// Waits for a round and a place in a session's window; the number of the message to send.
    async fn next(&self, place: usize) -> Option<u32> {
        loop {
            self.windows.get(place)?.acquire().await.ok()?.forget();
            let begins = self.begins.notified();
            if self.sending.get() {
                let number = self.sent.get();
                self.sent.set(number.checked_add(1)?);
                return Some(number);
            }
            self.windows.get(place)?.add_permits(1);
            begins.await;
        }
    }
}

impl Sink for Books {
    fn delivered(&self, _session: usize, _stamp: Stamp) {
        self.delivered.set(self.delivered.get() + 1);
        self.moved.notify_waiters();
    }

    fn confirmed(&self, session: usize) {
        self.answered(session, 0, Ok(()));
    }

    fn answered(&self, session: usize, _number: u32, outcome: Result<(), &str>) {
        self.answered.set(self.answered.get() + 1);
        match outcome {
            Ok(()) => self.accepted.set(self.accepted.get() + 1),
            Err(why) => *self.refused.borrow_mut().entry(why.to_owned()).or_default() += 1,
        }
        if let Some(window) = self.windows.get(session) {
            window.add_permits(1);
        }
        self.moved.notify_waiters();
    }

    fn ended(&self, session: usize, _why: &str) {
        self.ended.borrow_mut().insert(session);
    }
}

async fn send(mut session: impl Session, place: usize, bytes: usize, books: Rc<Books>) {
    while let Some(number) = books.next(place).await {
        let text = Stamp { intended: 0, number }.text(bytes);
        if let Err(error) = session.send(&text).await {
            return books.ended(place, &format!("{error:#}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    /// Accepts each send at once but every tenth, and delivers what it accepts.
    struct Loop;

    struct One(usize, Rc<dyn Sink>);

    impl System for Loop {
        type Session = One;

        fn name(&self) -> String {
            "loop".to_owned()
        }

        fn pids(&self) -> Vec<u32> {
            vec![std::process::id()]
        }

        async fn open(&mut self, shape: Shape, sink: Rc<dyn Sink>) -> anyhow::Result<Vec<One>> {
            Ok((0..shape.sessions).map(|place| One(place, Rc::clone(&sink))).collect())
        }
    }

    impl Session for One {
        async fn send(&mut self, text: &str) -> anyhow::Result<()> {
            let stamp = Stamp::find(text.as_bytes()).context("no stamp")?;
            // As the network does: others get their turn.
            tokio::task::yield_now().await;
            if stamp.number % 10 == 9 {
                self.1.answered(self.0, stamp.number, Err("unavailable"));
            } else {
                self.1.answered(self.0, stamp.number, Ok(()));
                self.1.delivered(self.0, stamp);
            }
            Ok(())
        }
    }

    #[tokio::test]
    async fn everything_is_counted_and_rounds_follow_each_other() {
        let shape = Shape { sessions: 3, room: 1, bytes: 40 };
        let rounds = async {
            let accepts = Accepts::open(&mut Loop, shape, 2, None).await.unwrap();
            for _ in 0..2 {
                let round = accepts.round(0, 1).await.unwrap();
                assert!(round.accepted > 0 && round.is_whole() && round.behind == 0, "{round:?}");
                assert!(round.refused["unavailable"] > 0);
                let books = &accepts.books;
                assert_eq!(books.sent.get(), books.answered.get());
                assert_eq!(books.accepted.get(), books.delivered.get());
            }
        };
        tokio::task::LocalSet::new().run_until(rounds).await;
    }
}
