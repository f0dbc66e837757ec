//! What every Harkara process needs around its service: time and chance as arguments, settings,
//! telemetry, and a life cycle that ends as carefully as it began.
//!
//! Layer 2. The only crate that reads the wall clock or asks for randomness.

pub mod clock;
pub mod duration;
pub mod entropy;
pub mod lifecycle;
pub mod process;
pub mod sabotage;
pub mod settings;
pub mod steps;
pub mod telemetry;
pub mod tls;

pub use duration::HumanDuration;
pub use steps::{Step, Steps};
