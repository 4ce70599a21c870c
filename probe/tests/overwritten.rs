//! A ring that went round within a scope: what was overwritten must not pass for what never was. The recording is a
//! recorder's, of a few chunks; the scopes are in processes of their own, because a process records once.

#![cfg(feature = "assert")]

use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::time::Duration;

/// Names the way in which the child asks.
const ASKED: &str = "PROBE_TESTS_OVERWRITTEN";

/// More than the ring holds.
fn go_round() {
    for _ in 0..20_000 {
        let raw = probe::into_raw(Box::new(7_u64));
        // SAFETY: leaked once, taken back once.
        drop(unsafe { probe::from_raw::<Box<u64>>(raw) });
    }
}

/// A leak and an operation in flight, and the ring that keeps it so.
fn leave_behind() -> probe::ring::Ring {
    let _ = probe::into_raw(Box::new([7_u64; 3]));
    let ring = probe::ring::Ring::created(probe::ring::Kind::Copied, 3, 8, 16, 0, 0);
    ring.pushed(&[0, 0, 0, 0, 7, 0, 0, 0]);
    ring.entered(1, 1, 0);
    ring
}

/// The text of the assertion's panic, or that there was none.
fn answer(asked: &str) -> String {
    let body = || {
        if asked == "later" {
            // Opened behind all that is lost.
            go_round();
            let scope = probe::scope();
            drop(round_trip());
            assert!(scope.settle(Duration::ZERO));
            scope.limits().check();
            scope.assert_clean();
            return;
        }
        if asked == "grown" {
            go_round();
            let scope = probe::scope();
            let _pool = probe::into_raw(Box::new([7_u64; 3]));
            let limits = scope.limits();
            // Overwrites what was before the scope, and nothing of it.
            for _ in 0..6_000 {
                drop(round_trip());
            }
            let _grown = probe::into_raw(Box::new([7_u64; 5]));
            limits.check();
        }
        let scope = probe::scope();
        let ring = leave_behind();
        let limits = (asked == "check").then(|| scope.limits());
        go_round();
        std::mem::forget(ring);
        match asked {
            "clean" => scope.assert_clean(),
            "leaks" => scope.assert_no_leaks(),
            "inflight" => scope.assert_no_inflight(),
            "settle" => {
                scope.settle(Duration::ZERO);
            }
            "check" => limits.expect("limits").check(),
            "expected" => {
                let _ = probe::into_raw(Box::new([7_u64; 5]));
                scope.expect(probe::Rule::T09).times(1);
            }
            other => panic!("{other} is no question"),
        }
    };
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(()) => "it passed".to_owned(),
        Err(panic) => *panic.downcast::<String>().expect("the panic has a text"),
    }
}

fn round_trip() -> Box<u64> {
    let raw = probe::into_raw(Box::new(7_u64));
    // SAFETY: leaked once, taken back once.
    unsafe { probe::from_raw::<Box<u64>>(raw) }
}

#[test]
fn what_was_overwritten_is_inconclusive() {
    if let Ok(asked) = std::env::var(ASKED) {
        println!("\nANSWER {}", answer(&asked));
        // The scope that panicked is gone; what it left is this child's end.
        std::process::exit(0);
    }
    for asked in [
        "clean", "leaks", "inflight", "settle", "check", "expected", "later", "grown",
    ] {
        let folder = tempfile::Builder::new()
            .permissions(std::fs::Permissions::from_mode(0o700))
            .tempdir()
            .expect("a folder");
        std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(folder.path().join("session"))
            .and_then(|mut file| file.write_all(b"protocol=1\nchunks=8\nmode=ring\n"))
            .expect("a session file");
        let output = Command::new(std::env::current_exe().expect("own path"))
            .args([
                "what_was_overwritten_is_inconclusive",
                "--exact",
                "--nocapture",
            ])
            .env("TRACER_DIR", folder.path())
            .env(ASKED, asked)
            .output()
            .expect("this binary starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let answer = text.split_once("\nANSWER ").map(|(_, answer)| answer);
        let answer = answer.unwrap_or_else(|| panic!("{asked}: {output:?}"));
        match asked {
            "later" => assert_eq!(answer.trim_end(), "it passed"),
            "grown" => {
                assert!(answer.starts_with("handles held: 2, at most 1"), "{answer}");
                assert!(answer.contains("[u64; 5]"), "{answer}");
                assert!(!answer.contains("[u64; 3]"), "{answer}");
            }
            _ => {
                let begin = "inconclusive: records were lost in `";
                assert!(answer.starts_with(begin), "{asked}: {answer}");
            }
        }
        if !["later", "grown"].contains(&asked) {
            assert!(answer.contains("overwritten"), "{asked}: {answer}");
            assert!(answer.contains("tracer record --ring"), "{asked}: {answer}");
        }
        // Failures save their trace, beside that of the recorder.
        for saved in answer
            .lines()
            .filter_map(|line| line.strip_prefix("trace: "))
        {
            std::fs::remove_file(saved).expect("own file");
        }
    }
}
