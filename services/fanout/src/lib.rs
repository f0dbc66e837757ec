//! Fanout workers: they consume the log's partitions in order, sequence each conversation, store
//! its events and push them to the gateways that listen. Steps 4 to 7 of the message path.
//!
//! Layer 4. Knows the engines by their traits only, and nothing of gateways or clients.
//!
//! Read in this order: [`worker`], [`partition`], [`conversation`], [`delivery`].

pub mod config;
pub mod conversation;
pub mod delivery;
pub mod inbox;
mod metrics;
mod panics;
pub mod partition;
mod seat;
pub mod worker;

pub use config::Config;
pub use worker::{Engines, Worker};
