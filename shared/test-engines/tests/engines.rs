//! Both engines as processes: they answer, are hurt and come back, several at once, and end with
//! the process that started them. Their clients are tested where clients are.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail like tests; the lint's exception covers test functions only"
)]

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

use harkara_test_engines::{
    Cassandra, CassandraOptions, Kafka, KafkaOptions, Security, Signal, Sync, engines_or_skip,
};

/// Kafka's answer to a question for its versions; `None` when there is none within a second.
fn kafka_answers(address: &str) -> Option<()> {
    // Size, ApiVersions version 0, correlation 7, no client id.
    ask(address, b"\0\0\0\x0a\0\x12\0\0\0\0\0\x07\xff\xff", 8)
        .filter(|a| a[4..] == [0, 0, 0, 7])
        .map(drop)
}

/// Cassandra's answer to OPTIONS, which is SUPPORTED.
fn cassandra_answers(address: &str) -> Option<()> {
    ask(address, b"\x04\0\0\0\x05\0\0\0\0", 9).filter(|a| a[4] == 6).map(drop)
}

fn ask(address: &str, question: &[u8], size: usize) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
    stream.write_all(question).ok()?;
    let mut answer = vec![0; size];
    stream.read_exact(&mut answer).ok()?;
    Some(answer)
}

/// Waits for at most a minute.
fn until(what: &str, mut so: impl FnMut() -> bool) {
    for _ in 0..1_200 {
        if so() {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("{what} did not happen within a minute");
}

/// The process of a node, while it runs.
fn runs(dir: &Path, pid: &str) -> bool {
    let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&command).contains(&format!("-Dharkara.node={}", dir.display()))
}

fn pid(dir: &Path) -> String {
    fs::read_to_string(dir.join("node1/pid")).expect("a pid").trim().to_owned()
}

#[test]
fn a_broker_hangs_dies_and_comes_back() {
    engines_or_skip!();
    let kafka = Kafka::start(&KafkaOptions::default());
    let address = kafka.bootstrap().to_owned();
    assert!(kafka_answers(&address).is_some());
    kafka.signal(1, Signal::Stop);
    assert!(kafka_answers(&address).is_none(), "it hangs");
    kafka.signal(1, Signal::Cont);
    until("it goes on", || kafka_answers(&address).is_some());
    kafka.signal(1, Signal::Kill);
    assert!(TcpStream::connect(&address).is_err(), "it is gone");
    kafka.restart();
    assert!(kafka_answers(&address).is_some(), "at the same address");
    let (dir, pid) = (kafka.dir().to_owned(), pid(kafka.dir()));
    assert!(runs(&dir, &pid));
    drop(kafka);
    assert!(!runs(&dir, &pid) && !dir.exists(), "nothing is left");
}

#[test]
fn a_node_dies_and_comes_back() {
    engines_or_skip!();
    let cassandra =
        Cassandra::start(&CassandraOptions { sync: Sync::Batch, ..CassandraOptions::default() });
    let [address] = cassandra.contact_points().try_into().expect("one node");
    assert!(cassandra_answers(&address).is_some());
    assert!(cassandra.nodetool(1, &["status"]).contains("UN  127.0.0.1"));
    cassandra.signal_all(Signal::Kill);
    assert!(TcpStream::connect(&address).is_err(), "it is gone");
    cassandra.restart();
    assert!(cassandra_answers(&address).is_some(), "at the same address");
}

#[test]
fn several_at_once_keep_apart() {
    engines_or_skip!();
    let secured = KafkaOptions { security: Security::Password, ..KafkaOptions::default() };
    let mutual = CassandraOptions { security: Security::Mutual, ..CassandraOptions::default() };
    let three = KafkaOptions { nodes: 3, ..KafkaOptions::default() };
    let (secured, mutual, three) = thread::scope(|scope| {
        let secured = scope.spawn(|| Kafka::start(&secured));
        let mutual = scope.spawn(|| Cassandra::start(&mutual));
        let three = scope.spawn(|| Kafka::start(&three));
        (secured.join().expect("up"), mutual.join().expect("up"), three.join().expect("up"))
    });
    assert_eq!(three.bootstrap().split(',').filter_map(kafka_answers).count(), 3);
    assert!(kafka_answers(secured.bootstrap()).is_some());
    for closed in [secured.sasl_bootstrap(), secured.tls_bootstrap()] {
        assert!(
            TcpStream::connect(&closed).is_ok() && kafka_answers(&closed).is_none(),
            "TLS only"
        );
    }
    let [address] = mutual.contact_points().try_into().expect("one node");
    assert!(
        TcpStream::connect(&address).is_ok() && cassandra_answers(&address).is_none(),
        "TLS only"
    );
    for tls in [secured.tls(), mutual.tls()] {
        assert!([tls.ca, tls.certificate, tls.key].iter().all(|file| file.exists()));
    }
}

/// What a child of these tests is asked to do.
const ROLE: &str = "HARKARA_TEST_ENGINES_ROLE";

#[test]
fn engines_end_with_their_owner() {
    if std::env::var_os(ROLE).is_some() {
        return own();
    }
    engines_or_skip!();
    let mut child = this_test("engines_end_with_their_owner")
        .env(ROLE, "owner")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    let out = BufReader::new(child.stdout.take().expect("piped"));
    let told =
        out.lines().map_while(Result::ok).find_map(|l| Some(l.split_once("dir=")?.1.to_owned()));
    let dir = PathBuf::from(told.expect("the child's broker is up"));
    let pid = pid(&dir);
    assert!(runs(&dir, &pid));
    child.kill().expect("killed");
    child.wait().expect("gone");
    until("the broker ends with its owner", || !runs(&dir, &pid));
    until("its directory is removed", || !dir.exists());
}

/// The child: a shared broker, and then it waits to be killed.
fn own() {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\ndir={}", Kafka::shared().dir().display()).expect("told");
    out.flush().expect("told");
    let _killed = std::io::stdin().read(&mut [0]);
}

#[test]
fn without_maven_it_says_so() {
    if std::env::var_os(ROLE).is_some() {
        engines_or_skip!();
        panic!("engines ran without Maven");
    }
    let scratch = tempfile::tempdir().expect("a directory");
    // All that the scripts ask for before they ask for Maven.
    for tool in
        ["bash", "cut", "dirname", "env", "flock", "grep", "openssl", "sed", "setsid", "sha256sum"]
    {
        symlink(Path::new("/usr/bin").join(tool), scratch.path().join(tool)).expect("linked");
    }
    let run = |ci: Option<&str>| -> (bool, String) {
        let mut command = this_test("without_maven_it_says_so");
        command
            .env(ROLE, "skip")
            .env("PATH", scratch.path())
            .env("HARKARA_ENGINES_CACHE", scratch.path());
        match ci {
            Some(ci) => command.env("CI", ci),
            None => command.env_remove("CI"),
        };
        let Output { status, stdout, stderr } = command.output().expect("run");
        (status.success(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
    };
    let (passed, words) = run(None);
    assert!(passed && words.contains("SKIPPED") && words.contains("apt-get install"), "{words}");
    let (passed, words) = run(Some("true"));
    assert!(!passed && words.contains("CI is set"), "{words}");
}

/// This program again, with one test, whose output is not held back.
fn this_test(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("a path"));
    command.args(["--exact", name]);
    if name.starts_with("engines") {
        command.arg("--nocapture");
    }
    command
}
