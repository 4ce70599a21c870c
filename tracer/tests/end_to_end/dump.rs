//! `dump` and `check` print data: whole lines, nothing that moves a cursor, and no fuss when nobody
//! reads on.

use std::process::Stdio;

use crate::support::{demo_trace, end_of, run, tracer};

#[test]
fn every_event_is_a_line_with_hex_cookies_and_generations() {
    let folder = tempfile::tempdir().unwrap();
    let path = demo_trace(folder.path(), &["leftover"]);
    let ran = run(tracer(folder.path()).arg("dump").arg(&path)).exits(0);
    let events = crate::support::read(&path).events().len();
    assert_eq!(ran.stdout().lines().count(), events);
    assert_eq!(ran.stderr, "");
    let said = run(tracer(folder.path()).args(["dump", "--text"]).arg(&path)).exits(0);
    assert_eq!(said.stdout(), ran.stdout());
    for (number, line) in ran.stdout().lines().enumerate() {
        assert!(line.starts_with(&format!("{number} ")), "{line}");
        assert!(!line.contains(|c: char| c.is_control()), "{line:?}");
    }
    for part in [
        "submit operation #",
        "cookie 0x",
        "complete ring",
        "@2",
        ".rs:",
    ] {
        assert!(
            ran.stdout().contains(part),
            "`{part}` is not in:\n{}",
            ran.stdout()
        );
    }
}

#[test]
fn a_filter_chooses_events_and_findings() {
    let folder = tempfile::tempdir().unwrap();
    let path = demo_trace(folder.path(), &["leftover"]);
    let run = |arguments: &[&str]| run(tracer(folder.path()).args(arguments).arg(&path));
    let all = run(&["dump"]).exits(0);
    let some = run(&["dump", "--filter", "kind:submit op:nop"]).exits(0);
    assert!(some.stdout().lines().count() > 0);
    for line in some.stdout().lines() {
        assert!(all.stdout().contains(line), "{line}");
        assert!(line.contains("NOP)"), "{line}");
    }
    let submits = all.stdout().lines().filter(|line| line.contains(", NOP)"));
    assert_eq!(submits.count(), some.stdout().lines().count());

    run(&["check", "--filter", "rule:leftover-cookie"])
        .exits(1)
        .prints("T02");
    run(&["check", "--filter", "not rule:T02"])
        .exits(0)
        .prints("findings left out: 1 by the filter\nno findings\n");
    let wrong = run(&["check", "--filter", "rule:leftovr-cookie"]).exits(2);
    assert_eq!(wrong.says("did you mean `leftover-cookie`?").stdout(), "");
}

#[test]
fn reader_that_goes_away_is_a_normal_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = demo_trace(folder.path(), &["leftover"]);
    for (command, code) in [("dump", 0), ("check", 1)] {
        let mut child = tracer(folder.path())
            .arg(command)
            .arg(&path)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let ran = end_of(child).exits(code);
        assert_eq!(ran.stderr, "");
    }
}
