//! The store on ScyllaDB or Apache Cassandra 5, through one driver and one schema.
//!
//! Layer 3, behind the trait `Store` of `harkara-engine`; named by `services/harkara` alone. In
//! the order of reading:
//!
//! 1. `schema.cql` beside `src` (and [`schema`]): the tables, what they serve, how large their
//!    partitions get, what makes a row newer;
//! 2. `rows`: what is in a row; `statements`: every statement there is;
//! 3. `write`: the order of a step's statements, which is where the soundness is; `read`, `names`
//!    and `scan`;
//! 4. `call`: one statement, and what its failure means; `counts`;
//! 5. [`Config`], `connect` (with `probe`), `store` (the face), [`migrate`].
//!
//! Two rules hold everywhere. Every write names its timestamp, taken from the data, so that the
//! newer one wins in whatever order they arrive (soundness S6); for that reason there is no
//! lightweight transaction, no counter, no expiry. And every statement is idempotent: an outcome
//! that is unknown is [`StoreError::Retry`](harkara_engine::StoreError::Retry), and repeating it
//! is right. `docs/adr/0010-cql-store.md` has the why, and what was run on which engine.

mod call;
mod config;
mod connect;
mod counts;
mod migrate;
mod names;
mod probe;
mod read;
mod rows;
mod scan;
pub mod schema;
mod statements;
mod store;
mod write;

pub use config::Config;
pub use connect::OpenError;
pub use counts::Counts;
pub use migrate::{MigrateError, OtherLog, Report, migrate};
pub use store::ScyllaStore;

/// What a bare loop over the same driver is made of, so that it is compared with our own settings:
/// `examples/floor.rs`.
pub mod bare {
    pub use crate::{connect::session, schema::tables, statements::PUT_EVENT};
}
