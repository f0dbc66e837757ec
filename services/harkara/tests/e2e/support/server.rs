//! The binary: started, asked, killed; a home for what it keeps.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use tempfile::TempDir;

use super::{
    below,
    cluster::{Rest, Site},
    http,
    metrics::{Metrics, metrics_of},
    process::Process,
    until,
};

/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_harkara");

/// A directory for one test: the data, settings, and whatever else it writes. In a target of
/// clusters its server is a cluster, over engines of real brokers and nodes.
pub struct Home {
    dir: TempDir,
    site: Option<Site>,
}

impl Home {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let site = crate::CLUSTERED.then(|| Site::new(dir.path())).flatten();
        Self { dir, site }
    }

    /// A home of a cluster on engines of its own.
    pub fn on(brokers: &str, nodes: &[String]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let site = Some(Site::on(dir.path(), brokers, nodes));
        Self { dir, site }
    }

    /// Its cluster.
    pub fn site(&self) -> &Site {
        self.site.as_ref().expect("a home of a cluster")
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    /// Writes a file.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, text).expect("written");
        path
    }

    /// A server on this home's data and free ports.
    pub fn launch(&self) -> Launch {
        let mut launch = Launch::bare(self.path());
        launch.site = self.site.clone();
        let launch = match &self.site {
            Some(site) => launch.arg("gateway").arg("--config").arg(site.settings()),
            None => launch.arg("standalone"),
        };
        launch
            .arg("--listen")
            .arg("127.0.0.1:0")
            .arg("--admin")
            .arg("127.0.0.1:0")
            .arg("--data")
            .arg(self.data().to_str().expect("UTF-8"))
    }

    /// A server with nothing special.
    pub fn start(&self) -> Server {
        self.launch().start()
    }
}

/// A port that nobody uses now, below those that the kernel gives to others meanwhile.
pub fn free_port() -> u16 {
    until("a free port", || {
        let port = 20_000 + u16::try_from(below(10_000)).ok()?;
        TcpListener::bind(("127.0.0.1", port)).is_ok().then_some(port)
    })
}

/// A process about to be started.
pub struct Launch {
    command: Command,
    /// What it is the first gateway of.
    site: Option<Site>,
}

impl Launch {
    /// Without any argument, in a directory, without settings from this process's environment.
    pub fn bare(dir: &Path) -> Self {
        let mut command = Command::new(BINARY);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("HARKARA_") {
                command.env_remove(name);
            }
        }
        command.current_dir(dir).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { command, site: None }
    }

    pub fn arg(mut self, arg: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Replaces an argument that stands behind a flag.
    pub fn replacing(self, flag: &str, value: &str) -> Self {
        let mut args: Vec<_> = self.command.get_args().map(ToOwned::to_owned).collect();
        let at = args.iter().position(|arg| arg == flag).expect("the flag");
        args[at + 1] = value.into();
        self.with(args)
    }

    /// The same once more.
    pub fn again(&self) -> Self {
        self.with(self.command.get_args().map(ToOwned::to_owned).collect())
    }

    fn with(&self, args: Vec<std::ffi::OsString>) -> Self {
        let mut command = Command::new(self.command.get_program());
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(dir) = self.command.get_current_dir() {
            command.current_dir(dir);
        }
        for (name, value) in self.command.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        Self { command, site: self.site.clone() }
    }

    pub fn stdin_piped(mut self) -> Self {
        self.command.stdin(Stdio::piped());
        self
    }

    pub fn spawn(mut self) -> Process {
        Process::spawn(&mut self.command)
    }

    /// Starts a server and waits until it listens.
    pub fn start(self) -> Server {
        if let Some(site) = self.site.clone() {
            return site.start(&self);
        }
        match self.try_start() {
            Ok(server) => server,
            Err((code, err)) => panic!("the server ended with {code}: {err}"),
        }
    }

    /// Starts a server and waits until it listens, or has ended: exit code, standard error.
    pub fn try_start(self) -> Result<Server, (i32, String)> {
        let mut process = self.spawn();
        let addresses = until("the server listens or ends", || match listening(&process.out()) {
            Some(addresses) => Some(Some(addresses)),
            None => process.exited().map(|_| None),
        });
        match addresses {
            Some((clients, admin)) => Ok(Server::alone(process, clients, admin)),
            None => Err((process.wait(), process.err())),
        }
    }

    /// Runs to the end: exit code, standard output, standard error.
    pub fn run(self) -> (i32, String, String) {
        let mut process = self.spawn();
        let code = process.wait();
        (code, process.out(), process.err())
    }
}

