//! Two people talk: sending, outcomes, history, read marks, typing, names, repeats.

use serde_json::{Value, json};

use crate::support::{Client, Home, chain, client::message, uuid};

#[tokio::test]
async fn two_users_talk() {
    let home = Home::new();
    let server = home.start();
    let mut asha = Client::join(&server, "asha").await;
    let mut bilal = Client::join(&server, "bilal").await;
    let group = asha.create("group", Some("Control room"), &[&bilal.user.clone()]).await;
    // The creator's own list changed before the answer came.
    let added = asha.inbox.pop_front().expect("before the result");
    assert_eq!(
        (&added["method"], &added["params"]["change"]),
        (&json!("conversation"), &json!("added"))
    );
    let added = bilal.told("conversation", &group).await;
    assert_eq!(added["change"], "added");
    assert_eq!((&added["title"], &added["role"]), (&json!("Control room"), &json!("member")));
    assert_eq!((&added["from"], &added["head"]), (&json!(1), &json!(1)));

    let client_id = asha.say(&group, "नमस्ते").await;
    for client in [&mut asha, &mut bilal] {
        let event = client.event(&group, 2).await;
        assert_eq!(event["kind"], "message");
        assert_eq!(event["content"], json!({"type": "text", "text": "नमस्ते"}));
        assert_eq!(event["client_id"], client_id.as_str());
        assert!(event.get("reply_to").is_none());
    }
    let mut reply = message(&group, &uuid(), "جی");
    reply["reply_to"] = 2.into();
    bilal.call("message.send", reply).await;
    for client in [&mut asha, &mut bilal] {
        let event = client.event(&group, 3).await;
        assert_eq!(event["reply_to"], 2);
        assert_ne!(event["sender"], event["device"]);
    }
    let own = asha.history(&group).await;
    assert_eq!(own, bilal.history(&group).await);
    assert_eq!((own.len(), &own[1]["sender"]), (3, &json!(asha.user)));
    assert_eq!(own[0]["members"].as_array().map(Vec::len), Some(2));
    chain::check(&own);
    history_by_pages(&mut asha, &group, &own).await;
}

async fn history_by_pages(client: &mut Client, group: &str, all: &[Value]) {
    for (bounds, expected, complete) in [
        (json!({}), all, true),
        (json!({"limit": 2}), &all[1..], false),
        (json!({"after": 0, "limit": 1}), &all[..1], false),
        (json!({"after": 1}), &all[1..], true),
        (json!({"after": 1, "limit": 2}), &all[1..], true),
        (json!({"after": 99}), &[], true),
        (json!({"before": 3}), &all[..2], true),
        (json!({"before": 3, "limit": 1}), &all[1..2], false),
        (json!({"before": 1}), &[], true),
        (json!({"before": 99, "limit": 9_999}), all, true),
    ] {
        let mut params = bounds.clone();
        params["conversation"] = group.into();
        let page = client.call("timeline.read", params).await;
        assert_eq!(page["events"].as_array().map(Vec::as_slice), Some(expected), "{bounds}");
        assert_eq!((&page["complete"], &page["head"]), (&json!(complete), &json!(3)), "{bounds}");
    }
    for bad in [json!({"after": 1, "before": 2}), json!({"limit": 0}), json!({"limit": -1})] {
        let mut params = bad.clone();
        params["conversation"] = group.into();
        assert_eq!(client.word("timeline.read", params).await, "-32602", "{bad}");
    }
}

