//! A server for one measurement: fresh, on free ports, in a directory that vanishes; or a whole
//! cluster, as `deploy/cluster` starts it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, ensure};

use super::{child::Process, plan::Against};
use crate::process;

/// Longest wait for a server; a cluster starts two Java engines.
const READY: Duration = Duration::from_secs(60);
const CLUSTER_READY: Duration = Duration::from_secs(600);

/// Longest wait for the end.
const END: Duration = Duration::from_secs(90);

/// The script, from the top of the repository.
const SCRIPT: &str = "deploy/cluster";

/// A running server. It ends with its handle, and its data with it.
#[derive(Debug)]
pub struct Server {
    process: Process,
    /// Where clients connect.
    pub urls: Vec<String>,
    /// Its processes, by what they do.
    pub parts: Vec<Part>,
    _data: tempfile::TempDir,
}

/// A process of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// `server`, `gateway`, `worker`, `log`, `store`.
    pub role: &'static str,
    /// Its number.
    pub pid: u32,
}

impl Server {
    /// Starts what a measurement runs against; nothing where it starts that itself.
    ///
    /// # Errors
    /// When it doesn't get ready.
    pub fn start(
        against: Against,
        binary: &Path,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Option<Self>> {
        match against {
            Against::Itself => Ok(None),
            Against::Standalone => Self::standalone(binary, settings).map(Some),
            Against::Cluster => Self::cluster(binary).map(Some),
        }
    }

    fn standalone(binary: &Path, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let data = tempfile::tempdir().context("no place for the server's data")?;
        let mut command = Command::new(binary);
        command.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data"]);
        command.arg(data.path().join("data")).envs(settings.iter().copied());
        let process = Process::start(&mut command)?;
        let url = process.line(READY, listening).context("the server doesn't listen")?;
        let parts = vec![Part { role: "server", pid: process.pid() }];
        Ok(Self { process, urls: vec![url], parts, _data: data })
    }

    fn cluster(binary: &Path) -> anyhow::Result<Self> {
        ensure!(Path::new(SCRIPT).exists(), "no {SCRIPT} here: run it from the repository's top");
        let data = tempfile::tempdir().context("no place for the cluster's data")?;
        let mut command = Command::new(SCRIPT);
        command.env("LAUNCH_BINARY", binary).arg("--data").arg(data.path());
        let process = Process::start(&mut command)?;
        let ready = |line: &str| line.starts_with("ready. ").then_some(());
        process.line(CLUSTER_READY, ready).context("the cluster doesn't get ready")?;
        let mut server = Self { process, urls: Vec::new(), parts: Vec::new(), _data: data };
        let dir = server._data.path();
        for gateway in ["gateway-1", "gateway-2"] {
            server.urls.push(address(&dir.join(gateway))?);
        }
        let pids = [
            ("gateway", "gateway-1"),
            ("gateway", "gateway-2"),
            ("worker", "fanout-1"),
            ("worker", "fanout-2"),
            ("log", "kafka/node1"),
            ("store", "cassandra/node1"),
        ];
        for (role, place) in pids {
            server.parts.push(Part { role, pid: pid(&dir.join(place))? });
        }
        Ok(server)
    }

    /// Processor time of its processes so far.
    ///
    /// # Errors
    /// When one of them has ended.
    pub fn effort(&self) -> anyhow::Result<Vec<(&'static str, Duration)>> {
        let cpu = |part: &Part| {
            process::cpu(part.pid)
                .map(|cpu| (part.role, cpu))
                .with_context(|| format!("the {} ended meanwhile", part.role))
        };
        self.parts.iter().map(cpu).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.stop(END);
    }
}

/// The address in the line by which the server tells it.
fn listening(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("listening clients=")?;
    let (url, _) = rest.split_once("/v1/")?;
    Some(url.to_owned())
}

fn pid(place: &Path) -> anyhow::Result<u32> {
    let path = place.join("pid");
    let text = fs::read_to_string(&path).with_context(|| format!("no {}", path.display()))?;
    text.trim().parse().with_context(|| format!("no number in {}", path.display()))
}

/// Where a gateway of the cluster listens.
fn address(place: &Path) -> anyhow::Result<String> {
    let path: PathBuf = place.join("harkara.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("no {}", path.display()))?;
    let line = text.lines().find_map(|line| line.strip_prefix("listen = \"")?.strip_suffix('"'));
    line.map(|it| format!("ws://{it}")).with_context(|| format!("no address in {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_tells_its_address() {
        let line = "listening clients=ws://127.0.0.1:45583/v1/ws";
        assert_eq!(listening(line).as_deref(), Some("ws://127.0.0.1:45583"));
        assert_eq!(listening("listening admin=http://127.0.0.1:1"), None);
    }

    #[test]
    fn a_gateway_of_the_cluster_has_an_address_and_a_number() {
        let dir = tempfile::tempdir().expect("a directory");
        let toml = "mode = \"development\"\nlisten = \"127.0.0.1:8100\"\n\n[admin]\nlisten = \"127.0.0.1:8110\"\n";
        fs::write(dir.path().join("harkara.toml"), toml).expect("a file");
        fs::write(dir.path().join("pid"), "123\n").expect("a file");
        assert_eq!(address(dir.path()).expect("an address"), "ws://127.0.0.1:8100");
        assert_eq!(pid(dir.path()).expect("a number"), 123);
    }
}
