//! A standalone that is killed, told to go, frozen and cut off while people talk, judged by I1 to
//! I9; then what was recorded of it is altered, which each of these must notice. The server is the
//! binary that was built beside this test; `cargo test --workspace` builds it.

use std::{
    collections::HashMap,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use harkara_loadtest::{
    chaos::{self, Args, cluster},
    check::{
        fetch,
        history::Histories,
        logs::{self, Item, Logs, Session},
        rules,
    },
    ids::Id,
    journal::What,
    wire::token,
};
use serde_json::Value;

const PLAN: &str = r#"
about = "a test"
seconds = 12
warm_up = 2
pause = [0.6, 1.6]

[cluster]
engines = "embedded"

[load]
rooms = 3
rate = 45
readers = 2
speakers = 8
talkers = 3
length = 120

[[fault]]
kind = "kill"
on = ["server"]
for = [0.1, 0.5]

[[fault]]
kind = "stop"
on = ["server"]
for = [0.1, 0.5]

[[fault]]
kind = "freeze"
on = ["server"]
for = [0.3, 1.0]

[[fault]]
kind = "partition"
on = ["client_link"]
for = [0.3, 1.0]

[[fault]]
kind = "reset"
on = ["client_link"]
for = [0.3, 1.0]
"#;

/// Nothing happens but a little delay.
const QUIET: &str = r#"
about = "a test"
seconds = 5
warm_up = 1
pause = [1.0, 1.0]

[cluster]
engines = "embedded"

[load]
rooms = 1
rate = 10

[[fault]]
kind = "delay"
on = ["client_link"]
for = [0.5, 0.5]
"#;

fn args(dir: &Path, text: &str) -> Args {
    let plan = dir.join("plan.toml");
    std::fs::write(&plan, text).expect("written");
    Args {
        plan: plan.to_string_lossy().into_owned(),
        seed: 3,
        seconds: None,
        rate: None,
        rooms: None,
        brokers: None,
        nodes: None,
        server: None,
        other_server: None,
        top: Path::new(env!("CARGO_MANIFEST_DIR")).join(".."),
        dir: Some(dir.join("run")),
        html: Some(dir.join("page.html")),
        json: Some(dir.join("report.json")),
        invariants_only: true,
    }
}

/// False where there is no server to break.
fn can_run() -> bool {
    let is_there = cluster::beside().is_some();
    assert!(is_there || std::env::var_os("CI").is_none(), "no server: cargo build -p harkara");
    if !is_there {
        eprintln!("skipped: there is no server beside this test: cargo build -p harkara");
    }
    is_there
}

fn told(dir: &Path) -> Value {
    let text = std::fs::read_to_string(dir.join("report.json")).expect("a report");
    serde_json::from_str(&text).expect("JSON")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standalone_loses_nothing_whatever_is_done_to_it() {
    if !can_run() {
        return;
    }
    let dir = tempfile::tempdir().expect("directory");
    let is_clean = chaos::run(args(dir.path(), PLAN)).await.expect("a run");
    let told = told(dir.path());
    assert!(is_clean, "{:#}", told["troubles"]);
    assert!(told["counts"]["accepted"].as_u64() > Some(200), "{:#}", told["counts"]);
    assert_eq!(told["counts"]["accepted"], told["counts"]["outcomes"]);
    let faults = told["faults"].as_array().expect("faults");
    assert!(faults.len() >= 6, "{faults:#?}");
    let kinds: std::collections::BTreeSet<&str> =
        faults.iter().filter_map(|fault| fault["kind"].as_str()).collect();
    assert!(kinds.contains("kill") && kinds.len() >= 4, "{kinds:?}");
    // A server that was killed could not deliver.
    assert!(faults.iter().any(|fault| fault["silent_seconds"].as_f64() > Some(0.4)));
    let rules = told["verdicts"].as_array().expect("verdicts");
    assert_eq!(rules.len(), 10, "I1 to I9 and the chain, and nothing about times");
    assert!(rules.iter().all(|rule| rule["checked"].as_u64() > Some(0)), "{rules:#?}");
    let page = std::fs::read_to_string(dir.path().join("page.html")).expect("a page");
    assert!(page.contains("<svg") && page.contains("held:"));
    what_was_recorded_is_altered_and_noticed(&dir.path().join("run")).await;
}

/// The same server again on the same data, as it was left.
struct Again(Child, String);

impl Again {
    async fn start(run: &Path) -> Self {
        let config = run.join("server/harkara.toml");
        let text = std::fs::read_to_string(&config).expect("settings");
        let settings: toml::Table = text.parse().expect("TOML");
        let url = format!("ws://{}", settings["listen"].as_str().expect("an address"));
        let mut command = Command::new(cluster::beside().expect("a server"));
        command.arg("standalone").arg("--config").arg(config);
        let server = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("started");
        let again = Self(server, url);
        for _ in 0..600 {
            if token::fetch(&again.1, "nobody", "test").await.is_ok() {
                return again;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the server doesn't come back");
    }
}

impl Drop for Again {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}

/// A way to make a clean record an unclean one, and the rules that must say so.
type Forgery = (&'static str, fn(&mut Logs, &mut Histories), &'static [&'static str]);

const FORGERIES: [Forgery; 12] = [
    (
        "a delivery is dropped",
        |logs, _| {
            let (session, at) = listener(logs);
            session.items.remove(at[0]);
        },
        &["I3"],
    ),
    (
        "a delivery is doubled",
        |logs, _| {
            let (session, at) = listener(logs);
            session.items.insert(at[0], session.items[at[0]].clone());
        },
        &["I3"],
    ),
    (
        "two deliveries change places",
        |logs, _| {
            let (session, at) = listener(logs);
            session.items.swap(at[0], at[1]);
        },
        &["I3"],
    ),
    (
        "a gap",
        |logs, _| {
            let (session, at) = listener(logs);
            at.iter().rev().for_each(|at| drop(session.items.remove(*at)));
        },
        &["I3"],
    ),
    (
        "what a message says differs from what was said",
        |logs, _| logs.bodies[30]["content"] = "altered".into(),
        &["I3"],
    ),
    (
        "a message that was accepted is gone",
        |logs, _| {
            let (&i, _) = logs.fates.iter().find(|(_, fate)| fate.accepted).expect("a send");
            let (mut intent, fate) = (logs.intents[&i].clone(), logs.fates[&i].clone());
            intent.i = Id(uuid::Uuid::from_u128(7));
            logs.fates.insert(intent.i, fate);
            logs.intents.insert(intent.i, intent);
        },
        &["I1"],
    ),
    (
        "a message stands twice",
        |_, histories| {
            let history = histories.values_mut().find(|it| it.events.len() > 20).expect("one");
            let mut twice = history.events[10].clone();
            twice.seq = history.head + 1;
            (history.head, history.again) = (twice.seq, None);
            history.events.push(twice);
        },
        &["I2", "I8"],
    ),
    (
        "what was answered can't be read",
        |logs, _| logs.looks.first_mut().expect("a look").found = false,
        &["I4"],
    ),
    (
        "somebody who has left goes on reading",
        |logs, _| logs.asked_after_leaving.first_mut().expect("somebody who left").2 = None,
        &["I5"],
    ),
    (
        "messages of one session change places",
        |logs, _| {
            let (s, one, other) = pipelined(logs).expect("somebody who said two things");
            logs.sessions.get_mut(&s).expect("a session").sent.swap(one, other);
        },
        &["I6"],
    ),
    (
        "a message that nobody sent",
        |logs, histories| {
            let sent = histories.values().flat_map(|it| &it.events);
            let message = sent.filter(|event| event.word("kind") == "message").last();
            logs.intents.remove(&message.expect("a message").client_id);
        },
        &["I7"],
    ),
    (
        "somebody reads beyond the head",
        |logs, _| {
            let (session, at) = listener(logs);
            let Item::Event { n, .. } = session.items[at[0]] else { panic!("chosen by that") };
            let (user, q) = (Id(uuid::Uuid::from_u128(7)), 1_000_000);
            session.items.push(Item::Read { n, user, q });
        },
        &["I9"],
    ),
];

/// A session and the places of two messages to one conversation that were sent once and taken.
fn pipelined(logs: &Logs) -> Option<(u32, usize, usize)> {
    logs.sessions.iter().find_map(|(s, session)| {
        let mut before: HashMap<Id, usize> = HashMap::new();
        let mut sent = session.sent.iter().enumerate();
        let pair = sent.find_map(|(at, i)| {
            let (intent, fate) = (&logs.intents[i], &logs.fates[i]);
            let is_sure = fate.sent == [*s] && fate.failed.is_empty() && fate.accepted;
            let n = intent.n.filter(|_| is_sure && intent.what == What::Send)?;
            before.insert(n, at).map(|before| (before, at))
        });
        pair.map(|(one, other)| (*s, one, other))
    })
}

/// The session with the most deliveries of one conversation, and where five of them stand that come
/// one after the other, with more before and behind them.
fn listener(logs: &mut Logs) -> (&mut Session, Vec<usize>) {
    let places = |session: &Session| {
        let mut places: HashMap<Id, Vec<usize>> = HashMap::new();
        for (at, item) in session.items.iter().enumerate() {
            if let Item::Event { n, .. } = item {
                places.entry(*n).or_default().push(at);
            }
        }
        places.into_values().max_by_key(|places| (places.len(), places[0])).unwrap_or_default()
    };
    let session = logs.sessions.values_mut().max_by_key(|session| places(session).len());
    let session = session.expect("a session");
    let all = places(session);
    let middle = all.len() / 2;
    assert!(all.len() > 20, "somebody listens for long");
    (session, all[middle..middle + 5].to_vec())
}

async fn what_was_recorded_is_altered_and_noticed(run: &Path) {
    let journal = run.join("journal");
    let read = || logs::load(&journal).expect("the clients' logs");
    let server = Again::start(run).await;
    let histories = fetch::all(&server.1, &read()).await.expect("history");
    let breached = |logs: &Logs, histories: &Histories| -> Vec<&str> {
        let verdicts = rules::all(logs, histories);
        verdicts.iter().filter(|it| it.breaches > 0).map(|it| it.rule).collect()
    };
    assert_eq!(breached(&read(), &histories), [""; 0], "as it was recorded");
    for (what, forge, rules) in FORGERIES {
        let (mut logs, mut histories) = (read(), histories.clone());
        forge(&mut logs, &mut histories);
        let breached = breached(&logs, &histories);
        assert!(rules.iter().all(|rule| breached.contains(rule)), "{what}: {breached:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_ends_by_itself_is_found_out_although_nothing_is_lost() {
    if !can_run() {
        return;
    }
    let dir = tempfile::tempdir().expect("directory");
    let config = dir.path().join("run/server/harkara.toml").to_string_lossy().into_owned();
    let killer = tokio::spawn(async move {
        // Behind the warm-up: it serves by then.
        loop {
            tokio::time::sleep(Duration::from_secs(3)).await;
            if let Some(pid) = server_with(&config) {
                let status = Command::new("kill").args(["-KILL", &pid]).status().expect("kill");
                return assert!(status.success());
            }
        }
    });
    let is_clean = chaos::run(args(dir.path(), QUIET)).await.expect("a run");
    killer.await.expect("killed");
    let told = told(dir.path());
    assert!(!is_clean, "nobody was told to kill it");
    assert_eq!(told["counts"]["breaches"], 0, "{:#}", told["verdicts"]);
    let troubles = told["troubles"].as_array().expect("troubles");
    let is_told = |trouble: &Value| trouble.as_str().is_some_and(|it| it.contains("by itself"));
    assert!(troubles.iter().any(is_told), "{troubles:#?}");
}

/// The process that was started with these settings.
fn server_with(config: &str) -> Option<String> {
    let processes = std::fs::read_dir("/proc").expect("processes").flatten();
    let mut pids = processes.filter_map(|entry| entry.file_name().into_string().ok());
    pids.find(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<_> = line.split(|byte| *byte == 0).collect();
        // The guard beside it is a shell.
        words.contains(&config.as_bytes()) && words[0].ends_with(b"/harkara")
    })
}
