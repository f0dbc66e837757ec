//! What Harkara needs of a log, a store, a link and a directory: four traits, nothing about how.
//!
//! Layer 2. Engines implement these; services use them as trait objects and never name an engine.
//!
//! # Adding an engine
//! 1. Implement one of the traits in a crate `shared/engine-NAME`; only that crate names the
//!    third-party client.
//! 2. Make every suite of [`conformance`] that belongs to the trait pass, from that crate's
//!    `tests/`.
//! 3. Name the engine in `services/harkara/src/standalone.rs`, behind a cargo feature.

pub mod conformance;
pub mod directory;
pub mod link;
pub mod log;
pub mod scan;
pub mod store;

pub use directory::{Directory, Owner};
pub use link::{Down, EndpointId, GatewayLink, Link, Up, WorkerLink};
pub use log::{Appended, Assignments, Entry, Lease, Log, LogError, PartitionReader, Pending};
pub use scan::{LogScan, StoreScan};
pub use store::{Store, StoreError};
