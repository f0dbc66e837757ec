//! `cargo fuzz run settings`: see `docs/contributing.md`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| harkara_fuzz::settings::run(bytes));
