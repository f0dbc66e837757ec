//! The SDK against a model of the server on a real socket.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail like tests"
)]

mod model;
mod server;

use std::{collections::BTreeMap, time::Duration};

use harkara_client::{
    CallError, Client, ClientId, Content, ConversationId, FileJournal, Options, Outcome, Range,
    SendError, Start, Stopped, TokenSource, Tuning, Update, Updates, UserId, dev_token,
};
use tokio::time::timeout;

use self::server::{Chaos, Server};

/// Nothing here takes longer, unless it hangs.
const SOON: Duration = Duration::from_secs(60);

fn room(n: u8) -> ConversationId {
    ConversationId::from_bytes([n; 16])
}

fn options(server: &Server, name: &str) -> Options {
    let token = TokenSource::Dev { user: name.to_owned(), device: Some("phone".to_owned()) };
    let mut options = Options::new(server.url(), token);
    options.start = Start::Beginning;
    options.tuning = Tuning { backoff_ms_min: 5, backoff_ms_max: 50, ..Tuning::default() };
    options
}

async fn next(updates: &mut Updates) -> Update {
    timeout(SOON, updates.next()).await.expect("an update in time").expect("an update")
}

/// What a reader has seen.
#[derive(Debug, Default)]
struct Seen {
    events: BTreeMap<ConversationId, Vec<u64>>,
    outcomes: BTreeMap<ClientId, Vec<u64>>,
}

impl Seen {
    fn note(&mut self, update: Update) {
        match update {
            Update::Event(event) => {
                self.events.entry(event.conversation).or_default().push(event.seq);
            }
            Update::Outcome { client_id, outcome: Outcome::Settled { seq }, .. } => {
                self.outcomes.entry(client_id).or_default().push(seq);
            }
            Update::Outcome { .. } | Update::Stopped(_) => panic!("not expected: {update:?}"),
            _ => {}
        }
    }

    fn count(&self) -> usize {
        self.events.values().map(Vec::len).sum()
    }
}

#[tokio::test]
async fn everything_once_although_connections_break() {
    for seed in [1, 7, 42] {
        let server = Server::start(Chaos { seed, frames_max: 25 }).await;
        let (asha, bilal) = (UserId::development("asha"), UserId::development("bilal"));
        (1..=2).for_each(|n| server.state().model.add(room(n), &[asha, bilal]));
        let (client, mut updates) = Client::connect(options(&server, "asha"));
        let mut sent = Vec::new();
        for n in 0..60_u8 {
            let content = Content::text(&format!("message {n}")).unwrap();
            sent.push(client.send(room(n % 2 + 1), content, None).await.unwrap());
            server.state().model.other(room(n % 2 + 1), bilal, "me too");
            server.poke();
        }
        let mut seen = Seen::default();
        // Two creations, 60 own messages, 60 of others.
        while seen.count() < 122 || seen.outcomes.len() < 60 {
            seen.note(next(&mut updates).await);
        }
        timeout(SOON, client.settled()).await.unwrap().unwrap();
        client.close().await;
        while let Some(update) = updates.next().await {
            if update != Update::Stopped(Stopped::Closed) {
                seen.note(update);
            }
        }
        for (id, conversation) in &server.state().model.conversations {
            let all: Vec<u64> = (1..=conversation.events.len() as u64).collect();
            assert_eq!(seen.events[id], all, "seed {seed}");
        }
        assert!(sent.iter().all(|id| seen.outcomes[id].len() == 1), "seed {seed}");
        assert!(server.state().connections > 5, "seed {seed}: the chaos did not happen");
    }
}

#[tokio::test]
async fn a_killed_process_leaves_its_unsent_messages_to_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("asha.journal");
    let server = Server::start(Chaos::default()).await;
    let asha = UserId::development("asha");
    server.state().model.add(room(1), &[asha]);
    let with_journal = |url: String| {
        let mut options = options(&server, "asha");
        options.url = url;
        options.journal = Box::new(FileJournal::open(&path).unwrap());
        options
    };

    // Nobody listens at port 1: the message stays.
    let (client, updates) = Client::connect(with_journal("ws://127.0.0.1:1".to_owned()));
    client.send(room(1), Content::text("first").unwrap(), None).await.unwrap();
    client.close().await;
    drop((client, updates));

    let (client, mut updates) = Client::connect(with_journal(server.url()));
    client.send(room(1), Content::text("second").unwrap(), None).await.unwrap();
    let mut seen = Seen::default();
    while seen.count() < 3 || seen.outcomes.len() < 2 {
        seen.note(next(&mut updates).await);
    }
    assert_eq!(seen.events[&room(1)], [1, 2, 3]);
    let last = timeout(Duration::from_millis(10), updates.next()).await;
    assert!(last.is_err(), "nothing more to tell, all handled: {last:?}");
    client.close().await;
    drop((client, updates));

    // The third process goes on where the second one was.
    server.state().model.other(room(1), asha, "meanwhile");
    let (client, mut updates) = Client::connect(with_journal(server.url()));
    let event = loop {
        if let Update::Event(event) = next(&mut updates).await {
            break event;
        }
    };
    assert_eq!(event.seq, 4);
    client.close().await;
}

