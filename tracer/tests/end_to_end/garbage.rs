//! Whatever is given to `check` in place of a trace: a clear message or a partial reading, never a
//! panic, a signal or an endless wait.

use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, mkfifoat};

use crate::support::{Ran, demo_trace, run, tracer};

fn check(file: &Path) -> Ran {
    let ran = run(tracer(file.parent().unwrap()).arg("check").arg(file));
    assert!(!ran.stderr.contains("panicked"), "{ran:#?}");
    ran
}

/// Refused, with a message that names the file and holds `why`.
#[track_caller]
fn refused(file: &Path, why: &str) {
    let ran = check(file)
        .exits(2)
        .says(why)
        .says(file.file_name().unwrap().to_str().unwrap());
    assert_eq!(ran.stdout(), "");
}

#[test]
fn what_is_not_a_trace_is_refused_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str, content: &[u8]| -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    refused(&path("notes.txt", b"Dear diary,\n"), "no trace");
    refused(&path("empty", b""), "empty");
    refused(&folder.path().join("missing"), "No such file");
    refused(folder.path(), "without traces");
    refused(Path::new("/dev/null"), "not an ordinary file");
    let fifo = folder.path().join("fifo");
    mkfifoat(CWD, &fifo, Mode::RUSR | Mode::WUSR).unwrap();
    refused(&fifo, "not an ordinary file");
    let link = folder.path().join("link.trc");
    std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
    refused(&link, "not an ordinary file");
}

#[test]
fn names_cannot_write_to_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("\x1b[2Jx\u{202e}y");
    let ran = check(&path).exits(2);
    assert!(
        !ran.stderr.contains('\x1b') && !ran.stderr.contains('\u{202e}'),
        "{:?}",
        ran.stderr
    );
}

#[test]
fn one_bad_file_does_not_stop_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let trace = demo_trace(folder.path(), &["leftover"]);
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "text").unwrap();
    let ran = run(tracer(folder.path()).arg("check").arg(&text).arg(&trace));
    ran.exits(1).says("notes.txt").prints("T02");
    let clean = demo_trace(folder.path(), &["leftover", "--fixed"]);
    run(tracer(folder.path()).arg("check").arg(&text).arg(&clean))
        .exits(2)
        .says("notes.txt");
    run(tracer(folder.path()).arg("check").arg(&clean).arg(&trace)).exits(1);
}

#[test]
fn trace_cut_anywhere_is_read_as_far_as_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    let whole = std::fs::read(demo_trace(folder.path(), &["leftover"])).unwrap();
    let lengths: Vec<usize> = (0..whole.len()).step_by(32).collect();
    assert!(lengths.len() > 20, "the trace is too short for this test");
    let mut readable = 0;
    for &length in &lengths {
        let bytes = whole[..length].to_vec();
        let input = traces::Input {
            name: "cut",
            bytes: &bytes,
        };
        if let Ok(trace) = traces::Trace::read(&[input]) {
            readable += 1;
            traces::report::text(&trace, 100);
        }
    }
    assert!(readable > 0, "no part of a trace could be read");
    let cut = folder.path().join("cut.bin");
    for &length in lengths.iter().step_by(lengths.len().div_ceil(6)) {
        std::fs::write(&cut, &whole[..length]).unwrap();
        let ran = check(&cut);
        assert!(
            matches!(ran.status.code(), Some(1..=3)),
            "cut at {length}: {ran:#?}"
        );
        assert!(!ran.stderr.is_empty() || !ran.stdout.is_empty());
    }
}

#[test]
fn trace_with_flipped_bytes_never_panics() {
    let folder = tempfile::tempdir().unwrap();
    let whole = std::fs::read(demo_trace(folder.path(), &["leftover"])).unwrap();
    let damaged = folder.path().join("damaged.bin");
    for seed in 1..=100u64 {
        let bytes = with_flipped_bytes(&whole, seed, 1 + seed as usize % 20);
        let input = traces::Input {
            name: "damaged",
            bytes: &bytes,
        };
        if let Ok(trace) = traces::Trace::read(&[input]) {
            traces::report::text(&trace, 100);
            for event in trace.events() {
                trace.describe(event);
            }
        }
        if seed <= 5 {
            std::fs::write(&damaged, &bytes).unwrap();
            let ran = check(&damaged);
            assert!(
                matches!(ran.status.code(), Some(0..=3)),
                "seed {seed}: {ran:#?}"
            );
            run(tracer(folder.path()).arg("dump").arg(&damaged));
        }
    }
}

/// The first bytes of each part are hit as well as the bulk: half of the flips go to the first 256 bytes.
fn with_flipped_bytes(whole: &[u8], seed: u64, count: usize) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    for flip in 0..count {
        // xorshift64*: any fixed sequence will do, as long as a failing seed can be run again.
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        let random = state.wrapping_mul(0x2545_F491_4F6C_DD1D);
        let range = if flip % 2 == 0 {
            bytes.len()
        } else {
            bytes.len().min(256)
        };
        let at = (random >> 8) as usize % range;
        bytes[at] ^= (random as u8).max(1);
    }
    bytes
}
