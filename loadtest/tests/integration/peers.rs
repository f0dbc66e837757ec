//! Each compared server for real, small: everybody in a room gets what is said in it, and nobody
//! else does. A server that isn't installed is left out, and that is said.

use std::{
    cell::{Cell, RefCell},
    io::Write as _,
    rc::Rc,
    time::Duration,
};

use harkara_loadtest::{
    peer::{
        client::Peer,
        ejabberd::{self, Archive},
        link::Dialect,
        mosquitto, nats,
        process::{Server, Want},
    },
    system::{Session as _, Shape, Sink, Stamp, System as _},
};
use tokio::sync::Notify;

const SHAPE: Shape = Shape { sessions: 40, room: 10, bytes: 200 };

const WANT: Want = Want { users: SHAPE.sessions, core: None };

#[derive(Default)]
struct Heard {
    /// (session, number of the message), in the order of reading.
    messages: RefCell<Vec<(usize, u32)>>,
    confirmed: Cell<usize>,
    news: Notify,
}

impl Sink for Heard {
    fn delivered(&self, session: usize, stamp: Stamp) {
        self.messages.borrow_mut().push((session, stamp.number));
        self.news.notify_one();
    }

    fn answered(&self, session: usize, number: u32, outcome: Result<(), &str>) {
        panic!("session {session}, message {number}: {outcome:?}");
    }

    fn confirmed(&self, _session: usize) {
        self.confirmed.set(self.confirmed.get() + 1);
    }

    fn ended(&self, session: usize, why: &str) {
        panic!("session {session} ended: {why}");
    }
}

/// Everybody says one thing.
async fn converse<D: Dialect>(mut peer: Peer<D>) -> usize {
    let heard = Rc::new(Heard::default());
    let sink: Rc<dyn Sink> = Rc::<Heard>::clone(&heard);
    let mut sessions = peer.open(SHAPE, sink).await.unwrap();
    for (number, session) in (0..).zip(&mut sessions) {
        session.send(&Stamp { intended: 1, number }.text(SHAPE.bytes)).await.unwrap();
    }
    let all = SHAPE.sessions * SHAPE.room;
    let complete = async {
        while heard.messages.borrow().len() < all {
            heard.news.notified().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), complete).await.unwrap();
    let mut messages = heard.messages.take();
    messages.sort_unstable();
    messages.dedup();
    assert_eq!(messages.len(), all, "each once");
    let room = |session: usize| session / SHAPE.room;
    assert!(messages.iter().all(|&(to, from)| room(to) == room(from as usize)));
    let refused = peer.connect(SHAPE.sessions + 1).await.err().unwrap();
    assert!(format!("{refused:#}").contains("session 40"), "unknown user: {refused:#}");
    heard.confirmed.get()
}

fn here(name: &str, started: anyhow::Result<Server>) -> Option<Server> {
    match started {
        Ok(server) => Some(server),
        Err(error) if format!("{error:#}").contains("install the package") => {
            // Past the test runner, which holds back what is printed.
            let _closed = writeln!(std::io::stderr().lock(), "\nLEFT OUT: {name}: {error:#}");
            None
        }
        Err(error) => panic!("{name}: {error:#}"),
    }
}

fn locally<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(tokio::task::LocalSet::new().run_until(work))
}

#[test]
fn mosquitto() {
    locally(async {
        if let Some(server) = here(mosquitto::NAME, mosquitto::start(WANT).await) {
            let peer = Peer::new(mosquitto::NAME, server, mosquitto::Mqtt);
            assert_eq!(converse(peer).await, 0);
        }
    });
}

#[test]
fn nats() {
    locally(async {
        if let Some(server) = here(nats::NAME, nats::start(WANT).await) {
            assert_eq!(converse(Peer::new(nats::NAME, server, nats::Nats)).await, 0);
        }
    });
}

#[test]
fn ejabberd_with_and_without_archive() {
    locally(async {
        for archive in [Archive::Off, Archive::On] {
            let started = ejabberd::start(WANT, archive).await;
            if let Some(server) = here(ejabberd::NAME, started) {
                let peer = Peer::new(ejabberd::NAME, server, ejabberd::Xmpp);
                assert_eq!(converse(peer).await, SHAPE.sessions, "each saw its own");
            }
        }
    });
}
