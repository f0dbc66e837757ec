//! The code in README and docs that is marked `<!-- tested: name -->`, run as a reader would run
//! it: only the program, the addresses and the directories are replaced. What needs a tool that
//! is not installed is skipped, and says so.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::json;

use crate::support::{
    Client, Home, Server,
    server::{BINARY, Launch},
    skipped, until,
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Name and code of every marked block.
fn blocks() -> Vec<(String, String)> {
    let mut pages = vec![root().join("README.md")];
    let docs = fs::read_dir(root().join("docs")).unwrap();
    pages.extend(docs.map(|entry| entry.unwrap().path()));
    pages.retain(|page| page.extension().is_some_and(|it| it == "md"));
    let mut found = Vec::new();
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        for part in text.split("<!-- tested: ").skip(1) {
            let (name, rest) = part.split_once(" -->\n```").expect("a block right after");
            let (_, rest) = rest.split_once('\n').expect("a language");
            let (code, _) = rest.split_once("```").expect("an end");
            found.push((name.to_owned(), code.to_owned()));
        }
    }
    found
}

fn block(name: &str) -> String {
    let mut found = blocks();
    found.retain(|(other, _)| other == name);
    assert_eq!(found.len(), 1, "blocks called {name}");
    found.remove(0).1
}

/// The arguments of `cargo run --release -- …`.
fn arguments(code: &str) -> Vec<String> {
    let rest = code.trim().strip_prefix("cargo run --release").expect("the one way to run it");
    let rest = rest.strip_prefix(" --").unwrap_or(rest);
    rest.split_whitespace().map(str::to_owned).collect()
}

fn installed(program: &str, args: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null());
    let there = command.output().is_ok_and(|output| output.status.success());
    if !there {
        skipped(&format!("`{program} {}` does not work here", args.join(" ")));
    }
    there
}

fn succeed(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{status}: {out}{err}");
    out.into_owned()
}

/// With a server's address instead of the default one.
fn at(code: &str, server: &Server) -> String {
    code.replace("127.0.0.1:8080", &server.clients.to_string())
}

#[test]
fn every_marked_block_is_tested_here() {
    let mut names: Vec<_> = blocks().into_iter().map(|(name, _)| name).collect();
    names.sort();
    let known =
        ["chat-asha", "chat-bilal", "javascript", "run", "test", "verify-chain", "websocat"];
    assert_eq!(names, known);
    assert_eq!(block("test").trim(), "cargo test --workspace --all-features", "which runs this");
}

#[test]
fn the_first_commands_work() {
    let home = Home::new();
    let mut launch = Launch::bare(home.path());
    for argument in arguments(&block("run")) {
        launch = launch.arg(argument);
    }
    // The default ports may be somebody's on this machine.
    let launch =
        launch.env("HARKARA_LISTEN", "127.0.0.1:0").env("HARKARA_ADMIN__LISTEN", "127.0.0.1:0");
    let server = launch.start();
    let chat = |name: &str| {
        let mut launch = Launch::bare(home.path()).stdin_piped();
        for argument in arguments(&block(name)) {
            launch = launch.arg(argument);
        }
        launch.arg("--url").arg(server.url()).arg("--state-dir").arg(home.path()).spawn()
    };
    let mut asha = chat("chat-asha");
    until("asha's conversation", || asha.out().contains("--- bilal ---").then_some(()));
    let bilal = chat("chat-bilal");
    until("bilal's list", || bilal.out().contains("asha").then_some(()));
    let typed = "नमस्ते, bilal";
    std::io::Write::write_all(asha.child.stdin.as_mut().unwrap(), format!("{typed}\n").as_bytes())
        .unwrap();
    until("the line in the other terminal", || bilal.out().contains(typed).then_some(()));
    assert!(home.path().join("harkara-data").is_dir());
}

#[test]
fn the_javascript_client_works() {
    let version = |args: &[&str]| {
        let out = Command::new("node").args(args).arg("--version").output().ok()?;
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        text.trim().strip_prefix('v')?.split('.').next()?.parse::<u32>().ok()
    };
    let flags: &[&str] = match version(&[]) {
        Some(22..) => &[],
        Some(20 | 21) => &["--experimental-websocket"],
        _ => {
            skipped("no node from version 20 on");
            return;
        }
    };
    let home = Home::new();
    let server = home.start();
    let file = home.file("client.mjs", &at(&block("javascript"), &server));
    let out = succeed(Command::new("node").args(flags).arg("--no-warnings").arg(file));
    assert_eq!(out, "2 नमस्ते\n");
}

#[test]
fn the_websocat_client_works() {
    if !installed("websocat", &["--version"]) || !installed("curl", &["--version"]) {
        return;
    }
    let home = Home::new();
    let server = home.start();
    let out = succeed(Command::new("sh").arg("-c").arg(at(&block("websocat"), &server)));
    assert!(out.contains("\"limits\""), "{out}");
}

#[tokio::test]
async fn the_chain_verifier_works() {
    if !installed("python3", &["-c", "import blake3"]) {
        return;
    }
    let home = Home::new();
    let server = home.start();
    let mut asha = Client::join(&server, "asha").await;
    let group = asha.create("group", Some("सूची"), &[]).await;
    asha.say(&group, "नमस्ते \"quoted\" \u{1}").await;
    let title = json!({"conversation": group, "client_id": crate::support::uuid(), "title": null});
    asha.call("conversation.update", title).await;
    let page = asha.call("timeline.read", json!({"conversation": group})).await;
    let script = home.file("verify.py", &block("verify-chain"));
    let mut answer = json!({"jsonrpc": "2.0", "id": 1, "result": page});
    let verify = |answer: &serde_json::Value| {
        let file = home.file("page.json", &answer.to_string());
        succeed(Command::new("python3").arg(&script).arg(file))
    };
    assert_eq!(verify(&answer), "1 ok\n2 ok\n3 ok\n");
    answer["result"]["events"][1]["content"]["text"] = "altered".into();
    assert!(verify(&answer).contains("BROKEN"));
}

#[test]
fn help_and_version_are_there() {
    let home = Home::new();
    for (args, part) in [
        (&["--help"][..], "standalone"),
        (&["chat", "--help"], "--with"),
        (&["--version"], "rustc"),
    ] {
        let mut command = Command::new(BINARY);
        let out = succeed(command.args(args).current_dir(home.path()));
        assert!(out.contains(part), "{out}");
    }
}
