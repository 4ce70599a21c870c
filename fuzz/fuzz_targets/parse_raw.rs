//! A process file of any records, then damaged: reading and showing it never panics.

#![no_main]

use arbitrary::Unstructured;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut u = Unstructured::new(data);
    let Ok(mut bytes) = fuzz::any_file(&mut u) else {
        return;
    };
    if fuzz::mutate(&mut bytes, &mut u).is_ok() && u.ratio(7u8, 8).unwrap_or(true) {
        fuzz::mend(&mut bytes);
    }
    fuzz::look(&bytes);
});
