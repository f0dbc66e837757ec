//! What a restart must not change: what was accepted is there, what was asked before is known,
//! marks stay, cursors hold.

use serde_json::{Value, json};

use crate::support::{Client, Home, Server, chain, client::message, uuid};

fn killed(mut server: Server, home: &Home) -> Server {
    server.kill();
    drop(server);
    home.start()
}

#[tokio::test]
async fn a_repeat_is_known_after_a_kill() {
    let home = Home::new();
    let server = home.start();
    let mut asha = Client::join(&server, "asha").await;
    let bilal = Client::join(&server, "bilal").await;
    let create = json!({
        "client_id": uuid(), "kind": "group", "title": "t", "members": [bilal.user],
    });
    let created = asha.call("conversation.create", create.clone()).await;
    let group = created["conversation"].as_str().unwrap().to_owned();
    let mut ids = Vec::new();
    for n in 0..300 {
        let client_id = uuid();
        asha.post("message.send", message(&group, &client_id, &format!("{n}"))).await;
        ids.push(client_id);
    }
    let change = json!({"conversation": group, "client_id": uuid(), "title": "new"});
    let changed = asha.call("conversation.update", change.clone()).await;
    let server = killed(server, &home);

    let mut asha = Client::join(&server, "asha").await;
    assert_eq!(asha.call("conversation.create", create).await, created);
    assert_eq!(asha.call("conversation.update", change.clone()).await, changed);
    let told = asha.history(&group).await;
    for at in [0, 1, 150, 299] {
        asha.call("message.send", message(&group, &ids[at], &format!("{at}"))).await;
        assert_eq!(asha.told("settled", &group).await["seq"], at + 2);
        asha.call("message.send", message(&group, &ids[at], "other")).await;
        assert_eq!(asha.told("rejected", &group).await["code"], "conflict");
    }
    let mut other = change;
    other["title"] = "another".into();
    assert_eq!(asha.word("conversation.update", other).await, "conflict");
    assert_eq!(asha.history(&group).await, told);
    chain::check(&told);
    assert_eq!(told.len(), 302);
}

#[tokio::test]
async fn marks_and_cursors_hold_across_a_kill() {
    let home = Home::new();
    let server = home.start();
    let mut asha = Client::join(&server, "asha").await;
    let mut bilal = Client::join(&server, "bilal").await;
    let talk = asha.create("direct", None, &[&bilal.user.clone()]).await;
    bilal.told("conversation", &talk).await;
    for n in 0..5 {
        asha.say(&talk, &format!("{n}")).await;
    }
    for seq in 2..=6 {
        bilal.event(&talk, seq).await;
    }
    bilal.call("read.advance", json!({"conversation": talk, "seq": 4})).await;
    let server = killed(server, &home);
    let cursors = json!({talk.clone(): 6});
    let mut bilal = Client::join_as(&server, "bilal", "default", cursors).await;
    let entry = bilal.started["conversations"][0].clone();
    assert_eq!((&entry["read"], &entry["unread"]), (&json!(4), &json!(2)), "{entry}");
    assert_eq!((&bilal.started["reset"], &entry["head"]), (&json!([]), &json!(6)));
    let mut asha = Client::join(&server, "asha").await;
    asha.say(&talk, "after").await;
    bilal.event(&talk, 7).await;
    chain::check(&bilal.history(&talk).await);
    let found = asha.call("users.find", json!({"prefix": "bil"})).await;
    assert_eq!(found["users"][0]["name"], "bilal");
}

