//! `report` from its command line to the document, against the fake server.

use std::{fs, path::Path, process::Command};

use harkara_loadtest::report::{
    Report,
    plan::{PLAN, Words},
};

use crate::fake::{self, Manners};

/// A program that says what the server says, and then does what its process is asked for: nothing.
fn stand_in(dir: &Path, url: &str) -> std::path::PathBuf {
    let path = dir.join("server");
    let script = format!("#!/bin/sh\necho 'listening clients={url}/v1/ws'\nexec sleep 600\n");
    fs::write(&path, script).expect("a script");
    let status = Command::new("chmod").arg("+x").arg(&path).status().expect("chmod");
    assert!(status.success());
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn what_works_is_written_down_and_what_fails_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    let binary = stand_in(dir.path(), &fake::start(Manners::default()).await);
    fs::write(at("page.md"), "# A\n<!-- figures: begin -->\n<!-- figures: end -->\nrest\n")
        .expect("a document");
    fs::create_dir(at("empty")).expect("a directory without logs");
    let mut command = Command::new(env!("CARGO_BIN_EXE_harkara-loadtest"));
    command.args(["report", "--quick", "--only", "idle,replay", "--logs"]).arg(at("empty"));
    command.arg("--binary").arg(binary).arg("--json").arg(at("all.json"));
    command.arg("--html").arg(at("page.html")).arg("--docs").arg(at("page.md"));
    let run = tokio::task::spawn_blocking(move || command.output().expect("a run"));
    let output = run.await.expect("an end");
    let said = String::from_utf8_lossy(&output.stdout);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}{told}");
    assert!(said.contains("failed: replay"), "{said}{told}");

    let report = Report::read(&at("all.json")).expect("figures");
    let [idle, replay] = report.entries.as_slice() else { panic!("{said}{told}") };
    assert_eq!(idle.failed, None);
    let why = replay.failed.as_deref().unwrap_or_default();
    assert!(why.contains("has no chat logs"), "{why}");
    let page = fs::read_to_string(at("page.md")).expect("the document");
    assert!(page.starts_with("# A\n") && page.ends_with("-->\nrest\n"), "{page}");
    assert!(page.contains("**FAILED:**") && page.contains("harkara-loadtest idle"), "{page}");
    assert!(at("page/figures.json").exists());
    let html = fs::read_to_string(at("page.html")).expect("the page");
    assert!(html.contains("has no chat logs") && !html.contains("<script"));
}

/// With `--help` behind them, the arguments before it are read and nothing else happens.
#[test]
fn every_command_of_the_plan_is_understood() {
    let words = Words {
        urls: vec!["ws://127.0.0.1:1".to_owned(); 2],
        pids: vec!["1".to_owned(); 2],
        brokers: "127.0.0.1:2".to_owned(),
        nodes: "127.0.0.1:3".to_owned(),
        logs: "logs".to_owned(),
        binary: "binary".to_owned(),
        dir: "dir".to_owned(),
        examples: "examples".to_owned(),
    };
    for step in PLAN {
        // One process has one address and one number; modes that know no more say so.
        let few = Words {
            urls: vec![words.urls[0].clone()],
            pids: vec!["1".to_owned()],
            ..words.clone()
        };
        let words = if step.needs_cluster() { &words } else { &few };
        for is_small in [false, true] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_harkara-loadtest"));
            command.args(step.arguments(is_small, words)).args(["--out", "file", "--help"]);
            let output = command.output().expect("a run");
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}: {told}", step.name);
        }
    }
}
