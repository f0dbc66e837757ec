//! A process that may open no more files than it has: its soft limit is lowered, for a while.

use anyhow::Context as _;
use rustix::process::{Pid, Resource, Rlimit, prlimit};

/// Files that it may still open.
const LEFT: u64 = 2;

/// What it may open otherwise. Given back by [`Limit::restore`]; a process that has ended needs none.
#[derive(Debug)]
pub struct Limit {
    pid: Pid,
    before: Rlimit,
}

impl Limit {
    /// Lowers it.
    ///
    /// # Errors
    /// When there is no such process, or it is somebody else's.
    pub fn lower(pid: Pid) -> anyhow::Result<Self> {
        let path = format!("/proc/{}", pid.as_raw_nonzero());
        let fds = std::fs::read_dir(format!("{path}/fd"))?;
        let open = fds.flatten().filter_map(|fd| fd.file_name().to_str()?.parse::<u64>().ok());
        // The limit is one beyond the highest number that may be given out.
        let current = Some(open.max().unwrap_or(0) + 1 + LEFT);
        let maximum = hard(&std::fs::read_to_string(format!("{path}/limits"))?)
            .with_context(|| format!("strange {path}/limits"))?;
        let before = prlimit(Some(pid), Resource::Nofile, Rlimit { current, maximum })?;
        Ok(Self { pid, before })
    }

    /// Gives it back.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn restore(self) -> anyhow::Result<()> {
        prlimit(Some(self.pid), Resource::Nofile, self.before)?;
        Ok(())
    }
}

/// The hard limit of open files; nothing inside where there is none.
fn hard(limits: &str) -> Option<Option<u64>> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_whitespace().nth(1)? {
        "unlimited" => Some(None),
        number => Some(Some(number.parse().ok()?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hard_limit_is_found() {
        let text = "Limit   Soft Limit   Hard Limit   Units\n\
                    Max open files            1024                 524288               files\n";
        assert_eq!(hard(text), Some(Some(524_288)));
        assert_eq!(hard(&text.replace("524288", "unlimited")), Some(None));
        assert_eq!(hard("nothing"), None);
    }

    #[test]
    fn a_process_is_starved_and_fed() {
        let mut child = std::process::Command::new("sleep").arg("600").spawn().expect("a process");
        let pid = Pid::from_child(&child);
        let soft = || {
            let text = std::fs::read_to_string(format!("/proc/{}/limits", child.id()));
            let text = text.expect("limits");
            let line = text.lines().find(|line| line.starts_with("Max open files"));
            let number = line.expect("a line").split_whitespace().nth(3).expect("a number");
            number.parse::<u64>().unwrap_or(u64::MAX)
        };
        let before = soft();
        let limit = Limit::lower(pid).expect("lowered");
        // It has what it was started with, and may have two more.
        assert!(soft() < before, "{} of {before}", soft());
        limit.restore().expect("restored");
        assert_eq!(soft(), before);
        child.kill().and_then(|()| child.wait()).expect("ended");
    }
}
