//! `harkara import`: an archive becomes rows of a store. Chunk by chunk, the conversations of a
//! chunk at once, each in its order: events, then its state, cursors, and lists last, so that no
//! list ever names a conversation that is not there. [`piece`] does one conversation.
//!
//! Everything is compared before it is written. What is there already and the same is left as it
//! is, so importing twice changes nothing; what is there and different is refused.
//!
//! **Positions.** Rows name the log record that caused them, and a worker skips records at or
//! below the last of them. Positions compare by the log's generation first, so those of a log that
//! is older than the target's are all lower than everything the target's log will ever hold. If
//! the target's log is the older one, the generations of all imported positions are lowered by the
//! same number until they are below it. That is sound: positions are compared only with those of
//! the same conversation, their order stays the same, and they are in no hash.

mod piece;
mod resume;

use std::path::Path;

use anyhow::ensure;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use harkara_domain::{Generation, Position};
use harkara_engine::Store;

use self::{
    piece::{Job, jobs},
    resume::Resume,
};
use super::{AT_ONCE, Progress, archive::Archive, patiently};

/// What an import did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Imported {
    /// Chunks that were read.
    pub chunks: u64,
    /// Events that were there already.
    pub there: u64,
    /// Events that were written.
    pub written: u64,
}

/// How much lower generations become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shift(u64);

impl Shift {
    /// What makes positions of `source` lower than all of `target`. An archive of this very log
    /// stays as it is: its positions are the log's own.
    #[must_use]
    pub fn between(source: Generation, target: Generation) -> Self {
        match source.0.checked_sub(target.0) {
            None | Some(0) => Self(0),
            Some(ahead) => Self(ahead + 1),
        }
    }

    /// The position, lowered.
    ///
    /// # Errors
    /// There is no such low generation.
    pub fn lower(self, position: Position) -> anyhow::Result<Position> {
        let Position { generation: Generation(generation), offset } = position;
        let lowered = generation.checked_sub(self.0);
        ensure!(
            lowered.is_some(),
            "the target's log was made before this data's, and its generation leaves no room \
             below it: make a new keyspace and new topics with `harkara migrate`, and import there"
        );
        Ok(Position { generation: Generation(lowered.unwrap_or_default()), offset })
    }
}

/// Writes an archive into a store. `remembered` is a small file that says how far it was; without
/// it everything is compared again.
///
/// # Errors
/// A chunk is damaged, the target has other events, or can't be written.
pub async fn import(
    archive: &Archive,
    store: &dyn Store,
    remembered: &Path,
    progress: &Progress,
) -> anyhow::Result<Imported> {
    let target = patiently("read the store's generation", || store.generation()).await?;
    let target = target.ok_or_else(|| {
        anyhow::anyhow!("the target is not set up yet: run `harkara migrate` first")
    })?;
    let shift = Shift::between(Generation(archive.manifest.source.generation), target);
    let import = Import { archive, store, shift };
    let resume = Resume::open(remembered, &archive.id, target)?;
    let first = import.first(resume.chunks()).await?;
    let chunks = archive.manifest.chunks.len();
    let all: u64 = archive.manifest.chunks.iter().map(|chunk| chunk.bytes).sum();
    let named = archive.manifest.chunks.iter().map(|chunk| chunk.bytes);
    progress.begin("import", named.take(first).sum(), all);
    let mut imported = Imported::default();
    for (index, chunk) in archive.manifest.chunks.iter().enumerate().skip(first) {
        let (there, written) = import.chunk(index).await?;
        imported.chunks += 1;
        imported.there += there;
        imported.written += written;
        resume.reached(index + 1)?;
        progress.add(chunk.bytes, chunk.rows, chunk.bytes);
    }
    if chunks > 0 {
        progress.end();
    }
    Ok(imported)
}

struct Import<'a> {
    archive: &'a Archive,
    store: &'a dyn Store,
    shift: Shift,
}

impl Import<'_> {
    /// The chunk to begin with, where `done` were imported before. A store may lose its newest
    /// writes in a crash, so it goes back to the newest chunk that is there as a whole: writes
    /// were made in the order of chunks, so all before it is there, too.
    async fn first(&self, done: usize) -> anyhow::Result<usize> {
        let mut index = done.min(self.archive.manifest.chunks.len());
        while index > 0 {
            index -= 1;
            let jobs = jobs(self.archive.chunk(index)?, self.shift)?;
            let there = stream::iter(jobs)
                .map(|job| async move { job.is_there(self.store).await })
                .buffer_unordered(AT_ONCE)
                .try_fold(true, |all, one| async move { Ok(all && one) })
                .await?;
            if there {
                break;
            }
        }
        Ok(index)
    }

    /// Imports a chunk: events that were there, events that were written.
    async fn chunk(&self, index: usize) -> anyhow::Result<(u64, u64)> {
        let jobs: Vec<Job> = jobs(self.archive.chunk(index)?, self.shift)?;
        stream::iter(jobs)
            .map(|job| async move { job.write(self.store).await })
            .buffer_unordered(AT_ONCE)
            .try_fold(
                (0, 0),
                |(there, written), (t, w)| async move { Ok((there + t, written + w)) },
            )
            .await
    }
}
