//! The words everybody else speaks: ids, sequences, events, commands, limits and invariants.
//!
//! Layer 1. `domain` knows no async, no serde, no I/O and no clock: time and randomness come in as
//! arguments. What these types look like on a wire or on a disk is `harkara-protocol`'s business.

mod canonical;
pub mod chain;
pub mod command;
pub mod event;
pub mod ids;
pub mod invariants;
pub mod limits;
pub mod log;
pub mod roles;
pub mod state;
pub mod view;

pub use chain::Hash;
pub use command::{Command, Fingerprint, Record};
pub use event::{Body, Content, Event, Salt};
pub use ids::{ClientId, ConversationId, DeviceId, SessionId, TenantId, UserId};
pub use log::{Epoch, Generation, Partition, Position};
pub use roles::{Kind, Role};
pub use state::{Member, State};
pub use view::{Cursor, Entry, Membership, Profile, RejectCode, Rejection};

/// Place of an event in its conversation: 1, 2, 3 … without gaps. 0 means "before the first".
pub type Seq = u64;

/// Number of messages in a conversation up to and including some event (events that are not
/// messages do not count). Unread is the difference of two ordinals.
pub type Ordinal = u64;

/// Milliseconds since 1970-01-01T00:00:00Z.
pub type Millis = u64;
