//! Servers that a comparison starts itself: a child with a directory of its own, on a free port,
//! ended with its handle and, should this program be killed, with this program.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail};
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::{process, times};

/// Longest wait for a server to be ready: a virtual machine that registers thousands of users.
const PATIENCE: Duration = Duration::from_secs(120);

/// Between two looks whether it is.
const LOOK: Duration = Duration::from_millis(50);

/// Bytes of a server's output that an error shows.
const TAIL: usize = 2_000;

/// The calling thread, to the kernel.
const THIS_THREAD: i32 = 0;

/// What tells that a server is ready.
#[derive(Debug, Clone, Copy)]
pub enum Ready {
    /// Its port answers.
    Listens,
    /// This file is in its directory.
    Writes(&'static str),
}

/// What a server is started for.
#[derive(Debug, Clone, Copy)]
pub struct Want {
    /// Users that it is to know: `u0`, `u1` and so on.
    pub users: usize,
    /// The core it is to stay on. It is there from its first instruction, so that it starts as many
    /// threads as it would on a machine with one.
    pub core: Option<usize>,
}

/// A server being prepared: its directory and its port.
#[derive(Debug)]
pub struct Place {
    dir: TempDir,
    core: Option<usize>,
    /// Where it is to listen.
    pub addr: SocketAddr,
}

impl Place {
    /// An empty directory and a port that nobody listens on.
    ///
    /// # Errors
    /// When there is no room or no port.
    pub fn new(name: &str, core: Option<usize>) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix(&format!("peer-{name}-")).tempdir()?;
        let addr = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        Ok(Self { dir, core, addr })
    }

    /// Its directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file into it.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn write(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.path().join(name);
        std::fs::write(&path, text).with_context(|| format!("{} stays", path.display()))?;
        Ok(path)
    }
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    child: Child,
    place: Place,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    /// When it ends before that, with the end of its output, or takes too long.
    pub async fn start(place: Place, mut command: Command, ready: Ready) -> anyhow::Result<Self> {
        let output = std::fs::File::create(place.path().join("output"))?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        command.current_dir(place.path());
        at_the_start(&mut command, place.core);
        let program = command.get_program().to_owned();
        let child = command.spawn().with_context(|| format!("{} fails", program.display()))?;
        let mut server = Self { child, place };
        let start = times::now();
        while !server.is_ready(ready).await {
            if let Some(status) = server.child.try_wait()? {
                bail!("{} ended with {status}: {}", program.display(), server.said());
            }
            if start.elapsed() > PATIENCE {
                bail!("{} isn't ready in {PATIENCE:?}: {}", program.display(), server.said());
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(server)
    }

    /// Its process. Helpers that only wait don't count.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.place.addr
    }

    /// The end of what it printed.
    #[must_use]
    pub fn said(&self) -> String {
        let bytes = std::fs::read(self.place.path().join("output")).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(TAIL)..]);
        text.trim().to_owned()
    }

    async fn is_ready(&self, ready: Ready) -> bool {
        match ready {
            Ready::Listens => TcpStream::connect(self.addr()).await.is_ok(),
            Ready::Writes(name) => self.place.path().join(name).exists(),
        }
    }
}

/// Where a program is. Servers often are where only root's path leads.
///
/// # Errors
/// When it isn't there, with the name of the package that has it.
pub fn find(program: &str, package: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    places
        .map(|place| place.join(program))
        .find(|path| path.is_file())
        .with_context(|| format!("there is no {program} here: install the package {package}"))
}

#[expect(unsafe_code, reason = "the standard library has neither affinity nor parents' deaths")]
fn at_the_start(command: &mut Command, core: Option<usize>) {
    let request = move || {
        // SAFETY: prctl with these arguments touches no memory.
        if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } != 0 {
            return Err(io::Error::last_os_error());
        }
        core.map_or(Ok(()), |core| process::pin_thread(THIS_THREAD, core))
    };
    // SAFETY: the closure makes two system calls and reads errno: no locks and no heap, so that it
    // may run between fork and exec.
    unsafe { command.pre_exec(request) };
}

/// A package's version, where its manager tells.
#[must_use]
pub fn version(package: &str) -> Option<String> {
    let asked =
        Command::new("dpkg-query").args(["-W", "-f", "${Version}", package]).output().ok()?;
    let told = asked.status.success().then(|| String::from_utf8(asked.stdout).ok()).flatten()?;
    (!told.is_empty()).then_some(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_names_its_package() {
        assert!(find("sh", "dash").is_ok());
        let error = find("no-such-server", "the-package").unwrap_err();
        assert!(error.to_string().contains("install the package the-package"), "{error}");
    }

    #[tokio::test]
    async fn a_server_that_fails_tells_why_and_one_that_runs_is_ended() {
        let shell = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            command
        };
        let ready = Ready::Writes("ready");
        let failed =
            Server::start(Place::new("a", None).unwrap(), shell("echo no port; exit 3"), ready);
        let error = failed.await.unwrap_err().to_string();
        assert!(error.contains("no port") && error.contains('3'), "{error}");
        let runs = Server::start(
            Place::new("b", Some(0)).unwrap(),
            shell("echo > ready; sleep 60"),
            ready,
        );
        let server = runs.await.unwrap();
        let (pid, dir) = (server.pid(), server.place.path().to_owned());
        assert!(process::cpu(pid).is_ok() && dir.exists());
        drop(server);
        assert!(process::cpu(pid).is_err() && !dir.exists());
    }
}
