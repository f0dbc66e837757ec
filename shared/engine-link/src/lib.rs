//! The link of a cluster: gateways and the owners of partitions, framed over TCP. Step 7 of the
//! message path where the steps run on several machines.
//!
//! A worker process listens; a gateway process connects to every address that the directory names
//! for an owner: one connection per pair of processes. [`TcpLink`] is both ends, since a process
//! may be both; one without a listener is a gateway only.
//!
//! In the order of reading: `link.rs` puts it together; `config.rs` has the settings, `options.rs`
//! the limits with their arithmetic; `tls.rs` shakes hands; `frames.rs` reads and writes on one connection; `outbox.rs` is its bounded queue;
//! `gateway.rs` (`gateway/route.rs`, `gateway/dial.rs`) and `worker.rs` (`worker/peer.rs`,
//! `worker/asks.rs`) are the two ends; `stats.rs` counts; `wire.rs` converts to `harkara_protocol::link`.
//!
//! # What is lost, and how it is noticed
//! Nothing is retransmitted and nobody waits: a frame that finds no room for an endpoint is
//! dropped, and with it everything that follows for this endpoint on this connection, until the
//! endpoint has room again and says so. From the drop to that moment
//! [`take_lost`](harkara_engine::GatewayLink::take_lost) is true, and once more after it, so that
//! the last question is asked when answers can arrive. It is true as well after a connection was
//! cut, after it was made again, and after a partition changed hands.
//!
//! # Who may connect
//! With [`Options::tls`] each end shows a certificate and believes one authority; by default each
//! certificate must have one name that all processes of a cluster share, because workers are
//! found by addresses that come and go. A certificate that changes on the disk counts from the
//! next connection on; connections that stand go on. Without it the connection is neither
//! encrypted nor authenticated: cluster name and protocol version keep mistakes apart, not
//! attackers, and the port belongs into a network that only the cluster reaches.

mod config;
mod frames;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod gateway;
mod link;
mod options;
mod outbox;
mod stats;
mod tls;
mod wire;
mod worker;

pub use config::{LinkConfig, LinkTlsConfig};
pub use link::TcpLink;
pub use options::Options;
pub use stats::Counts;
pub use tls::LinkTls;