/// Waits until a process has said this on standard output.
pub fn until_told(process: &Process, words: &str) {
    until(words, || process.out().contains(words).then_some(()));
}

/// The two addresses, once both were told, in either form.
pub fn listening(out: &str) -> Option<(SocketAddr, SocketAddr)> {
    let word = |before: &str, after: &[char]| {
        let (_, rest) = out.split_once(before)?;
        let (address, _) = rest.split_once(after)?;
        address.parse().ok()
    };
    let clients = |before: &str| {
        let of = |scheme: &str| word(&format!("{before}{scheme}://"), &['/']);
        of("ws").or_else(|| of("wss"))
    };
    let text = clients("listening clients=").zip(word("admin=http://", &['\n']));
    text.or_else(|| clients("\"clients\":\"").zip(word("\"admin\":\"http://", &['"'])))
}

/// A server that listens; of a cluster, the first gateway and the rest.
pub struct Server {
    pub process: Process,
    pub clients: SocketAddr,
    pub admin: SocketAddr,
    /// What else a cluster consists of.
    pub rest: Option<Rest>,
    pub site: Option<Site>,
    /// Which gateway is next.
    turn: AtomicUsize,
}

impl Server {
    /// One process that does everything.
    pub fn alone(process: Process, clients: SocketAddr, admin: SocketAddr) -> Self {
        Self { process, clients, admin, rest: None, site: None, turn: AtomicUsize::new(0) }
    }

    /// Where the next client goes: of a cluster, the gateways take turns.
    pub fn entrance(&self) -> SocketAddr {
        match &self.rest {
            Some(rest) if self.turn.fetch_add(1, Ordering::Relaxed) % 2 == 1 => {
                rest.gateway.clients
            }
            _ => self.clients,
        }
    }

    pub fn url(&self) -> String {
        format!("ws://{}/v1/ws", self.entrance())
    }

    pub fn token(&self, user: &str) -> String {
        http::token(self.entrance(), user, "default")
    }

    /// `/metrics` of all its processes, as lines of names (with labels) and values.
    pub fn metrics(&self) -> Metrics {
        let rest = self.rest.iter().flat_map(Rest::admins);
        Metrics([self.admin].into_iter().chain(rest).map(metrics_of).collect())
    }

    /// Resident memory of all its processes in bytes, as the kernel sees it.
    pub fn memory(&self) -> u64 {
        let rest = self.rest.iter().flat_map(Rest::processes);
        [&self.process].into_iter().chain(rest).map(Process::memory).sum()
    }

    /// Kills it; of a cluster, a gateway and a worker, while the others go on. The next start on
    /// the same home is that of what is missing.
    pub fn kill(&mut self) {
        self.process.kill();
        if let (Some(site), Some(mut rest)) = (&self.site, self.rest.take()) {
            rest.workers.remove(0).process.kill();
            site.park(rest);
        }
    }

    /// Sends SIGTERM to it, or all gateways.
    pub fn terminate(&self) {
        self.process.terminate();
        if let Some(rest) = &self.rest {
            rest.gateway.process.terminate();
        }
    }

    /// The exit code after SIGTERM; of a cluster, the highest one. Its workers end last.
    pub fn wait(&mut self) -> i32 {
        let code = self.process.wait();
        self.rest.take().map_or(code, |rest| rest.end().max(code))
    }

    /// The exit code after SIGTERM.
    pub fn stop(mut self) -> i32 {
        self.terminate();
        self.wait()
    }

    pub fn is_alive(&mut self) -> bool {
        let rest = self.rest.iter_mut().flat_map(Rest::processes_mut);
        [&mut self.process].into_iter().chain(rest).all(|process| process.exited().is_none())
    }

    /// How long it has run.
    pub fn age(&self) -> Duration {
        self.process.watch.elapsed()
    }
}
