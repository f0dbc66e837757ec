//! Placeholder while dependencies build.

pub mod config;

pub use config::Config;
