//! Moving between embedded directories: everything arrives and reads the same, whatever is cut off
//! goes on, nothing damaged gets through, verifying finds what is wrong, and rebuilding mends what
//! the log still knows. `world` makes
//! directories with histories of all kinds, `faulty` lies about a store or a log.

mod damage;
mod faulty;
mod healthy;
mod moves;
mod rebuilds;
mod refusals;
mod world;
