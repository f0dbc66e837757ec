//! Real Kafka and Cassandra for tests, as processes that end with them.
//!
//! A thin form of the scripts in `deploy/engines`, which it finds beside its own sources: [`kafka`]
//! and [`cassandra`] have what differs, [`instance`] what they share, [`skip`] says on which machines
//! they can't run. [`floor`] has what the bare loops over an engine's library share, which measurements
//! compare with. Only tests and examples depend on this crate.
//!
//! An engine lives in a temporary directory, on ports that are its own while that directory exists.
//! It is killed and its directory removed when its value is dropped, and when the process that
//! started it ends in whatever way: a guard beside each engine watches that process. So the engines
//! of [`Kafka::shared`] and [`Cassandra::shared`], which are never dropped, end as well.
//!
//! Starts fail by panicking with the script's words, as a test does that can't begin.

pub mod cassandra;
pub mod floor;
pub mod instance;
pub mod kafka;
mod script;
pub mod skip;

pub use self::{
    cassandra::{Cassandra, CassandraOptions, Sync},
    instance::{Security, Signal, TlsFiles},
    kafka::{Kafka, KafkaOptions},
    script::ScriptError,
    skip::{skip, skipped},
};
