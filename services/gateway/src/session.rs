//! Step 2 of the message path: a client's session, from its first frame to its last.
//!
//! [`state`] is the pure part (may this request run now?), [`actor`] the thin shell around it,
//! `open` what the requests of a session share, [`fence`] what keeps order when sends are refused.
//! The requests themselves: `start`, `commands` (what changes a conversation, by way of the log:
//! step 3), `reads` and `lists`.

pub mod actor;
mod commands;
pub mod fence;
mod lists;
mod open;
mod reads;
mod start;
pub mod state;

pub use actor::SessionActor;

use crate::auth::Identity;

/// What the upgrade learned: who it is, where a token came with it.
pub struct Grant(pub Option<Identity>);
