//! Partitions change hands while people talk: how long nobody is told anything, and that all they
//! missed comes in order. The session timeout of these clusters is three seconds. Bounds are those of
//! ADR 13, and the only tolerance is what the slowest message needed before anything happened: what
//! this machine does to messages anyway.

use std::{collections::HashMap, time::Duration};

use serde_json::Value;
use tokio::{sync::watch, task::JoinHandle};

use super::workers::patiently;
use crate::support::{
    Client, Home, Server, Stopwatch, chain, client::message, cluster::Worker, metrics::metrics_of,
    until, uuid,
};

/// Enough for each worker to have some.
const GROUPS: usize = 8;

/// What leaving in good order may cost.
const GRACEFUL: Duration = Duration::from_secs(2);

/// What a death may cost: the session's end, and as much again as leaving.
const ABRUPT: Duration = Duration::from_secs(3 + 2);

/// One talks in all groups at one gateway, one listens at the other.
struct Talk {
    watch: Stopwatch,
    end: watch::Sender<bool>,
    talks: JoinHandle<HashMap<String, u64>>,
    listens: JoinHandle<Heard>,
}

/// What the listener heard.
#[derive(Default)]
struct Heard {
    /// The newest event of each group.
    heads: HashMap<String, u64>,
    /// When something was said, and how long it was on its way.
    delays: Vec<(Duration, Duration)>,
}

impl Talk {
    async fn start(server: &Server) -> Self {
        let mut asha = Client::join(server, "asha").await;
        let bilal = Client::join(server, "bilal").await;
        let mut groups = Vec::new();
        for _ in 0..GROUPS {
            groups.push(asha.create("group", None, &[&bilal.user]).await);
        }
        let watch = Stopwatch::start();
        let (end, ended) = watch::channel(false);
        let (said, last) = watch::channel(None);
        let talks = tokio::spawn(talk(asha, groups, watch, ended, said));
        let listens = tokio::spawn(listen(bilal, watch, last));
        let talk = Self { watch, end, talks, listens };
        talk.goes_on(Duration::from_secs(2)).await;
        talk
    }

    /// People talk meanwhile.
    async fn goes_on(&self, length: Duration) {
        tokio::time::sleep(length).await;
        assert!(!self.listens.is_finished(), "the listener is gone");
    }

    /// Everybody has heard everything, in order: the longest ways of what was said before and since.
    async fn end(self, since: Duration, server: &Server) -> Ways {
        self.end.send(true).expect("they talk");
        let said = self.talks.await.expect("it talked");
        let heard = self.listens.await.expect("it listened");
        assert_eq!(heard.heads, said, "the last event of each group");
        let mut bilal = Client::join(server, "bilal").await;
        for (group, head) in &said {
            let history = bilal.history(group).await;
            chain::check(&history);
            assert_eq!(history.len() as u64, *head);
        }
        // What was on its way at that moment counts as since.
        let (later, before): (Vec<_>, Vec<_>) =
            heard.delays.into_iter().partition(|(at, way)| *at + *way >= since);
        let longest = |of: Vec<(Duration, Duration)>| of.into_iter().map(|(_, way)| way).max();
        Ways {
            before: longest(before).expect("they talked before"),
            since: longest(later).expect("they talked since"),
        }
    }
}

/// How long the slowest messages were on their way.
struct Ways {
    before: Duration,
    since: Duration,
}

impl Ways {
    #[expect(clippy::print_stdout, reason = "figures of a run, for whoever wants to see them")]
    fn within(&self, bound: Duration, what: &str) {
        let Self { before, since } = self;
        println!(
            "{what}: the slowest message took {} ms, before it {} ms",
            since.as_millis(),
            before.as_millis()
        );
        assert!(*since < bound + *before, "{what}: {since:?}, before it {before:?}");
    }
}

async fn talk(
    mut asha: Client,
    groups: Vec<String>,
    watch: Stopwatch,
    ended: watch::Receiver<bool>,
    said: watch::Sender<Option<HashMap<String, u64>>>,
) -> HashMap<String, u64> {
    let mut heads: HashMap<String, u64> = groups.iter().map(|group| (group.clone(), 1)).collect();
    while !*ended.borrow() {
        for group in &groups {
            let at = watch.elapsed().as_nanos().to_string();
            patiently(&mut asha, "message.send", message(group, &uuid(), &at)).await;
            *heads.entry(group.clone()).or_default() += 1;
            asha.inbox.clear();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    said.send_replace(Some(heads.clone()));
    heads
}

async fn listen(
    mut bilal: Client,
    watch: Stopwatch,
    mut last: watch::Receiver<Option<HashMap<String, u64>>>,
) -> Heard {
    let mut heard = Heard::default();
    loop {
        let event = tokio::select! {
            event = bilal.notice(|n| n["method"] == "event") => event,
            _ = last.wait_for(|last| last.as_ref() == Some(&heard.heads)) => return heard,
        };
        let params = &event["params"];
        let (group, seq) = (params["conversation"].as_str().expect("an id"), &params["seq"]);
        let head = heard.heads.entry(group.to_owned()).or_insert(0);
        if *head > 0 {
            assert_eq!(*seq, Value::from(*head + 1), "in order and without holes");
        }
        *head = seq.as_u64().expect("a number");
        let said = params["content"]["text"].as_str().and_then(|text| text.parse().ok());
        if let Some(said) = said.map(Duration::from_nanos) {
            heard.delays.push((said, watch.elapsed().saturating_sub(said)));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_leaves_costs_less_than_two_seconds() {
    harkara_test_engines::engines_or_skip!();
    let home = Home::new();
    let mut server = home.start();
    let talk = Talk::start(&server).await;
    let since = talk.watch.elapsed();
    let mut leaver = server.rest.as_mut().expect("a cluster").workers.remove(0);
    leaver.process.terminate();
    let code = tokio::task::block_in_place(|| leaver.process.wait());
    assert_eq!(code, 0, "{}", leaver.process.err());
    talk.goes_on(Duration::from_secs(4)).await;
    let ways = talk.end(since, &server).await;
    ways.within(GRACEFUL, "SIGTERM of one of two workers");
    assert_eq!(server.stop(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_comes_costs_less_than_two_seconds() {
    harkara_test_engines::engines_or_skip!();
    let home = Home::new();
    let mut server = home.start();
    let talk = Talk::start(&server).await;
    let since = talk.watch.elapsed();
    let comer = tokio::task::block_in_place(|| {
        let comer = Worker::serving(home.site().role("fanout").spawn());
        let has_some = || {
            let metrics = crate::support::metrics::Metrics(metrics_of(comer.admin));
            (metrics.sum("harkara_log_partitions", "") > 0.0).then_some(())
        };
        until("its share", has_some);
        comer
    });
    talk.goes_on(Duration::from_secs(4)).await;
    let ways = talk.end(since, &server).await;
    ways.within(GRACEFUL, "a third worker");
    server.rest.as_mut().expect("a cluster").workers.push(comer);
    assert_eq!(server.stop(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_dies_costs_its_session_and_two_seconds() {
    harkara_test_engines::engines_or_skip!();
    let home = Home::new();
    let mut server = home.start();
    let talk = Talk::start(&server).await;
    let since = talk.watch.elapsed();
    let mut dead = server.rest.as_mut().expect("a cluster").workers.remove(0);
    dead.process.kill();
    talk.goes_on(Duration::from_secs(8)).await;
    let ways = talk.end(since, &server).await;
    ways.within(ABRUPT, "SIGKILL of one of two workers");
    assert_eq!(server.stop(), 0);
}
