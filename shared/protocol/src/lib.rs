//! Every form that leaves a process: what clients speak, what the log carries, what is stored.
//!
//! Layer 2. Domain types are not serialized; this crate owns versioned wire structs and the
//! conversions. It is the only one that names `bincode` and the JSON of the client protocol.
//!
//! - [`client`]: requests, replies and notifications of `docs/protocol.md`, without an encoding.
//! - [`json`]: the encoding `harkara.v1.json` of those.
//! - [`content`]: the canonical form of a message's content.
//! - [`record`]: what the log carries.  [`stored`]: what the store keeps.
//! - [`link`]: frames between gateways and the owners of partitions.
//! - [`time`]: timestamps as clients see them.

mod binary;
pub mod client;
pub mod content;
pub mod json;
pub mod link;
pub mod record;
pub mod stored;
pub mod time;
