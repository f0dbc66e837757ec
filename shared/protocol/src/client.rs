//! What clients and gateways say to each other, as typed forms; `docs/protocol.md` is their
//! page. [`crate::json`] turns them into frames and back.

pub mod fields;
pub mod notifications;
pub mod replies;
pub mod requests;
pub mod rpc;

pub use fields::{Id, SeqNo, Strict};
pub use notifications::{EventParams, Notification};
pub use requests::Call;
pub use rpc::{ErrorWord, RequestId, RpcError};
