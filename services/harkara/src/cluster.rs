//! The roles of a cluster: `harkara gateway`, `harkara fanout`, `harkara migrate`. The services are
//! those of the standalone; only what stands behind their traits differs.
//!
//! [`settings`] is what they are told, `engines` opens Kafka, ScyllaDB and the link and waits for
//! them, `gateway`, `fanout` and `migrate` are a role each.

mod settings;
