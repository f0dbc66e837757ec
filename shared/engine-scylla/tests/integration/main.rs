//! The store on a real cluster: its contract, its schema's care, and what faults do to it.

#![expect(clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "tests report so")]

mod conformance;
mod support;
