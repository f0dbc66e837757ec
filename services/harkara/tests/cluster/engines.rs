//! Kafka and Cassandra that hang, die and come back: clients are told to wait, `/readyz` says why, and
//! nothing has to be started again. On engines of its own, since others would feel it.

use std::net::SocketAddr;

use harkara_test_engines::{Cassandra, CassandraOptions, Kafka, KafkaOptions, Signal, Sync};
use serde_json::json;

use super::workers::patiently;
use crate::support::{
    Client, Home, Server, chain,
    client::message,
    cluster::{Gateway, Worker},
    http,
    server::free_port,
    until, uuid,
};

/// Waits until `/readyz` says 503 with this word, or 200 for none.
fn ready(admin: SocketAddr, because: Option<&str>) -> String {
    until(&format!("readiness because of {because:?}"), || {
        let (status, body) = http::get(admin, "/readyz").ok()?;
        let as_wanted = because.map_or(status == 200, |word| status == 503 && body.contains(word));
        as_wanted.then_some(body)
    })
}

/// Sends until it is accepted and its event has come; then the whole history is sound.
async fn goes_on(server: &Server, group: &str) {
    let mut asha = Client::join(server, "asha").await;
    let params = message(group, &uuid(), "again");
    patiently(&mut asha, "message.send", params.clone()).await;
    asha.notice(|n| n["method"] == "event" && n["params"]["client_id"] == params["client_id"])
        .await;
    chain::check(&asha.history(group).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn engines_hang_and_die_and_come_back() {
    harkara_test_engines::engines_or_skip!();
    let kafka = Kafka::start(&KafkaOptions::default());
    let cassandra =
        Cassandra::start(&CassandraOptions { sync: Sync::Batch, ..CassandraOptions::default() });
    let home = Home::on(kafka.bootstrap(), &cassandra.contact_points());
    let server = home.start();
    let mut asha = Client::join(&server, "asha").await;
    let group = asha.create("group", None, &[]).await;

    kafka.signal_all(Signal::Stop);
    let error = asha.refused("message.send", message(&group, &uuid(), "maybe")).await;
    assert_eq!(error["data"]["code"], "unavailable", "{error}");
    assert!(error["data"]["retry_after_ms"].as_u64().is_some_and(|ms| ms > 0), "{error}");
    ready(server.admin, Some("log"));
    kafka.signal_all(Signal::Cont);
    ready(server.admin, None);
    goes_on(&server, &group).await;
    drop(asha);

    let mut asha = Client::join(&server, "asha").await;
    cassandra.signal_all(Signal::Stop);
    let late = asha.say(&group, "accepted without a store").await;
    ready(server.admin, Some("store"));
    cassandra.signal_all(Signal::Cont);
    asha.notice(|n| n["method"] == "event" && n["params"]["client_id"] == late.as_str()).await;
    ready(server.admin, None);
    goes_on(&server, &group).await;
    drop(asha);
    assert_eq!(server.stop(), 0);

    kafka.signal_all(Signal::Kill);
    cassandra.signal_all(Signal::Kill);
    started_without_engines(&home, &kafka, &cassandra, &group).await;
}

/// They wait and say for what, and serve once it is there.
async fn started_without_engines(home: &Home, kafka: &Kafka, cassandra: &Cassandra, group: &str) {
    let start = |role: &str| {
        let admin = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let launch = home.site().role(role).arg("--admin").arg(admin.to_string());
        (launch.arg("--data").arg(home.data()).spawn(), admin)
    };
    let both = [start("gateway"), start("fanout")];
    for (_, admin) in &both {
        ready(*admin, Some("kafka"));
        assert_eq!(http::get(*admin, "/healthz").unwrap().0, 200);
    }
    kafka.restart();
    for (_, admin) in &both {
        ready(*admin, Some("the store"));
    }
    cassandra.restart();
    for (_, admin) in &both {
        ready(*admin, None);
    }
    let [(gateway, _), (worker, _)] = both;
    let _worker = Worker::serving(worker);
    let Gateway { process, clients, admin } = Gateway::listening(gateway);
    let server = Server::alone(process, clients, admin);
    goes_on(&server, group).await;
    let mut asha = Client::join(&server, "asha").await;
    let history = asha.history(group).await;
    let said = |text: &str| history.iter().filter(|e| e["content"]["text"] == text).count();
    assert_eq!((said("again"), said("accepted without a store")), (3, 1));
    assert!(said("maybe") <= 1, "unknown, and once at most");
    assert_eq!(asha.entry(group).await["unread"], json!(0));
}
