//! The store on a real Cassandra: its contract, the care of its schema, secured nodes, and what
//! faults do to it. `support` has what the files share; each begins with what it is about.

#![expect(clippy::expect_used, reason = "helpers of tests fail like tests")]

mod cluster;
mod conformance;
mod cost;
mod faults;
mod migrating;
mod order;
mod secured;
mod support;
