//! A process: what it writes, signals, and its end.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read},
    process::{Child, Command, ExitStatus},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use rustix::process::{Pid, Signal, kill_process};

use super::{Stopwatch, until};

/// What a process writes, as far as it came.
#[derive(Clone, Default)]
struct Text(Arc<Mutex<String>>);

impl Text {
    fn reading(from: impl Read + Send + 'static) -> Self {
        let text = Self::default();
        let shared = text.clone();
        thread::spawn(move || {
            let mut from = BufReader::new(from);
            let mut line = Vec::new();
            while matches!(from.read_until(b'\n', &mut line), Ok(n) if n > 0) {
                shared.lock().push_str(&String::from_utf8_lossy(&line));
                line.clear();
            }
        });
        text
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A process of the binary; killed when dropped.
pub struct Process {
    pub child: Child,
    out: Text,
    err: Text,
    /// Since its start.
    pub watch: Stopwatch,
}

impl Process {
    /// Starts it; its outputs must be piped.
    pub fn spawn(command: &mut Command) -> Self {
        let watch = Stopwatch::start();
        let mut child = command.spawn().expect("the binary starts");
        let out = Text::reading(child.stdout.take().expect("piped"));
        let err = Text::reading(child.stderr.take().expect("piped"));
        Self { child, out, err, watch }
    }

    /// Standard output so far.
    pub fn out(&self) -> String {
        self.out.lock().clone()
    }

    /// Standard error so far.
    pub fn err(&self) -> String {
        self.err.lock().clone()
    }

    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child")
    }

    /// Waits for its end. -1 stands for a signal.
    pub fn wait(&mut self) -> i32 {
        let status = until("the end of the process", || self.exited());
        // What it wrote last may still be in the pipes.
        let settled = |text: &Text| Arc::strong_count(&text.0) == 1;
        until("the end of its output", || (settled(&self.out) && settled(&self.err)).then_some(()));
        status.code().unwrap_or(-1)
    }

    /// Resident memory in bytes, as the kernel sees it.
    pub fn memory(&self) -> u64 {
        let path = format!("/proc/{}/statm", self.child.id());
        let pages = fs::read_to_string(path).expect("statm");
        pages.split(' ').nth(1).and_then(|n| n.parse::<u64>().ok()).expect("pages") * 4_096
    }

    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a pid");
        kill_process(pid, signal).expect("signaled");
    }

    pub fn kill(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            let err = self.err();
            let tail = err.len().saturating_sub(4_000);
            tell(err.get(tail..).unwrap_or(&err));
        }
    }
}

/// Among what the failed test said.
#[expect(clippy::print_stdout, reason = "what a test prints is shown when it fails")]
fn tell(log: &str) {
    println!("-- the log of its process:\n{log}");
}
