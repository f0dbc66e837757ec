//! Things that happen at once: removals among sends, the same creation twice, sends before the
//! session knows the conversation.

use serde_json::{Value, json};

use crate::support::{
    Client, Home, chain,
    client::{Frame, message},
    uuid,
};

/// What one session was told of a conversation, until `until` came.
async fn told_until(client: &mut Client, until: impl Fn(&Value) -> bool) -> Vec<Value> {
    let mut told: Vec<Value> = client.inbox.drain(..).collect();
    while !told.iter().any(&until) {
        match client.frame().await {
            Frame::Json(frame) if frame.get("method").is_some() => told.push(frame),
            Frame::Json(_) => {}
            Frame::Closed(code) => panic!("closed with {code:?}"),
        }
    }
    told
}

#[tokio::test]
async fn a_member_removed_among_sends_sees_exactly_up_to_that() {
    let home = Home::new();
    let server = home.start();
    let mut asha = Client::join(&server, "asha").await;
    let mut bilal = Client::join(&server, "bilal").await;
    let group = asha.create("group", None, &[&bilal.user.clone()]).await;
    bilal.told("conversation", &group).await;
    let on = |users: &str| json!({"conversation": group, "client_id": uuid(), "users": [users]});
    for round in 0..10 {
        let mut last = 0;
        for n in 0..40 {
            asha.post("message.send", message(&group, &uuid(), &format!("{round} {n}"))).await;
            bilal.post("message.send", message(&group, &uuid(), &format!("{round} {n}"))).await;
            if n == 20 {
                last = asha.post("members.remove", on(&bilal.user)).await;
            }
        }
        let removed = asha.answer(last).await.unwrap()["seq"].as_u64().unwrap();
        let gone = |n: &Value| n["params"]["change"] == "removed";
        let told = told_until(&mut bilal, gone).await;
        let events = told.iter().filter(|n| n["method"] == "event");
        let seqs: Vec<u64> = events.map(|n| n["params"]["seq"].as_u64().unwrap()).collect();
        assert_eq!(seqs.last(), Some(&removed), "round {round}: {seqs:?}");
        assert!(seqs.windows(2).all(|pair| pair[0] + 1 == pair[1]), "round {round}: {seqs:?}");
        // A barrier: nothing of the conversation after it, but what became of bilal's own sends.
        bilal.call("conversation.list", json!({})).await;
        let after: Vec<&Value> = bilal.inbox.iter().filter(|n| n["method"] == "event").collect();
        assert!(after.is_empty(), "round {round}: {after:?}");
        let added = asha.call("members.add", on(&bilal.user)).await["seq"].clone();
        let back = |n: &Value| n["params"]["change"] == "added";
        let told = told_until(&mut bilal, back).await;
        let entry = &told.iter().find(|n| back(n)).unwrap()["params"];
        assert_eq!(entry["from"], added, "round {round}");
        let mut next = entry["head"].as_u64().unwrap() + 1;
        asha.say(&group, "welcome back").await;
        let head = asha.entry(&group).await["head"].as_u64().unwrap();
        while next <= head {
            bilal.event(&group, next).await;
            next += 1;
        }
        bilal.inbox.clear();
        asha.inbox.clear();
    }
    chain::check(&asha.history(&group).await);
}

#[tokio::test]
async fn a_direct_conversation_that_both_begin_at_once_is_one() {
    let home = Home::new();
    let server = home.start();
    let mut asha = Client::join(&server, "asha").await;
    for n in 0..10 {
        let mut other = Client::join(&server, &format!("user{n}")).await;
        let create = |with: &str| json!({"client_id": uuid(), "kind": "direct", "members": [with]});
        let mine = asha.post("conversation.create", create(&other.user)).await;
        let theirs = other.post("conversation.create", create(&asha.user)).await;
        let mine = asha.answer(mine).await.unwrap();
        assert_eq!(mine, other.answer(theirs).await.unwrap());
        let talk = mine["conversation"].as_str().unwrap();
        asha.say(talk, "hi").await;
        other.event(talk, 2).await;
        assert_eq!(asha.history(talk).await.len(), 2);
    }
}

#[tokio::test]
async fn pipelined_messages_keep_their_order_from_the_first_one_on() {
    let home = Home::new();
    let server = home.launch().env("HARKARA_GATEWAY__CONVERSATIONS_PER_PAGE_MAX", "1").start();
    let mut asha = Client::join(&server, "asha").await;
    let mut groups = Vec::new();
    for _ in 0..6 {
        groups.push(asha.create("group", None, &[]).await);
    }
    for round in 0..5 {
        // A new session follows only one of them, so the others' owners are asked first.
        let mut asha = Client::join(&server, "asha").await;
        let mut posted = Vec::new();
        for n in 0..20 {
            for group in &groups {
                let params = message(group, &uuid(), &format!("{}", round * 20 + n));
                posted.push(asha.post("message.send", params).await);
            }
        }
        for id in posted {
            assert_eq!(asha.answer(id).await, Ok(json!({"accepted": true})));
        }
    }
    for group in &groups {
        let mut events = asha.history(group).await;
        while events.len() < 101 {
            events = asha.history(group).await;
        }
        let texts: Vec<_> = events[1..].iter().map(|e| e["content"]["text"].clone()).collect();
        let expected: Vec<_> = (0..100).map(|n| json!(n.to_string())).collect();
        assert_eq!(texts, expected);
    }
}

#[tokio::test]
async fn accepted_comes_before_its_outcome() {
    let home = Home::new();
    let server = home.start();
    let mut asha = Client::join(&server, "asha").await;
    let group = asha.create("group", None, &[]).await;
    let mut ids = Vec::new();
    for n in 0..200 {
        let client_id = uuid();
        let id = asha.post("message.send", message(&group, &client_id, &format!("{n}"))).await;
        ids.push((id, client_id));
    }
    let (mut accepted, mut done) = (std::collections::BTreeSet::new(), 0);
    while done < ids.len() {
        let Frame::Json(frame) = asha.frame().await else { panic!("closed") };
        if let Some(id) = frame["id"].as_u64() {
            assert!(frame.get("result").is_some(), "{frame}");
            accepted.insert(id);
        } else if frame["method"] == "event" {
            let (id, client_id) = &ids[done];
            assert_eq!(frame["params"]["client_id"], client_id.as_str());
            assert!(accepted.contains(id), "the event before accepted");
            done += 1;
        }
    }
}
