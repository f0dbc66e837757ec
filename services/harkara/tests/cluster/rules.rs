//! Two builds side by side, forth and back. The build that comes next is this binary with
//! `NEXT_RULES` in its environment: it knows rules 2, in which a message of more than 200 bytes is
//! refused, so that both builds would make something else of the same record.

use rustix::process::Signal;

use super::workers::patiently;
use crate::support::{
    Client, Home, Server, chain,
    client::message,
    cluster::{Worker, settled},
    process::Process,
    server::Launch,
    until, uuid,
};

fn next(home: &Home, role: &str) -> Launch {
    home.site().role(role).env("NEXT_RULES", "1")
}

/// `harkara rules --set`, by the next build: the exit code and all that it said.
fn set(home: &Home, rules: &str) -> (i32, String) {
    let (code, out, err) = next(home, "rules").arg("--set").arg(rules).run();
    (code, out + &err)
}

/// Ends a worker in good order and has another one in its place.
fn replace(server: &mut Server, worker: usize, by: Launch) {
    let workers = &mut server.rest.as_mut().expect("a cluster").workers;
    let mut gone = workers.remove(worker);
    gone.process.terminate();
    assert_eq!(gone.process.wait(), 0, "{}", gone.process.err());
    workers.insert(worker, Worker::serving(by.spawn()));
    settled(server);
}

/// Says something: does it become an event? An error would be a gateway's word, and rules are not
/// for gateways to keep.
async fn becomes_an_event(client: &mut Client, group: &str, text: &str) -> bool {
    let id = uuid();
    patiently(client, "message.send", message(group, &id, text)).await;
    let outcome = client.notice(|n| n["params"]["client_id"] == id.as_str()).await;
    let rejected = outcome["method"] == "rejected";
    assert!(!rejected || outcome["params"]["code"] == "too_large", "{outcome}");
    !rejected
}

/// One that both builds take under rules 1, and none under rules 2.
async fn long_becomes_an_event(client: &mut Client, group: &str) -> bool {
    becomes_an_event(client, group, &"क".repeat(100)).await
}

/// Gateways read the directory a moment after the administrator has written it.
async fn long_messages_are(taken: bool, client: &mut Client, groups: &[String]) {
    for group in groups {
        let mut tries = 0;
        while long_becomes_an_event(client, group).await != taken {
            tries += 1;
            assert!(tries < 1_000, "long messages are not yet taken: {taken}");
        }
        assert!(becomes_an_event(client, group, "short").await);
    }
}

/// Ends because rules are in force that it doesn't know.
fn steps_down(process: &mut Process) {
    assert_eq!(process.wait(), 3, "{}", process.err());
    assert!(process.err().contains("upgrade this worker"), "{}", process.err());
}

/// Both histories agree, and each row is what its record comes to by the rules on its stamp.
async fn all_is_well(home: &Home, server: Server, groups: &[String]) {
    let mut asha = Client::join(&server, "asha").await;
    for group in groups {
        chain::check(&asha.history(group).await);
    }
    drop(asha);
    assert_eq!(server.stop(), 0);
    let (code, out, err) = next(home, "verify").arg("--cluster").run();
    assert_eq!(code, 0, "{out}{err}");
    let (code, out, _) = home.site().role("verify").arg("--cluster").run();
    assert!(code == 1 && out.contains("newer than this build"), "it can't judge them: {out}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_builds_side_by_side_forth_and_back() {
    harkara_test_engines::engines_or_skip!();
    let home = Home::new();
    let mut server = home.start();
    let mut asha = Client::join(&server, "asha").await;
    let bilal = Client::join(&server, "bilal").await.user;
    let mut groups = Vec::new();
    for _ in 0..8 {
        groups.push(asha.create("group", None, &[&bilal]).await);
    }
    long_messages_are(true, &mut asha, &groups).await;

    // Not before every worker knows them, and nothing else changes while builds are mixed.
    let (code, told) = set(&home, "2");
    assert!(code == 3 && told.contains("2 of 2 workers don't know rules 2"), "{told}");
    tokio::task::block_in_place(|| replace(&mut server, 0, next(&home, "fanout")));
    let (code, told) = set(&home, "2");
    assert!(code == 3 && told.contains("1 of 2 workers don't know rules 2"), "{told}");
    long_messages_are(true, &mut asha, &groups).await;
    tokio::task::block_in_place(|| replace(&mut server, 1, next(&home, "fanout")));
    let (code, told, err) = home.site().role("rules").arg("--set").arg("2").run();
    assert!(code == 3 && err.contains("this build knows rules 1 to 1"), "{told}{err}");
    long_messages_are(true, &mut asha, &groups).await;

    let (code, told) = set(&home, "2");
    assert!(code == 0 && told.contains("rules 2 are in force from now on"), "{told}");
    long_messages_are(false, &mut asha, &groups).await;
    steps_down(&mut home.site().role("fanout").spawn());

    // Back: the older build comes again when nothing on the way is newer.
    let (code, told) = set(&home, "1");
    assert_eq!(code, 0, "{told}");
    long_messages_are(true, &mut asha, &groups).await;
    tokio::task::block_in_place(|| replace(&mut server, 0, home.site().role("fanout")));
    long_messages_are(true, &mut asha, &groups).await;
    drop(asha);
    all_is_well(&home, server, &groups).await;
}

/// Nobody could ask it, since the group had given it up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_slept_through_new_rules_steps_down() {
    harkara_test_engines::engines_or_skip!();
    let home = Home::new();
    let mut server = home.start();
    let mut asha = Client::join(&server, "asha").await;
    let group = asha.create("group", None, &[]).await;
    tokio::task::block_in_place(|| replace(&mut server, 0, next(&home, "fanout")));
    let mut old = server.rest.as_mut().expect("a cluster").workers.pop().expect("two");
    old.process.signal(Signal::STOP);
    tokio::task::block_in_place(|| {
        until("the group gives it up", || (set(&home, "2").0 == 0).then_some(()));
    });
    long_messages_are(false, &mut asha, std::slice::from_ref(&group)).await;
    old.process.signal(Signal::CONT);
    tokio::task::block_in_place(|| steps_down(&mut old.process));
    long_messages_are(false, &mut asha, std::slice::from_ref(&group)).await;
    drop(asha);
    all_is_well(&home, server, &[group]).await;
}
