//! Kills in the middle of it: nothing that was accepted is lost, nothing is doubled, order holds.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use harkara_client::{
    Client as Sdk, Content, ConversationId, Options, Outcome, Start, TokenSource, Tuning, Update,
    Updates,
};
use serde_json::{Value, json};
use tokio::{task::JoinSet, time::timeout};

use crate::support::{
    Client, Home, SOON, Server, Stopwatch, below, chain,
    client::{Frame, message},
    server::free_port,
    uuid, wait,
};

/// Requests without an answer, below the server's limit.
const PIPELINE: usize = 32;

/// Starts the server again on the same data and the same port.
fn again(home: &Home, port: u16) -> Server {
    home.launch().replacing("--listen", &format!("127.0.0.1:{port}")).start()
}

/// A client that sends numbered lines without waiting, and sends again only what it has no
/// answer for: so an `accepted` that was lost would show.
struct Writer {
    at: SocketAddr,
    token: String,
    name: String,
    conversation: String,
    lines: u64,
    /// Client ids of lines that are on their way, in their order.
    outbox: BTreeMap<u64, String>,
    accepted: BTreeSet<u64>,
    progress: Arc<AtomicU64>,
}

impl Writer {
    async fn run(mut self) {
        while !self.session().await {
            tokio::time::sleep(wait::LOOK).await;
        }
    }

    /// One session; true when everything was accepted.
    async fn session(&mut self) -> bool {
        let Some(mut client) = Client::open(self.at, Some(&self.token)).await else { return false };
        client.post("session.start", json!({})).await;
        let Frame::Json(started) = client.frame().await else { return false };
        assert!(started.get("result").is_some(), "{started}");
        let mut waiting: BTreeMap<u64, u64> = BTreeMap::new();
        let mut next = 0;
        loop {
            while waiting.len() < PIPELINE && next < self.lines {
                if !self.accepted.contains(&next) {
                    let client_id = self.outbox.entry(next).or_insert_with(uuid).clone();
                    let text = format!("{} {next}", self.name);
                    let params = message(&self.conversation, &client_id, &text);
                    waiting.insert(client.post("message.send", params).await, next);
                }
                next += 1;
            }
            if self.accepted.len() as u64 == self.lines {
                return true;
            }
            match client.frame().await {
                Frame::Closed(_) => return false,
                Frame::Json(frame) if frame["error"]["data"]["code"] == "unavailable" => {
                    let pause = frame["error"]["data"]["retry_after_ms"].as_u64();
                    tokio::time::sleep(Duration::from_millis(pause.expect("when"))).await;
                    return false;
                }
                Frame::Json(frame) => self.took(&mut waiting, &frame),
            }
        }
    }

    fn took(&mut self, waiting: &mut BTreeMap<u64, u64>, frame: &Value) {
        assert_ne!(frame["method"], "rejected", "{frame}");
        let Some(line) = frame["id"].as_u64().and_then(|id| waiting.remove(&id)) else { return };
        assert_eq!(frame["result"], json!({"accepted": true}), "{frame}");
        self.accepted.insert(line);
        self.progress.fetch_add(1, Ordering::Relaxed);
    }
}