#[tokio::test]
async fn read_marks_count_and_never_go_back() {
    let home = Home::new();
    let server = home.start();
    let mut asha = Client::join(&server, "asha").await;
    let mut bilal = Client::join(&server, "bilal").await;
    let talk = asha.create("direct", None, &[&bilal.user.clone()]).await;
    bilal.told("conversation", &talk).await;
    for n in 0..3 {
        asha.say(&talk, &format!("{n}")).await;
    }
    bilal.event(&talk, 2).await;
    bilal.event(&talk, 3).await;
    bilal.event(&talk, 4).await;
    let marks =
        |entry: &Value| [&entry["read"], &entry["unread"], &entry["head"]].map(Value::clone);
    let entry = bilal.entry(&talk).await;
    assert_eq!(entry["unread"], 3, "{entry}");
    assert_eq!(marks(&asha.entry(&talk).await), [json!(4), json!(0), json!(4)]);
    let mark = |seq: u64| json!({"conversation": talk, "seq": seq});
    assert_eq!(bilal.call("read.advance", mark(3)).await, json!({}));
    assert_eq!(marks(&bilal.entry(&talk).await), [json!(3), json!(1), json!(4)]);
    for client in [&mut asha, &mut bilal] {
        let told = client.told("read", &talk).await;
        assert_eq!((&told["seq"], &told["user"]), (&json!(3), &json!(bilal_id())));
    }
    assert_eq!(bilal.call("read.advance", mark(2)).await, json!({}));
    assert_eq!(marks(&bilal.entry(&talk).await), [json!(3), json!(1), json!(4)]);
    assert_eq!(bilal.word("read.advance", mark(5)).await, "-32602");
    // What one has sent counts as read.
    bilal.say(&talk, "mine").await;
    bilal.event(&talk, 5).await;
    assert_eq!(marks(&bilal.entry(&talk).await), [json!(5), json!(0), json!(5)]);
    drop(bilal);
    let bilal = Client::join(&server, "bilal").await;
    assert_eq!(marks(&bilal.started["conversations"][0]), [json!(5), json!(0), json!(5)]);
}

fn bilal_id() -> String {
    harkara_domain::UserId::development("bilal").to_string()
}

#[tokio::test]
async fn typing_reaches_the_others_only_and_not_too_often() {
    let home = Home::new();
    let server = home.start();
    let mut asha = Client::join(&server, "asha").await;
    let mut bilal = Client::join(&server, "bilal").await;
    let talk = asha.create("direct", None, &[&bilal.user.clone()]).await;
    bilal.told("conversation", &talk).await;
    for active in [true, true, false] {
        let params = json!({"conversation": talk, "active": active});
        assert_eq!(bilal.call("typing.set", params).await, json!({}));
    }
    bilal.say(&talk, "done").await;
    asha.event(&talk, 2).await;
    let typing = |client: &Client| -> Vec<Value> {
        let all = client.inbox.iter().filter(|n| n["method"] == "typing");
        all.map(|n| n["params"]["active"].clone()).collect()
    };
    let first = asha.told("typing", &talk).await;
    assert_eq!((&first["active"], &first["user"]), (&json!(true), &json!(bilal.user)));
    assert_eq!(asha.told("typing", &talk).await["active"], false);
    bilal.event(&talk, 2).await;
    assert!(typing(&asha).is_empty() && typing(&bilal).is_empty());
}

#[tokio::test]
async fn names_are_found() {
    let home = Home::new();
    let server = home.start();
    let mut asha = Client::join(&server, "asha").await;
    let bilal = Client::join(&server, "Bilal").await;
    Client::join(&server, "बिलाल").await;
    let found = asha.call("users.find", json!({"prefix": " bI "})).await;
    assert_eq!(found, json!({"users": [{"id": bilal.user, "name": "Bilal"}]}));
    let found = asha.call("users.find", json!({"prefix": "बि", "limit": 1})).await;
    assert_eq!(found["users"][0]["name"], "बिलाल");
    let users = json!([uuid(), bilal.user, asha.user]);
    let got = asha.call("users.get", json!({"users": users})).await;
    let mut names: Vec<_> = got["users"].as_array().unwrap().iter().map(|u| &u["name"]).collect();
    names.sort_by_key(|name| name.to_string());
    assert_eq!(names, ["Bilal", "asha"]);
    for bad in [json!({"prefix": ""}), json!({"prefix": "  "}), json!({"prefix": "x".repeat(257)})]
    {
        assert_eq!(asha.word("users.find", bad).await, "-32602");
    }
    let many: Vec<_> = (0..1_001).map(|_| uuid()).collect();
    assert_eq!(asha.word("users.get", json!({"users": many})).await, "-32602");
}

