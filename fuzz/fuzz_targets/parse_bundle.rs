//! A bundle of process files, as they are and packed, end records and lines of the recorder, then damaged:
//! before the checksums are made, behind them, or both.

#![no_main]

use std::io::Cursor;

use arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use traces::read::bundle::{self, Section};
use traces::recording::Ended;

fn any_bundle(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut out = Cursor::new(Vec::new());
    bundle::write_header(&mut out).expect("memory");
    for _ in 0..u.int_in_range(0..=4u8)? {
        let (section, bytes) = match u.int_in_range(0..=4u8)? {
            0 => (Section::Command, u.arbitrary::<Vec<u8>>()?),
            1 => (Section::Info, u.arbitrary::<Vec<u8>>()?),
            2 => {
                let killed = Ended::Killed {
                    signal: u.arbitrary()?,
                    core: u.arbitrary()?,
                };
                (
                    Section::End,
                    bundle::end_record(77, 0, killed, u.arbitrary()?),
                )
            }
            _ => {
                let mut file = fuzz::any_file(u)?;
                if u.arbitrary()? {
                    fuzz::mutate(&mut file, u)?;
                    fuzz::mend(&mut file);
                }
                if u.arbitrary()? {
                    fuzz::pack(&mut out, &file);
                    continue;
                }
                (Section::Process, file)
            }
        };
        bundle::write_section(&mut out, section, &bytes).expect("memory");
    }
    let mut out = out.into_inner();
    if u.arbitrary()? {
        fuzz::mutate(&mut out, u)?;
        if u.arbitrary()? {
            fuzz::mend_blocks(&mut out);
        }
    }
    Ok(out)
}

fuzz_target!(|data: &[u8]| {
    // Every second input is a bundle as it stands, so that the corpus can hold recorded ones.
    if data.starts_with(&wire::layout::BUNDLE_MAGIC) {
        fuzz::look(&data.to_vec());
    } else if let Ok(bytes) = any_bundle(&mut Unstructured::new(data)) {
        fuzz::look(&bytes);
    }
});