#[tokio::test]
async fn who_comes_back_sees_what_is_since_then() {
    let home = Home::new();
    let mut server = home.start();
    let mut asha = Client::join(&server, "asha").await;
    let mut bilal = Client::join(&server, "bilal").await;
    let users = json!([bilal.user]);
    let group = asha.create("group", None, &[&bilal.user.clone()]).await;
    bilal.told("conversation", &group).await;
    let on = || json!({"conversation": group, "client_id": uuid(), "users": users});
    asha.say(&group, "seen").await;
    asha.call("members.remove", on()).await;
    asha.say(&group, "not for bilal").await;
    assert_eq!(asha.call("members.add", on()).await, json!({"seq": 5}));
    asha.say(&group, "seen again").await;
    bilal.event(&group, 2).await;
    bilal.event(&group, 3).await;
    for restarted in [false, true] {
        if restarted {
            server = killed(server, &home);
        }
        let cursors = json!({group.clone(): 2});
        let mut bilal = Client::join_as(&server, "bilal", "default", cursors).await;
        let entry = bilal.started["conversations"][0].clone();
        assert_eq!((&entry["from"], &entry["head"]), (&json!(5), &json!(6)));
        for seq in 5..=6 {
            bilal.event(&group, seq).await;
        }
        let all = json!({"conversation": group, "after": 0});
        let page = bilal.call("timeline.read", all).await;
        let seqs: Vec<&Value> =
            page["events"].as_array().unwrap().iter().map(|event| &event["seq"]).collect();
        assert_eq!(seqs, [5, 6]);
        let before = json!({"conversation": group, "before": 5});
        assert_eq!(bilal.call("timeline.read", before).await["events"], json!([]));
    }
}

#[tokio::test]
async fn each_session_of_a_device_learns_what_became_of_its_repeats() {
    let home = Home::new();
    let server = home.start();
    let mut one = Client::join(&server, "asha").await;
    let mut two = Client::join(&server, "asha").await;
    assert_eq!((&one.user, &one.device), (&two.user, &two.device));
    let group = one.create("group", None, &[]).await;
    two.told("conversation", &group).await;
    let first = one.say(&group, "once").await;
    for client in [&mut one, &mut two] {
        client.event(&group, 2).await;
    }
    for client in [&mut one, &mut two] {
        client.call("message.send", message(&group, &first, "once")).await;
        assert_eq!(client.told("settled", &group).await["seq"], 2);
        client.call("message.send", message(&group, &first, "twice")).await;
        assert_eq!(client.told("rejected", &group).await["code"], "conflict");
    }
}

#[tokio::test]
async fn asked_to_end_it_says_goodbye_and_keeps_what_it_accepted() {
    let home = Home::new();
    let mut server = home.start();
    let mut asha = Client::join(&server, "asha").await;
    let mut bilal = Client::join(&server, "bilal").await;
    // Somebody who has not said yet who they are.
    let mut nobody = Client::open(server.clients, None).await.unwrap();
    let talk = asha.create("direct", None, &[&bilal.user.clone()]).await;
    let (mut posted, mut accepted) = (Vec::new(), Vec::new());
    for n in 0..200 {
        let client_id = uuid();
        let params = message(&talk, &client_id, &format!("line {n}"));
        posted.push((asha.post("message.send", params).await, client_id));
        if n == 100 {
            asha.event(&talk, 2).await;
            server.terminate();
        }
    }
    assert_eq!(asha.closed().await, Some(1012));
    assert_eq!(bilal.closed().await, Some(1012));
    assert_eq!(nobody.closed().await, Some(1012));
    for client in [&mut asha, &mut bilal] {
        let goaway = client.inbox.iter().find(|n| n["method"] == "session.goaway");
        let params = &goaway.expect("told before")["params"];
        assert!(params["reconnect_after_ms"].as_u64().is_some_and(|ms| ms > 0), "{params}");
        assert!(params["reason"].is_string());
    }
    for (id, client_id) in posted {
        if asha.answered(id) == Some(Ok(json!({"accepted": true}))) {
            accepted.push(client_id);
        }
    }
    assert_eq!(server.wait(), 0, "{}", server.process.err());
    assert!(!accepted.is_empty());

    let server = home.start();
    let mut asha = Client::join(&server, "asha").await;
    let told = asha.history(&talk).await;
    chain::check(&told);
    let ids: Vec<_> = told[1..].iter().filter_map(|event| event["client_id"].as_str()).collect();
    assert_eq!(ids[..accepted.len()], accepted);
}
