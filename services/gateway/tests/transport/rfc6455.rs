//! RFC 6455 as cases, in the order of its sections: what a client sends after its handshake, and
//! every frame that comes back up to the close code. Limits of our own are in `fragments` and
//! `flow`, handshakes (section 4) in `handshake`.

mod closing;
mod fragments;
mod framing;
mod text;

use crate::{
    client::{CLOSE, Client, End, TEXT, frame},
    server::{Fixture, start},
};

/// A frame that comes back.
type Back = (u8, Vec<u8>);

/// One case.
struct Case {
    section: &'static str,
    what: String,
    sent: Vec<u8>,
    /// What comes back before the close frame.
    back: Vec<Back>,
    /// The close frame's code; 1005 stands for none.
    code: u16,
}

/// A breach of the rules: nothing comes back but a close code.
fn breach(section: &'static str, what: impl Into<String>, sent: Vec<u8>, code: u16) -> Case {
    Case { section, what: what.into(), sent, back: Vec::new(), code }
}

/// Good frames: these come back, and the session lives until the client closes it.
fn good(section: &'static str, what: impl Into<String>, sent: Vec<u8>, back: Vec<Back>) -> Case {
    let sent = [sent, close(1000, b"")].concat();
    Case { section, what: what.into(), sent, back, code: 1000 }
}

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(true, CLOSE, &[&code.to_be_bytes()[..], reason].concat())
}

fn text(payload: &str) -> Back {
    (TEXT, payload.as_bytes().to_vec())
}

/// Longer ones go out in one write only: a write a byte takes its time.
const BYTEWISE_MAX: usize = 300;

/// Each case in one write, and again in a write for each byte.
fn hold(cases: Vec<Case>) {
    let server = start();
    let mut sessions = 0;
    for case in &cases {
        check(&server, case, &[&case.sent]);
        sessions += 1;
        if case.sent.len() <= BYTEWISE_MAX {
            check(&server, case, &case.sent.chunks(1).collect::<Vec<_>>());
            sessions += 1;
        }
    }
    server.until_stopped(sessions);
}

fn check(server: &Fixture, case: &Case, writes: &[&[u8]]) {
    let Case { section, what, back, code, .. } = case;
    let told = format!("RFC 6455, {section}: {what}, in {} writes", writes.len());
    let mut client = Client::open(server.address);
    client.text("before");
    assert_eq!(client.read_text(), "before", "{told}");
    for bytes in writes {
        // Who broke a rule may find the door closed before all is said.
        if std::io::Write::write_all(&mut client.wire, bytes).is_err() {
            break;
        }
    }
    let mut heard = Vec::new();
    let ended = loop {
        match client.read() {
            (CLOSE, payload) => {
                break payload.first_chunk().map_or(1005, |c| u16::from_be_bytes(*c));
            }
            frame => heard.push(frame),
        }
    };
    assert_eq!((&heard, ended), (back, *code), "{told}");
    assert_eq!(client.end(), End::Closed, "{told}");
}
