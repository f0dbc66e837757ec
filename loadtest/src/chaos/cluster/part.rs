//! One process: started, killed, told to go, frozen. Whoever does something to it holds it
//! meanwhile ([`Part::hold`]), so that two faults of one process happen one after the other.

use std::{
    fs::OpenOptions,
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::{Mutex, MutexGuard},
    time::{sleep, timeout},
};

use super::limit::Limit;
use crate::{chaos::fault::Role, process, times};

/// Longest wait for a process that starts: a Cassandra on a busy machine takes a minute.
const READY: Duration = Duration::from_secs(240);

/// Longest wait for one that was told to go: sessions are told to leave within 30 s by default.
const GONE: Duration = Duration::from_secs(90);

/// Between two looks at one that starts or ends.
const LOOK: Duration = Duration::from_millis(25);

/// Letters of a log that are told when its process ended by itself.
const TOLD: usize = 600;

/// How it is run.
#[derive(Debug)]
pub(super) enum How {
    /// By this program.
    Own(Program),
    /// By the scripts of `deploy/engines`.
    Engine { scripts: PathBuf, dir: PathBuf },
}

/// A process of ours.
#[derive(Debug)]
pub(super) struct Program {
    /// What may be started; the second one after an upgrade.
    pub(super) binaries: Vec<PathBuf>,
    /// Ends it when this program ends, however that ends.
    pub(super) guard: Option<PathBuf>,
    pub(super) command: &'static str,
    /// Its settings and its log.
    pub(super) dir: PathBuf,
    pub(super) admin: SocketAddr,
}

/// See the module.
#[derive(Debug)]
pub struct Part {
    /// What it is for.
    pub role: Role,
    /// From 1, within its role.
    pub number: u32,
    how: How,
    /// Which binary it runs.
    version: AtomicUsize,
    /// 0 while it is not meant to run.
    pid: AtomicU32,
    /// Resident bytes when it was ready.
    base: AtomicU64,
    state: Mutex<Option<Child>>,
}

/// A process in somebody's hands.
#[derive(Debug)]
pub struct Held<'a> {
    part: &'a Part,
    child: MutexGuard<'a, Option<Child>>,
}

impl Part {
    pub(super) fn new(role: Role, number: u32, how: How) -> Self {
        let (version, pid, base) = (AtomicUsize::new(0), AtomicU32::new(0), AtomicU64::new(0));
        let part = Self { role, number, how, version, pid, base, state: Mutex::new(None) };
        part.look_up_pid();
        part
    }

