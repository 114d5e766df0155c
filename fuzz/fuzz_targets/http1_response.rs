#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hormesis::http1::fuzz::http1_response(input));
