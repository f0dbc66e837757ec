//! Coming back: exactly what was missed, then live; lists in pages; lists that change.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Client, Home, uuid};

async fn say_many(client: &mut Client, conversation: &str, n: u64) {
    for n in 0..n {
        client.say(conversation, &format!("line {n}")).await;
    }
}

#[tokio::test]
async fn a_cursor_brings_what_is_missing_and_then_what_comes() {
    let home = Home::new();
    let server = home.start();
    let mut asha = Client::join(&server, "asha").await;
    let bilal = Client::join(&server, "bilal").await;
    let talk = asha.create("direct", None, &[&bilal.user]).await;
    drop(bilal);
    say_many(&mut asha, &talk, 30).await;
    let all = asha.history(&talk).await;
    for cursor in [0, 1, 17, 30, 31] {
        let mut bilal =
            Client::join_as(&server, "bilal", "default", json!({talk.clone(): cursor})).await;
        let entry = &bilal.started["conversations"][0];
        assert_eq!((&entry["id"], entry.get("behind")), (&json!(talk), None));
        let head = entry["head"].as_u64().unwrap();
        asha.say(&talk, "live").await;
        for seq in cursor + 1..=head + 1 {
            let event = bilal.event(&talk, seq).await;
            if let Some(known) = all.get(usize::try_from(seq).unwrap() - 1) {
                assert_eq!(&event, known);
            }
        }
    }
    // Without a cursor only what comes.
    let mut bilal = Client::join(&server, "bilal").await;
    let head = bilal.started["conversations"][0]["head"].as_u64().unwrap();
    asha.say(&talk, "live").await;
    bilal.event(&talk, head + 1).await;
}

#[tokio::test]
async fn nothing_is_lost_or_doubled_between_catching_up_and_live() {
    let home = Home::new();
    let server = home.start();
    let mut asha = Client::join(&server, "asha").await;
    let bilal = Client::join(&server, "bilal").await;
    let talk = asha.create("direct", None, &[&bilal.user]).await;
    let mut cursor = 0;
    for round in 0..8 {
        // Sent without waiting, so that the session starts in the middle of it.
        let mut posted = Vec::new();
        for n in 0..40 {
            let params = crate::support::client::message(&talk, &uuid(), &format!("{round} {n}"));
            posted.push(asha.post("message.send", params).await);
        }
        let cursors = json!({talk.clone(): cursor});
        let mut bilal = Client::join_as(&server, "bilal", "default", cursors).await;
        for id in posted {
            asha.answer(id).await.unwrap();
        }
        for seq in cursor + 1..=1 + 40 * (round + 1) {
            bilal.event(&talk, seq).await;
        }
        // Next time some of it comes again, since the cursor is the client's word.
        cursor = 1 + 40 * round;
    }
}

#[tokio::test]
async fn who_is_too_far_behind_is_told_so() {
    let home = Home::new();
    let server = home.launch().env("HARKARA_GATEWAY__CATCH_UP_EVENTS_MAX", "5").start();
    let mut asha = Client::join(&server, "asha").await;
    let bilal = Client::join(&server, "bilal").await;
    let talk = asha.create("direct", None, &[&bilal.user]).await;
    say_many(&mut asha, &talk, 9).await;
    for (cursor, behind) in [(0, true), (4, true), (5, false), (10, false)] {
        let cursors = json!({talk.clone(): cursor});
        let mut bilal = Client::join_as(&server, "bilal", "default", cursors).await;
        let entry = bilal.started["conversations"][0].clone();
        assert_eq!(entry["head"], 10);
        assert_eq!(entry.get("behind"), behind.then_some(&json!(true)), "{cursor}");
        if behind {
            assert_eq!(bilal.history(&talk).await.len(), 10);
            assert!(bilal.inbox.is_empty(), "{:?}", bilal.inbox);
        } else {
            for seq in cursor + 1..=10 {
                bilal.event(&talk, seq).await;
            }
        }
    }
    // Who is behind gets live events all the same.
    let mut bilal = Client::join_as(&server, "bilal", "default", json!({talk.clone(): 0})).await;
    asha.say(&talk, "live").await;
    bilal.event(&talk, 11).await;
}

