//! Does what the schedule says, each fault at its time, and waits until what it hit has recovered.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use futures_util::future::join_all;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    cluster::{Cluster, Link, Part, part::Held},
    fault::{Fault, Kind, Role, Target},
    proxy::Weather,
    schedule,
};
use crate::{out, times};

/// A fault whose target is still busy with another one waits so long, and is left out then.
const BUSY: Duration = Duration::from_secs(15);

/// Between two resets while a link is reset.
const RESETS: Duration = Duration::from_millis(400);

/// Pause before a process that ended by itself is started again.
const AGAIN: Duration = Duration::from_millis(500);

/// What became of a fault.
#[derive(Debug, Clone)]
pub struct Happened {
    /// As planned.
    pub fault: Fault,
    /// When it began; it was left out if it did not.
    pub began: Option<Instant>,
    /// When it was over and what it hit was ready again.
    pub recovered: Instant,
    /// What should not have been, beside the fault itself.
    pub trouble: Option<String>,
}

/// What all faults need.
#[derive(Debug)]
pub struct Injector {
    /// What they happen to.
    pub cluster: Arc<Cluster>,
    /// For what is left to chance.
    pub seed: u64,
}

/// Does all of them, counted from `start`; the result is in their order.
pub async fn all(injector: Arc<Injector>, faults: Vec<Fault>, start: Instant) -> Vec<Happened> {
    let mut tasks = JoinSet::new();
    for fault in faults {
        let injector = Arc::clone(&injector);
        tasks.spawn(async move {
            let due = Duration::from_millis(fault.at_ms);
            sleep(due.saturating_sub(start.elapsed())).await;
            injector.happen(fault).await
        });
    }
    let mut all: Vec<Happened> = Vec::new();
    while let Some(happened) = tasks.join_next().await {
        match happened {
            Ok(happened) => all.push(happened),
            Err(error) => out::note(format!("a fault ended strangely: {error}")),
        }
    }
    all.sort_by_key(|happened| happened.fault.number);
    all
}

impl Injector {
    async fn happen(&self, fault: Fault) -> Happened {
        let mut began = None;
        let end = match fault.target {
            Target::Process(role, number) => match self.cluster.part(role, number) {
                Some(part) => self.process(&fault, part, &mut began).await,
                None => Err(anyhow::anyhow!("no such process")),
            },
            Target::Link(role, number) => match self.cluster.links.get(&(role, number)) {
                Some(link) => self.link(&fault, link, &mut began).await,
                None => Err(anyhow::anyhow!("no such link")),
            },
            Target::All if fault.kind == Kind::Rolling => self.rolling(&fault, &mut began).await,
            Target::All => self.blackout(&fault, &mut began).await,
        };
        let trouble = end.err().map(|error| format!("{fault}: {error:#}"));
        if began.is_none() {
            out::note(format!("left out, another one goes on: {fault}"));
        }
        Happened { fault, began, recovered: times::now(), trouble }
    }

    async fn process(
        &self,
        fault: &Fault,
        part: &Part,
        began: &mut Option<Instant>,
    ) -> anyhow::Result<()> {
        let Ok(mut held) = timeout(BUSY, part.hold()).await else { return Ok(()) };
        *began = Some(begin(fault));
        let lasts = Duration::from_millis(fault.for_ms);
        match fault.kind {
            Kind::Kill => {
                held.kill().await?;
                sleep(lasts).await;
                held.start().await
            }
            Kind::Stop => {
                let end = held.stop().await;
                sleep(lasts).await;
                held.start().await.and(end)
            }
            Kind::Freeze => {
                held.freeze().await?;
                sleep(lasts).await;
                held.thaw().await
            }
            Kind::Scale => {
                held.start().await?;
                sleep(lasts).await;
                held.stop().await
            }
            Kind::Files => {
                let limit = held.starve()?;
                sleep(lasts).await;
                limit.restore()
            }
            Kind::Disk => self.disk(part.role, lasts, &mut held).await,
            _ => Err(anyhow::anyhow!("not a fault of processes")),
        }
    }

