//! `tracer doctor` says what this machine allows, and changes nothing.

use crate::support::{run, tracer};

#[test]
fn each_subject_has_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let ran = run(tracer(folder.path()).arg("doctor"));
    let text = ran.stdout().to_owned();
    for subject in [
        "io_uring",
        "clock",
        "recordings",
        "memlock",
        "seccomp",
        "perf",
        "terminal",
    ] {
        let is_about = |line: &str| line.split_whitespace().nth(1) == Some(subject);
        assert!(text.lines().any(is_about), "{subject} is not in:\n{text}");
    }
    let code = i32::from(text.lines().any(|line| line.starts_with("FAIL")));
    assert_eq!(ran.status.code(), Some(code), "{text}");
    assert!(ran.stderr.is_empty(), "{}", ran.stderr);
}

#[test]
fn place_that_cannot_be_used_fails_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    // Only where memory is no place for recordings is the temporary folder asked for.
    let ran = run(tracer(folder.path())
        .arg("doctor")
        .env("TMPDIR", "/nowhere"));
    let text = ran.stdout().to_owned();
    if text.contains("/nowhere") {
        assert!(text.contains("--dir DIR"), "{text}");
        ran.exits(1);
    }
}
