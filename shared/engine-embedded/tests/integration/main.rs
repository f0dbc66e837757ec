//! The embedded engines against their contracts, and against crashes, damage and bad directories.

#![expect(clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "tests report so")]

mod conformance;
mod crash;
mod damage;
mod directories;
mod disk;
mod floor;
mod retention;
mod scan;
mod support;
