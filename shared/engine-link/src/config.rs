//! The link's settings, section `[link]`: whom a process believes, and where others find it.

use std::{net::SocketAddr, path::PathBuf};

use harkara_service_runtime::{
    clock::SharedClock,
    settings::{Problem, address},
    tls::{ClientTls, Peers, ServerTls, TlsError},
};
use serde::{Deserialize, Serialize};

use crate::{options::Options, tls::LinkTls};

/// Longest name of a cluster: it stands in the first frame, and in log lines.
const CLUSTER_BYTES_MAX: usize = 200;

/// The link of one process. Unknown keys are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinkConfig {
    /// The cluster's name: ends of different clusters refuse each other.
    pub cluster: String,
    /// Where a worker listens for gateways; port 0 takes a free one. Gateways do not use it.
    #[serde(with = "address")]
    pub listen: SocketAddr,
    /// Where gateways find this worker, `host:port`; a name is looked up at each connection.
    /// Without it, where it listens.
    pub address: Option<String>,
    /// Mutual TLS. Without it the port belongs into a network that only the cluster reaches.
    pub tls: LinkTlsConfig,
}

/// Section `[link.tls]`: one certificate serves both ends of a process, since each is asked for
/// one. Off where nothing is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinkTlsConfig {
    /// PEM file of the authorities of all processes of the cluster.
    pub ca: Option<PathBuf>,
    /// PEM file: this process's certificate. Good for servers and clients both.
    pub certificate: Option<PathBuf>,
    /// PEM file: its private key, not encrypted.
    pub key: Option<PathBuf>,
    /// The name that every process's certificate has, whatever its address: workers are found by
    /// addresses that nobody knows when certificates are made. Empty: a worker's certificate has
    /// the host it claims with, and a gateway's may have any name.
    pub name: String,
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self {
            cluster: "harkara".to_owned(),
            listen: SocketAddr::from(([127, 0, 0, 1], 8082)),
            address: None,
            tls: LinkTlsConfig::default(),
        }
    }
}

impl Default for LinkTlsConfig {
    fn default() -> Self {
        Self { ca: None, certificate: None, key: None, name: "harkara-link".to_owned() }
    }
}

impl LinkConfig {
    /// What could not work; keys below `section`. Whether a worker can be found is asked by
    /// [`Self::worker_problems`].
    #[must_use]
    pub fn problems(&self, section: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.cluster.is_empty() || self.cluster.len() > CLUSTER_BYTES_MAX {
            let right = format!("must have 1 to {CLUSTER_BYTES_MAX} bytes");
            problems.push(Problem::new(format!("{section}.cluster"), right));
        }
        if let Some(address) = &self.address
            && host_and_port(address).is_none_or(|(_, port)| port == 0)
        {
            let right = "must be a host and a port such as \"worker-1:8082\" or \"[fd00::1]:8082\"";
            problems.push(Problem::new(format!("{section}.address"), right));
        }
        problems.extend(self.tls.problems(&format!("{section}.tls")));
        problems
    }

    /// What a worker could not work with, beyond that.
    #[must_use]
    pub fn worker_problems(&self, section: &str) -> Vec<Problem> {
        let nowhere = self.address.is_none() && self.listen.ip().is_unspecified();
        let right = format!(
            "must say where gateways find this worker, since {section}.listen is every address"
        );
        let problem = nowhere.then(|| Problem::new(format!("{section}.address"), right));
        problem.into_iter().collect()
    }

    /// What a worker claims partitions with: the address that is set, or where it listens.
    #[must_use]
    pub fn claimed(&self, listening: SocketAddr) -> String {
        self.address.clone().unwrap_or_else(|| listening.to_string())
    }

    /// Options with these settings, and the files of `[link.tls]` read.
    ///
    /// # Errors
    /// A file is of no use: a sentence that names it.
    pub fn options(&self, partitions: u16, clock: &SharedClock) -> Result<Options, TlsError> {
        Ok(Options { tls: self.tls.read(clock)?, ..Options::new(&self.cluster, partitions) })
    }
}

