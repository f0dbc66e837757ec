//! The systems of a comparison, whatever their types, and their rounds in turn: each system has a
//! round before any has its next, and sessions only while it has one.

use futures_util::{FutureExt as _, future::LocalBoxFuture};

use super::search::Search;
use crate::{
    out,
    steady::{Plan, Run, Stage, drive, run::number, typing},
    system::{Shape, System},
};

/// No search goes above so many messages a second.
const RATE_MAX: f64 = 100_000.0;

/// Seconds of a try, and of its warm-up.
const TRY_SECONDS: u32 = 5;
const TRY_WARM_UP: u32 = 2;

/// The latency that a rate must keep, 99th percentile, milliseconds.
pub const HELD_MS: f64 = 100.0;

/// A [`System`] without its types.
trait Driven {
    fn drive<'a>(&'a mut self, plan: &'a Plan) -> LocalBoxFuture<'a, anyhow::Result<Run>>;
    fn open(&mut self, shape: Shape) -> LocalBoxFuture<'_, anyhow::Result<Stage>>;
}

impl<S: System> Driven for S
where
    S::Session: 'static,
{
    fn drive<'a>(&'a mut self, plan: &'a Plan) -> LocalBoxFuture<'a, anyhow::Result<Run>> {
        drive(self, plan).boxed_local()
    }

    fn open(&mut self, shape: Shape) -> LocalBoxFuture<'_, anyhow::Result<Stage>> {
        Stage::open(self, shape).boxed_local()
    }
}

/// A system and what came out for it.
pub struct Side {
    /// For keys of figures: `harkara_push`.
    pub key: &'static str,
    /// For people.
    pub name: String,
    /// Whether it stores messages.
    pub durable: bool,
    /// Deliveries of each message.
    copies: usize,
    system: Box<dyn Driven>,
    /// Its rounds.
    pub runs: Vec<Run>,
    /// Deliveries a second that it held, per search.
    pub held: Vec<f64>,
    /// What ended the searches.
    pub broke: Vec<String>,
    /// Why it takes part no more.
    pub failed: Option<String>,
}

impl Side {
    /// Nothing was measured yet.
    #[must_use]
    pub fn new<S: System + 'static>(
        key: &'static str,
        durable: bool,
        system: S,
        shape: Shape,
    ) -> Self
    where
        S::Session: 'static,
    {
        let (name, copies) = (system.name(), system.copies(shape));
        let (runs, held, broke) = (Vec::new(), Vec::new(), Vec::new());
        let system = Box::new(system);
        Self { key, name, durable, copies, system, runs, held, broke, failed: None }
    }

    /// The plan with as many deliveries a second as if everybody in a room got each message.
    fn offered(&self, plan: &Plan) -> Plan {
        let rate = plan.rate * number(plan.shape.room as u64) / number(self.copies as u64);
        Plan { rate: rate.round(), ..*plan }
    }

    /// Refuses what the system can't be asked for.
    ///
    /// # Errors
    /// A sentence.
    pub fn check(&self, plan: &Plan) -> anyhow::Result<()> {
        let plan = self.offered(plan);
        plan.check()?;
        // What does not come back to its sender is a notice of typing.
        if self.copies < plan.shape.room { typing::check(&plan) } else { Ok(()) }
    }

    /// Has a round, unless it failed in one before. Whoever can't go on is left out from then on, so
    /// that the others' rounds are not lost.
    pub async fn round(&mut self, plan: &Plan) {
        if self.failed.is_none() {
            let run = self.driven(plan).await;
            let run = self.or_fail(run);
            self.runs.extend(run);
        }
    }

    async fn driven(&mut self, plan: &Plan) -> anyhow::Result<Run> {
        let run = self.system.drive(&self.offered(plan)).await?;
        out::note(format!(
            "{}: {:.1} µs per delivery, p99 {:.2} ms, {} missing",
            self.name,
            run.cpu_us(),
            run.deliver_ms(0.99),
            run.missing()
        ));
        Ok(run)
    }

    fn or_fail<T>(&mut self, result: anyhow::Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                let loud = format!("FAILED: {}: {error:#}", self.name);
                out::note(&loud);
                self.failed = Some(loud);
                None
            }
        }
    }

    /// Searches for the highest rate that it holds, from where the last search ended.
    pub async fn search(&mut self, plan: &Plan, pinned: Option<usize>) {
        if self.failed.is_none() {
            let highest = self.highest(plan, pinned).await;
            let highest = self.or_fail(highest);
            self.held.extend(highest);
        }
    }

    /// Deliveries a second.
    async fn highest(&mut self, plan: &Plan, pinned: Option<usize>) -> anyhow::Result<f64> {
        let per_message = number(self.copies as u64);
        let last = self.held.last().map(|held| held / per_message).filter(|&rate| rate > 0.0);
        let mut search = Search::from(last.unwrap_or(plan.rate), RATE_MAX);
        let (mut stage, mut broke) = (None, None);
        while let Some(rate) = search.next() {
            let plan = Plan { rate, warm_up: TRY_WARM_UP, seconds: TRY_SECONDS, ..*plan };
            let mut open = match stage.take() {
                Some(open) => open,
                None => self.system.open(plan.shape).await?,
            };
            let run = open.round(&plan).await?;
            let held = run.is_whole() && run.refused() == 0 && run.deliver_ms(0.99) <= HELD_MS;
            let told = what_happened(&run, pinned);
            out::note(format!("{}: {}: {told}", self.name, if held { "holds" } else { "breaks" }));
            search.tell(held);
            if run.is_whole() {
                stage = Some(open); // otherwise sessions may be gone
            }
            if !held {
                broke = Some(told);
            }
        }
        self.broke.extend(broke);
        Ok(search.highest().unwrap_or_default() * per_message)
    }
}

fn what_happened(run: &Run, pinned: Option<usize>) -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let loud = run.breath(pinned).notes(cores).join("; ");
    format!(
        "at {:.0} messages/s p99 {:.1} ms, {} deliveries missing, {} messages refused{}{loud}",
        run.plan.rate,
        run.deliver_ms(0.99),
        run.missing(),
        run.refused(),
        if loud.is_empty() { "" } else { "; " },
    )
}
