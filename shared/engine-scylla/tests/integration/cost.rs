//! What a message costs at the engine: statements, and bytes after compaction.

use std::sync::Arc;

use bytes::Bytes;
use harkara_domain::{
    Body, ClientId, Content, DeviceId, Event, Fingerprint, Generation, Hash, Position, Salt, UserId,
};
use harkara_engine::store::Step;
use harkara_engine_scylla::Config;
use harkara_service_runtime::entropy::{Entropy, SystemEntropy};
use harkara_test_engines::{Cassandra, CassandraOptions, engines_or_skip};

use crate::support::{config, event, events, made, write};

/// The figure behind these words in what `nodetool tablestats` says of a keyspace, per table.
fn figures(cassandra: &Cassandra, config: &Config, words: &str) -> Vec<(String, u64)> {
    let told = cassandra.nodetool(1, &["tablestats", &config.keyspace]);
    let mut table = String::new();
    let mut figures = Vec::new();
    for line in told.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("Table: ") {
            name.clone_into(&mut table);
        } else if let Some(figure) = line.strip_prefix(words)
            && !table.is_empty()
        {
            let figure = figure.trim_start_matches(':').trim();
            figures.push((table.clone(), figure.parse().expect("a number")));
        }
    }
    figures
}

fn of(figures: &[(String, u64)], table: &str) -> u64 {
    figures.iter().find(|(name, _)| name == table).expect("a table").1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_message_is_one_insert() {
    engines_or_skip!();
    let cassandra = Cassandra::shared();
    let config = config(cassandra.contact_points());
    let store = made(&config).await;
    let before = figures(cassandra, &config, "Local write count");
    for seq in 1..=100 {
        write(&store, 1, events([seq])).await.expect("a write");
    }
    let after = figures(cassandra, &config, "Local write count");
    for (table, writes) in &after {
        let expected = if table == "events" { 100 } else { 0 };
        assert_eq!(writes - of(&before, table), expected, "writes to {table}");
    }
    // As many events at once are fewer statements, each of them one write of a replica.
    write(&store, 2, events(1..=100)).await.expect("a write");
    let last = figures(cassandra, &config, "Local write count");
    assert_eq!(of(&last, "events") - of(&after, "events"), 2, "batches of 50");
    let counts = store.counts();
    assert_eq!((counts.writes, counts.rows_written), (102, 200), "{counts:?}");
}

/// Everything that is drawn by chance in a running cluster is drawn by chance here.
fn message(seq: u64, text: &[u8; 200]) -> Arc<Event> {
    let chance = || SystemEntropy.bytes16();
    let (sender, at) = (UserId::from_bytes([(seq % 20) as u8; 16]), 1_750_000_000_000 + seq * 37);
    let mut client_id = chance();
    client_id[..6].copy_from_slice(&at.to_be_bytes()[2..]);
    let mut fingerprint = [0; 8];
    fingerprint.copy_from_slice(&chance()[..8]);
    let content = format!("{{\"text\":\"{}\"}}", String::from_utf8_lossy(text));
    let mut chain = [0; 32];
    chain[..16].copy_from_slice(&chance());
    chain[16..].copy_from_slice(&chance());
    Arc::new(Event {
        at,
        sender,
        device: DeviceId::from_bytes([(seq % 20) as u8 + 100; 16]),
        client_id: ClientId::from_bytes(client_id),
        fingerprint: Fingerprint(fingerprint),
        position: Position { generation: Generation(1_850_000_000_000_000_000), offset: seq * 50 },
        body: Body::Message {
            content: Content::from_canonical(Bytes::from(content)),
            reply_to: None,
            salt: Salt(chance()),
        },
        chain: Hash(chain),
        ..(*event(seq)).clone()
    })
}

/// 200 letters by chance: a compression that looks for repetitions finds none.
fn noise() -> [u8; 200] {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = [0; 200];
    for piece in text.chunks_mut(16) {
        let chance = SystemEntropy.bytes16();
        for (letter, byte) in piece.iter_mut().zip(chance) {
            *letter = LETTERS[usize::from(byte & 63)];
        }
    }
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_of_a_message_of_200() {
    const MESSAGES: u64 = 20_000;
    engines_or_skip!();
    let cassandra = Cassandra::start(&CassandraOptions::default());
    let config = config(cassandra.contact_points());
    let store = made(&config).await;
    for n in 0..5 {
        for first in (1..=MESSAGES / 5).step_by(50) {
            let events = (first..first + 50).map(|seq| message(seq, &noise())).collect();
            let step = Step { events, ..Step::default() };
            write(&store, n, step).await.expect("a write");
        }
    }
    for tool in ["flush", "compact"] {
        let _told = cassandra.nodetool(1, &[tool, &config.keyspace, "events"]);
    }
    let bytes = of(&figures(&cassandra, &config, "Space used (live)"), "events") / MESSAGES;
    assert!((250..=350).contains(&bytes), "{bytes} bytes per message");
}
