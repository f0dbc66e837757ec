//! Settings that do not go together: a sentence and exit code 3, or a refusal in the log of both
//! ends. Never a wrong state.

use crate::support::{
    Client, Home, Server, cluster::Gateway, http, server::Metrics, server::metrics_of, until, uuid,
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
    refused(&home, &["harkara migrate"]);
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
    home.site().change(&theirs, &keyspace("c_that_nobody_made"));
    refused(&home, &["harkara migrate"]);
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
    println!("{}", process.err());
    assert_eq!(Metrics(metrics_of(admin)).sum("harkara_link_workers", ""), 0.0);
    assert_eq!(http::get(admin, "/healthz").expect("an answer").0, 200);
    // Its sessions get nothing, wrong or right.
    let stranger = Server::alone(process, clients, admin);
    let token = stranger.token("asha");
    let mut lost = Client::open(stranger.clients, Some(&token)).await.expect("an upgrade");
    let refused = lost.start(serde_json::json!({})).await.expect_err("no owner is reached");
    assert_eq!(refused["data"]["code"], "unavailable", "{refused} {}", uuid());
    asha.say(&group, "among us").await;
    asha.event(&group, 2).await;
}
