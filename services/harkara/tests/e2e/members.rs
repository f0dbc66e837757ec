//! Who is in a conversation, who may do what, and that strangers learn nothing.

use serde_json::{Value, json};

use crate::support::{Client, Home, Server, chain, client::message, uuid};

async fn three(server: &Server) -> [Client; 3] {
    let asha = Client::join(server, "asha").await;
    let bilal = Client::join(server, "bilal").await;
    [asha, bilal, Client::join(server, "chitra").await]
}

fn on(conversation: &str, mut more: Value) -> Value {
    more["conversation"] = conversation.into();
    more["client_id"] = uuid().into();
    more
}

#[tokio::test]
async fn members_come_and_go() {
    let home = Home::new();
    let server = home.start();
    let [mut asha, mut bilal, mut chitra] = three(&server).await;
    let (b, c) = (bilal.user.clone(), chitra.user.clone());
    let group = asha.create("group", None, &[&b]).await;
    bilal.told("conversation", &group).await;
    asha.say(&group, "before chitra").await;

    let them = json!({"users": [b, c]});
    assert_eq!(asha.call("members.add", on(&group, them.clone())).await, json!({"seq": 3}));
    let added = chitra.told("conversation", &group).await;
    assert_eq!(
        (&added["change"], &added["from"], &added["head"]),
        (&json!("added"), &json!(3), &json!(3))
    );
    bilal.event(&group, 2).await;
    let event = bilal.event(&group, 3).await;
    assert_eq!((&event["action"], &event["users"]), (&json!("added"), &json!([c])));
    assert_eq!(asha.word("members.add", on(&group, them)).await, "conflict");
    let page = chitra.call("timeline.read", json!({"conversation": group, "after": 0})).await;
    assert_eq!(page["events"].as_array().map(Vec::len), Some(1), "from where chitra came");
    assert_eq!(page["complete"], true);
    let mut early = message(&group, &uuid(), "what was it?");
    early["reply_to"] = 2.into();
    chitra.call("message.send", early).await;
    assert_eq!(chitra.told("rejected", &group).await["code"], "invalid_content");

    let nobody = json!({"users": [uuid()]});
    assert_eq!(asha.word("members.remove", on(&group, nobody.clone())).await, "not_found");
    assert_eq!(asha.word("members.remove", on(&group, json!({"users": []}))).await, "-32602");
    let me = json!({"users": [asha.user]});
    assert_eq!(asha.word("members.remove", on(&group, me)).await, "forbidden");
    let removed = asha.call("members.remove", on(&group, json!({"users": [c]}))).await;
    assert_eq!(removed, json!({"seq": 4}));
    assert_eq!(chitra.event(&group, 4).await["action"], "removed");
    assert_eq!(chitra.told("conversation", &group).await["change"], "removed");

    // What a removed member sends is refused at its place in the order.
    let late = uuid();
    chitra.call("message.send", message(&group, &late, "still here")).await;
    let rejected = chitra.told("rejected", &group).await;
    assert_eq!((&rejected["code"], &rejected["client_id"]), (&json!("not_a_member"), &json!(late)));
    let read = json!({"conversation": group});
    assert_eq!(chitra.word("timeline.read", read.clone()).await, "not_found");
    assert_eq!(chitra.word("conversation.get", read).await, "not_found");
    asha.say(&group, "among us").await;
    bilal.event(&group, 4).await;
    bilal.event(&group, 5).await;
    // Asking is a barrier: whatever went to chitra stands before the answer.
    assert_eq!(chitra.call("conversation.list", json!({})).await["conversations"], json!([]));
    assert!(chitra.inbox.is_empty(), "{:?}", chitra.inbox);
    chain::check(&asha.history(&group).await);
}

