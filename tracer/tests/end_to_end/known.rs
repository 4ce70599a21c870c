//! What is left out of a verdict, what makes it fail, and what changed since.

use std::path::Path;

use serde_json::Value;

use crate::support::{demo_trace, run, tracer};

fn check(folder: &Path, trace: &Path, arguments: &[&str]) -> crate::support::Ran {
    run(tracer(folder).arg("check").arg(trace).args(arguments))
}

#[test]
fn what_is_in_the_baseline_is_known_in_the_next_run() {
    let folder = tempfile::tempdir().unwrap();
    let first = demo_trace(folder.path(), &["leftover"]);
    let second = folder.path().join("second.bin");
    run(tracer(folder.path())
        .args(["demo", "leftover", "--no-view", "-o"])
        .arg(&second))
    .exits(1);
    let other = demo_trace(folder.path(), &["double"]);
    check(folder.path(), &first, &["--write-baseline", "b.json"]).exits(1);
    check(folder.path(), &second, &["--baseline", "b.json"])
        .exits(0)
        .prints("findings left out: 1 in the baseline\nno findings\n");
    check(folder.path(), &other, &["--baseline", "b.json"]).exits(1);
    check(folder.path(), &first, &["--baseline", "missing.json"])
        .exits(2)
        .says("cannot read the baseline missing.json");
    std::fs::write(folder.path().join("no.json"), "{}").unwrap();
    check(folder.path(), &first, &["--baseline", "no.json"])
        .exits(2)
        .says("no.json is not a baseline; `check --write-baseline no.json` makes one");
}

#[test]
fn suppressions_are_generated_given_reasons_and_heeded() {
    let folder = tempfile::tempdir().unwrap();
    let path = demo_trace(folder.path(), &["leftover"]);
    let file = folder.path().join("s.toml");
    check(folder.path(), &path, &["--gen-suppressions", "s.toml"])
        .exits(1)
        .says("1 suppression added to s.toml");
    check(folder.path(), &path, &["--suppressions", "s.toml"])
        .exits(2)
        .says("in s.toml: suppression 1: a reason is missing");
    let text = std::fs::read_to_string(&file).unwrap();
    let more = "[[suppress]]\nrule = 'T27'\nreason = 'gone'\n[[suppress]]\nrule = 'T02'\nreason = 'old'\nexpires = '2020-01-01'\n";
    std::fs::write(&file, text.replace("\"\"", "\"known\"") + more).unwrap();
    check(folder.path(), &path, &["--suppressions", "s.toml"])
        .exits(0)
        .prints("findings left out: 1 suppressed\n")
        .says("suppression 2 (gone) matches no finding any more")
        .says("suppression 3 (old) is over");
}

#[test]
fn failing_is_what_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = demo_trace(folder.path(), &["leftover"]);
    for (arguments, code) in [
        (&["--fail-on", "error"][..], 1),
        (&["--fail-on", "T02"], 1),
        (&["--fail-on", "T09"], 0),
        (&["--fail-on", "T09", "--fail-on", "proved"], 1),
        (&["--error-exitcode", "42"], 42),
        (&["--error-exitcode", "42", "--fail-on", "T09"], 0),
    ] {
        check(folder.path(), &path, arguments)
            .exits(code)
            .prints("T02 leftover-cookie");
    }
    check(folder.path(), &path, &["--fail-on", "eror"]).exits(2);
}

#[test]
fn numbers_are_those_of_the_trace() {
    let folder = tempfile::tempdir().unwrap();
    let path = demo_trace(folder.path(), &["leftover"]);
    let stats = |arguments: &[&str]| {
        run(tracer(folder.path())
            .arg("stats")
            .arg(&path)
            .args(arguments))
        .exits(0)
    };
    let value: Value = serde_json::from_str(stats(&["--format", "json"]).stdout()).unwrap();
    let trace = crate::support::read(&path);
    assert_eq!(value["events"], trace.events().len());
    let submitted: u64 = value["rings"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|ring| ring["operations"].as_array().unwrap())
        .map(|operation| operation["submitted"].as_u64().unwrap())
        .sum();
    assert_eq!(submitted, trace.verdict().summary.operations);
    let by_thread: u64 = value["threads"]
        .as_array()
        .unwrap()
        .iter()
        .map(|thread| thread["events"].as_u64().unwrap())
        .sum();
    assert_eq!(by_thread, trace.events().len() as u64);
    assert!(stats(&[]).stdout().contains("TIMEOUT"));
}

#[test]
fn new_findings_are_told_apart_from_old_ones() {
    let folder = tempfile::tempdir().unwrap();
    let bad = demo_trace(folder.path(), &["leftover"]);
    let good = demo_trace(folder.path(), &["leftover", "--fixed"]);
    let diff = |before: &Path, after: &Path| {
        let mut command = tracer(folder.path());
        command.arg("diff").arg(before).arg(after);
        command
    };
    run(&mut diff(&good, &bad))
        .exits(1)
        .prints("new  T02 leftover-cookie");
    run(&mut diff(&bad, &good))
        .exits(0)
        .prints("gone T02 leftover-cookie");
    run(&mut diff(&bad, &bad))
        .exits(0)
        .prints("0 new, 0 gone, 1 the same");
    let ran = run(diff(&good, &bad).arg("--format=json")).exits(1);
    let value: Value = serde_json::from_str(ran.stdout()).unwrap();
    assert_eq!(value["new"][0]["rule"], "T02");
    run(&mut diff(&good, Path::new("missing.bin"))).exits(2);
}
