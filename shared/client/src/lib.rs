//! The Rust SDK: connect, resume, re-send. Sees only the public protocol (`docs/protocol.md`).
//!
//! A [`Client`] is a handle to a task that owns the connection. What happens comes out of
//! [`Updates`]:
//!
//! - **Each event once, in order, without holes**, per conversation, however often the connection
//!   breaks. Holes are read from the timeline before anything above them is shown.
//! - **Each send exactly one outcome.** [`Client::send`] keeps the message until the server has
//!   given it a sequence or refused it for good; it is sent again after a reconnect, in its order,
//!   with the same client id, which makes the server recognize a repeat.
//! - **Across processes too**, with a [`FileJournal`]: a killed process's unsent messages are sent
//!   by the next one, which goes on behind the last event that was handled.
//! - **It comes back by itself**: pauses of 100 ms to 10 s with jitter, or what the server asked
//!   for; a new token where the old one has expired. It stops only for what waiting can't heal
//!   ([`Update::Stopped`]).
//!
//! ```no_run
//! use harkara_client::{Client, Content, Options, TokenSource, Update};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let token = TokenSource::Dev { user: "asha".into(), device: None };
//! let (client, mut updates) = Client::connect(Options::new("ws://127.0.0.1:8080", token));
//! client.live().await?;
//!
//! let bilal = harkara_client::dev_token("ws://127.0.0.1:8080", None, "bilal", None).await?.user;
//! let conversation = client.create_direct(bilal).await?;
//! client.send(conversation, Content::text("नमस्ते")?, None).await?;
//!
//! while let Some(update) = updates.next().await {
//!     match update {
//!         Update::Event(event) => println!("#{} {:?}", event.seq, event.what),
//!         Update::Outcome { outcome, .. } => println!("{outcome:?}"),
//!         Update::Disconnected { why } => println!("{why}, trying again"),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Inside, `session` is a pure state machine (events in, effects out, time as an argument) and
//! `task` its thin shell around the socket, the timers and the journal.

mod address;
pub mod chance;
mod client;
mod content;
mod devtoken;
mod error;
pub mod journal;
pub mod machine;
mod options;
mod session;
mod task;
mod tls;
mod update;
mod updates;

pub use client::{Client, Page, Phase, Range, Status};
pub use content::Content;
pub use devtoken::{DevToken, DevTokenError, dev_token};
pub use error::{CallError, SendError, Stopped};
pub use harkara_domain::{ClientId, ConversationId, DeviceId, Seq, UserId};
pub use harkara_protocol::{
    client::{
        Call, ErrorWord, RpcError,
        fields::{WireKind, WireRole},
        notifications::Change,
        replies::{ConversationEntry, Limits, UserEntry},
    },
    content::ContentError,
};
pub use journal::{FileJournal, Journal, MemoryJournal};
pub use options::{Options, Start, TokenFuture, TokenSource, Tuning};
pub use tls::Tls;
pub use update::{Event, Me, Outcome, Update, What, Why};
pub use updates::Updates;