#[tokio::test]
async fn roles_change_and_the_last_owner_has_an_heir() {
    let home = Home::new();
    let server = home.start();
    let [mut asha, mut bilal, mut chitra] = three(&server).await;
    let (b, c) = (bilal.user.clone(), chitra.user.clone());
    let group = asha.create("group", Some("old"), &[&b, &c]).await;
    bilal.told("conversation", &group).await;
    chitra.told("conversation", &group).await;
    let admin = |user: &str| on(&group, json!({"users": [user], "role": "admin"}));
    assert_eq!(bilal.word("members.set_role", admin(&c)).await, "forbidden");
    assert_eq!(
        bilal.word("conversation.update", on(&group, json!({"title": "x"}))).await,
        "forbidden"
    );
    assert_eq!(asha.call("members.set_role", admin(&c)).await, json!({"seq": 2}));
    let event = chitra.event(&group, 2).await;
    assert_eq!((&event["action"], &event["role"]), (&json!("role"), &json!("admin")));
    let of_role = |n: &Value| n["method"] == "conversation" && n["params"]["change"] == "changed";
    assert_eq!(chitra.notice(of_role).await["params"]["role"], "admin");
    assert_eq!(asha.word("members.set_role", admin(&c)).await, "conflict");
    assert_eq!(asha.word("members.set_role", admin(&uuid())).await, "not_found");
    let last = on(&group, json!({"users": [asha.user], "role": "member"}));
    assert_eq!(asha.word("members.set_role", last).await, "forbidden");

    let title = on(&group, json!({"title": "नया"}));
    assert_eq!(chitra.call("conversation.update", title).await, json!({"seq": 3}));
    bilal.event(&group, 2).await;
    assert_eq!(bilal.event(&group, 3).await["title"], "नया");
    let of_title = |n: &Value| of_role(n) && n["params"]["title"] == "नया";
    bilal.notice(of_title).await;
    assert_eq!(bilal.entry(&group).await["title"], "नया");

    assert_eq!(asha.call("conversation.leave", on(&group, json!({}))).await, json!({"seq": 4}));
    let left = chitra.event_after(&group, 3).await;
    assert_eq!((&left["action"], &left["successor"]), (&json!("left"), &json!(c)));
    assert_eq!(asha.told("conversation", &group).await["change"], "added");
    let gone = |n: &Value| n["method"] == "conversation" && n["params"]["change"] == "removed";
    asha.notice(gone).await;
    let list = bilal.call("members.list", json!({"conversation": group})).await;
    let mut expected = [json!({"user": b, "role": "member"}), json!({"user": c, "role": "owner"})];
    expected.sort_by_key(|member| member["user"].to_string());
    assert_eq!(list, json!({"members": expected, "next": null}));
    let first = bilal.call("members.list", json!({"conversation": group, "limit": 1})).await;
    assert_eq!((&first["members"][0], &first["next"]), (&expected[0], &expected[0]["user"]));
    let rest = json!({"conversation": group, "limit": 1, "after": first["next"]});
    let rest = bilal.call("members.list", rest).await;
    assert_eq!(rest, json!({"members": [expected[1]], "next": null}));
    chain::check(&bilal.history(&group).await);
}

impl Client {
    /// The event behind `seq`, whatever came before.
    async fn event_after(&mut self, conversation: &str, seq: u64) -> Value {
        loop {
            let event = self.told("event", conversation).await;
            if event["seq"].as_u64() > Some(seq) {
                return event;
            }
        }
    }
}

