//! Any bytes, sent to the route of this system.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| ringlake_fuzz::check("freshsales", input));
