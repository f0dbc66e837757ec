//! The archive: a directory of chunks and a manifest. [`chunk`] has the form of a chunk,
//! [`manifest`] that of the manifest, `files` writes both so that a crash leaves the old one or
//! the new one. Written by `export`, read by `import`.
//!
//! ```text
//! manifest.json   which chunks there are, their checksums, where the next one begins
//! chunk-000001    rows: profiles, then conversation after conversation
//! ```
//!
//! A chunk that the manifest does not name was cut off half-way and is written again.

pub mod chunk;
mod files;
pub mod manifest;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};

pub use self::{
    chunk::{Head, Row},
    manifest::{Counts, Manifest, Place, Source},
};

/// Bytes of a chunk, about: read as a whole before anything of it is written, so it must fit into
/// memory a few times; large enough that the manifest (140 bytes a chunk, written with each) stays
/// small: 10 GB are 1,200 chunks and a manifest of 170 kB.
pub const CHUNK_BYTES: usize = 8 * 1024 * 1024;

/// Writes an archive, or goes on with one.
pub struct Writer {
    dir: PathBuf,
    manifest: Manifest,
    chunk: chunk::Builder,
    chunk_bytes: usize,
}

impl Writer {
    /// Begins in an empty or new directory, or goes on behind the last whole chunk of an export
    /// of the same source.
    ///
    /// # Errors
    /// The directory holds something else, or can't be written.
    pub fn open(dir: &Path, source: Source, chunk_bytes: usize) -> anyhow::Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("can't make {}", dir.display()))?;
        let manifest = match Manifest::read(dir)? {
            Some(manifest) => {
                ensure!(
                    manifest.source == source,
                    "{} holds the export of another log, or of an earlier state of this one: \
                     export to an empty directory",
                    dir.display()
                );
                manifest
            }
            None => {
                ensure!(
                    is_empty(dir)?,
                    "{} is not empty: export to an empty directory",
                    dir.display()
                );
                let manifest = Manifest::new(source);
                manifest.write(dir)?;
                manifest
            }
        };
        Ok(Self { dir: dir.to_owned(), manifest, chunk: chunk::Builder::default(), chunk_bytes })
    }

    /// Where the next row belongs.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.manifest.next
    }

    /// What is in it.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.manifest.counts
    }

    /// Adds a row: how many bytes it took.
    ///
    /// # Errors
    /// The row is too long to be one, which no row of ours is.
    pub fn push(&mut self, row: &Row) -> anyhow::Result<u64> {
        self.manifest.counts.add(row);
        self.chunk.push(row)
    }

    /// Is it time to cut?
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.chunk.bytes() >= self.chunk_bytes
    }

    /// Writes what was pushed as a chunk. After a crash it goes on at `next`.
    ///
    /// # Errors
    /// The disk's.
    pub fn cut(&mut self, next: Place) -> anyhow::Result<()> {
        if !self.chunk.is_empty() {
            let number = self.manifest.chunks.len() + 1;
            let name = format!("chunk-{number:06}");
            let (bytes, rows) = std::mem::take(&mut self.chunk).finish();
            files::replace(&self.dir, &name, &bytes)?;
            self.manifest.chunks.push(manifest::Chunk::new(name, &bytes, rows));
        }
        self.manifest.next = next;
        self.manifest.write(&self.dir)
    }
}

/// Nothing is there but what an export that was killed at its beginning leaves.
fn is_empty(dir: &Path) -> anyhow::Result<bool> {
    for entry in fs::read_dir(dir)? {
        if entry?.file_name() != files::unfinished(manifest::NAME).as_str() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A whole archive, to be read.
pub struct Archive {
    dir: PathBuf,
    /// What is in it.
    pub manifest: Manifest,
    /// The BLAKE3 of the manifest, in hex: which archive this is.
    pub id: String,
}

impl Archive {
    /// Opens an archive.
    ///
    /// # Errors
    /// There is none, or it is not whole.
    pub fn open(dir: &Path) -> anyhow::Result<Self> {
        let Some(manifest) = Manifest::read(dir)? else {
            bail!("{} is no archive: it has no {}", dir.display(), manifest::NAME);
        };
        ensure!(
            manifest.next == Place::Done,
            "the export in {} was not finished: run `harkara export` with it again, it goes on \
             where it was",
            dir.display()
        );
        let id = Manifest::id(dir)?;
        Ok(Self { dir: dir.to_owned(), manifest, id })
    }

    /// All rows of a chunk, counted from 0. Nothing is given of one that is damaged.
    ///
    /// # Errors
    /// The chunk is missing or not what was written.
    pub fn chunk(&self, index: usize) -> anyhow::Result<Vec<Row>> {
        let named = self.manifest.chunks.get(index).context("the archive has no such chunk")?;
        let path = self.dir.join(&named.file);
        let bytes =
            fs::read(&path).with_context(|| format!("can't read the chunk {}", path.display()))?;
        ensure!(
            named.is(&bytes),
            "the chunk {} is damaged (its checksum is another one than the manifest's): nothing \
             of it was used; copy the archive again, or export again",
            path.display()
        );
        let rows = chunk::read(&bytes)
            .with_context(|| format!("the chunk {} can't be read", path.display()))?;
        ensure!(rows.len() as u64 == named.rows, "{} has {} rows", path.display(), rows.len());
        Ok(rows)
    }

    /// The archive's directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

/// Reads a small file of our own making, beside the chunks.
pub use self::files::{read_json, write_json};