#[tokio::test]
async fn in_a_channel_only_owners_and_admins_write() {
    let home = Home::new();
    let server = home.start();
    let [mut asha, mut bilal, chitra] = three(&server).await;
    let (b, c) = (bilal.user.clone(), chitra.user);
    let channel = asha.create("channel", Some("News"), &[&b]).await;
    bilal.told("conversation", &channel).await;
    bilal.call("message.send", message(&channel, &uuid(), "me too")).await;
    assert_eq!(bilal.told("rejected", &channel).await["code"], "forbidden");
    assert_eq!(bilal.word("members.add", on(&channel, json!({"users": [c]}))).await, "forbidden");
    asha.say(&channel, "news").await;
    bilal.event(&channel, 2).await;
    let admin = on(&channel, json!({"users": [b], "role": "admin"}));
    asha.call("members.set_role", admin).await;
    bilal.say(&channel, "now I may").await;
    bilal.event(&channel, 3).await;
    bilal.event(&channel, 4).await;
    let owner = on(&channel, json!({"users": [c], "role": "owner"}));
    assert_eq!(bilal.word("members.add", owner).await, "forbidden");
    let me = on(&channel, json!({"users": [asha.user]}));
    assert_eq!(bilal.word("members.remove", me).await, "forbidden");
    bilal.call("members.add", on(&channel, json!({"users": [c]}))).await;
}

#[tokio::test]
async fn a_direct_conversation_is_fixed() {
    let home = Home::new();
    let server = home.start();
    let [mut asha, bilal, chitra] = three(&server).await;
    let talk = asha.create("direct", None, &[&bilal.user]).await;
    for (method, params) in [
        ("members.add", json!({"users": [chitra.user]})),
        ("members.remove", json!({"users": [bilal.user]})),
        ("members.set_role", json!({"users": [bilal.user], "role": "member"})),
        ("conversation.leave", json!({})),
        ("conversation.update", json!({"title": "t"})),
    ] {
        assert_eq!(asha.word(method, on(&talk, params)).await, "forbidden", "{method}");
    }
}

#[tokio::test]
async fn what_is_not_yours_is_like_what_is_not_there() {
    let home = Home::new();
    let server = home.start();
    let [mut asha, bilal, mut eve] = three(&server).await;
    let theirs = asha.create("group", Some("secret"), &[&bilal.user]).await;
    asha.say(&theirs, "a secret").await;
    let nowhere = uuid();
    let them = json!([eve.user]);
    for (method, more) in [
        ("conversation.get", json!({})),
        ("conversation.update", json!({"client_id": uuid(), "title": "t"})),
        ("conversation.leave", json!({"client_id": uuid()})),
        ("members.add", json!({"client_id": uuid(), "users": them})),
        ("members.remove", json!({"client_id": uuid(), "users": [bilal.user]})),
        ("members.set_role", json!({"client_id": uuid(), "users": them, "role": "owner"})),
        ("members.list", json!({})),
        ("message.send", json!({"client_id": uuid(), "content": {"type": "text", "text": "x"}})),
        ("timeline.read", json!({})),
        ("timeline.read", json!({"after": 1})),
        ("read.advance", json!({"seq": 1})),
        ("read.advance", json!({"seq": 1_000_000})),
        ("typing.set", json!({"active": true})),
    ] {
        let mut params = more;
        params["conversation"] = theirs.clone().into();
        let yours = eve.refused(method, params.clone()).await;
        params["conversation"] = nowhere.clone().into();
        let none = eve.refused(method, params).await;
        assert_eq!(yours["data"], json!({"code": "not_found", "retryable": false}), "{method}");
        assert_eq!(yours, none, "{method}");
    }
    let eve =
        Client::join_as(&server, "chitra", "other", json!({theirs.clone(): 1, nowhere.clone(): 1}));
    let mut eve = eve.await;
    let mut unknown: Vec<_> = eve.started["unknown"].as_array().unwrap().clone();
    unknown.sort_by_key(Value::to_string);
    let mut expected = [theirs.clone(), nowhere];
    expected.sort();
    assert_eq!(unknown, expected);
    assert_eq!(eve.started["conversations"], json!([]));
    asha.say(&theirs, "another").await;
    asha.event(&theirs, 2).await;
    asha.event(&theirs, 3).await;
    eve.call("conversation.list", json!({})).await;
    assert!(eve.inbox.is_empty(), "{:?}", eve.inbox);
    assert_eq!(asha.history(&theirs).await.len(), 3);
}
