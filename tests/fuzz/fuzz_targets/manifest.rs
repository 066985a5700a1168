//! Any bytes as a manifest.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gateway_validator::fuzz::manifest(bytes));
