//! `cargo fuzz run link`: see `docs/contributing.md`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| harkara_fuzz::link::run(bytes));
