//! A store that is lost, or restored from a backup, comes back from the log of the cluster.

use serde_json::{Value, json};

use crate::support::{Client, Home, Server, chain, uuid};

/// A command on the cluster with a report as JSON.
fn told(home: &Home, command: &str) -> (i32, Value, String) {
    let (code, out, err) = home.site().role(command).arg("--cluster").arg("--json").run();
    (code, serde_json::from_str(&out).unwrap_or_default(), err)
}

fn well(home: &Home) -> Value {
    let (code, report, err) = told(home, "verify");
    assert_eq!(code, 0, "{report} {err}");
    report["counts"].clone()
}

fn whole(home: &Home) -> Value {
    let (code, report, err) = told(home, "rebuild");
    assert_eq!(code, 0, "{report} {err}");
    report["counts"].clone()
}

/// Groups with comings and goings; what one of its people sees of each.
async fn talk(server: &Server) {
    let mut asha = Client::join(server, "asha").await;
    let mut bilal = Client::join(server, "bilal").await;
    for n in 0..4 {
        let group = asha.create("group", Some(&format!("सभा {n}")), &[&bilal.user]).await;
        bilal.told("conversation", &group).await;
        for n in 0..30 {
            asha.say(&group, &format!("पंक्ति {n}")).await;
        }
        let remove = json!({"conversation": group, "client_id": uuid(), "users": [bilal.user]});
        asha.call("members.remove", remove).await;
        let of = |n: &Value| n["params"]["conversation"] == group && n["params"]["seq"] == 32;
        asha.notice(|n| n["method"] == "event" && of(n)).await;
    }
}

async fn seen(server: &Server) -> Vec<(String, Vec<Value>)> {
    let mut asha = Client::join(server, "asha").await;
    let entries = asha.started["conversations"].as_array().expect("a list").clone();
    let mut all = Vec::new();
    for entry in entries {
        let id = entry["id"].as_str().expect("an id").to_owned();
        let history = asha.history(&id).await;
        chain::check(&history);
        all.push((id, history));
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

/// A new keyspace beside the old one: what a store is when all of it is lost. Its name.
fn another_keyspace(home: &Home) -> String {
    let name = format!("c{}", uuid().replace('-', ""));
    use_keyspace(home, &name);
    let (code, out, err) = home.site().role("migrate").run();
    assert_eq!(code, 0, "{out}{err}");
    name
}

fn use_keyspace(home: &Home, name: &str) {
    let keyspace = |name: &str| format!("keyspace = {name:?}");
    home.site().change(&keyspace(&home.site().name()), &keyspace(name));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_comes_back_from_the_log() {
    harkara_test_engines::engines_or_skip!();
    let home = Home::new();
    let server = home.start();
    talk(&server).await;
    // Beside workers nothing is done, and nobody loses a partition over it.
    let (code, _, err) = told(&home, "rebuild");
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("workers run") && err.contains("stop all of them"), "{err}");
    let first = seen(&server).await;
    assert_eq!(server.stop(), 0);
    let old = home.site().name();
    let wanted = well(&home);

    let backup = another_keyspace(&home);
    let counts = whole(&home);
    assert_eq!((&counts["events"], &counts["there"]), (&wanted["events"], &json!(0)), "{counts}");
    let found = well(&home);
    for count in ["conversations", "events", "caused_events", "memberships", "inbox", "repeats"] {
        assert_eq!(found[count], wanted[count], "{count}: {found} {wanted}");
    }

    // The old store goes on, and dies; the other one is a backup by then.
    use_keyspace(&home, &old);
    let server = home.start();
    talk(&server).await;
    let all = seen(&server).await;
    assert_eq!((first.len(), all.len()), (4, 8));
    assert_eq!(server.stop(), 0);
    let wanted = well(&home);
    use_keyspace(&home, &backup);
    let (code, report, _) = told(&home, "verify");
    assert_eq!((code, &report["well"]), (1, &json!(false)), "it lacks what came since");
    let counts = whole(&home);
    assert_eq!(counts["events"], json!(4 * 32), "{counts}");
    assert_eq!(well(&home)["events"], wanted["events"]);
    assert_eq!(whole(&home)["rebuilt"], 0, "nothing is left to do");

    let server = home.start();
    assert_eq!(seen(&server).await, all);
    let mut asha = Client::join(&server, "asha").await;
    let (group, history) = &all[0];
    asha.say(group, "we are back").await;
    asha.event(group, history.len() as u64 + 1).await;
    chain::check(&asha.history(group).await);
    assert_eq!(server.stop(), 0);
    well(&home);
}
