#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hormesis::measure::fuzz::expression(input));
