//! The state machine behind [`crate::Client`], for shells of another kind: it knows no socket, no
//! timer, no disk and no clock. Frames, ends of connections and the time go in; effects come out.

pub use crate::session::{Effect, Ended, Failure, Machine};
