//! Workers that freeze or leave while people talk: each message once, in order, on both gateways.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinHandle, time::timeout};

use crate::support::{
    Client, Home, SOON, Server, chain,
    client::message,
    cluster::{PARTITIONS, settled},
    metrics::{Metrics, metrics_of},
    until, uuid,
};

/// Enough for both workers to have some.
const GROUPS: usize = 8;

/// How long a worker stands still: ten of its sessions.
const FROZEN: Duration = Duration::from_secs(30);

/// How long a request may be repeated.
const PATIENCE: Duration = SOON;

/// Repeats a request while its owner can't be reached.
pub async fn patiently(client: &mut Client, method: &str, params: Value) -> Value {
    let repeated = async {
        loop {
            let id = client.post(method, params.clone()).await;
            let error = match client.answer(id).await {
                Ok(result) => return result,
                Err(error) => error,
            };
            assert_eq!(error["data"]["code"], "unavailable", "{error}");
            let pause = error["data"]["retry_after_ms"].as_u64().expect("when");
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    };
    timeout(PATIENCE, repeated).await.expect("answered in time")
}

/// Two people at two gateways, one of them talks in all groups until told to end.
struct Flow {
    groups: Vec<String>,
    end: watch::Sender<bool>,
    /// The one who talks, and how often in each group.
    talks: JoinHandle<(Client, u64)>,
    /// The one who listens.
    bilal: Client,
    /// Who looks at the heads, which never go back.
    looks: JoinHandle<()>,
}

impl Flow {
    async fn start(server: &Server) -> Self {
        let mut asha = Client::join(server, "asha").await;
        let mut bilal = Client::join(server, "bilal").await;
        let mut groups = Vec::new();
        for _ in 0..GROUPS {
            let group = asha.create("group", None, &[&bilal.user]).await;
            bilal.told("conversation", &group).await;
            groups.push(group);
        }
        let (end, ended) = watch::channel(false);
        let looker = Client::join_as(server, "bilal", "other", json!({})).await;
        let looks = tokio::spawn(look(looker, groups.clone(), ended.clone()));
        let talks = tokio::spawn(talk(asha, groups.clone(), ended));
        Self { groups, end, talks, bilal, looks }
    }

    /// People talk meanwhile, and who listens answers pings.
    async fn goes_on(&mut self, length: Duration) {
        let listening = async { while self.bilal.take().await {} };
        assert!(timeout(length, listening).await.is_err(), "the listener's session ended");
    }

    /// Everybody has seen everything once, in order.
    async fn end(self) {
        let Self { groups, end, talks, mut bilal, looks } = self;
        end.send(true).expect("they talk");
        let (mut asha, rounds) = talks.await.expect("it talked");
        looks.await.expect("heads never go back");
        for group in &groups {
            for seq in 2..rounds + 2 {
                asha.event(group, seq).await;
                assert_eq!(bilal.event(group, seq).await["content"]["text"], (seq - 2).to_string());
            }
            let all = asha.history(group).await;
            chain::check(&all);
            assert_eq!(all.len() as u64, rounds + 1);
            assert_eq!(bilal.history(group).await, all);
        }
        for client in [asha, bilal] {
            let left: Vec<_> = client.inbox.iter().filter(|n| n["method"] == "event").collect();
            assert!(left.is_empty(), "{left:?}");
        }
    }
}

async fn talk(
    mut asha: Client,
    groups: Vec<String>,
    ended: watch::Receiver<bool>,
) -> (Client, u64) {
    let mut rounds = 0;
    while !*ended.borrow() {
        for group in &groups {
            let params = message(group, &uuid(), &rounds.to_string());
            patiently(&mut asha, "message.send", params).await;
        }
        rounds += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    (asha, rounds)
}

async fn look(mut client: Client, groups: Vec<String>, ended: watch::Receiver<bool>) {
    let mut heads = vec![0; groups.len()];
    while !*ended.borrow() {
        for (group, last) in groups.iter().zip(&mut heads) {
            let params = json!({"conversation": group});
            let entry = patiently(&mut client, "conversation.get", params).await;
            let head = entry["head"].as_u64().expect("a head");
            assert!(head >= *last, "{head} after {last}");
            *last = head;
        }
        client.inbox.clear();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The partitions that a worker has.
fn owned(server: &Server, worker: usize) -> f64 {
    let rest = server.rest.as_ref().expect("a cluster");
    let metrics = Metrics(metrics_of(rest.workers[worker].admin));
    metrics.sum("harkara_log_partitions", "")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_froze_wakes_up_and_nobody_sees_it() {
    harkara_test_engines::engines_or_skip!();
    let home = Home::new();
    let server = home.start();
    let mut flow = Flow::start(&server).await;
    let frozen = &server.rest.as_ref().expect("a cluster").workers[0].process;
    frozen.signal(Signal::STOP);
    flow.goes_on(FROZEN).await;
    assert_eq!(owned(&server, 1), f64::from(PARTITIONS), "the other one has them by now");
    frozen.signal(Signal::CONT);
    tokio::task::block_in_place(|| {
        let noticed = || frozen.err().contains("stood still for longer than its session");
        until("it notices", || noticed().then_some(()));
    });
    tokio::task::block_in_place(|| settled(&server));
    tokio::time::sleep(Duration::from_secs(1)).await;
    flow.end().await;
    assert_eq!(server.stop(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_leaves_in_good_order_while_people_talk() {
    harkara_test_engines::engines_or_skip!();
    let home = Home::new();
    let mut server = home.start();
    let flow = Flow::start(&server).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut leaver = server.rest.as_mut().expect("a cluster").workers.remove(0);
    leaver.process.terminate();
    let code = tokio::task::block_in_place(|| leaver.process.wait());
    assert_eq!(code, 0, "{}", leaver.process.err());
    tokio::task::block_in_place(|| {
        until("the other one has all", || {
            (owned(&server, 0) == f64::from(PARTITIONS)).then_some(())
        });
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    flow.end().await;
    assert_eq!(server.stop(), 0);
}
