//! Files that are there as a whole or not at all: written under another name, forced to the disk,
//! renamed. Below `archive`; nobody else writes into an archive.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write as _},
    path::Path,
};

use anyhow::Context as _;
use serde::{Serialize, de::DeserializeOwned};

/// What a file is called until it is whole.
#[must_use]
pub fn unfinished(name: &str) -> String {
    format!("{name}.new")
}

/// Writes or replaces a file of a directory, durably.
pub fn replace(dir: &Path, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
    let (path, new) = (dir.join(name), dir.join(unfinished(name)));
    let write = || {
        let mut file = File::create(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        File::open(dir)?.sync_all()
    };
    write().with_context(|| {
        format!("can't write {}: check the disk's free space and rights", path.display())
    })
}

/// Writes a value as JSON, durably.
///
/// # Errors
/// The disk's.
pub fn write_json<T: Serialize>(path: &Path, value: &T) -> anyhow::Result<()> {
    let (dir, name) = (path.parent(), path.file_name().and_then(|name| name.to_str()));
    let name = name.with_context(|| format!("{} names no file", path.display()))?;
    let dir = dir.filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut bytes = serde_json::to_vec_pretty(value)?;
    bytes.push(b'\n');
    replace(dir, name, &bytes)
}

/// Reads a JSON file; none where there is no file.
///
/// # Errors
/// It can't be read, or is not what we write.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> anyhow::Result<Option<T>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(error).with_context(|| format!("can't read {}", path.display()));
        }
    };
    let value = serde_json::from_slice(&bytes)
        .with_context(|| format!("{} is damaged: copy it again", path.display()))?;
    Ok(Some(value))
}
