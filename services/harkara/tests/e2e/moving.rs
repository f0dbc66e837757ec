//! From one machine to another: export, import and verify as an operator runs them, on what real
//! clients wrote through real sockets.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::support::{
    Client, Home, SOON, Server, Stopwatch, chain, client::message, process::Process,
    server::Launch, until, uuid,
};

/// A command on a home's data.
pub fn command(home: &Home, words: &[&str]) -> Launch {
    let launch = Launch::bare(home.path());
    let launch = words.iter().fold(launch, |launch, word| launch.arg(word));
    launch.arg("--data").arg(home.data())
}

pub fn export(home: &Home) -> (i32, String, String) {
    command(home, &["export", "--to", "archive"]).run()
}

fn import(from: &Home, to: &Home) -> (i32, String, String) {
    command(to, &["import"]).arg("--from").arg(from.path().join("archive")).run()
}

/// Everything one user can ask for.
pub async fn seen_by(server: &Server, name: &str) -> Value {
    let mut client = Client::join(server, name).await;
    let mut conversations = Vec::new();
    for entry in client.started["conversations"].as_array().unwrap().clone() {
        let id = entry["id"].as_str().unwrap().to_owned();
        let from = known(&mut client, &id).await["from"].as_u64().unwrap();
        let params = json!({"conversation": id, "after": from - 1});
        let page = client.call("timeline.read", params).await;
        if from == 1 {
            chain::check(page["events"].as_array().unwrap());
        }
        let members = client.call("members.list", json!({"conversation": id})).await;
        let entry = client.entry(&id).await;
        conversations.push(json!({"entry": entry, "page": page, "members": members}));
    }
    conversations.sort_by_key(|c| c["entry"]["id"].as_str().map(str::to_owned));
    let found = client.call("users.find", json!({"prefix": "a"})).await;
    json!({"conversations": conversations, "found": found})
}

/// The user's entry, once the conversation's owner answers: a worker that just started may not.
async fn known(client: &mut Client, conversation: &str) -> Value {
    let watch = Stopwatch::start();
    loop {
        let id = client.post("conversation.get", json!({"conversation": conversation})).await;
        match client.answer(id).await {
            Ok(entry) => return entry,
            Err(error) => {
                assert_eq!(error["data"]["code"], "unavailable", "{error}");
                assert!(watch.elapsed() < SOON, "nobody owns {conversation}");
            }
        }
    }
}

/// Waits for an event, whatever comes before it.
async fn reached(client: &mut Client, conversation: &str, seq: u64) {
    let of = |n: &Value| n["params"]["conversation"] == conversation && n["params"]["seq"] == seq;
    client.notice(|n| n["method"] == "event" && of(n)).await;
}

/// Groups, a direct conversation, a removal and a return, a refusal, a repeat, read marks.
pub async fn live(server: &Server) -> String {
    let mut asha = Client::join(server, "asha").await;
    let mut bilal = Client::join(server, "bilal").await;
    let mut chitra = Client::join(server, "chitra").await;
    let (b, c) = (bilal.user.clone(), chitra.user.clone());
    let group = asha.create("group", Some("सभा"), &[&b, &c]).await;
    asha.create("direct", None, &[&b]).await;
    asha.create("group", Some("empty"), &[]).await;
    for n in 0..30 {
        asha.say(&group, &format!("पंक्ति {n}")).await;
    }
    reached(&mut asha, &group, 31).await;
    let remove = json!({"conversation": group, "client_id": uuid(), "users": [c]});
    asha.call("members.remove", remove).await;
    reached(&mut asha, &group, 32).await;
    // Refused early, or at its place in the order.
    let again = chitra.post("message.send", message(&group, &uuid(), "again")).await;
    if chitra.answer(again).await.is_ok() {
        chitra.told("rejected", &group).await;
    }
    let add = json!({"conversation": group, "client_id": uuid(), "users": [c]});
    asha.call("members.add", add).await;
    let client_id = uuid();
    for _ in 0..2 {
        bilal.call("message.send", message(&group, &client_id, "once")).await;
    }
    reached(&mut bilal, &group, 34).await;
    bilal.call("read.advance", json!({"conversation": group, "seq": 20})).await;
    group
}