    /// A server of ours must live through it. An engine gives up by itself, or serves no more: it is
    /// started anew, with all others of its kind, whose disk it is, too.
    async fn disk<'a>(
        &'a self,
        role: Role,
        lasts: Duration,
        held: &mut Held<'a>,
    ) -> anyhow::Result<()> {
        let disk = self.cluster.disks.get(&role).context("no small disk")?;
        let mut others = Vec::new();
        for part in self.cluster.parts.iter().filter(|part| part.role == role) {
            // Who holds several has taken the first one first: none waits for another one.
            if !held.is_of(part) {
                others.push(part.hold().await);
            }
        }
        let end = disk.fill();
        sleep(lasts).await;
        disk.empty()?;
        if !role.is_harkara() {
            let mut all: Vec<&mut Held<'_>> = others.iter_mut().chain([held]).collect();
            let killed = join_all(all.iter_mut().map(|held| held.kill())).await;
            let started = join_all(all.iter_mut().map(|held| held.start())).await;
            killed.into_iter().chain(started).collect::<anyhow::Result<()>>()?;
        }
        end
    }

    async fn link(
        &self,
        fault: &Fault,
        link: &Link,
        began: &mut Option<Instant>,
    ) -> anyhow::Result<()> {
        let Ok(_held) = timeout(BUSY, link.held.lock()).await else { return Ok(()) };
        *began = Some(begin(fault));
        let lasts = Duration::from_millis(fault.for_ms);
        if fault.kind == Kind::Reset {
            let start = times::now();
            while start.elapsed() < lasts {
                link.proxy.reset();
                sleep(RESETS.min(lasts)).await;
            }
            return Ok(());
        }
        link.proxy.set(match fault.kind {
            Kind::Partition => Weather::Cut,
            Kind::Deaf => Weather::Deaf,
            Kind::Delay => Weather::Late(schedule::delay(self.seed, fault)),
            _ => Weather::Lossy,
        });
        sleep(lasts).await;
        link.proxy.set(Weather::Fair);
        Ok(())
    }

    /// One after the other, each waited for.
    async fn rolling(&self, fault: &Fault, began: &mut Option<Instant>) -> anyhow::Result<()> {
        *began = Some(begin(fault));
        let mut end = Ok(());
        for part in self.cluster.parts.iter().filter(|part| part.role.is_harkara()) {
            let mut held = part.hold().await;
            held.upgrade();
            if !held.is_meant_to_run() {
                continue; // comes and goes by itself
            }
            let stopped = held.stop().await;
            sleep(Duration::from_millis(fault.for_ms)).await;
            end = end.and(stopped).and(held.start().await);
        }
        end
    }

    async fn blackout(&self, fault: &Fault, began: &mut Option<Instant>) -> anyhow::Result<()> {
        let mut all = Vec::new();
        for part in &self.cluster.parts {
            // Every other fault holds one process and waits for none: this ends.
            let held = part.hold().await;
            if held.is_meant_to_run() {
                all.push(held);
            }
        }
        *began = Some(begin(fault));
        let killed = join_all(all.iter_mut().map(Held::kill)).await;
        sleep(Duration::from_millis(fault.for_ms)).await;
        let order = schedule::order(self.seed, fault, all.len());
        let mut pauses = vec![Duration::ZERO; all.len()];
        let mut due = Duration::ZERO;
        for (process, pause) in order {
            due += pause;
            pauses[process] = due;
        }
        let started = all.iter_mut().zip(pauses).map(|(held, pause)| async move {
            sleep(pause).await;
            held.start().await
        });
        let started = join_all(started).await;
        killed.into_iter().chain(started).collect()
    }
}

fn begin(fault: &Fault) -> Instant {
    out::note(format!("{fault}"));
    times::now()
}

/// Starts what ended by itself again; tells of each.
pub async fn supervise(cluster: &Cluster) -> Vec<String> {
    let mut troubles = Vec::new();
    for part in &cluster.parts {
        // Somebody who holds it knows what happens to it.
        let Some(mut held) = part.try_hold() else { continue };
        let Some(how) = held.ended() else { continue };
        let words = held.last_words();
        troubles.push(format!("{} ended by itself ({how}): {words}", part.name()));
        sleep(AGAIN).await;
        if let Err(error) = held.start().await {
            troubles.push(format!("{} could not be started again: {error:#}", part.name()));
        }
    }
    troubles
}
