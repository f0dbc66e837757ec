//! A whole cluster in one thread, from one seed: real gateways, real workers and the SDK's real
//! state machine, on engines in memory that fail as a schedule says, in virtual time. After each
//! run an oracle checks the invariants of `harkara-domain` against what devices saw.
//!
//! Read in this order: [`run`], [`schedule`], [`cluster`], [`device`], [`engine`], [`oracle`].

pub mod chance;
pub mod cluster;
pub mod device;
pub mod engine;
pub mod epilogue;
pub mod oracle;
pub mod pipe;
pub mod process;
pub mod run;
pub mod schedule;
pub mod shrink;
pub mod variants;
pub mod weather;
pub mod world;
