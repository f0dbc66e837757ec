//! `peer`: the same load on harkara and on servers that others know, side by side in one run.

pub mod client;
pub mod ejabberd;
pub mod link;
pub mod mosquitto;
pub mod nats;
pub mod process;
