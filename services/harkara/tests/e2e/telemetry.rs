//! What operators see: every metric of the page counts what it says; traces go where they are
//! told to, and nowhere else.

use std::{
    collections::BTreeMap,
    io::Read as _,
    net::{TcpListener, TcpStream},
    time::Duration,
};

use serde_json::json;

use crate::support::{
    Client, Home, Server,
    client::message,
    metrics::{Part, documented},
    until, uuid,
};

#[tokio::test]
async fn every_metric_of_the_page_is_there_and_counts() {
    let home = Home::new();
    let server = home.start();
    let mut asha = Client::join(&server, "asha").await;
    let mut bilal = Client::join(&server, "bilal").await;
    let talk = asha.create("direct", None, &[&bilal.user.clone()]).await;
    bilal.told("conversation", &talk).await;
    for n in 0..10 {
        asha.say(&talk, &format!("{n}")).await;
    }
    for seq in 2..=11 {
        asha.event(&talk, seq).await;
        bilal.event(&talk, seq).await;
    }
    let again = uuid();
    for _ in 0..2 {
        asha.call("message.send", message(&talk, &again, "twice")).await;
    }
    assert_eq!(asha.told("settled", &talk).await["seq"], 12);
    assert_eq!(asha.word("conversation.get", json!({"conversation": uuid()})).await, "not_found");
    assert_eq!(asha.word("no.such.method", json!({})).await, "-32601");
    let mut third = Client::join(&server, "chitra").await;
    third.socket.get_mut().set_nodelay(true).unwrap();
    third.write(&" ".repeat(70_000)).await;
    assert_eq!(third.closed().await, Some(1009));

    until("the third session is gone", || {
        (server.metrics().sum("harkara_sessions", "") == 2.0).then_some(())
    });
    let metrics = server.metrics();
    let missing: Vec<_> =
        documented(Part::Everywhere).into_iter().filter(|name| !metrics.has(name)).collect();
    assert!(missing.is_empty(), "on the page and not in /metrics: {missing:?}");
    for (name, label, least, most) in [
        ("harkara_build_info", "version=\"", 1.0, 1.0),
        ("harkara_build_info", "rustc=\"", 1.0, 1.0),
        ("harkara_process_resident_bytes", "", 4e6, 4e9),
        ("harkara_messages_accepted_total", "", 12.0, 12.0),
        ("harkara_events_delivered_total", "", 22.0, 30.0),
        ("harkara_requests_refused_total", "=\"not_found\"", 1.0, 1.0),
        ("harkara_requests_refused_total", "method_not_found", 1.0, 1.0),
        ("harkara_sessions_evicted_total", "violation", 1.0, 1.0),
        ("harkara_records_decided_total", "", 13.0, 30.0),
        ("harkara_records_quarantined_total", "", 0.0, 0.0),
        ("harkara_store_retries_total", "", 0.0, 0.0),
        ("harkara_partitions_stopped", "", 0.0, 0.0),
        ("harkara_conversations_hot", "", 1.0, 9.0),
        ("harkara_records_in_flight", "", 0.0, 20.0),
    ] {
        let sum = metrics.sum(name, label);
        assert!((least..=most).contains(&sum), "{name}{{{label}}} is {sum}:\n{}", metrics.0);
    }
    for step in ["append", "consume", "load", "store", "deliver", "request"] {
        let label = format!("step=\"{step}\"");
        assert!(metrics.sum("harkara_step_seconds_count", &label) >= 1.0, "{step}");
    }
    // No label grows with users or conversations.
    assert!(!metrics.0.contains(&talk) && !metrics.0.contains(&asha.user));
    let mut series = BTreeMap::new();
    for line in metrics.0.lines().filter(|line| !line.starts_with('#')) {
        let (name, _) = line.rsplit_once(' ').unwrap();
        assert!(series.insert(name, ()).is_none(), "twice: {name}");
    }
}

async fn chat_a_little(server: &Server) {
    let mut asha = Client::join(server, "asha").await;
    let group = asha.create("group", None, &[]).await;
    asha.say(&group, "hello").await;
    asha.event(&group, 2).await;
}

fn collector() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

#[tokio::test]
async fn traces_go_where_they_are_told_to() {
    let (listener, url) = collector();
    let home = Home::new();
    let server = home.launch().env("HARKARA_TELEMETRY__OTLP_ENDPOINT", &url).start();
    chat_a_little(&server).await;
    server.process.terminate();
    let mut stream: TcpStream = until("a connection", || listener.accept().ok()).0;
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut preface = [0; 16];
    stream.read_exact(&mut preface).unwrap();
    assert_eq!(&preface, b"PRI * HTTP/2.0\r\n", "gRPC");
}

#[tokio::test]
async fn nothing_is_sent_anywhere_unless_it_is_configured() {
    let (listener, url) = collector();
    let home = Home::new();
    let server = home
        .launch()
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &url)
        .env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &url)
        .start();
    chat_a_little(&server).await;
    assert_eq!(server.stop(), 0, "which would send what waits");
    assert!(listener.accept().is_err());
}
