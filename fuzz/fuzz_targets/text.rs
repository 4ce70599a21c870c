//! Any text in the language of fixtures: it is refused with a line, or read, shown and printed again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use traces::Trace;

fuzz_target!(|text: &str| {
    match Trace::parse_text(text) {
        Ok(trace) => fuzz::show(&trace),
        Err(error) => fuzz::visible(&error.to_string()),
    }
});