/// Every line once, each writer's in order, no gap, no break.
fn check(events: &[Value], writers: usize, lines: u64) {
    chain::check(events);
    let mut seen: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for text in events.iter().filter_map(|event| event["content"]["text"].as_str()) {
        let (name, line) = text.split_once(' ').unwrap();
        seen.entry(name.to_owned()).or_default().push(line.parse().unwrap());
    }
    assert_eq!(seen.len(), writers);
    for (name, seen) in seen {
        assert_eq!(seen, (0..lines).collect::<Vec<_>>(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_loses_nothing_and_doubles_nothing() {
    const LINES: u64 = 400;
    const NAMES: [&str; 3] = ["asha", "bilal", "chitra"];
    let (home, port) = (Home::new(), free_port());
    let mut server = again(&home, port);
    let mut asha = Client::join(&server, "asha").await;
    let users = NAMES.map(|name| harkara_domain::UserId::development(name).to_string());
    let group = asha.create("group", None, &[&users[1], &users[2]]).await;
    let progress = Arc::new(AtomicU64::new(0));
    let mut writers = JoinSet::new();
    for name in NAMES {
        let token = server.token(name);
        let (at, progress, conversation) =
            (server.entrance(), Arc::clone(&progress), group.clone());
        let (outbox, accepted) = Default::default();
        let name = name.to_owned();
        let writer =
            Writer { at, token, name, conversation, lines: LINES, outbox, accepted, progress };
        writers.spawn(writer.run());
    }
    for kill in 1..=4 {
        let enough = kill * LINES * 3 / 5 + below(40);
        reach(&progress, enough).await;
        server.kill();
        server = tokio::task::block_in_place(|| again(&home, port));
    }
    timeout(SOON, async { while writers.join_next().await.transpose().unwrap().is_some() {} })
        .await
        .unwrap();
    let mut asha = Client::join(&server, "asha").await;
    let head = |entry: &Value| entry["head"].as_u64().unwrap();
    // Accepted is in the log; its place in the order follows at once.
    let watch = Stopwatch::start();
    while head(&asha.entry(&group).await) < 3 * LINES + 1 && watch.elapsed() < SOON {
        tokio::time::sleep(wait::LOOK).await;
    }
    check(&asha.history(&group).await, NAMES.len(), LINES);
    assert_eq!(server.stop(), 0);
}

async fn reach(progress: &AtomicU64, enough: u64) {
    let watch = Stopwatch::start();
    while progress.load(Ordering::Relaxed) < enough {
        assert!(watch.elapsed() < SOON, "stuck at {}", progress.load(Ordering::Relaxed));
        tokio::time::sleep(wait::LOOK).await;
    }
}

fn sdk(at: &str, name: &str) -> (Sdk, Updates) {
    let token = TokenSource::Dev { user: name.to_owned(), device: None };
    let mut options = Options::new(at, token);
    options.start = Start::Beginning;
    options.tuning = Tuning { backoff_ms_min: 10, backoff_ms_max: 100, ..Tuning::default() };
    Sdk::connect(options)
}

/// What one user of the SDK saw, to the last of so many events of one conversation and so many
/// outcomes.
async fn watch(
    mut updates: Updates,
    of: ConversationId,
    events_wanted: u64,
    outcomes_wanted: usize,
    progress: Arc<AtomicU64>,
) -> Vec<String> {
    let (mut events, mut outcomes) = (Vec::new(), BTreeMap::new());
    while (events.len() as u64) < events_wanted || outcomes.len() < outcomes_wanted {
        match timeout(SOON, updates.next()).await.expect("updates go on").expect("not stopped") {
            Update::Event(event) if event.conversation == of => {
                assert_eq!(event.seq, events.len() as u64 + 1, "a hole or a repeat");
                progress.fetch_add(1, Ordering::Relaxed);
                events.push(event.chain);
            }
            Update::Outcome { client_id, outcome, .. } => {
                let Outcome::Settled { seq } = outcome else { panic!("{outcome:?}") };
                assert!(outcomes.insert(client_id, seq).is_none(), "two outcomes");
            }
            Update::Stopped(stopped) => panic!("{stopped}"),
            Update::Reset { .. } | Update::Skipped { .. } => panic!("events were lost"),
            _ => {}
        }
    }
    let places: BTreeSet<_> = outcomes.values().collect();
    assert_eq!(places.len(), outcomes_wanted, "one place each");
    events
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sdk_comes_back_by_itself_and_shows_each_event_once() {
    const LINES: usize = 150;
    let (home, port) = (Home::new(), free_port());
    let mut server = again(&home, port);
    let url = server.url();
    let ((asha, asha_sees), (bilal, bilal_sees)) = (sdk(&url, "asha"), sdk(&url, "bilal"));
    asha.live().await.unwrap();
    let group = asha.create_group(None, &[bilal.live().await.unwrap().user]).await.unwrap();
    let (seen, all) = (Arc::new(AtomicU64::new(0)), 2 * LINES as u64 + 1);
    let mut tasks = JoinSet::new();
    let mut views = JoinSet::new();
    for (client, sees) in [(asha, asha_sees), (bilal, bilal_sees)] {
        views.spawn(watch(sees, group, all, LINES, Arc::clone(&seen)));
        tasks.spawn(async move {
            let name = client.live().await.unwrap().user.to_string();
            for n in 0..LINES {
                let content = Content::text(&format!("{name} {n}")).unwrap();
                client.send(group, content, None).await.unwrap();
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            client.settled().await.unwrap();
            client
        });
    }
    for kill in 1..=3 {
        reach(&seen, kill * 2 * all / 5).await;
        server.kill();
        server = tokio::task::block_in_place(|| again(&home, port));
    }
    let ended = async {
        let mut chains = BTreeSet::new();
        while let Some(view) = views.join_next().await {
            chains.insert(view.unwrap());
        }
        assert_eq!(chains.len(), 1, "both saw the same");
        while tasks.join_next().await.transpose().unwrap().is_some() {}
    };
    timeout(SOON, ended).await.unwrap();
    let mut reader = Client::join(&server, "asha").await;
    let events = reader.history(&group.to_string()).await;
    assert_eq!(events.len() as u64, all);
    check(&events, 2, LINES as u64);
}
