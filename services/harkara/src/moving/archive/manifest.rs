//! The manifest: what an archive has, and where its export goes on. Written after each chunk, so
//! it never names a chunk that is not on the disk. JSON, for people who want to look.

use std::{fs, path::Path};

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};

use super::{
    chunk::Row,
    files::{read_json, write_json},
};

/// The manifest's file.
pub const NAME: &str = "manifest.json";

/// The form of archives; raised when an older build could misread one.
pub const FORMAT: u32 = 1;

/// The manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// What it was taken from.
    pub source: Source,
    /// What is in the chunks.
    pub counts: Counts,
    /// Where the export goes on.
    pub next: Place,
    /// In order.
    pub chunks: Vec<Chunk>,
}

/// Which log, and how far it was: a source that has moved on is another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Which life of the log.
    pub generation: u64,
    /// The end of each partition.
    pub ends: Vec<u64>,
}

/// Rows by what they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Names of users.
    pub profiles: u64,
    /// Conversations that are whole.
    pub conversations: u64,
    /// Events of all conversations.
    pub events: u64,
    /// Rows of lists, those that say "not any more" included.
    pub memberships: u64,
    /// Read cursors.
    pub cursors: u64,
}

impl Counts {
    /// Counts a row.
    pub fn add(&mut self, row: &Row) {
        match row {
            Row::Profile(_) => self.profiles += 1,
            Row::Event(_) => self.events += 1,
            Row::State(_) => self.conversations += 1,
            Row::Memberships(rows) => self.memberships += rows.len() as u64,
            Row::Cursors(rows) => self.cursors += rows.len() as u64,
            Row::Conversation(_) => {}
        }
    }
}

/// Where an export goes on. Conversations are exported in the order of their ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "at", rename_all = "snake_case")]
pub enum Place {
    /// Among the profiles: the store's mark in hex, empty at the beginning.
    Profiles {
        /// The mark.
        mark: String,
    },
    /// All profiles are in it.
    Conversations,
    /// This conversation is in it up to an event.
    Within {
        /// Its id.
        conversation: String,
        /// The last event that is in it.
        event: u64,
    },
    /// This conversation and all with lower ids are in it.
    Behind {
        /// Its id.
        conversation: String,
    },
    /// Everything is in it.
    Done,
}

/// One chunk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// Its name in the archive's directory.
    pub file: String,
    /// Its length.
    pub bytes: u64,
    /// Rows in it.
    pub rows: u64,
    /// BLAKE3 of the whole file, in hex.
    pub blake3: String,
}

impl Chunk {
    /// What the manifest says of these bytes.
    #[must_use]
    pub fn new(file: String, bytes: &[u8], rows: u64) -> Self {
        let blake3 = blake3::hash(bytes).to_hex().to_string();
        Self { file, bytes: bytes.len() as u64, rows, blake3 }
    }

    /// Are these the bytes that were written?
    #[must_use]
    pub fn is(&self, bytes: &[u8]) -> bool {
        self.bytes == bytes.len() as u64 && self.blake3 == blake3::hash(bytes).to_hex().as_str()
    }
}

impl Manifest {
    /// Of an archive with nothing in it.
    #[must_use]
    pub fn new(source: Source) -> Self {
        let next = Place::Profiles { mark: String::new() };
        let (counts, chunks) = (Counts::default(), Vec::new());
        Self { format: FORMAT, source, counts, next, chunks }
    }

    /// The manifest of a directory, if it has one.
    ///
    /// # Errors
    /// It is damaged, or of a newer build.
    pub fn read(dir: &Path) -> anyhow::Result<Option<Self>> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let path = dir.join(NAME);
        let Some(Format { format }) = read_json(&path)? else { return Ok(None) };
        ensure!(
            format <= FORMAT,
            "the archive {} has the form {format}, this build reads up to {FORMAT}: use the build \
             that wrote it, or a newer one",
            dir.display()
        );
        read_json(&path)
    }

    /// Writes it, durably.
    ///
    /// # Errors
    /// The disk's.
    pub fn write(&self, dir: &Path) -> anyhow::Result<()> {
        write_json(&dir.join(NAME), self)
    }

    /// The BLAKE3 of the file, in hex.
    ///
    /// # Errors
    /// The disk's.
    pub fn id(dir: &Path) -> anyhow::Result<String> {
        let path = dir.join(NAME);
        let bytes = fs::read(&path).with_context(|| format!("can't read {}", path.display()))?;
        Ok(blake3::hash(&bytes).to_hex().to_string())
    }
}
