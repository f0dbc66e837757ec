//! From a standalone to a cluster of real engines: everything reads the same, and store and log
//! agree before and after.

use harkara_test_engines::{Cassandra, Kafka};
use serde_json::json;

use super::moving::{command, export, live, seen_by};
use crate::support::{
    Client, Home, Server, chain,
    client::message,
    server::{Launch, listening, until_told},
    uuid,
};

/// A settings file for every role, on a topic and a keyspace of its own.
fn settings(home: &Home, kafka: &Kafka, cassandra: &Cassandra) -> std::path::PathBuf {
    let name = format!("up{}", uuid().replace('-', ""));
    let (brokers, nodes) = (kafka.bootstrap().split(','), cassandra.contact_points());
    let text = format!(
        "listen = \"127.0.0.1:0\"\nadmin.listen = \"127.0.0.1:0\"\n\
         [kafka]\nbrokers = {:?}\nprefix = {name:?}\npartitions = 8\n\
         replication = 1\nmin_insync = 1\n\
         [scylla]\nnodes = {nodes:?}\nkeyspace = {name:?}\ndatacenter = \"datacenter1\"\n\
         replication = 1\n[link]\nlisten = \"127.0.0.1:0\"\n",
        brokers.collect::<Vec<_>>()
    );
    home.file("cluster.toml", &text)
}

/// A command of the cluster.
fn role(home: &Home, words: &[&str]) -> Launch {
    let launch = Launch::bare(home.path());
    let launch = words.iter().fold(launch, |launch, word| launch.arg(word));
    launch.arg("--config").arg(home.path().join("cluster.toml"))
}

fn well(launch: Launch) -> serde_json::Value {
    let (code, out, err) = launch.arg("--json").run();
    assert_eq!(code, 0, "{out}{err}");
    serde_json::from_str(&out).expect("JSON")
}

#[tokio::test]
async fn a_standalone_moves_into_a_cluster() {
    harkara_test_engines::engines_or_skip!();
    let (old, new) = (Home::new(), Home::new());
    let server = old.start();
    let group = live(&server).await;
    let mut before = Vec::new();
    for name in ["asha", "bilal", "chitra"] {
        before.push(seen_by(&server, name).await);
    }
    assert_eq!(server.stop(), 0);
    assert_eq!(export(&old).0, 0);
    settings(&new, Kafka::shared(), Cassandra::shared());

    let archive = old.path().join("archive");
    let import = || role(&new, &["import", "--cluster"]).arg("--from").arg(&archive);
    let (code, out, err) = role(&new, &["migrate"]).run();
    assert_eq!(code, 0, "{out}{err}");
    for written in ["36 written now", "0 written now"] {
        let (code, out, err) = import().run();
        assert_eq!(code, 0, "{out}{err}");
        assert!(out.contains(written), "{out}");
    }
    let stood = well(command(&old, &["verify"]));
    let moved = well(role(&new, &["verify", "--cluster"]));
    for count in ["conversations", "events", "memberships", "cursors"] {
        assert_eq!(moved["counts"][count], stood["counts"][count], "{count}: {moved} {stood}");
    }
    assert_eq!(moved["counts"]["records"], 0);

    let worker = role(&new, &["fanout"]).spawn();
    until_told(&worker, "listening link=");
    let gateway = role(&new, &["gateway"]).spawn();
    until_told(&gateway, "listening admin=");
    let (clients, admin) = listening(&gateway.out()).expect("two addresses");
    let server = Server::alone(gateway, clients, admin);
    for (name, before) in ["asha", "bilal", "chitra"].iter().zip(&before) {
        assert_eq!(&seen_by(&server, name).await, before, "{name}");
    }
    let mut asha = Client::join(&server, "asha").await;
    let sent = asha.call("message.send", message(&group, &uuid(), "here we are")).await;
    assert_eq!(sent, json!({"accepted": true}));
    asha.notice(|n| n["method"] == "event" && n["params"]["seq"] == 35).await;
    chain::check(&asha.history(&group).await);
    let after = well(role(&new, &["verify", "--cluster"]));
    assert_eq!(after["counts"]["caused_events"], 1, "{after}");
    assert_eq!(after["counts"]["events"], 37, "{after}");
}