#[tokio::test]
async fn cursors_of_what_is_not_there_are_told() {
    let home = Home::new();
    let server = home.start();
    let mut asha = Client::join(&server, "asha").await;
    let mut bilal = Client::join(&server, "bilal").await;
    let talk = asha.create("direct", None, &[&bilal.user.clone()]).await;
    let group = asha.create("group", None, &[&bilal.user.clone()]).await;
    let left = json!({"conversation": group, "client_id": uuid()});
    bilal.call("conversation.leave", left).await;
    let stranger = uuid();
    let cursors = json!({talk.clone(): 99, group.clone(): 1, stranger.clone(): 0});
    let mut bilal = Client::join_as(&server, "bilal", "default", cursors).await;
    assert_eq!(bilal.started["reset"], json!([talk]));
    let unknown: BTreeSet<_> =
        bilal.started["unknown"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(unknown, BTreeSet::from([group.as_str(), stranger.as_str()]));
    let ids: Vec<_> = bilal.started["conversations"].as_array().unwrap().iter().collect();
    assert_eq!((ids.len(), &ids[0]["head"]), (1, &json!(1)));
    asha.say(&talk, "live").await;
    bilal.event(&talk, 2).await;
}

#[tokio::test]
async fn a_long_list_comes_in_pages_and_is_live_as_far_as_it_was_listed() {
    let home = Home::new();
    let server = home.launch().env("HARKARA_GATEWAY__CONVERSATIONS_PER_PAGE_MAX", "3").start();
    let mut asha = Client::join(&server, "asha").await;
    let mut bilal = Client::join(&server, "bilal").await;
    let mut all = Vec::new();
    for n in 0..8 {
        let group = asha.create("group", Some(&format!("{n}")), &[&bilal.user]).await;
        bilal.told("conversation", &group).await;
        all.push(group);
    }
    all.sort();
    drop(bilal);
    // One of a later page is named in the cursors, so it comes at once.
    let cursors = json!({all[6].clone(): 0});
    let mut bilal = Client::join_as(&server, "bilal", "default", cursors).await;
    let ids = |page: &Value| -> Vec<String> {
        let entries = page["conversations"].as_array().unwrap().iter();
        entries.map(|entry| entry["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&bilal.started), [&all[..3], &all[6..7]].concat());
    assert_eq!(bilal.started["next"], all[2].as_str());
    bilal.event(&all[6], 1).await;
    for conversation in &all {
        asha.say(conversation, "one").await;
    }
    for conversation in &all {
        asha.event(conversation, 2).await;
    }
    for conversation in [&all[0], &all[1], &all[2], &all[6]] {
        bilal.event(conversation, 2).await;
    }
    let page = bilal.call("conversation.list", json!({"after": all[2]})).await;
    assert_eq!((ids(&page), &page["next"]), (all[3..6].to_vec(), &json!(all[5])));
    assert!(bilal.inbox.iter().all(|n| n["method"] != "event"), "{:?}", bilal.inbox);
    let page = bilal.call("conversation.list", json!({"after": all[5], "limit": 2})).await;
    assert_eq!((ids(&page), &page["next"]), (all[6..].to_vec(), &json!(null)));
    for conversation in &all {
        asha.say(conversation, "two").await;
    }
    for conversation in &all {
        bilal.event(conversation, 3).await;
    }
}

#[tokio::test]
async fn a_conversation_that_appears_is_live_at_once_on_all_devices() {
    let home = Home::new();
    let server = home.start();
    let mut asha = Client::join(&server, "asha").await;
    let mut phone = Client::join_as(&server, "bilal", "phone", json!({})).await;
    let mut desk = Client::join_as(&server, "bilal", "desk", json!({})).await;
    assert_ne!(phone.device, desk.device);
    for round in 0..5 {
        let group = asha.create("group", None, &[&phone.user]).await;
        for n in 0..3 {
            asha.say(&group, &format!("{round} {n}")).await;
        }
        for device in [&mut phone, &mut desk] {
            let entry = device.told("conversation", &group).await;
            assert_eq!(entry["change"], "added");
            // What is up to the entry's head is history; the rest comes, without a hole.
            for seq in entry["head"].as_u64().unwrap() + 1..=4 {
                device.event(&group, seq).await;
            }
            assert_eq!(device.history(&group).await.len(), 4);
        }
        // An answer goes to the device that asked, the event to all.
        phone.say(&group, "from the phone").await;
        for client in [&mut asha, &mut phone, &mut desk] {
            loop {
                let event = client.told("event", &group).await;
                if event["seq"] == 5 {
                    assert_eq!(event["device"], phone_device());
                    break;
                }
            }
        }
    }
}

fn phone_device() -> String {
    harkara_domain::DeviceId::development("bilal", "phone").to_string()
}