#[tokio::test]
async fn a_repeat_is_settled_and_another_body_is_a_conflict() {
    let home = Home::new();
    let server = home.start();
    let mut asha = Client::join(&server, "asha").await;
    let mut bilal = Client::join(&server, "bilal").await;
    let talk = asha.create("direct", None, &[&bilal.user.clone()]).await;
    bilal.told("conversation", &talk).await;
    let first = asha.say(&talk, "once").await;
    asha.event(&talk, 2).await;
    let again = asha.call("message.send", message(&talk, &first, "once")).await;
    assert_eq!(again, json!({"accepted": true}));
    let settled = asha.told("settled", &talk).await;
    assert_eq!(settled, json!({"conversation": talk, "client_id": first, "seq": 2}));
    asha.call("message.send", message(&talk, &first, "twice")).await;
    let rejected = asha.told("rejected", &talk).await;
    assert_eq!((&rejected["code"], &rejected["client_id"]), (&json!("conflict"), &json!(first)));
    // Another user's device may use the same id.
    bilal.call("message.send", message(&talk, &first, "mine")).await;
    assert_eq!(bilal.told("event", &talk).await["seq"], 2);
    bilal.event(&talk, 3).await;
    // Equal as numbers is equal.
    let client_id = uuid();
    for number in ["1.50", "1.5", "15e-1"] {
        let frame = format!(
            r#"{{"jsonrpc":"2.0","id":{},"method":"message.send","params":{{
                "conversation":"{talk}","client_id":"{client_id}",
                "content":{{"n":{number},"type":"x/y"}}}}}}"#,
            900 + number.len()
        );
        asha.write(&frame).await;
        asha.answer(900 + number.len() as u64).await.unwrap();
    }
    asha.event(&talk, 3).await;
    assert_eq!(asha.event(&talk, 4).await["content"], json!({"n": 1.5, "type": "x/y"}));
    for _ in 0..2 {
        assert_eq!(asha.told("settled", &talk).await["seq"], 4);
    }
    assert_eq!(asha.history(&talk).await.len(), 4);
}

#[tokio::test]
async fn creating_again_means_the_same_conversation() {
    let home = Home::new();
    let server = home.start();
    let mut asha = Client::join(&server, "asha").await;
    let mut bilal = Client::join(&server, "bilal").await;
    let talk = asha.create("direct", None, &[&bilal.user.clone()]).await;
    assert_eq!(asha.create("direct", None, &[&bilal.user.clone()]).await, talk);
    assert_eq!(bilal.create("direct", None, &[&asha.user.clone()]).await, talk);
    assert_eq!(bilal.history(&talk).await.len(), 1);
    let them = json!([bilal.user, uuid()]);
    let mut group = json!({"client_id": uuid(), "kind": "group", "title": "a", "members": them});
    let first = asha.call("conversation.create", group.clone()).await;
    assert_eq!(asha.call("conversation.create", group.clone()).await, first);
    group["title"] = "b".into();
    assert_eq!(asha.word("conversation.create", group).await, "conflict");
    let me = asha.user.clone();
    let three = json!([uuid(), uuid()]);
    for (kind, title, members, word) in [
        ("direct", json!(null), three.clone(), "-32602"),
        ("direct", json!(null), json!([]), "-32602"),
        ("direct", json!(null), json!([me]), "-32602"),
        ("direct", json!("t"), json!([uuid()]), "-32602"),
        ("group", json!(""), json!([]), "-32602"),
        ("group", json!("  "), json!([]), "-32602"),
        ("group", json!("x".repeat(1_025)), json!([]), "too_large"),
        ("crowd", json!(null), json!([]), "-32602"),
    ] {
        let params = json!({"client_id": uuid(), "kind": kind, "title": title, "members": members});
        assert_eq!(asha.word("conversation.create", params).await, word, "{kind} {title}");
    }
    asha.create("group", None, &[]).await;
}

#[tokio::test]
async fn reserved_methods_are_unsupported() {
    let home = Home::new();
    let server = home.start();
    let mut asha = Client::join(&server, "asha").await;
    for method in [
        "message.edit",
        "message.redact",
        "message.react",
        "message.unreact",
        "presence.set",
        "presence.watch",
    ] {
        let error = asha.refused(method, json!({"anything": 1})).await;
        assert_eq!(error["data"], json!({"code": "unsupported", "retryable": false}), "{method}");
    }
    assert_eq!(asha.word("message.shout", json!({})).await, "-32601");
    assert_eq!(asha.word("session.start", json!({})).await, "-32600");
}
