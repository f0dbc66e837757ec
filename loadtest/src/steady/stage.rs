//! Drives a system through rounds of steady load ([`Plan`]), whichever it is: the sender follows its
//! times whatever the system answers (an open loop), each session writes in a task of its own, a
//! third task looks at the processes once a second, and the books are in [`Tally`].

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use tokio::{sync::mpsc, task::JoinSet, time::sleep_until};

use super::{
    plan::Plan,
    run::{Run, Sample},
    tally::Tally,
    timer::Timer,
};
use crate::{
    process,
    system::{Session, Shape, Sink, Stamp, System},
    times,
};

/// Messages that wait for one session's socket. What does not fit is counted as refused: a person
/// with so many unsent messages has lost the connection.
const LANE: usize = 256;

/// Late messages that are handed over before readers get their turn.
const LATE_AT_ONCE: u32 = 16;

/// Wait for what is still under way at the end of a round, since the last delivery: longer than
/// servers wait for each other.
const PATIENCE: Duration = Duration::from_secs(15);

/// The reason under which messages are counted that a session's queue had no room for.
pub const NOT_QUEUED: &str = "not even queued: the session takes no more";

/// Sessions of a system, open and ready for rounds. They close when it is dropped.
pub struct Stage {
    name: String,
    pids: Vec<u32>,
    shape: Shape,
    copies: usize,
    next: u32,
    tally: Rc<Tally>,
    lanes: Vec<mpsc::Sender<Stamp>>,
    _tasks: JoinSet<()>,
}

/// Opens the sessions, drives one round, closes them.
///
/// # Errors
/// Those of [`Stage::open`] and [`Stage::round`].
pub async fn drive<S: System>(system: &mut S, plan: &Plan) -> anyhow::Result<Run>
where
    S::Session: 'static,
{
    Stage::open(system, plan.shape).await?.round(plan).await
}

impl Stage {
    /// Opens all sessions. Call it within a `LocalSet`.
    ///
    /// # Errors
    /// When this process may not have so many sockets, or one can't be opened.
    pub async fn open<S: System>(system: &mut S, shape: Shape) -> anyhow::Result<Self>
    where
        S::Session: 'static,
    {
        process::need_files(shape.sessions)?;
        let tally = Tally::new();
        let sessions = system.open(shape, Rc::clone(&tally) as Rc<dyn Sink>).await?;
        ensure!(sessions.len() == shape.sessions, "{} opened too few sessions", system.name());
        let mut tasks = JoinSet::new();
        let mut lanes = Vec::with_capacity(sessions.len());
        for (place, session) in sessions.into_iter().enumerate() {
            let (lane, stamps) = mpsc::channel(LANE);
            lanes.push(lane);
            tasks.spawn_local(send(session, place, stamps, shape.bytes, Rc::clone(&tally)));
        }
        let (name, pids, copies) = (system.name(), system.pids(), system.copies(shape));
        Ok(Self { name, pids, shape, copies, next: 0, tally, lanes, _tasks: tasks })
    }

    /// Drives one round: warm-up, load, and waiting for the last deliveries.
    ///
    /// # Errors
    /// When the plan does not fit these sessions, or a measured process is gone.
    pub async fn round(&mut self, plan: &Plan) -> anyhow::Result<Run> {
        plan.check()?;
        let (ours, theirs) = (self.shape, plan.shape);
        ensure!(
            (ours.sessions, ours.room, ours.bytes) == (theirs.sessions, theirs.room, theirs.bytes),
            "the plan is for other sessions than are open"
        );
        let timer = Timer::new()?;
        let first = self.next;
        self.next = first.checked_add(plan.messages()).context("too many messages in one run")?;
        let start = times::now();
        self.tally.begin(*plan, start, first, self.copies)?;
        let (samples, ()) =
            tokio::try_join!(self.watch(plan, start), self.offer(plan, start, first, &timer))?;
        self.tally.drained(PATIENCE).await;
        let counts = self.tally.finish().context("no round")?;
        Run::new(self.name.clone(), *plan, self.copies, counts, samples)
    }

    /// Hands each message to its session when its time has come, late ones at once.
    async fn offer(
        &self,
        plan: &Plan,
        start: Instant,
        first: u32,
        timer: &Timer,
    ) -> anyhow::Result<()> {
        let mut late = 0;
        for n in 0..plan.messages() {
            let due = start + plan.intended(n);
            if due > times::now() {
                late = 0;
                timer.until(due).await?;
            } else {
                late += 1;
                if late % LATE_AT_ONCE == 0 {
                    tokio::task::yield_now().await;
                }
            }
            let intended = u64::try_from(plan.intended(n).as_nanos())?;
            let (session, number) = (plan.sender(n), first + n);
            self.tally.handed(n);
            if self.lanes[session].try_send(Stamp { intended, number }).is_err() {
                self.tally.answered(session, number, Err(NOT_QUEUED));
            }
        }
        Ok(())
    }

    /// Looks at the processes and the books now and after each second, until the load ends.
    async fn watch(&self, plan: &Plan, start: Instant) -> anyhow::Result<Vec<Sample>> {
        let mut samples = Vec::new();
        for second in 0..=plan.warm_up + plan.seconds {
            sleep_until((start + Duration::from_secs(second.into())).into()).await;
            let (books, arrived) = self.tally.second();
            samples.push(Sample {
                at: start.elapsed(),
                cpu: process::cpu_of(&self.pids)?,
                generator: process::cpu(std::process::id())?,
                resident: process::resident_of(&self.pids)?,
                arrived,
                books,
            });
        }
        Ok(samples)
    }
}

async fn send(
    mut session: impl Session,
    place: usize,
    mut stamps: mpsc::Receiver<Stamp>,
    bytes: usize,
    tally: Rc<Tally>,
) {
    while let Some(stamp) = stamps.recv().await {
        if let Err(error) = session.send(&stamp.text(bytes)).await {
            return tally.ended(place, &format!("{error:#}"));
        }
    }
}
