//! The thread that looks after an open log: readiness every few seconds, where partitions end (for
//! the consumer's watchdog), and each minute whether the log is still what it was made to be.

use std::{
    sync::{
        Arc,
        atomic::{
            AtomicBool,
            Ordering::{AcqRel, Acquire, Release},
        },
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use harkara_engine::LogError;
use rdkafka::Offset;

use crate::{check::Checker, client::words, probe::Shape, shared::Shared};

/// Between two looks at the topic's leaders and copies. Answers of 1,024 partitions have 60 kB;
/// an append that fails says so before.
const LOOK: Duration = Duration::from_secs(3);

/// Looks between two complete checks: a minute.
const LOOKS_PER_CHECK: u32 = 20;

/// The running thread.
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Starts looking.
    pub(crate) fn start(shared: Arc<Shared>, checker: Checker) -> Result<Self, LogError> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new().name("kafka-watch".into());
        let thread = thread.spawn(move || watch(&shared, &checker, &stopped));
        let thread =
            thread.map_err(|error| LogError::Unknown(format!("no thread for checks: {error}")))?;
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Ends it. Blocks for as long as a question to a broker takes, seconds at most.
    pub(crate) fn join(&mut self) {
        self.stop.store(true, Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!("the thread that looks after the log ended early: see the log");
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Release);
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

fn watch(shared: &Shared, checker: &Checker, stop: &AtomicBool) {
    let mut looks = 0;
    while !stop.load(Acquire) {
        thread::park_timeout(LOOK);
        if stop.load(Acquire) {
            return;
        }
        looks += 1;
        checker.listen();
        let looked = look(shared, checker).and_then(|()| {
            if looks < LOOKS_PER_CHECK && !shared.doubt.swap(false, AcqRel) {
                return Ok(());
            }
            looks = 0;
            check(shared, checker)
        });
        if looked.is_err() {
            // Whatever it was: afterwards everything is looked at before the minute is over.
            looks = LOOKS_PER_CHECK;
        }
        shared.health.set(looked.map_err(words));
    }
}

/// Can records be taken?
fn look(shared: &Shared, checker: &Checker) -> Result<(), LogError> {
    let topic = &shared.topic;
    let shape = checker.probe().shape(topic)?;
    let shape = shape.ok_or_else(|| LogError::Unknown(format!("topic {topic} is gone")))?;
    let least = usize::from(shared.config.min_insync);
    let able = |shape: &&Shape| shape.led && shape.insync >= least;
    let unable = shape.len() - shape.iter().filter(able).count();
    if unable == shape.len() {
        let led = shape.iter().filter(|shape| shape.led).count();
        return Err(LogError::Unknown(format!(
            "no partition takes records: {led} of {} have a leader, and none has {least} copies in \
             step; look after the brokers",
            shape.len()
        )));
    }
    if unable > 0 {
        // Others work: a process that answered for none would make it worse.
        tracing::warn!(
            unable,
            of = shape.len(),
            "some partitions take no records: look after the brokers"
        );
    }
    let ends = checker.probe().offsets(topic, shared.partitions, Offset::End);
    match ends {
        Ok(ends) => shared.set_ends(&ends),
        Err(error) => tracing::debug!(%error, "the ends of partitions are not known now"),
    }
    Ok(())
}

/// Is it still the log that was opened? What is wrong with it now stays wrong.
fn check(shared: &Shared, checker: &Checker) -> Result<(), LogError> {
    match checker.check(&shared.config) {
        Ok(generation) if generation == shared.generation => Ok(()),
        Ok(generation) => {
            shared.health.stop(format!(
                "generation {} of the log is in use, and this process works with {}: restart it",
                generation.0, shared.generation.0
            ));
            Ok(())
        }
        Err(LogError::Stop(why)) => {
            shared.health.stop(why.clone());
            Err(LogError::Stop(why))
        }
        Err(error) => Err(error),
    }
}
