//! A child process whose output is read: its last lines are kept, one can be waited for, and its
//! end. A thread for each pipe, so that the child never waits for a reader.

use std::{
    collections::VecDeque,
    io::{BufRead as _, BufReader, Read},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, anyhow, bail};

use crate::times;

/// Lines kept of each pipe.
const KEPT: usize = 200;

/// Lines told when something went wrong, and letters of each.
const TOLD: usize = 5;
const LETTERS: usize = 300;

/// A process that ends with its handle.
#[derive(Debug)]
pub struct Process {
    child: Child,
    out: Output,
    err: Output,
}

/// What a pipe brought.
#[derive(Debug, Clone, Default)]
struct Output(Arc<(Mutex<Lines>, Condvar)>);

#[derive(Debug, Default)]
struct Lines {
    last: VecDeque<String>,
    is_over: bool,
}

impl Output {
    fn read(pipe: impl Read + Send + 'static) -> Self {
        let output = Self::default();
        let writer = output.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                let mut lines = writer.lines();
                if lines.last.len() == KEPT {
                    lines.last.pop_front();
                }
                lines.last.push_back(String::from_utf8_lossy(&line).into_owned());
                writer.0.1.notify_all();
            }
            writer.lines().is_over = true;
            writer.0.1.notify_all();
        });
        output
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `seen` finds something, but not longer than that.
    fn wait<T>(&self, patience: Duration, mut seen: impl FnMut(&Lines) -> Option<T>) -> Option<T> {
        let start = times::now();
        let mut lines = self.lines();
        loop {
            if let Some(found) = seen(&lines) {
                return Some(found);
            }
            let left = patience.checked_sub(start.elapsed())?;
            let woken = self.0.1.wait_timeout(lines, left);
            lines = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Process {
    /// Starts it.
    ///
    /// # Errors
    /// When there is no such program.
    pub fn start(command: &mut Command) -> anyhow::Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let program = command.get_program().to_string_lossy().into_owned();
        let mut child = command.spawn().with_context(|| format!("{program} doesn't start"))?;
        let out = Output::read(child.stdout.take().context("no standard output")?);
        let err = Output::read(child.stderr.take().context("no standard error")?);
        Ok(Self { child, out, err })
    }

    /// Its number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line on its standard output.
    ///
    /// # Errors
    /// When it doesn't come in time or the process ends before.
    pub fn line<T>(
        &self,
        patience: Duration,
        find: impl Fn(&str) -> Option<T>,
    ) -> anyhow::Result<T> {
        let seen = |lines: &Lines| match lines.last.iter().find_map(|line| find(line)) {
            Some(found) => Some(Some(found)),
            None => lines.is_over.then_some(None),
        };
        match self.out.wait(patience, seen) {
            Some(Some(found)) => Ok(found),
            Some(None) => Err(anyhow!("it ended: {}", self.last_words())),
            None => Err(anyhow!("not ready after {patience:?}: {}", self.last_words())),
        }
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it doesn't end in time; then it is killed.
    pub fn end(&mut self, patience: Duration) -> anyhow::Result<ExitStatus> {
        let is_over = |lines: &Lines| lines.is_over.then_some(());
        if self.out.wait(patience, is_over).is_none() {
            // It may have ended just now.
            let _ = self.child.kill();
            bail!("no end after {} min: {}", patience.as_secs() / 60, self.last_words());
        }
        let status = self.child.wait()?;
        // What it said last is on its way through the pipe.
        self.err.wait(Duration::from_secs(1), is_over);
        Ok(status)
    }

    /// Asks it to end, and waits; kills it when that takes too long.
    pub fn stop(&mut self, patience: Duration) {
        let pid = i32::try_from(self.pid()).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            // One that has ended already needs no asking.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.end(patience);
    }

    /// What it said last, on either pipe.
    #[must_use]
    pub fn last_words(&self) -> String {
        let told = |output: &Output| -> Vec<String> {
            let lines = output.lines();
            let told: Vec<&String> = lines.last.iter().filter(|it| !it.trim().is_empty()).collect();
            let last = &told[told.len().saturating_sub(TOLD)..];
            last.iter().map(|line| line.chars().take(LETTERS).collect()).collect()
        };
        let words = [told(&self.out), told(&self.err)].concat();
        if words.is_empty() { "it said nothing".to_owned() } else { words.join("; ") }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    fn shell(script: &str) -> Process {
        Process::start(Command::new("sh").args(["-c", script])).expect("a shell")
    }

    #[test]
    fn a_line_is_found_and_the_end_seen() {
        let mut child = shell("echo one; echo two >&2; echo port 17; exit 3");
        let port = |line: &str| line.strip_prefix("port ")?.parse::<u16>().ok();
        assert_eq!(child.line(LONG, port).expect("the line"), 17);
        assert_eq!(child.end(LONG).expect("an end").code(), Some(3));
        assert_eq!(child.last_words(), "one; port 17; two");
        let mut long = shell("printf %01000d 1");
        long.end(LONG).expect("an end");
        assert_eq!(long.last_words().len(), LETTERS);
        let error = child.line(LONG, |_| None::<()>).expect_err("it is over");
        assert!(error.to_string().contains("two"), "{error}");
    }

    #[test]
    fn one_that_does_not_end_is_killed() {
        let mut child = shell("echo begun; exec sleep 600");
        child.line(LONG, |line| (line == "begun").then_some(())).expect("the line");
        let error = child.end(Duration::from_millis(50)).expect_err("it sleeps");
        assert!(error.to_string().contains("begun"), "{error}");
    }

    #[test]
    fn one_that_is_asked_to_ends() {
        let mut child =
            shell("trap 'echo asked; exit 0' TERM; echo begun; while :; do sleep 0.05; done");
        child.line(LONG, |line| (line == "begun").then_some(())).expect("the line");
        child.stop(LONG);
        assert!(child.last_words().contains("asked"), "{}", child.last_words());
    }
}