impl LinkTlsConfig {
    fn problems(&self, section: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        let all = [("ca", &self.ca), ("certificate", &self.certificate), ("key", &self.key)];
        if all.iter().any(|(_, path)| path.is_some()) {
            let missing = all
                .iter()
                .filter(|(_, path)| path.as_ref().is_none_or(|path| path.as_os_str().is_empty()));
            problems.extend(missing.map(|(key, _)| {
                let right = "must name a file: ca, certificate and key go together";
                Problem::new(format!("{section}.{key}"), right)
            }));
        }
        let client = ClientTls { server_name: self.fixed_name(), ..ClientTls::default() };
        if !client.problems(section).is_empty() {
            let right = "must be a host's name, as in the certificates, or empty";
            problems.push(Problem::new(format!("{section}.name"), right));
        }
        problems
    }

    fn fixed_name(&self) -> Option<String> {
        Some(self.name.clone()).filter(|name| !name.is_empty())
    }

    fn read(&self, clock: &SharedClock) -> Result<Option<LinkTls>, TlsError> {
        let Self { ca, certificate, key, .. } = self.clone();
        if certificate.is_none() {
            return Ok(None);
        }
        let server =
            ServerTls { certificate: certificate.clone(), key: key.clone(), client_ca: ca.clone() };
        let server_name = self.fixed_name();
        let server = server.config(Peers::Processes(server_name.clone()), clock)?;
        let client = ClientTls { enabled: true, ca, certificate, key, server_name };
        Ok(Some(LinkTls { server, client: client.config(clock)? }))
    }
}

/// The parts of `host:port`; an IPv6 address stands in brackets.
pub fn host_and_port(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if inner.is_none() && host.contains([':', '[', ']']) {
        return None;
    }
    let host = inner.unwrap_or(host);
    (!host.is_empty() && !host.contains(char::is_whitespace)).then_some(())?;
    Some((host, port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(problems: Vec<Problem>) -> Vec<String> {
        problems.into_iter().map(|problem| problem.key).collect()
    }

    #[test]
    fn addresses_have_a_host_and_a_port() {
        for (address, parts) in [
            ("worker-1:8082", Some(("worker-1", 8082))),
            ("10.0.0.1:1", Some(("10.0.0.1", 1))),
            ("[fd00::1]:8082", Some(("fd00::1", 8082))),
            ("fd00::1:8082", None),
            ("worker-1", None),
            (":8082", None),
            ("a b:1", None),
            ("worker-1:80820", None),
            ("http://x:1", None),
        ] {
            assert_eq!(host_and_port(address), parts, "{address}");
        }
    }

    #[test]
    fn defaults_work_and_what_does_not_is_named() {
        let good = LinkConfig::default();
        assert_eq!(good.problems("link"), []);
        assert_eq!(good.worker_problems("link"), []);
        let listening = SocketAddr::from(([127, 0, 0, 1], 5000));
        assert_eq!(good.claimed(listening), "127.0.0.1:5000");

        let everywhere = SocketAddr::from(([0, 0, 0, 0], 8082));
        let open = LinkConfig { listen: everywhere, ..good.clone() };
        assert_eq!(keys(open.worker_problems("link")), ["link.address"]);
        let found = LinkConfig { address: Some("worker-1:8082".to_owned()), ..open };
        assert_eq!(found.worker_problems("link"), []);
        assert_eq!(found.claimed(listening), "worker-1:8082");

        let tls = LinkTlsConfig { key: Some("x".into()), name: "a b".into(), ..good.tls.clone() };
        let bad = LinkConfig { cluster: String::new(), address: Some("x".into()), tls, ..good };
        let expected = [
            "link.cluster",
            "link.address",
            "link.tls.ca",
            "link.tls.certificate",
            "link.tls.name",
        ];
        assert_eq!(keys(bad.problems("link")), expected);
    }
}
