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
