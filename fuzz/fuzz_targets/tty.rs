//! Any bytes made safe for a terminal: nothing that moves the cursor, hides or turns text comes out, and
//! no more than 512 columns.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let shown = traces::Untrusted::new(bytes).tty();
    fuzz::visible(&shown);
    let columns: usize = shown
        .chars()
        .map(|c| unicode_width::UnicodeWidthChar::width(c).unwrap_or(0))
        .sum();
    assert!(columns <= 512, "{columns} columns");
    // What is safe already stays as it is.
    if shown.len() < 512 && shown.is_ascii() {
        assert_eq!(traces::Untrusted::from(shown.as_str()).tty(), shown);
    }
});
