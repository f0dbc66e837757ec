//! The settings files of the processes, as `deploy/cluster` writes them.

use std::{fmt::Write as _, net::SocketAddr, path::Path};

use anyhow::Context as _;

use crate::chaos::{fault::Role, plan::Shape};

/// Where a process listens and is seen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Addresses {
    /// For clients, or for gateways.
    pub(super) listen: SocketAddr,
    /// For operators.
    pub(super) admin: SocketAddr,
    /// The proxy in front of it.
    pub(super) seen: SocketAddr,
}

/// Where the engines are, with commas.
#[derive(Debug)]
pub(super) struct Engines {
    pub(super) brokers: String,
    pub(super) nodes: String,
    pub(super) shape: Shape,
}

pub(super) fn standalone(dir: &Path, data: &Path, addresses: &Addresses) -> anyhow::Result<()> {
    write(dir, &head(addresses.listen, addresses.admin, data))
}

pub(super) fn role(
    role: Role,
    dir: &Path,
    data: &Path,
    addresses: &Addresses,
    engines: &Engines,
) -> anyhow::Result<()> {
    let Addresses { listen, admin, seen } = *addresses;
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let is_gateway = role == Role::Gateway;
    let mut text = head(if is_gateway { listen } else { nowhere }, admin, data);
    let Engines { brokers, nodes, shape } = engines;
    let Shape { brokers: copies, nodes: rows, partitions, .. } = *shape;
    // Writing to a string can't fail.
    let _ = write!(
        text,
        "\n[kafka]\nbrokers = {}\npartitions = {partitions}\nreplication = {copies}\n\
         min_insync = {}\n\n[scylla]\nnodes = {}\nreplication = {rows}\n\n[link]\n",
        list(brokers),
        copies.div_ceil(2),
        list(nodes),
    );
    let _ = if is_gateway {
        writeln!(text, "listen = \"{nowhere}\"")
    } else {
        write!(text, "listen = \"{listen}\"\naddress = \"{seen}\"\n")
    };
    write(dir, &text)
}

fn head(listen: SocketAddr, admin: SocketAddr, data: &Path) -> String {
    format!(
        "mode = \"development\"\nlisten = \"{listen}\"\n\n[admin]\nlisten = \"{admin}\"\n\n\
         [data]\ndir = \"{}\"\n",
        data.display()
    )
}

fn list(with_commas: &str) -> String {
    format!("[\"{}\"]", with_commas.replace(',', "\", \""))
}

fn write(dir: &Path, text: &str) -> anyhow::Result<()> {
    let path = dir.join("harkara.toml");
    std::fs::write(&path, text).with_context(|| format!("can't write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_seen_through_its_proxy() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let addresses = Addresses { listen: at(1), admin: at(2), seen: at(3) };
        let engines = Engines {
            brokers: "a:1,b:2".to_owned(),
            nodes: "c:3".to_owned(),
            shape: Shape { brokers: 3, ..Shape::default() },
        };
        let written = |which| {
            role(which, dir.path(), Path::new("/d"), &addresses, &engines).expect("written");
            let text = std::fs::read_to_string(dir.path().join("harkara.toml")).expect("text");
            text.parse::<toml::Table>().expect("TOML")
        };
        let worker = written(Role::Worker);
        assert_eq!(worker["link"]["listen"].as_str(), Some("127.0.0.1:1"));
        assert_eq!(worker["link"]["address"].as_str(), Some("127.0.0.1:3"));
        assert_eq!(worker["kafka"]["brokers"][1].as_str(), Some("b:2"));
        assert_eq!(worker["kafka"]["min_insync"].as_integer(), Some(2));
        let gateway = written(Role::Gateway);
        assert_eq!(gateway["listen"].as_str(), Some("127.0.0.1:1"));
        assert!(gateway["link"].get("address").is_none());
    }
}
