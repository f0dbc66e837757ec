//! More than the server takes: what is given up first, what is kept, and that order survives it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{
    Client, Home, SOON, Stopwatch,
    client::{Frame, message},
    uuid, wait,
};

const ONE_THREAD: (&str, &str) = ("HARKARA_GATEWAY__WORKERS", "1");
const UNDECIDED_MAX: &str = "HARKARA_GATEWAY__UNDECIDED_SENDS_MAX";
const TARGET: &str = "HARKARA_GATEWAY__OUTCOME_TARGET";

/// Sends all lines without waiting; the lines that were refused, and when to come again.
async fn pour(client: &mut Client, to: &str, lines: &[(u64, String)]) -> (Vec<u64>, u64) {
    let mut waiting = BTreeMap::new();
    for (line, client_id) in lines {
        let params = message(to, client_id, &line.to_string());
        waiting.insert(client.post("message.send", params).await, *line);
    }
    let (mut refused, mut pause) = (Vec::new(), 0);
    while !waiting.is_empty() {
        let Frame::Json(frame) = client.frame().await else { panic!("closed") };
        let Some(line) = frame["id"].as_u64().and_then(|id| waiting.remove(&id)) else { continue };
        if frame["result"] == json!({"accepted": true}) {
            continue;
        }
        let data = &frame["error"]["data"];
        assert_eq!(
            (&data["code"], &data["retryable"]),
            (&json!("unavailable"), &json!(true)),
            "{frame}"
        );
        pause = pause.max(data["retry_after_ms"].as_u64().expect("when"));
        refused.push(line);
    }
    (refused, pause)
}

