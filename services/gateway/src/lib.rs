//! The gateway: clients' connections on one side, the log and partition owners on the other.
//!
//! Layer 4. Knows engines by their traits only. A client's bytes come in through [`http`]
//! (upgrade, admission) and [`transport`] (frames) to the [`session`] actor; events for it come
//! from the [`hub`] of its thread.

pub mod auth;
pub mod config;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod gateway;
pub mod http;
pub mod hub;
pub mod load;
mod metrics;
pub mod peer;
pub mod sends;
pub mod server;
pub mod session;
pub mod transport;

pub use config::Config;
pub use gateway::{Engines, Gateway};
pub use server::{Parts, Server, serve};
