//! Coming back with a ticket: without a token, and without the store where nothing has changed.

use serde_json::{Value, json};

use crate::support::{Client, Home, server::Server};

/// How many sessions began whose list was read, and was not.
fn starts(server: &Server) -> (f64, f64) {
    let of = |list: &str| server.metrics().sum("harkara_session_starts_total", list);
    (of("\"read\""), of("\"known\""))
}

/// What `session.start` needs to come back: the ticket, and the head of each conversation.
fn back(started: &Value) -> Value {
    let entries = started["conversations"].as_array().unwrap();
    let cursor = |entry: &Value| (entry["id"].as_str().unwrap().to_owned(), entry["head"].clone());
    let cursors: serde_json::Map<String, Value> = entries.iter().map(cursor).collect();
    json!({"ticket": started["ticket"], "cursors": cursors})
}

async fn come_back(server: &Server, params: Value) -> Client {
    let mut client = Client::open(server.entrance(), None).await.expect("an upgrade");
    client.start(params).await.expect("a session");
    client
}

#[tokio::test]
async fn a_list_that_is_as_it_was_is_not_read_and_nothing_is_missed() {
    let home = Home::new();
    let server = home.start();
    let mut asha = Client::join(&server, "asha").await;
    let bilal = Client::join(&server, "bilal").await;
    let rooms =
        [asha.create("group", None, &[&bilal.user]).await, asha.create("group", None, &[]).await];
    let bilal = Client::join(&server, "bilal").await;
    let (read, known) = starts(&server);
    asha.say(&rooms[0], "while bilal was away").await;
    let params = back(&bilal.started);
    drop(bilal);
    let mut bilal = come_back(&server, params.clone()).await;
    assert_eq!(starts(&server), (read, known + 1.0));
    let entry = &bilal.started["conversations"][0];
    assert_eq!((&entry["id"], &bilal.started["unknown"]), (&json!(rooms[0]), &json!([])));
    let head = entry["head"].as_u64().unwrap();
    bilal.event(&rooms[0], head).await;
    asha.say(&rooms[0], "live").await;
    bilal.event(&rooms[0], head + 1).await;
    // Its own ticket is as good, and an older one is, too.
    for params in [back(&bilal.started), params.clone()] {
        drop(come_back(&server, params).await);
    }
    assert_eq!(starts(&server), (read, known + 3.0));
    // Who does not name all that they were told of gets the list.
    let some = json!({"ticket": params["ticket"], "cursors": {}});
    let bilal = come_back(&server, some).await;
    assert_eq!(bilal.started["conversations"].as_array().unwrap().len(), 1);
    assert_eq!(starts(&server), (read + 1.0, known + 3.0));
}

#[tokio::test]
async fn a_list_that_changed_while_somebody_was_away_is_read() {
    let home = Home::new();
    let server = home.start();
    let mut asha = Client::join(&server, "asha").await;
    // Sees when the news have come.
    let mut tablet = Client::join_as(&server, "bilal", "tablet", json!({})).await;
    let user = tablet.user.clone();
    let first = asha.create("group", None, &[&user]).await;
    tablet.told("conversation", &first).await;
    let away = back(&Client::join(&server, "bilal").await.started);
    let second = asha.create("group", None, &[&user]).await;
    tablet.told("conversation", &second).await;
    let bilal = come_back(&server, away.clone()).await;
    assert_eq!(bilal.started["conversations"].as_array().unwrap().len(), 2);
    let away = back(&bilal.started);
    drop(bilal);
    let params =
        json!({"conversation": first, "users": [user], "client_id": crate::support::uuid()});
    asha.call("members.remove", params).await;
    tablet.told("conversation", &first).await;
    let bilal = come_back(&server, away).await;
    let entries = bilal.started["conversations"].as_array().unwrap();
    assert_eq!((entries.len(), &entries[0]["id"]), (1, &json!(second)));
    assert_eq!(bilal.started["unknown"], json!([first]));
}

/// Whether the list was read before or after: what is new is in it, or is told.
#[tokio::test]
async fn who_comes_back_in_the_middle_of_a_change_learns_of_it() {
    let home = Home::new();
    let server = home.start();
    let mut asha = Client::join(&server, "asha").await;
    let bilal = Client::join(&server, "bilal").await;
    let (user, mut away) = (bilal.user.clone(), back(&bilal.started));
    drop(bilal);
    for _ in 0..20 {
        let room = asha.create("group", None, &[&user]).await;
        let mut bilal = come_back(&server, away).await;
        let entries = bilal.started["conversations"].as_array().unwrap();
        if entries.iter().all(|entry| entry["id"] != json!(room)) {
            bilal.told("conversation", &room).await;
            asha.say(&room, "live").await;
            bilal.event(&room, 2).await;
        }
        away = back(&bilal.started);
    }
}

#[tokio::test]
async fn a_ticket_that_is_none_leaves_room_for_a_token() {
    let home = Home::new();
    let server = home.start();
    let asha = Client::join(&server, "asha").await;
    let good = asha.started["ticket"].as_str().unwrap().to_owned();
    let mut forged = good.clone().into_bytes();
    forged[40] = if forged[40] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).unwrap();
    for ticket in [forged.as_str(), "", "eyJhbGciOiJub25lIn0.e30."] {
        let mut client = Client::open(server.entrance(), None).await.expect("an upgrade");
        let refusal = client.start(json!({"ticket": ticket})).await.expect_err("refused");
        assert_eq!(refusal["data"]["code"], "unauthenticated", "{refusal}");
        client.start(json!({"ticket": good})).await.expect("the same connection, another try");
        assert_eq!((&client.user, &client.device), (&asha.user, &asha.device));
    }
    // A ticket of somebody else does not make a token's session theirs.
    let bilal = Client::join(&server, "bilal").await;
    let mixed = back(&asha.started);
    let token = crate::support::http::token(server.entrance(), "bilal", "default");
    let mut client = Client::open(server.entrance(), Some(&token)).await.expect("an upgrade");
    client.start(mixed).await.expect("a session");
    assert_eq!(client.user, bilal.user);
}
