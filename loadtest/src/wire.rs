//! A client for the public protocol, written from its description alone: it connects, resumes with
//! cursors, keeps every send until its outcome and re-sends it after a reconnect. `replay` drives
//! hundreds of them; `check` and the measurements use [`caller`] and [`token`] only.
//!
//! ```text
//! Client ─▶ worker ─▶ outbox ─▶ connect ─▶ server
//!               ◀──── frame ◀──
//! ```

pub mod caller;
pub mod client;
pub mod connect;
pub mod frame;
pub mod metrics;
pub mod outbox;
pub mod timeline;
pub mod token;
mod worker;

pub use client::{Client, Settings};
pub use metrics::Metrics;
pub use outbox::{Refusal, Settled};
