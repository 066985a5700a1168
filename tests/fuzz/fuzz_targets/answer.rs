//! Any bytes as the line that a plugin answers with.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gateway_validator::fuzz::answer(bytes));
