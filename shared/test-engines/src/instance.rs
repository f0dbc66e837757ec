//! What a Kafka and a Cassandra have in common: a directory, nodes that can be hurt and come back.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::script::{self, ScriptError};

/// What may be done to a node's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// It ends cleanly; waits for the end (15 s at most, then it is killed).
    Term,
    /// It is gone at once.
    Kill,
    /// It hangs: its connections stay open and nothing answers.
    Stop,
    /// It goes on after [`Signal::Stop`].
    Cont,
}

impl Signal {
    const fn name(self) -> &'static str {
        match self {
            Self::Term => "TERM",
            Self::Kill => "KILL",
            Self::Stop => "STOP",
            Self::Cont => "CONT",
        }
    }
}

/// What an engine asks of its clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Security {
    /// Nothing: plain TCP.
    #[default]
    Open,
    /// TLS and a password.
    Password,
    /// TLS, with a client certificate: Cassandra asks for the password, too; Kafka has one way in for
    /// each, so this is the same as [`Security::Password`] there.
    Mutual,
}

/// PEM files for a client; signed by an authority that was made for this one engine.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The authority that signed the server's certificate, which is for `localhost` and its address.
    pub ca: PathBuf,
    /// The client's certificate.
    pub certificate: PathBuf,
    /// The client's key, PKCS#8 without a password.
    pub key: PathBuf,
}

/// A running engine; killed and removed when dropped.
#[derive(Debug)]
pub struct Instance {
    engine: &'static str,
    dir: TempDir,
}

impl Instance {
    /// Starts it on free ports and waits until it serves.
    pub(crate) fn start(engine: &'static str, arguments: &[String]) -> Result<Self, ScriptError> {
        let prefix = format!("harkara-{engine}-");
        let dir = tempfile::Builder::new().prefix(&prefix).tempdir().map_err(|source| {
            ScriptError::NotRun { script: "the temporary directory".to_owned(), source }
        })?;
        // From here on dropping it ends what runs, also when the start fails halfway.
        let instance = Self { engine, dir };
        instance
            .up(["--port", "0"].into_iter().map(str::to_owned).chain(arguments.iter().cloned()))?;
        Ok(instance)
    }

    fn up(&self, arguments: impl Iterator<Item = String>) -> Result<(), ScriptError> {
        let dir = self.dir().display().to_string();
        let owner = std::process::id().to_string();
        let own = ["--dir".to_owned(), dir, "--owner".to_owned(), owner, "--wipe".to_owned()];
        script::run(self.engine, "up", own.into_iter().chain(arguments)).map(drop)
    }

    /// Where its data, logs (`node1/out.log`) and certificates are.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Does this to one node, which are counted from 1.
    ///
    /// # Panics
    ///
    /// When the script fails.
    pub fn signal(&self, node: u8, signal: Signal) {
        self.down(&["--node", &node.to_string(), "--signal", signal.name()]);
    }

    /// Does this to all nodes.
    ///
    /// # Panics
    ///
    /// When the script fails.
    pub fn signal_all(&self, signal: Signal) {
        self.down(&["--signal", signal.name()]);
    }

    /// Starts the nodes that are dead, on their data, and waits until they serve.
    ///
    /// # Panics
    ///
    /// When they don't.
    pub fn restart(&self) {
        started(self.up(std::iter::empty()));
    }

    fn down(&self, arguments: &[&str]) {
        let dir = self.dir().display().to_string();
        let own = ["--dir", dir.as_str()];
        started(script::run(self.engine, "down", own.iter().chain(arguments)));
    }

    /// A line of a file that `up` wrote.
    pub(crate) fn line(&self, file: &str) -> String {
        let path = self.dir().join(file);
        let read = std::fs::read_to_string(&path);
        let not_run = |source| ScriptError::NotRun { script: path.display().to_string(), source };
        started(read.map_err(not_run)).trim_end().to_owned()
    }

    pub(crate) fn tls(&self) -> TlsFiles {
        let tls = self.dir().join("tls");
        TlsFiles {
            ca: tls.join("ca.pem"),
            certificate: tls.join("client.crt"),
            key: tls.join("client.key"),
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let dir = self.dir().display().to_string();
        // Nothing to be done about a failure; the guard ends it with this process.
        let _failed =
            script::run(self.engine, "down", ["--dir", &dir, "--signal", "KILL", "--wipe"]);
    }
}

/// The value, or the end of the test.
#[expect(clippy::panic, reason = "a test whose engine fails fails; it could do nothing else")]
pub(crate) fn started<T>(result: Result<T, ScriptError>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}
