//! How far an import was: a small file of JSON, bound to one archive and one target. Losing it
//! costs time, nothing else.

use std::path::{Path, PathBuf};

use harkara_domain::Generation;
use serde::{Deserialize, Serialize};

use crate::moving::archive::{read_json, write_json};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Remembered {
    archive: String,
    target_generation: u64,
    chunks: usize,
}

/// The file, and what it said.
pub struct Resume {
    path: PathBuf,
    remembered: Remembered,
}

impl Resume {
    /// Reads the file. One of another archive or target counts as none.
    ///
    /// # Errors
    /// It can't be read.
    pub fn open(path: &Path, archive: &str, target: Generation) -> anyhow::Result<Self> {
        let fresh = Remembered { archive: archive.into(), target_generation: target.0, chunks: 0 };
        let found: Option<Remembered> = read_json(path)?;
        let fits = |found: &Remembered| Remembered { chunks: 0, ..found.clone() } == fresh;
        let remembered = found.filter(fits).unwrap_or(fresh);
        Ok(Self { path: path.to_owned(), remembered })
    }

    /// Chunks that were imported.
    #[must_use]
    pub fn chunks(&self) -> usize {
        self.remembered.chunks
    }

    /// So many chunks are imported.
    ///
    /// # Errors
    /// The disk's.
    pub fn reached(&self, chunks: usize) -> anyhow::Result<()> {
        write_json(&self.path, &Remembered { chunks, ..self.remembered.clone() })
    }
}