#[tokio::test]
async fn an_expired_token_is_replaced() {
    let server = Server::start(Chaos::default()).await;
    let (client, mut updates) = Client::connect(options(&server, "asha"));
    timeout(SOON, client.live()).await.unwrap().unwrap();
    {
        let mut state = server.state();
        state.tokens.clear();
        state.close = Some((4001, "token expired"));
    }
    server.poke();
    while !matches!(next(&mut updates).await, Update::Disconnected { .. }) {}
    server.state().close = None;
    while !matches!(next(&mut updates).await, Update::Connected { .. }) {}
    assert_eq!(server.state().tokens.len(), 1, "one new token");
    client.close().await;
}

#[tokio::test]
async fn a_refused_token_stops_the_client_and_everybody_learns() {
    let server = Server::start(Chaos::default()).await;
    let mut options = options(&server, "asha");
    options.token = TokenSource::Fixed("nobody's".to_owned());
    let (client, mut updates) = Client::connect(options);
    let early = client.send(room(1), Content::text("x").unwrap(), None).await;
    assert!(early.is_ok(), "taken before anything is known");
    let stopped = timeout(SOON, client.live()).await.unwrap().unwrap_err();
    assert!(matches!(stopped, Stopped::Unauthenticated(_)), "{stopped}");
    assert_eq!(next(&mut updates).await, Update::Stopped(stopped.clone()));
    assert_eq!(updates.next().await, None);
    let error = client.users_find("a", None).await.unwrap_err();
    assert!(matches!(error, CallError::Stopped(s) if s == stopped));
    let late = client.send(room(1), Content::text("x").unwrap(), None).await;
    assert!(matches!(late, Err(SendError::Stopped(_))));
}

#[tokio::test]
async fn requests_wait_for_the_connection_and_have_typed_results() {
    let server = Server::start(Chaos { seed: 3, frames_max: 12 }).await;
    let bilal = dev_token(&server.url(), None, "bilal", None).await.unwrap();
    assert_eq!(bilal.user, UserId::development("bilal"));
    let (client, _updates) = Client::connect(options(&server, "asha"));
    let direct = client.create_direct(bilal.user).await.unwrap();
    assert_eq!(client.create_direct(bilal.user).await.unwrap(), direct);
    for n in 0..9 {
        client.send(direct, Content::text(&format!("{n}")).unwrap(), None).await.unwrap();
    }
    timeout(SOON, client.settled()).await.unwrap().unwrap();
    let page = client.timeline_read(direct, Range::Newest, Some(3)).await.unwrap();
    let seqs: Vec<u64> = page.events.iter().map(|event| event.seq).collect();
    assert_eq!((seqs, page.head, page.complete), (vec![8, 9, 10], 10, false));
    let found = client.users_find("bil", Some(5)).await.unwrap();
    assert_eq!(found.iter().map(|user| user.id.0).collect::<Vec<_>>(), [bilal.user]);
    assert_eq!(client.members(direct).await.unwrap().len(), 2);
    let missing = client.timeline_read(room(9), Range::After(0), None).await.unwrap_err();
    assert_eq!(missing.word(), Some(harkara_client::ErrorWord::NotFound));
    client.close().await;
}

#[tokio::test]
async fn a_reader_that_sleeps_does_not_keep_requests_from_their_results() {
    let server = Server::start(Chaos::default()).await;
    let asha = UserId::development("asha");
    server.state().model.add(room(1), &[asha]);
    for _ in 0..200 {
        server.state().model.other(room(1), asha, "one of many");
    }
    let mut options = options(&server, "asha");
    options.tuning.updates_max = 8;
    options.tuning.call_ms_max = 300;
    let (client, mut updates) = Client::connect(options);
    timeout(SOON, client.live()).await.unwrap().unwrap();
    // Whether it is answered or runs into its deadline: it comes back although nobody reads.
    let result = timeout(SOON, client.users_find("a", None)).await.unwrap();
    assert!(matches!(result, Ok(_) | Err(CallError::Timeout)), "{result:?}");
    let mut seen = Seen::default();
    while seen.count() < 201 {
        seen.note(next(&mut updates).await);
    }
    assert_eq!(seen.events[&room(1)], (1..=201).collect::<Vec<_>>());
    client.close().await;
}
