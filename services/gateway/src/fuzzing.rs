//! A door for `shared/fuzz` to what takes a client's bytes first and is nobody else's business. Only
//! there with the feature `fuzzing`, which no binary has.

pub use crate::{
    auth::trial::{claims, header},
    transport::trial::{Decoded, decode},
};
