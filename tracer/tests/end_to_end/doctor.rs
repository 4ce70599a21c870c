//! `tracer doctor` says what this machine allows, and changes nothing.

use std::path::Path;
use std::process::Command;

use crate::support::{Ran, run, tracer};

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
        "tracefs",
        "kernel",
        "uprobes",
        "ptrace",
        "terminal",
        "stacks",
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

/// Builds a program with the compiler that builds the tests.
fn build(folder: &Path, options: &[&str]) {
    let source = "\
#[inline(never)] fn one(n: usize) -> usize { std::hint::black_box(n) + 1 }
#[inline(never)] fn two(n: usize) -> usize { std::hint::black_box(one(n)) + 1 }
fn main() { println!(\"{}\", two(std::env::args().count())); }
";
    std::fs::write(folder.join("prog.rs"), source).unwrap();
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut command = Command::new(compiler);
    command.current_dir(folder);
    command.args(["--edition", "2021", "-o", "prog", "prog.rs"]);
    run(command.args(options)).exits(0);
}

fn examine(folder: &Path) -> Ran {
    run(tracer(folder).args(["doctor", "prog"]))
}

#[track_caller]
fn line(ran: &Ran, subject: &str) -> String {
    let is_about = |line: &&str| line.split_whitespace().nth(1) == Some(subject);
    let found = ran.stdout().lines().find(is_about);
    found.unwrap_or_else(|| panic!("{ran:?}")).to_owned()
}

#[test]
fn program_is_told_what_its_call_stacks_lack() {
    let folder = tempfile::tempdir().unwrap();
    build(folder.path(), &["-Cforce-frame-pointers=yes", "-g"]);
    let ran = examine(folder.path());
    for subject in ["build-id", "frames", "names"] {
        assert!(line(&ran, subject).starts_with("ok"), "{ran:?}");
    }
    build(
        folder.path(),
        &[
            "-Cforce-frame-pointers=no",
            "-O",
            "-Cdebuginfo=0",
            "-Cstrip=debuginfo",
        ],
    );
    let ran = examine(folder.path());
    let frames = line(&ran, "frames");
    assert!(
        frames.starts_with("warn  frames      0 of 3 functions"),
        "{frames}"
    );
    assert!(line(&ran, "names").starts_with("warn"), "{ran:?}");
    // With what to do about it.
    let ran = ran.prints("-C force-frame-pointers=yes");
    // The toolchain's own library is counted apart, whatever it was built with.
    assert!(
        line(&ran, "frames").contains(", of the standard library "),
        "{ran:?}"
    );
    build(folder.path(), &["-Clink-arg=-Wl,--build-id=none"]);
    assert!(line(&examine(folder.path()), "build-id").starts_with("warn"));
    build(folder.path(), &["-Cstrip=symbols"]);
    examine(folder.path()).prints("cannot tell: the program is stripped");
}

#[test]
fn what_is_no_program_is_said() {
    let folder = tempfile::tempdir().unwrap();
    examine(folder.path()).exits(2).says("prog is not there; ");
    std::fs::write(folder.path().join("prog"), "#!/bin/sh\n").unwrap();
    let ran = examine(folder.path()).exits(2);
    ran.says("name the program itself, not a script");
}

#[test]
fn version_says_what_a_bug_report_needs() {
    let folder = tempfile::tempdir().unwrap();
    let short = run(tracer(folder.path()).arg("-V")).exits(0);
    let first = format!("tracer {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(short.stdout(), first);
    let long = run(tracer(folder.path()).arg("--version")).exits(0);
    assert!(long.stdout().starts_with(&first), "{long:?}");
    let formats = format!(
        "writes    process files {}.{}, bundles {}.{}\n",
        wire::layout::MAJOR,
        wire::layout::MINOR,
        traces::read::bundle::MAJOR,
        traces::read::bundle::MINOR
    );
    let long = long.prints(&formats).prints("\ntarget    ");
    long.prints("\nrules     T01 T02 ");
}
