//! Settings that do not go together: a sentence and exit code 3, or a refusal in the log of both
//! ends. Never a wrong state.

use serde_json::json;

use crate::support::{
    Client, Home, Server,
    client::message,
    cluster::Gateway,
    http,
    metrics::{Metrics, metrics_of},
    server::until_told,
    until, uuid,
};

/// Neither a gateway nor a worker starts; both say this.
fn refused(home: &Home, words: &[&str]) {
    for role in ["gateway", "fanout"] {
        let (code, out, err) = home.site().role(role).arg("--data").arg(home.data()).run();
        assert_eq!((code, out.as_str()), (3, ""), "{role}: {err}");
        for word in words {
            assert!(err.contains(word), "{role}: {word}: {err}");
        }
        assert!(!err.contains("panicked"), "{err}");
    }
}

#[test]
fn what_does_not_belong_together_does_not_start() {
    harkara_test_engines::engines_or_skip!();
    let (home, other) = (Home::new(), Home::new());
    home.site().make();
    other.site().make();
    home.site().change("partitions = 8", "partitions = 16");
    refused(&home, &["8", "16", "kafka.partitions"]);
    home.site().change("partitions = 16", "partitions = 8");
    let own = home.site().name();
    let keyspace = |name: &str| format!("keyspace = {name:?}");
    let (mine, theirs) = (keyspace(&own), keyspace(&other.site().name()));
    home.site().change(&mine, &theirs);
    refused(&home, &["the store belongs to generation"]);
}

#[test]
fn what_is_not_made_yet_is_waited_for() {
    harkara_test_engines::engines_or_skip!();
    let home = Home::new();
    let started: Vec<_> = ["gateway", "fanout"]
        .map(|role| home.site().role(role).arg("--data").arg(home.data()).spawn())
        .into_iter()
        .collect();
    for process in &started {
        until("it says what is missing", || {
            process.err().contains("harkara migrate").then_some(())
        });
    }
    home.site().make();
    for process in &started {
        until_told(process, "listening");
    }
}

#[tokio::test]
async fn a_gateway_of_another_cluster_is_refused_by_the_workers() {
    harkara_test_engines::engines_or_skip!();
    let home = Home::new();
    let server = home.start();
    let mut asha = Client::join(&server, "asha").await;
    let group = asha.create("group", None, &[]).await;
    home.site().change("[link]\n", "[link]\ncluster = \"another\"\n");
    let stranger = home.site().role("gateway").arg("--data").arg(home.data()).spawn();
    let Gateway { process, clients, admin } = Gateway::listening(stranger);
    let workers = server.rest.as_ref().expect("a cluster").workers.iter();
    for process in workers.map(|worker| &worker.process).chain([&process]) {
        until("a refusal in the log", || process.err().contains("another").then_some(()));
    }
    assert_eq!(Metrics(metrics_of(admin)).sum("harkara_link_workers", ""), 0.0);
    assert_eq!(http::get(admin, "/healthz").expect("an answer").0, 200);
    // Its sessions get no answer from a worker, wrong or right.
    let stranger = Server::alone(process, clients, admin);
    let token = stranger.token("asha");
    let mut lost = Client::open(stranger.clients, Some(&token)).await.expect("an upgrade");
    lost.start(json!({})).await.expect("a session, whose lists are read from the store");
    let refused = lost.refused("message.send", message(&group, &uuid(), "from outside")).await;
    assert_eq!(refused["data"]["code"], "unavailable", "{refused}");
    asha.say(&group, "among us").await;
    asha.event(&group, 2).await;
}
