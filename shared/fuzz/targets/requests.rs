//! `cargo fuzz run requests`: see `docs/contributing.md`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| harkara_fuzz::requests::run(bytes));