/// Asks until it is not `unavailable`: what is given up under load comes back by itself.
async fn patiently(client: &mut Client, method: &str, params: &Value) -> Value {
    let watch = Stopwatch::start();
    loop {
        let id = client.post(method, params.clone()).await;
        match client.answer(id).await {
            Ok(result) => return result,
            Err(error) => {
                assert_eq!(error["data"]["code"], "unavailable", "{error}");
                assert!(watch.elapsed() < SOON, "{method} is still refused");
                let pause = error["data"]["retry_after_ms"].as_u64().expect("when");
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
        }
    }
}

/// The lines of a conversation, in its order.
async fn lines(client: &mut Client, of: &str) -> Vec<u64> {
    patiently(client, "timeline.read", &json!({"conversation": of})).await;
    let events = client.history(of).await;
    let texts = events.iter().filter_map(|event: &Value| event["content"]["text"].as_str());
    texts.map(|text| text.parse().unwrap()).collect()
}

/// A client that re-sends as it is told, in its order, gets its lines in their order, whatever was
/// refused on the way.
#[tokio::test]
async fn what_was_refused_is_not_overtaken_by_what_was_sent_behind_it() {
    const LINES: u64 = 40;
    let home = Home::new();
    let server = home.launch().env(ONE_THREAD.0, ONE_THREAD.1).env(UNDECIDED_MAX, "8").start();
    let mut asha = Client::join(&server, "asha").await;
    let group = asha.create("group", None, &[]).await;
    let mut outbox: Vec<_> = (0..LINES).map(|line| (line, uuid())).collect();
    let mut refusals = 0;
    while !outbox.is_empty() {
        let (refused, pause) = pour(&mut asha, &group, &outbox).await;
        refusals += refused.len();
        outbox.retain(|(line, _)| refused.contains(line));
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    assert!(refusals > 0, "nothing was refused: the test tests nothing");
    assert_eq!(lines(&mut asha, &group).await, (0..LINES).collect::<Vec<_>>());
    assert_eq!(server.stop(), 0);
}

/// Few who send much are held back by their own sockets: that costs nobody anything.
#[tokio::test]
async fn who_pours_is_held_back_and_not_refused() {
    let home = Home::new();
    let server = home.launch().env(ONE_THREAD.0, ONE_THREAD.1).start();
    let mut pourers = JoinSet::new();
    for name in ["asha", "bilal", "chitra"] {
        let mut client = Client::join(&server, name).await;
        pourers.spawn(async move {
            let room = client.create("group", None, &[]).await;
            let outbox: Vec<_> = (0..500).map(|line| (line, uuid())).collect();
            pour(&mut client, &room, &outbox).await.0
        });
    }
    while let Some(refused) = pourers.join_next().await {
        assert_eq!(refused.unwrap(), Vec::<u64>::new());
    }
}

/// Somebody who sends on and on, whatever they are answered; how much was taken and refused.
async fn flood(mut client: Client, room: String, ends: Arc<AtomicBool>) -> (u64, u64) {
    let (mut taken, mut refused) = (0, 0);
    while !ends.load(Ordering::Relaxed) {
        let id = client.post("message.send", message(&room, &uuid(), "flood")).await;
        match client.answer(id).await {
            Ok(_) => taken += 1,
            Err(error) => {
                assert_eq!(error["data"]["code"], "unavailable", "{error}");
                refused += 1;
            }
        }
        client.inbox.clear();
    }
    (taken, refused)
}

/// Is somebody seen typing who is?
async fn sees_typing(typist: &mut Client, other: &mut Client, room: &str) -> bool {
    for active in [true, false] {
        typist.call("typing.set", json!({"conversation": room, "active": active})).await;
    }
    // A message of one's own says that everything before it has come.
    let client_id = uuid();
    let sent = message(room, &client_id, "seen?");
    patiently(other, "message.send", &sent).await;
    other.notice(|notice| notice["params"]["client_id"] == client_id.as_str()).await;
    let (before, now) = (other.inbox.len(), |n: &Value| n["method"] != "typing");
    other.inbox.retain(now);
    other.inbox.len() < before
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_costs_typing_first_and_other_conversations_nothing_and_ends() {
    const FLOODERS: usize = 40;
    let home = Home::new();
    let server = home.launch().env(ONE_THREAD.0, ONE_THREAD.1).env(TARGET, "2ms").start();
    let (mut asha, mut bilal) =
        (Client::join(&server, "asha").await, Client::join(&server, "bilal").await);
    let quiet = asha.create("group", None, &[&bilal.user.clone()]).await;
    bilal.told("conversation", &quiet).await;
    assert!(sees_typing(&mut bilal, &mut asha, &quiet).await);
    let mut crowd = Vec::new();
    for n in 0..FLOODERS {
        crowd.push(Client::join(&server, &format!("flooder{n}")).await);
    }
    let users: Vec<_> = crowd.iter().map(|client| client.user.clone()).collect();
    let users: Vec<_> = users.iter().skip(1).map(String::as_str).collect();
    let hot = crowd[0].create("group", None, &users).await;
    let ends = Arc::new(AtomicBool::new(false));
    let mut floods = JoinSet::new();
    for client in crowd {
        floods.spawn(flood(client, hot.clone(), Arc::clone(&ends)));
    }
    let given_up = |what: &str| server.metrics().sum("harkara_given_up_total", what);
    let watch = Stopwatch::start();
    while given_up("\"send\"") < 1.0 {
        assert!(watch.elapsed() < SOON, "nothing is refused");
        tokio::time::sleep(wait::LOOK).await;
    }
    // Whoever sends to the other conversation is not even refused once.
    for _ in 0..20 {
        asha.say(&quiet, "quiet").await;
    }
    assert!(!sees_typing(&mut bilal, &mut asha, &quiet).await, "typing goes before sends do");
    assert!(given_up("\"typing\"") > 0.0);
    ends.store(true, Ordering::Relaxed);
    let (mut taken, mut refused) = (0, 0);
    while let Some(flooder) = floods.join_next().await {
        let (more, no) = flooder.unwrap();
        (taken, refused) = (taken + more, refused + no);
    }
    println!("of the flood {taken} were taken and {refused} refused in {:?}", watch.elapsed());
    assert!(taken > 0 && refused > 0);
    let watch = Stopwatch::start();
    while server.metrics().sum("harkara_overload_stage", "") > 0.0 {
        assert!(watch.elapsed() < SOON, "it does not end");
        tokio::time::sleep(wait::LOOK).await;
    }
    println!("calm after {:?}", watch.elapsed());
    assert!(sees_typing(&mut bilal, &mut asha, &quiet).await);
    assert_eq!(server.stop(), 0);
}
