//! Step 5 of the message path: one conversation. Pure functions decide what a record does
//! ([`decide`]) and what that makes of the state ([`evolve`]); [`slot`] queues work around them;
//! [`load`] builds the state again from what is stored. The partition actor is their only caller.

pub mod decide;
pub mod evolve;
pub mod load;
mod members;
pub mod slot;
pub mod view;
pub mod window;
