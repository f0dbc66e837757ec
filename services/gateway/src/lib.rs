//! The gateway: clients' connections on one side, the log and the hubs on the other.
//!
//! Layer 4. A client's bytes come in through [`http`] (upgrade) and [`transport`] (frames).

pub mod http;
pub mod transport;
