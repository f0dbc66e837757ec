//! What a message is made of: one append and one row, however many processes see it (D6).

use crate::support::{
    Client, Home, Server,
    metrics::{Part, documented},
    until,
};

/// Records appended, rows written, over all processes.
fn counts(server: &Server) -> (f64, f64) {
    let metrics = server.metrics();
    let sum = |name: &str| metrics.sum(name, "");
    (sum("harkara_log_records_appended_total"), sum("harkara_store_rows_written_total"))
}

#[tokio::test]
async fn a_message_is_one_append_and_one_row() {
    harkara_test_engines::engines_or_skip!();
    const MESSAGES: u64 = 100;
    let home = Home::new();
    let server = home.start();
    let mut asha = Client::join(&server, "asha").await;
    let mut bilal = Client::join(&server, "bilal").await;
    let group = asha.create("group", None, &[&bilal.user.clone()]).await;
    bilal.told("conversation", &group).await;
    // What the creation causes (lists, names) has come to rest when two looks agree.
    let mut last = counts(&server);
    let before = until("the creation is done", || {
        std::thread::sleep(std::time::Duration::from_millis(300));
        let now = counts(&server);
        (std::mem::replace(&mut last, now) == now).then_some(now)
    });
    for n in 0..MESSAGES {
        asha.say(&group, &format!("{n}")).await;
    }
    for seq in 2..MESSAGES + 2 {
        asha.event(&group, seq).await;
        bilal.event(&group, seq).await;
    }
    let metrics = server.metrics();
    let missing: Vec<_> =
        documented(Part::Cluster).into_iter().filter(|name| !metrics.has(name)).collect();
    assert!(missing.is_empty(), "on the page and in no process's /metrics: {missing:?}");
    let (appended, rows) = counts(&server);
    let all = MESSAGES as f64;
    assert_eq!((appended - before.0, rows - before.1), (all, all));
}