    /// `gateway-1`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}-{}", self.role, self.number)
    }

    /// Waits until nobody else holds it.
    pub async fn hold(&self) -> Held<'_> {
        Held { part: self, child: self.state.lock().await }
    }

    /// Holds it if nobody else does.
    pub fn try_hold(&self) -> Option<Held<'_>> {
        Some(Held { part: self, child: self.state.try_lock().ok()? })
    }

    /// Resident bytes when it was ready, and now; nothing while it is not there.
    pub fn memory(&self) -> Option<(u64, u64)> {
        let pid = self.pid.load(Relaxed);
        let now = (pid != 0).then(|| process::resident(pid).ok())??.0;
        Some((self.base.load(Relaxed), now)).filter(|(base, _)| *base > 0)
    }

    /// Lines of its log that tell of a panic.
    #[must_use]
    pub fn panics(&self) -> Vec<String> {
        let How::Own(program) = &self.how else { return Vec::new() };
        let text = std::fs::read(program.dir.join("out.log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines = text.lines().filter(|line| line.contains("panicked at"));
        lines.map(|line| format!("{}: {line}", self.name())).collect()
    }

    fn look_up_pid(&self) {
        if let How::Engine { dir, .. } = &self.how {
            let path = dir.join(format!("node{}/pid", self.number));
            let pid = std::fs::read_to_string(path).ok().and_then(|it| it.trim().parse().ok());
            self.pid.store(pid.unwrap_or(0), Relaxed);
        }
    }
}

impl Held<'_> {
    /// Is it this one?
    #[must_use]
    pub fn is_of(&self, part: &Part) -> bool {
        std::ptr::eq(self.part, part)
    }

    /// Was it started and not ended since, by us?
    #[must_use]
    pub fn is_meant_to_run(&self) -> bool {
        self.part.pid.load(Relaxed) != 0
    }

    /// Starts it, and waits until it is ready.
    ///
    /// # Errors
    /// When it ends or doesn't get ready.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        self.launch()?;
        self.ready().await
    }

    /// Starts it.
    ///
    /// # Errors
    /// When there is no such program.
    pub fn launch(&mut self) -> anyhow::Result<()> {
        let How::Own(program) = &self.part.how else { return Ok(()) };
        let binaries = &program.binaries;
        let binary = binaries.get(self.part.version.load(Relaxed) % binaries.len().max(1));
        let binary = binary.context("no binary")?;
        let log = OpenOptions::new().create(true).append(true).open(program.dir.join("out.log"))?;
        let mut command = match &program.guard {
            None => Command::new(binary),
            Some(guard) => {
                let mut command = Command::new(guard);
                command.arg(owner()).arg("").arg(binary);
                command
            }
        };
        command.arg(program.command).arg("--config").arg(program.dir.join("harkara.toml"));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child =
            command.spawn().with_context(|| format!("{} doesn't start", binary.display()))?;
        self.part.base.store(0, Relaxed);
        self.part.pid.store(child.id(), Relaxed);
        *self.child = Some(child);
        Ok(())
    }

    /// Waits until it is ready. An engine is started by that, too.
    ///
    /// # Errors
    /// When it ends or takes too long.
    pub async fn ready(&mut self) -> anyhow::Result<()> {
        match &self.part.how {
            How::Own(program) => self.answers(program).await?,
            How::Engine { .. } => {
                let number = self.part.number.to_string();
                self.script("up", &["--node", &number, "--owner", &owner()]).await?;
            }
        }
        self.part.look_up_pid();
        let resident = process::resident(self.part.pid.load(Relaxed)).map_or(0, |(all, _)| all);
        self.part.base.store(resident, Relaxed);
        Ok(())
    }

    async fn answers(&mut self, program: &Program) -> anyhow::Result<()> {
        let start = times::now();
        loop {
            if let Some(status) = self.ended() {
                bail!("{} ended with {status}: {}", self.part.name(), self.last_words());
            }
            if is_ready(program.admin).await {
                return Ok(());
            }
            if start.elapsed() > READY {
                bail!("{} isn't ready after {READY:?}: {}", self.part.name(), self.last_words());
            }
            sleep(LOOK * 4).await;
        }
    }

    /// How it ended, if it did: by itself, when nobody did anything to it.
    pub fn ended(&mut self) -> Option<String> {
        if !self.is_meant_to_run() {
            return None;
        }
        match (&self.part.how, self.child.as_mut()) {
            (How::Own(_), Some(child)) => {
                child.try_wait().ok().flatten().map(|status| status.to_string())
            }
            (How::Own(_), None) => Some("nothing known".to_owned()),
            (How::Engine { .. }, _) => {
                let is_there = process::resident(self.part.pid.load(Relaxed)).is_ok();
                (!is_there).then(|| "no process".to_owned())
            }
        }
    }

    /// Kills it.
    ///
    /// # Errors
    /// When it doesn't end.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        match &self.part.how {
            How::Own(_) => {
                self.signal(Signal::KILL)?;
                self.end().await.map(drop)?;
            }
            How::Engine { .. } => self.down("KILL").await?,
        }
        self.part.pid.store(0, Relaxed);
        Ok(())
    }

    /// Tells it to go, and waits until it has.
    ///
    /// # Errors
    /// When it doesn't, or says that something was wrong.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        let end = match &self.part.how {
            How::Own(_) => {
                self.signal(Signal::TERM)?;
                self.end().await
            }
            How::Engine { .. } => self.down("TERM").await.map(|()| None),
        };
        self.part.pid.store(0, Relaxed);
        if let Some(status) = end?.filter(|status| !status.success()) {
            bail!("{} ended with {status} after SIGTERM: {}", self.part.name(), self.last_words());
        }
        Ok(())
    }

    /// Stops it where it is.
    ///
    /// # Errors
    /// When it isn't there.
    pub async fn freeze(&mut self) -> anyhow::Result<()> {
        match &self.part.how {
            How::Own(_) => self.signal(Signal::STOP),
            How::Engine { .. } => self.down("STOP").await,
        }
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// When it isn't there.
    pub async fn thaw(&mut self) -> anyhow::Result<()> {
        match &self.part.how {
            How::Own(_) => self.signal(Signal::CONT),
            How::Engine { .. } => self.down("CONT").await,
        }
    }

    /// Lets it open hardly any more files.
    ///
    /// # Errors
    /// When it isn't there.
    pub fn starve(&self) -> anyhow::Result<Limit> {
        Limit::lower(self.pid()?)
    }

    /// The next start runs the other binary, if there is one.
    pub fn upgrade(&self) {
        self.part.version.fetch_add(1, Relaxed);
    }

    /// What its log ends with.
    #[must_use]
    pub fn last_words(&self) -> String {
        let How::Own(program) = &self.part.how else { return String::new() };
        let text = std::fs::read(program.dir.join("out.log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let skip = text.chars().count().saturating_sub(TOLD);
        text.chars().skip(skip).collect()
    }

    fn pid(&self) -> anyhow::Result<Pid> {
        let pid = i32::try_from(self.part.pid.load(Relaxed)).ok().and_then(Pid::from_raw);
        pid.with_context(|| format!("{} doesn't run", self.part.name()))
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let name = self.part.name();
        kill_process(self.pid()?, signal).with_context(|| format!("{name} takes no {signal:?}"))
    }

    /// Waits for the end; kills it when that takes too long.
    async fn end(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        let start = times::now();
        while let Some(child) = self.child.as_mut() {
            if let Some(status) = child.try_wait()? {
                *self.child = None;
                return Ok(Some(status));
            }
            if start.elapsed() > GONE {
                child.kill()?;
                child.wait()?;
                *self.child = None;
                bail!("{} was still there {GONE:?} after it was told to go", self.part.name());
            }
            sleep(LOOK).await;
        }
        Ok(None)
    }

    async fn down(&self, signal: &str) -> anyhow::Result<()> {
        self.script("down", &["--node", &self.part.number.to_string(), "--signal", signal]).await
    }

    async fn script(&self, name: &str, more: &[&str]) -> anyhow::Result<()> {
        let How::Engine { scripts, dir } = &self.part.how else { return Ok(()) };
        let mut command = Command::new(scripts.join(name));
        command.arg("--dir").arg(dir).args(more);
        tokio::task::spawn_blocking(move || output(&mut command)).await?.map(drop)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Engines end with their owner, which is this program, or were told to.
        if let Some(mut child) = self.state.get_mut().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The process with which all that it started ends.
pub(super) fn owner() -> String {
    std::process::id().to_string()
}

/// Runs a command to its end; what it printed.
pub(super) fn output(command: &mut Command) -> anyhow::Result<String> {
    let done = command.stdin(Stdio::null()).output();
    let program = command.get_program().to_string_lossy().into_owned();
    let done = done.with_context(|| format!("{program} doesn't start"))?;
    let said = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "{program} failed: {}", said.trim());
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

async fn is_ready(admin: SocketAddr) -> bool {
    let ask = async {
        let mut socket = TcpStream::connect(admin).await.ok()?;
        let request = b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        socket.write_all(request).await.ok()?;
        let mut answer = [0; 12];
        socket.read_exact(&mut answer).await.ok()?;
        answer.ends_with(b" 200").then_some(())
    };
    matches!(timeout(Duration::from_secs(2), ask).await, Ok(Some(())))
}
