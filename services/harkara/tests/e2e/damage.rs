//! Disks that are full, bytes that are wrong: told in a sentence, and nothing made worse.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

use crate::support::{Client, Home, Server, chain, client::message, http, skipped, until, uuid};

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(&file, &target).unwrap();
    }
}

/// The history of the one conversation.
async fn history(server: &Server) -> Vec<Value> {
    let mut asha = Client::join(server, "asha").await;
    let id = asha.started["conversations"][0]["id"].as_str().unwrap().to_owned();
    asha.history(&id).await
}

/// Keyspaces beyond the second look like it.
fn is_worth_a_try(file: &Path) -> bool {
    let mut parts = file.components().map(|part| part.as_os_str().to_string_lossy());
    match parts.by_ref().find(|part| part == "keyspaces") {
        Some(_) => parts.next().is_some_and(|number| number == "0" || number == "1"),
        None => true,
    }
}

#[tokio::test]
async fn a_flipped_byte_is_told_and_nothing_is_made_worse() {
    let home = Home::new();
    let mut server = home.start();
    let mut asha = Client::join(&server, "asha").await;
    let group = asha.create("group", Some("t"), &[]).await;
    for n in 0..20 {
        asha.say(&group, &format!("line {n}")).await;
    }
    for seq in 2..=21 {
        asha.event(&group, seq).await;
    }
    let told = asha.history(&group).await;
    server.process.kill();
    let (mut refused, mut started) = (0, 0);
    for file in files(&home.data()).into_iter().filter(|file| is_worth_a_try(file)) {
        let length = fs::read(&file).unwrap().len();
        let places: BTreeSet<_> = [0, length / 2, length.saturating_sub(1)].into();
        for at in places.into_iter().filter(|at| *at < length) {
            match with_a_flipped_byte(&home.data(), &file, at, &told).await {
                true => started += 1,
                false => refused += 1,
            }
        }
    }
    assert!(refused > 0 && started > 0, "{refused} refused, {started} started");
    assert_eq!(history(&home.start()).await, told);
}

/// Starts on a copy of the data in which one byte is wrong. True if it took that; what is read is
/// right then. If it did not, then the right byte makes all good again.
async fn with_a_flipped_byte(data: &Path, file: &Path, at: usize, told: &[Value]) -> bool {
    let scratch = Home::new();
    copy(data, &scratch.data());
    let damaged = scratch.data().join(file.strip_prefix(data).unwrap());
    let name = format!("{} at {at}", damaged.display());
    let whole = fs::read(&damaged).unwrap();
    let mut bytes = whole.clone();
    bytes[at] ^= 0x40;
    fs::write(&damaged, bytes).unwrap();
    match scratch.launch().try_start() {
        Ok(server) => {
            assert_eq!(history(&server).await, told, "{name}");
            assert!(!server.process.err().contains("panicked"), "{name}");
            true
        }
        Err((code, err)) => {
            assert_eq!(code, 3, "{name}: {err}");
            assert!(err.lines().last().is_some_and(|l| l.starts_with("harkara: ")), "{err}");
            assert!(!err.contains("panicked"), "{name}: {err}");
            fs::write(&damaged, whole).unwrap();
            assert_eq!(history(&scratch.start()).await, told, "{name}");
            false
        }
    }
}

/// A file system in memory whose size can change, until dropped.
struct Disk(tempfile::TempDir);

impl Disk {
    fn mount(mebibytes: u32) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let size = format!("size={mebibytes}m");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "harkara-test"]).arg(dir.path());
        if mount.output().is_ok_and(|output| output.status.success()) {
            return Some(Self(dir));
        }
        skipped("mounting a small file system needs root");
        None
    }

    fn resize(&self, mebibytes: u32) {
        let size = format!("remount,size={mebibytes}m");
        let done = Command::new("mount").args(["-o", &size]).arg(self.0.path()).status().unwrap();
        assert!(done.success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _done = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

/// Whether `/readyz` answers so.
fn ready(server: &Server, wanted: u16) -> Option<()> {
    http::get(server.admin, "/readyz").ok().filter(|(status, _)| *status == wanted).map(|_| ())
}

#[tokio::test]
async fn a_full_disk_stops_writing_for_as_long_as_it_is_full() {
    let Some(disk) = Disk::mount(600) else { return };
    let home = Home::new();
    let data = disk.0.path().join("data");
    let mut server = home.launch().replacing("--data", data.to_str().unwrap()).start();
    let mut asha = Client::join(&server, "asha").await;
    let talk = asha.create("group", None, &[]).await;
    asha.say(&talk, "while there is room").await;
    asha.event(&talk, 2).await;

    disk.resize(200);
    let client_id = uuid();
    let send = message(&talk, &client_id, "no room");
    for _ in 0..3 {
        let error = asha.refused("message.send", send.clone()).await;
        assert_eq!(error["data"]["code"], "unavailable", "{error}");
        assert_eq!(error["data"]["retryable"], true);
    }
    let (status, why) = http::get(server.admin, "/readyz").unwrap();
    assert_eq!(status, 503);
    assert!(why.contains("nearly full"), "{why}");
    assert_eq!(asha.history(&talk).await.len(), 2, "reading works");
    assert!(server.is_alive());

    disk.resize(600);
    until("ready again", || ready(&server, 200));
    assert_eq!(asha.call("message.send", send).await, json!({"accepted": true}));
    assert_eq!(asha.event(&talk, 3).await["client_id"], client_id.as_str());
    chain::check(&asha.history(&talk).await);
    drop(asha);
    assert_eq!(server.stop(), 0);

    // A start on a full disk is refused or waits; it never damages.
    disk.resize(200);
    let server = home.launch().replacing("--data", data.to_str().unwrap()).start();
    until("not ready", || ready(&server, 503));
    disk.resize(600);
    until("ready again", || ready(&server, 200));
    assert_eq!(history(&server).await.len(), 3);
    drop(server);
}
