//! `harkara chat` over pipes: two people, and a server that is killed between their lines.

use std::{io::Write as _, path::Path};

use crate::support::{
    Home, Server,
    process::Process,
    server::{Launch, free_port},
    until,
};

/// A terminal that is typed into.
pub struct Terminal(pub Process);

impl Terminal {
    pub fn start(home: &Path, url: &str, args: &[&str]) -> Self {
        let mut launch = Launch::bare(home).stdin_piped().arg("chat");
        for arg in args {
            launch = launch.arg(arg);
        }
        Self(launch.arg("--url").arg(url).arg("--state-dir").arg(home.join("state")).spawn())
    }

    pub fn types(&mut self, line: &str) {
        let input = self.0.child.stdin.as_mut().expect("piped");
        writeln!(input, "{line}").unwrap();
    }

    pub fn sees(&self, what: &str) {
        until(&format!("{what:?} on the screen:\n{}", self.0.out()), || {
            self.0.out().contains(what).then_some(())
        });
    }

    /// How many lines show this text as somebody's.
    fn count(&self, text: &str) -> usize {
        let lines = self.0.out();
        lines.lines().filter(|l| l.starts_with('#') && l.contains(&format!(": {text}"))).count()
    }
}

#[test]
fn two_terminals_talk_across_a_killed_server() {
    let (home, port) = (Home::new(), free_port());
    let again =
        || -> Server { home.launch().replacing("--listen", &format!("127.0.0.1:{port}")).start() };
    let mut server = again();
    let url = server.url();
    let mut asha = Terminal::start(home.path(), &url, &["--as", "asha", "--with", "bilal"]);
    asha.sees("--- ");
    let mut bilal = Terminal::start(home.path(), &url, &["--as", "bilal", "--with", "asha"]);
    bilal.sees("--- ");
    let mut lines = Vec::new();
    for round in 0..3 {
        for n in 0..3 {
            let (a, b) = (format!("asha {round}.{n}"), format!("bilal {round}.{n}"));
            asha.types(&a);
            bilal.types(&b);
            lines.extend([a, b]);
        }
        if round < 2 {
            server.kill();
            let (a, b) = (format!("asha without {round}"), format!("bilal without {round}"));
            asha.types(&a);
            bilal.types(&b);
            lines.extend([a, b]);
            server = again();
        }
        for line in &lines {
            asha.sees(line);
            until("the line is shown on both", || {
                (asha.count(line) > 0 && bilal.count(line) > 0).then_some(())
            });
        }
    }
    for terminal in [&mut asha, &mut bilal] {
        terminal.types("/quit");
        assert_eq!(terminal.0.wait(), 0, "{}", terminal.0.err());
        for line in &lines {
            assert_eq!(terminal.count(line), 1, "{line}:\n{}", terminal.0.out());
        }
    }
    // Both show the same order.
    let order = |terminal: &Terminal| -> Vec<String> {
        let out = terminal.0.out();
        let shown = out.lines().filter(|line| line.starts_with('#') && !line.contains('*'));
        shown.map(|line| line.trim_end_matches(" ✓").to_owned()).collect()
    };
    assert_eq!(order(&asha), order(&bilal));
    assert_eq!(server.stop(), 0);
}

#[test]
fn a_pipe_is_sent_to_its_end() {
    let home = Home::new();
    let server = home.start();
    let args = ["--as", "asha", "--with", "bilal"];
    let mut asha = Terminal::start(home.path(), &server.url(), &args);
    for n in 0..50 {
        asha.types(&format!("line {n}"));
    }
    drop(asha.0.child.stdin.take());
    assert_eq!(asha.0.wait(), 0, "{}", asha.0.err());
    let args = ["--as", "bilal", "--with", "asha"];
    let mut bilal = Terminal::start(home.path(), &server.url(), &args);
    bilal.types("/history 500");
    bilal.sees("line 0");
    bilal.sees("line 49");
    bilal.types("/quit");
    assert_eq!(bilal.0.wait(), 0);
}

#[test]
fn what_was_typed_without_a_server_is_sent_by_the_next_process() {
    let (home, port) = (Home::new(), free_port());
    let again = || home.launch().replacing("--listen", &format!("127.0.0.1:{port}")).start();
    let mut server = again();
    let url = server.url();
    let args = ["--as", "asha", "--with", "bilal"];
    let mut asha = Terminal::start(home.path(), &url, &args);
    asha.types("first");
    until("the first line", || (asha.count("first") == 1).then_some(()));
    server.kill();
    asha.sees("connection lost");
    asha.types("second");
    asha.sees("pending");
    asha.0.kill();
    let _server = again();
    let asha = Terminal::start(home.path(), &url, &args);
    until("the second line", || (asha.count("second") == 1).then_some(()));
    assert_eq!(asha.count("first"), 1);
}

#[test]
fn a_server_that_is_not_there_is_said_and_waited_for() {
    let (home, port) = (Home::new(), free_port());
    let url = format!("ws://127.0.0.1:{port}/v1/ws");
    let asha = Terminal::start(home.path(), &url, &["--as", "asha"]);
    asha.sees("no connection yet, trying again");
    let _server = home.launch().replacing("--listen", &format!("127.0.0.1:{port}")).start();
    asha.sees("no conversations yet");
    let mut wrong = Terminal::start(home.path(), "ftp://x", &["--as", "asha"]);
    assert_eq!(wrong.0.wait(), 1);
    assert!(wrong.0.err().contains("ftp://x"), "{}", wrong.0.err());
}
