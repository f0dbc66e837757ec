//! Moving between embedded directories: everything arrives and reads the same, whatever is cut off
//! goes on, nothing damaged gets through, and verifying finds what is wrong. `world` makes
//! directories with histories of all kinds, `faulty` lies about a store or a log.

mod damage;
mod faulty;
mod healthy;
mod moves;
mod refusals;
mod world;
