//! `record --time=batch` costs the order across threads, says so, and nothing else.

use std::path::{Path, PathBuf};

use crate::support::{has_io_uring, read, run, scenario, tracer};

fn recorded(folder: &Path, time: &str, more: &[&str], arguments: &[&str]) -> PathBuf {
    let path = folder.join(format!("{time}.bin"));
    let mut command = tracer(folder);
    command.args(["record", "--time", time, "-o"]).arg(&path);
    run(command.args(more).arg("--").args(scenario(arguments)));
    path
}

/// Rules of all stories, consequences behind their causes, and their places.
fn told(path: &Path) -> Vec<(u8, Vec<u8>, u64)> {
    let trace = read(path);
    let stories = trace.verdict().stories.iter();
    let rule = |finding: &traces::finding::Finding| finding.rule.0;
    let told = stories.map(|story| {
        let folded = story.folded.iter().map(rule).collect();
        (rule(&story.head), folded, story.head.fingerprint)
    });
    told.collect()
}

#[test]
fn one_threads_bug_is_told_as_without() {
    if !has_io_uring() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let exact = recorded(folder.path(), "event", &[], &["leftover"]);
    let batch = recorded(folder.path(), "batch", &[], &["leftover"]);
    assert_eq!(told(&batch), told(&exact));
    assert_eq!(told(&batch)[0].0, 2);
    assert!(!read(&exact).recording().is_by_batch(0));
    assert!(read(&batch).recording().is_by_batch(0));

    let words = "times by batch: events of a thread share one (~)";
    let checked = run(tracer(folder.path()).arg("check").arg(&batch)).exits(1);
    assert!(checked.stdout().contains(words), "{}", checked.stdout());
    let checked = run(tracer(folder.path()).arg("check").arg(&exact)).exits(1);
    assert!(!checked.stdout().contains("batch"), "{}", checked.stdout());
    let dumped = run(tracer(folder.path()).arg("dump").arg(&batch)).exits(0);
    let mut lines = dumped.stdout().lines();
    assert!(
        lines.all(|line| line.contains(" ~0.")),
        "{}",
        dumped.stdout()
    );
}

#[test]
fn what_a_packed_or_redacted_file_says_of_its_times_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let batch = recorded(
        folder.path(),
        "batch",
        &[],
        &["leftover", "--ring", "simulated"],
    );
    // A simulated run has a clock of its own, and each event its time.
    assert!(!read(&batch).recording().is_by_batch(0));
    if !has_io_uring() {
        return;
    }
    let redacted = recorded(folder.path(), "batch", &["--redact"], &["leftover"]);
    assert!(read(&redacted).recording().is_by_batch(0));
    let batch = recorded(folder.path(), "batch", &[], &["leftover"]);
    for arguments in [&["--redact"][..], &[]] {
        let packed = folder.path().join("packed.bin");
        let mut command = tracer(folder.path());
        command.args(["pack", "-o"]).arg(&packed).arg(&batch);
        run(command.args(arguments)).exits(0);
        assert!(read(&packed).recording().is_by_batch(0), "{arguments:?}");
        assert_eq!(told(&packed).len(), told(&batch).len(), "{arguments:?}");
    }
}

#[test]
fn call_stacks_have_exact_times() {
    if !has_io_uring() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let stacks = recorded(folder.path(), "batch", &["--stacks"], &["leftover"]);
    assert!(!read(&stacks).recording().is_by_batch(0));
}
