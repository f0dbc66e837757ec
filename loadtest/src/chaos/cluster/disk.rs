//! A small disk of its own for what a process keeps: a file system in memory, which only root can
//! mount, and a file that fills it.

use std::{
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, ensure};

use super::part::output;

/// What fills it, beside the data.
const BALLAST: &str = "ballast";

/// See the module. Unmounted with its handle.
#[derive(Debug)]
pub struct Disk(PathBuf);

impl Disk {
    /// Mounts it there.
    ///
    /// # Errors
    /// When this user may not.
    pub fn mount(at: &Path, mib: u64) -> anyhow::Result<Self> {
        let size = format!("size={mib}m");
        let mut mount = Command::new("mount");
        output(mount.args(["-t", "tmpfs", "-o", &size, "harkara-chaos"]).arg(at))
            .context("a small disk needs root: leave cluster.disk_mib out of the plan")?;
        Ok(Self(at.to_owned()))
    }

    /// Takes all that is free.
    ///
    /// # Errors
    /// When it doesn't get full.
    pub fn fill(&self) -> anyhow::Result<()> {
        let mut file = std::fs::File::create(self.0.join(BALLAST))?;
        let piece = vec![0; 64 * 1024];
        let mut size = piece.len();
        while size > 0 {
            match file.write(&piece[..size]) {
                Ok(written) => ensure!(written > 0, "nothing written"),
                Err(error) if error.kind() == ErrorKind::StorageFull => size /= 2,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Gives it back.
    ///
    /// # Errors
    /// When that can't be removed.
    pub fn empty(&self) -> anyhow::Result<()> {
        std::fs::remove_file(self.0.join(BALLAST)).context("the ballast stays")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a process that is being killed may still have files there.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
