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
    /// Where its brokers listen, with commas, if it has some.
    pub brokers: String,
    /// Where its store's nodes listen, with commas, if it has some.
    pub nodes: String,
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
    /// Starts what a measurement runs against. One process that is kept on a core knows of no other
    /// one, and has as many threads as it needs there.
    ///
    /// # Errors
    /// When it doesn't get ready.
    pub fn start(
        against: Against,
        binary: &Path,
        settings: &[(&str, &str)],
        core: Option<usize>,
    ) -> anyhow::Result<Self> {
        match against {
            Against::Standalone => Self::standalone(binary, settings, core),
            Against::Cluster => Self::cluster(binary),
        }
    }

    fn standalone(
        binary: &Path,
        settings: &[(&str, &str)],
        core: Option<usize>,
    ) -> anyhow::Result<Self> {
        let data = tempfile::tempdir().context("no place for the server's data")?;
        let mut command = match core {
            None => Command::new(binary),
            Some(core) => {
                let mut kept = Command::new("taskset");
                kept.arg("-c").arg(core.to_string()).arg(binary);
                kept
            }
        };
        command.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data"]);
        command.arg(data.path().join("data")).envs(settings.iter().copied());
        let process = Process::start(&mut command)?;
        let url = process.line(READY, listening).context("the server doesn't listen")?;
        let parts = vec![Part { role: "server", pid: process.pid() }];
        let [brokers, nodes] = [String::new(), String::new()];
        Ok(Self { process, urls: vec![url], parts, brokers, nodes, _data: data })
    }

    fn cluster(binary: &Path) -> anyhow::Result<Self> {
        ensure!(Path::new(SCRIPT).exists(), "no {SCRIPT} here: run it from the repository's top");
        let data = tempfile::tempdir().context("no place for the cluster's data")?;
        let mut command = Command::new(SCRIPT);
        command.env("LAUNCH_BINARY", binary).arg("--data").arg(data.path());
        let process = Process::start(&mut command)?;
        let ready = |line: &str| line.starts_with("ready. ").then_some(());
        process.line(CLUSTER_READY, ready).context("the cluster doesn't get ready")?;
        let dir = data.path();
        let first = Settings::read(&dir.join("gateway-1"))?;
        let second = Settings::read(&dir.join("gateway-2"))?;
        let mut parts = Vec::new();
        let pids = [
            ("gateway", "gateway-1"),
            ("gateway", "gateway-2"),
            ("worker", "fanout-1"),
            ("worker", "fanout-2"),
            ("log", "kafka/node1"),
            ("store", "cassandra/node1"),
        ];
        for (role, place) in pids {
            parts.push(Part { role, pid: pid(&dir.join(place))? });
        }
        let urls = vec![first.url()?, second.url()?];
        let (brokers, nodes) = (first.list("brokers")?, first.list("nodes")?);
        Ok(Self { process, urls, parts, brokers, nodes, _data: data })
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
pub(crate) fn listening(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("listening clients=")?;
    let (url, _) = rest.split_once("/v1/")?;
    Some(url.to_owned())
}

fn pid(place: &Path) -> anyhow::Result<u32> {
    let path = place.join("pid");
    let text = fs::read_to_string(&path).with_context(|| format!("no {}", path.display()))?;
    text.trim().parse().with_context(|| format!("no number in {}", path.display()))
}

/// The settings that the script wrote for a part of the cluster.
#[derive(Debug)]
struct Settings {
    path: PathBuf,
    text: String,
}

impl Settings {
    fn read(place: &Path) -> anyhow::Result<Self> {
        let path = place.join("harkara.toml");
        let text = fs::read_to_string(&path).with_context(|| format!("no {}", path.display()))?;
        Ok(Self { path, text })
    }

    /// What stands behind the first line that sets this.
    fn value(&self, key: &str) -> anyhow::Result<&str> {
        let mut lines = self.text.lines().filter_map(|line| line.split_once(" = "));
        let value = lines.find(|(name, _)| *name == key).map(|(_, value)| value);
        value.with_context(|| format!("{} does not set {key}", self.path.display()))
    }

    /// Where clients connect.
    fn url(&self) -> anyhow::Result<String> {
        Ok(format!("ws://{}", self.value("listen")?.trim_matches('"')))
    }

    /// A list of texts, with commas.
    fn list(&self, key: &str) -> anyhow::Result<String> {
        Ok(self.value(key)?.replace(['[', ']', '"', ' '], ""))
    }
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
    fn a_part_of_the_cluster_has_an_address_and_a_number() {
        let dir = tempfile::tempdir().expect("a directory");
        let toml = "mode = \"development\"\nlisten = \"127.0.0.1:8100\"\n\n\
                    [admin]\nlisten = \"127.0.0.1:8110\"\n\n\
                    [kafka]\nbrokers = [\"127.0.0.1:1\", \"127.0.0.1:2\"]\n";
        fs::write(dir.path().join("harkara.toml"), toml).expect("a file");
        fs::write(dir.path().join("pid"), "123\n").expect("a file");
        let settings = Settings::read(dir.path()).expect("settings");
        assert_eq!(settings.url().expect("an address"), "ws://127.0.0.1:8100");
        assert_eq!(settings.list("brokers").expect("a list"), "127.0.0.1:1,127.0.0.1:2");
        assert!(settings.list("nodes").is_err());
        assert_eq!(pid(dir.path()).expect("a number"), 123);
    }
}
