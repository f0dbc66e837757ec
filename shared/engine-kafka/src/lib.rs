//! The log and the directory on Apache Kafka.
//!
//! Layer 3. [`KafkaLog`] implements the log of `harkara-engine` (and reading all of it),
//! [`KafkaDirectory`] the directory; [`migrate`] makes and checks their topics. Only this crate
//! names the Kafka client. `docs/adr/0009-kafka.md` has the why.
//!
//! # Reading order
//! 1. `config.rs`, `client.rs`: settings, and what librdkafka is told of them.
//! 2. `topics.rs`, `migrate.rs`: names, settings, markers and the generation of topics.
//! 3. `log.rs`: the face; `producer.rs`: appends (step 3 of the message path).
//! 4. `member.rs` with `member/`: the consumer thread (step 4); `slot.rs`: a partition between
//!    that thread and its reader, and the lease.
//! 5. `probe.rs`, `check.rs`, `watch.rs`, `shared.rs`: looking at topics from outside; health.
//! 6. `directory.rs`, `tail.rs`: claims of partitions.
//!
//! # Threads
//! One that polls the producer, one that looks after the log, one for consuming (workers only) and
//! one for the directory, besides librdkafka's own (one a broker). None of the runtime's.

mod block_on;
mod check;
mod client;
mod config;
mod directory;
mod log;
mod member;
mod migrate;
mod probe;
mod producer;
mod shared;
mod slot;
mod stats;
mod tail;
mod topics;
mod watch;

pub use client::RECORD_BYTES_MAX;
pub use config::{Config, Mechanism, Sasl, Tls};
pub use directory::KafkaDirectory;
pub use log::KafkaLog;
pub use migrate::{Migrated, migrate};
pub use probe::Peer;
pub use stats::Counts;

/// What a bare loop over the same library is made of, so that it is compared with our own settings:
/// `examples/floor.rs`.
pub mod bare {
    pub use crate::client::{admin, producer};
}
