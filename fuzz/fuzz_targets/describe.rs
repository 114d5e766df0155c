#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hormesis::protocol::fuzz::describe(input));
