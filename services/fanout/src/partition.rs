//! Step 4 of the message path: one partition of the log and the conversations in it.
//!
//! [`actor`] owns everything of a partition and runs on one thread; [`records`] takes what the
//! log brings, [`asks`] answers gateways, [`lists`] knows when lists changed, [`cursors`] writes read cursors, [`persist`] does what
//! waits for engines, [`progress`] knows how far the commit may move.

pub mod actor;
mod asks;
mod cursors;
mod lists;
mod persist;
pub mod progress;
pub(crate) mod records;

pub use actor::{Context, PartitionActor};
