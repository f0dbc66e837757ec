//! Kafka and Cassandra, started through `deploy/engines`, each broker and each node behind a proxy of
//! its own. Brokers find each other through the proxies, too; Cassandra's nodes and Kafka's
//! controllers talk past them.

use std::{
    net::{IpAddr, SocketAddr},
    process::Command,
};

use anyhow::{Context as _, ensure};

use super::{
    ANY, Maker, free_at,
    part::{self, How, Part},
};
use crate::chaos::fault::Role;

/// Their directories, here and below `deploy/engines`.
pub(super) const KAFKA: &str = "kafka";
pub(super) const CASSANDRA: &str = "cassandra";

/// What one of Cassandra's nodes acknowledges must be on its disk: plans kill all of them at once.
const SYNC: [&str; 2] = ["--sync", "group"];

impl Maker<'_> {
    /// Where brokers are found: each one sends everybody to its proxy.
    pub(super) async fn kafka(
        &mut self,
        count: u32,
        parts: &mut Vec<Part>,
    ) -> anyhow::Result<String> {
        let mut seen = Vec::new();
        for number in 1..=count {
            seen.push(self.link(Role::Broker, number, ANY).await?.to_string());
        }
        let seen = seen.join(",");
        let listens = self.engine(KAFKA, Role::Broker, count, &["--advertise", &seen], parts)?;
        self.lead_all(Role::Broker, &listens)?;
        Ok(seen)
    }

    /// Where the store's nodes are found: the driver learns the addresses of all from one of them
    /// and stays with the port that it was told, so that proxies have one port, at the nodes'
    /// addresses.
    pub(super) async fn cassandra(
        &mut self,
        count: u32,
        parts: &mut Vec<Part>,
    ) -> anyhow::Result<String> {
        let listens = self.engine(CASSANDRA, Role::Store, count, &SYNC, parts)?;
        let hosts: Vec<IpAddr> = addresses(&listens)?.iter().map(SocketAddr::ip).collect();
        let port = free_at(&hosts)?;
        let mut seen = Vec::new();
        for (number, host) in (1..).zip(hosts) {
            let at = SocketAddr::new(host, port);
            seen.push(self.link(Role::Store, number, at).await?.to_string());
        }
        self.lead_all(Role::Store, &listens)?;
        Ok(seen.join(","))
    }

    fn lead_all(&self, role: Role, listens: &str) -> anyhow::Result<()> {
        for (number, address) in (1..).zip(addresses(listens)?) {
            self.lead(role, number, address);
        }
        Ok(())
    }

    fn engine(
        &self,
        name: &'static str,
        role: Role,
        count: u32,
        more: &[&str],
        parts: &mut Vec<Part>,
    ) -> anyhow::Result<String> {
        let scripts = self.script(name);
        ensure!(
            scripts.join("up").exists(),
            "no {}: run it from the repository's top, or name that with --top",
            scripts.display()
        );
        let dir = self.make.dir.join(name);
        let mut up = Command::new(scripts.join("up"));
        up.arg("--dir").arg(&dir).args(["--port", "0", "--nodes", &count.to_string()]);
        let address = part::output(up.args(more).args(["--owner", &part::owner()]))?;
        for number in 1..=count {
            let how = How::Engine { scripts: scripts.clone(), dir: dir.clone() };
            parts.push(Part::new(role, number, how));
        }
        Ok(address.trim().to_owned())
    }
}

fn addresses(with_commas: &str) -> anyhow::Result<Vec<SocketAddr>> {
    let address = |text: &str| text.parse().with_context(|| format!("{text:?} is no address"));
    with_commas.split(',').map(address).collect()
}
