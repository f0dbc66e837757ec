//! Starting, being asked to end, and what stands in the way of a start.

use std::fs;

use serde_json::{Value, json};

use crate::support::{
    Client, Home, SOON, http,
    server::{Launch, free_port},
    skipped, until,
};

#[test]
fn ready_within_two_seconds_of_the_start() {
    let home = Home::new();
    // The first start makes the database, the second one finds it. The better of two counts, for
    // a machine that was busy with something else.
    let fast = (0..2).filter(|_| {
        let server = home.start();
        let (status, body) = http::get(server.admin, "/readyz").unwrap();
        let age = server.age();
        assert_eq!((status, body.as_str()), (200, "ready\n"));
        assert_eq!(http::get(server.admin, "/healthz").unwrap(), (200, "alive\n".to_owned()));
        println!("ready after {age:?}");
        assert_eq!(server.stop(), 0);
        age.as_secs() < 2
    });
    assert!(fast.count() > 0);
}

/// A session that does not answer the close holds the process up for a while.
#[tokio::test]
async fn while_draining_it_is_not_ready_and_a_second_signal_ends_it() {
    let home = Home::new();
    let mut server = home.start();
    let silent = Client::join(&server, "asha").await;
    server.process.terminate();
    let refused = until("not ready", || {
        let (status, body) = http::get(server.admin, "/readyz").ok()?;
        (status == 503).then_some(body)
    });
    assert!(refused.contains("draining"), "{refused}");
    let request = http::upgrade("/v1/ws", "sec-websocket-protocol: harkara.v1.json\r\n");
    if let Ok(answer) = http::raw(server.clients, request.as_bytes()) {
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(answer.contains("retry-after: "), "{answer}");
    }
    server.process.terminate();
    assert_eq!(server.process.wait(), 143);
    drop(silent);
    let server = home.start();
    Client::join(&server, "asha").await;
}

#[test]
fn two_processes_do_not_share_a_directory() {
    let home = Home::new();
    let mut first = home.start();
    let (code, out, err) = home.launch().run();
    assert_eq!((code, out.as_str()), (3, ""));
    let data = home.data();
    assert!(err.contains(data.to_str().unwrap()) && err.contains("in use"), "{err}");
    assert!(err.contains("stop that one first"), "{err}");
    assert!(first.is_alive());
    first.process.kill();
    assert_eq!(home.start().stop(), 0, "a killed process leaves no lock behind");
}

#[test]
fn a_busy_port_is_named() {
    let home = Home::new();
    let port = free_port();
    let taken = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (flag, key) in [("--listen", "listen"), ("--admin", "admin.listen")] {
        let (code, _, err) = home.launch().replacing(flag, &address).run();
        assert_eq!(code, 4, "{err}");
        assert!(err.contains(&address) && err.contains(&format!("`{key}`")), "{err}");
    }
    assert!(!home.data().exists(), "nothing was made");
    let (code, _, err) = home.launch().replacing("--listen", "203.0.113.1:0").run();
    assert_eq!(code, 2, "not loopback in development mode: {err}");
}

#[test]
fn a_directory_that_cannot_be_used_is_named() {
    let home = Home::new();
    let file = home.file("occupied", "not a directory");
    for path in [file.clone(), file.join("below"), "/proc/harkara".into()] {
        let path = path.to_str().unwrap();
        let (code, _, err) = home.launch().replacing("--data", path).run();
        assert_eq!(code, 3, "{err}");
        assert!(err.contains(path) && err.contains("check that it is a directory"), "{err}");
        assert!(!err.contains("panicked"), "{err}");
    }
    assert_eq!(fs::read_to_string(file).unwrap(), "not a directory");
    let readonly = home.path().join("readonly");
    fs::create_dir(&readonly).unwrap();
    let mut mode = fs::metadata(&readonly).unwrap().permissions();
    mode.set_readonly(true);
    fs::set_permissions(&readonly, mode).unwrap();
    if fs::write(readonly.join("probe"), "").is_ok() {
        skipped("root writes into read-only directories");
        return;
    }
    let (code, _, err) = home.launch().replacing("--data", readonly.to_str().unwrap()).run();
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("can't be used"), "{err}");
}

#[test]
fn logs_are_json_where_asked_for() {
    let home = Home::new();
    let mut server =
        home.launch().arg("--log").arg("json").env("HARKARA_TELEMETRY__FILTER", "info").start();
    let told: Value = serde_json::from_str(server.process.out().trim()).unwrap();
    assert_eq!(told["event"], "listening");
    assert_eq!(told["pid"], server.process.child.id());
    assert_eq!(told["data"], home.data().to_str().unwrap());
    server.process.terminate();
    assert_eq!(server.process.wait(), 0);
    let err = server.process.err();
    assert!(err.lines().count() > 0, "it says that it drains");
    for line in err.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        assert!(line["level"].is_string() && line["timestamp"].is_string(), "{line}");
    }
}

#[test]
fn the_announcement_is_for_people_and_scripts() {
    let home = Home::new();
    let server = home.start();
    let out = until("the whole announcement", || {
        let out = server.process.out();
        out.contains("Ctrl-C").then_some(out)
    });
    assert!(out.starts_with(&format!("listening clients={}\n", server.url())), "{out}");
    for part in ["asha", "bilal", "chitra", "chat --as asha --with bilal", "chat --as bilal"] {
        assert!(out.contains(part), "{out}");
    }
    // The tokens that are shown work.
    let line = out.lines().find(|line| line.trim_start().starts_with("asha")).unwrap();
    let token = line.split_whitespace().last().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut client = Client::open(server.clients, Some(token)).await.unwrap();
        client.start(json!({})).await.unwrap();
        assert_eq!(client.user, line.split_whitespace().nth(1).unwrap());
    });
}

#[test]
fn without_arguments_it_serves_in_the_current_directory() {
    let home = Home::new();
    let server = Launch::bare(home.path())
        .env("HARKARA_LISTEN", "127.0.0.1:0")
        .env("HARKARA_ADMIN__LISTEN", "127.0.0.1:0")
        .start();
    assert!(home.path().join("harkara-data/db").is_dir());
    assert!(server.age() < SOON);
    assert_eq!(server.stop(), 0);
}