#[tokio::test]
async fn what_was_exported_and_imported_reads_the_same() {
    let (old, new) = (Home::new(), Home::new());
    let server = old.start();
    let group = live(&server).await;
    let mut before = Vec::new();
    for name in ["asha", "bilal", "chitra"] {
        before.push(seen_by(&server, name).await);
    }
    // Nobody exports what is being served.
    let (code, _, err) = export(&old);
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("in use by another process: stop that one first"), "{err}");
    assert_eq!(server.stop(), 0);

    let (code, out, err) = export(&old);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("exported to archive: 3 conversations, 36 events"), "{out}");
    assert!(err.contains("export: 100 %"), "{err}");
    let (code, out, err) = import(&old, &new);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("36 written now"), "{out}");
    let (code, out, _) = import(&old, &new);
    assert_eq!((code, out.contains("0 written now")), (0, true), "{out}");
    for home in [&old, &new] {
        let (code, out, err) = command(home, &["verify"]).run();
        assert_eq!(code, 0, "{out}{err}");
        assert!(out.ends_with("all is well: every chain is unbroken, store and log agree\n"));
        assert!(out.contains("store: 3 conversations, 36 events"), "{out}");
        let (code, out, _) = command(home, &["verify", "--json"]).run();
        let summary: Value = serde_json::from_str(&out).unwrap();
        assert_eq!((code, &summary["well"]), (0, &Value::Bool(true)), "{summary}");
    }

    let server = new.start();
    for (name, before) in ["asha", "bilal", "chitra"].iter().zip(&before) {
        assert_eq!(&seen_by(&server, name).await, before, "{name}");
    }
    let mut asha = Client::join(&server, "asha").await;
    asha.say(&group, "here we are").await;
    chain::check(&asha.history(&group).await);
    assert_eq!(asha.history(&group).await.len(), 35);
    drop(asha);
    assert_eq!(server.stop(), 0);
    let (code, out, err) = command(&new, &["rebuild"]).run();
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("written: 0 events") && out.contains("1 events of these"), "{out}");
    let (code, out, _) = command(&new, &["verify"]).run();
    assert_eq!(code, 0, "{out}");
}

/// A server that was killed leaves records that are no events yet: they become events first.
#[tokio::test]
async fn the_end_of_a_killed_servers_log_is_exported_too() {
    let (old, new) = (Home::new(), Home::new());
    let mut server = old.start();
    let mut asha = Client::join(&server, "asha").await;
    let group = asha.create("group", Some("t"), &[]).await;
    let mut posted = Vec::new();
    for n in 0..50 {
        posted.push(asha.post("message.send", message(&group, &uuid(), &format!("{n}"))).await);
    }
    for id in posted {
        assert_eq!(asha.answer(id).await.unwrap(), json!({"accepted": true}));
    }
    server.process.kill();
    assert_eq!(export(&old).0, 0);
    assert_eq!(import(&old, &new).0, 0);
    let server = new.start();
    let mut asha = Client::join(&server, "asha").await;
    let events = asha.history(&group).await;
    assert_eq!(events.len(), 51);
    chain::check(&events);
}

/// Killed wherever it was, each command ends its work when it is run again.
#[tokio::test]
async fn killed_commands_are_run_again() {
    let (old, new) = (Home::new(), Home::new());
    let server = old.start();
    live(&server).await;
    assert_eq!(server.stop(), 0);
    let ends = |launch: Launch, marks: &Path, kills: usize| {
        for _ in 0..kills {
            let mut process: Process = launch.again().spawn();
            until("it begins or ends", || {
                (marks.exists() || process.exited().is_some()).then_some(())
            });
            process.kill();
        }
        launch.again().run()
    };
    let line = command(&old, &["export", "--to", "archive"]);
    let (code, _, err) = ends(line, &old.path().join("archive"), 3);
    assert_eq!(code, 0, "{err}");
    let line = command(&new, &["import"]).arg("--from").arg(old.path().join("archive"));
    let (code, _, err) = ends(line, &new.data().join("db"), 3);
    assert_eq!(code, 0, "{err}");
    assert_eq!(command(&new, &["verify"]).run().0, 0);
}

#[tokio::test]
async fn mistakes_are_told_in_a_sentence() {
    let home = Home::new();
    let (code, _, err) = export(&home);
    assert_eq!(code, 3);
    assert!(err.contains("is no data directory of a standalone"), "{err}");
    assert!(!home.data().exists(), "nothing is made by looking");
    let (code, _, err) = import(&home, &home);
    assert_eq!(code, 3);
    assert!(err.contains("is no archive"), "{err}");
    assert!(!home.data().exists());
    let (code, _, err) = command(&home, &["verify"]).run();
    assert_eq!((code, err.contains("is no data directory")), (3, true), "{err}");

    let server = home.start();
    let mut asha = Client::join(&server, "asha").await;
    asha.create("group", Some("t"), &[]).await;
    drop(asha);
    assert_eq!(server.stop(), 0);
    assert_eq!(export(&home).0, 0);
    let chunk = home.path().join("archive").join("chunk-000001");
    let mut bytes = fs::read(&chunk).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::write(&chunk, bytes).unwrap();
    let new = Home::new();
    let (code, _, err) = import(&home, &new);
    assert_eq!(code, 3);
    assert!(err.contains("chunk-000001 is damaged"), "{err}");
    let (code, out, _) = command(&new, &["verify"]).run();
    assert_eq!((code, out.contains("store: 0 conversations, 0 events")), (0, true), "{out}");
}
