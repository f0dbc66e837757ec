//! Fills a keyspace with messages of 200 bytes, to see what they take on the disk.
//!
//! ```text
//! cargo run --release -p harkara-engine-scylla --example fill -- NODE KEYSPACE COUNT [FILE]
//! nodetool flush KEYSPACE events; nodetool compact KEYSPACE events; nodetool tablestats KEYSPACE.events
//! ```
//!
//! The text of a message is 200 bytes of the file, or else 200 letters by chance, of which no
//! compression that looks for repetitions makes less. Every other field is as a running cluster
//! makes it: what is drawn by chance there (client ids, salts, hashes) is drawn here.

use std::{io::Write as _, sync::Arc};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use harkara_domain::{
    Body, ClientId, Content, ConversationId, DeviceId, Event, Fingerprint, Generation, Hash,
    Position, Salt, TenantId, UserId,
};
use harkara_engine::{Store, store::Step};
use harkara_engine_scylla::{Config, OtherLog, ScyllaStore, migrate};
use harkara_service_runtime::{
    clock::SystemClock,
    entropy::{SharedEntropy, SystemEntropy},
};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const CONVERSATIONS: u64 = 50;
const USERS: u64 = 20;
const TEXT_BYTES: usize = 200;
const STEP: u64 = 50;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let (Some(node), Some(keyspace), Some(count)) = (args.next(), args.next(), args.next()) else {
        return Err("NODE KEYSPACE COUNT [FILE]".into());
    };
    let count: u64 = count.parse()?;
    let text = args.next().map(std::fs::read_to_string).transpose()?.map(|text| words(&text));
    let config = Config { nodes: vec![node], keyspace, replication: 1, ..Config::default() };
    let clock = SystemClock::shared();
    let report =
        migrate(&config, &clock, Generation(clock.now_ms() << 20), OtherLog::Adopt).await?;
    let mut out = std::io::stdout();
    write!(out, "{report}")?;
    let store = ScyllaStore::open(&config, &clock).await?;
    let entropy = SystemEntropy::shared();
    let fill = Fill { store: &store, entropy, text, start: clock.now_ms() };
    stream::iter(0..CONVERSATIONS)
        .map(|number| fill.conversation(number, count / CONVERSATIONS))
        .buffer_unordered(8)
        .try_collect::<()>()
        .await?;
    writeln!(out, "{:?}", store.counts())?;
    Ok(())
}

/// Printable text in one line.
fn words(text: &str) -> Vec<u8> {
    let plain = |c: &char| (' '..='~').contains(c) && *c != '"' && *c != '\\';
    text.chars().map(|c| if c == '\n' { ' ' } else { c }).filter(plain).map(|c| c as u8).collect()
}

struct Fill<'a> {
    store: &'a ScyllaStore,
    entropy: SharedEntropy,
    text: Option<Vec<u8>>,
    start: u64,
}

impl Fill<'_> {
    fn chance<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        for piece in bytes.chunks_mut(16) {
            piece.copy_from_slice(&self.entropy.bytes16()[..piece.len()]);
        }
        bytes
    }

    async fn conversation(&self, number: u64, count: u64) -> Result<(), Failure> {
        let conversation = ConversationId::from_bytes(self.chance());
        let users: Vec<[u8; 16]> = (0..USERS).map(|_| self.chance()).collect();
        for first in (1..=count).step_by(usize::try_from(STEP)?) {
            let last = (first + STEP - 1).min(count);
            let events = (first..=last)
                .map(|seq| Arc::new(self.event(number * count + seq, seq, &users)))
                .collect();
            let step = Step { events, ..Step::default() };
            self.store.write(TenantId::development(), conversation, step).await?;
        }
        Ok(())
    }

    fn event(&self, record: u64, seq: u64, users: &[[u8; 16]]) -> Event {
        let at = self.start + record * 37;
        let user = users[usize::try_from(self.entropy.below(USERS)).unwrap_or(0)];
        let mut client_id: [u8; 16] = self.chance();
        client_id[..6].copy_from_slice(&at.to_be_bytes()[2..]);
        let content = format!("{{\"text\":\"{}\"}}", self.text(record));
        Event {
            tenant: TenantId::development(),
            seq,
            ordinal: seq,
            at,
            sender: UserId::from_bytes(user),
            device: DeviceId::from_bytes(user.map(|byte| !byte)),
            client_id: ClientId::from_bytes(client_id),
            fingerprint: Fingerprint(self.chance()),
            position: Position { generation: Generation(self.start << 20), offset: record },
            body: Body::Message {
                content: Content::from_canonical(Bytes::from(content)),
                reply_to: None,
                salt: Salt(self.chance()),
            },
            chain: Hash(self.chance()),
        }
    }

    fn text(&self, record: u64) -> String {
        let bytes = match &self.text {
            Some(text) => {
                let room = text.len().saturating_sub(TEXT_BYTES).max(1);
                let at = usize::try_from(record).unwrap_or(0) * TEXT_BYTES % room;
                text.iter().skip(at).take(TEXT_BYTES).copied().collect()
            }
            None => {
                const LETTERS: &[u8; 64] =
                    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
                self.chance::<TEXT_BYTES>().map(|byte| LETTERS[usize::from(byte & 63)]).to_vec()
            }
        };
        String::from_utf8(bytes).unwrap_or_default()
    }
}
