//! `view` on a terminal: it shows the verdict, and however it ends the terminal is as before.

use std::os::unix::process::ExitStatusExt;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{demo_trace, run, tracer};
use crate::terminal::Terminal;

/// A viewer that shows the original bug.
fn viewer(folder: &std::path::Path, columns: u16, rows: u16) -> Terminal {
    let trace = demo_trace(folder, &["leftover"]);
    let mut command = tracer(folder);
    command.arg("view").arg(trace);
    let terminal = Terminal::start(command, columns, rows);
    terminal.wait_for_screen();
    terminal.wait_for("T02");
    terminal
}

#[test]
fn quits_by_key_and_leaves_the_terminal_clean() {
    let folder = tempfile::tempdir().unwrap();
    for (columns, rows) in [(80, 24), (120, 40), (40, 10)] {
        let terminal = viewer(folder.path(), columns, rows);
        terminal.press("q");
        let (status, contents) = terminal.end_and_assert_clean();
        assert_eq!(status.code(), Some(0), "{contents}");
    }
}

#[test]
fn quits_by_interrupt_and_leaves_the_terminal_clean() {
    let folder = tempfile::tempdir().unwrap();
    let terminal = viewer(folder.path(), 80, 24);
    terminal.press("\x03");
    let (status, contents) = terminal.end_and_assert_clean();
    assert!(
        status.code() == Some(0) || status.signal() == Some(2),
        "{status}: {contents}"
    );
}

#[test]
fn signals_end_it_and_leave_the_terminal_clean() {
    let folder = tempfile::tempdir().unwrap();
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let terminal = viewer(folder.path(), 80, 24);
        kill_process(Pid::from_child(&terminal.child), signal).unwrap();
        let (status, contents) = terminal.end_and_assert_clean();
        assert_eq!(status.signal(), Some(signal.as_raw()), "{contents}");
    }
}

#[test]
fn demo_opens_the_viewer_on_a_terminal_and_keeps_its_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = tracer(folder.path());
    command.args(["demo", "leftover"]);
    let terminal = Terminal::start(command, 100, 30);
    terminal.wait_for_screen();
    terminal.press("q");
    let (status, contents) = terminal.end_and_assert_clean();
    assert_eq!(status.code(), Some(1), "{contents}");
    assert!(
        contents.contains("1 finding"),
        "the verdict stays readable: {contents}"
    );

    let mut command = tracer(folder.path());
    command.args(["demo", "leftover", "--fixed", "--no-view"]);
    let (status, contents) = Terminal::start(command, 100, 30).end_and_assert_clean();
    assert_eq!(status.code(), Some(0), "{contents}");
}

#[test]
fn without_a_terminal_it_says_what_to_do_instead() {
    let folder = tempfile::tempdir().unwrap();
    let trace = demo_trace(folder.path(), &["leftover"]);
    run(tracer(folder.path()).arg("view").arg(trace))
        .exits(2)
        .says("terminal")
        .says("check");
}

#[test]
fn a_finding_suppressed_in_the_viewer_is_suppressed_for_check() {
    let folder = tempfile::tempdir().unwrap();
    let trace = demo_trace(folder.path(), &["leftover"]);
    let mut command = tracer(folder.path());
    command.arg("view").arg(&trace);
    let terminal = Terminal::start(command, 100, 30);
    terminal.wait_for("T02");
    terminal.press("X");
    terminal.wait_for("suppress, because:");
    terminal.press("known\r");
    terminal.wait_for("until (");
    terminal.press("2999-12-31\r");
    terminal.wait_for("suppressed in .config/tracer-suppressions.toml");
    terminal.wait_for("No finding, 1 suppressed");
    terminal.press("q");
    let (status, contents) = terminal.end_and_assert_clean();
    assert_eq!(status.code(), Some(0), "{contents}");

    let file = folder.path().join(".config/tracer-suppressions.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("reason = \"known\""), "{text}");
    let check = |file: &std::path::Path| {
        let mut command = tracer(folder.path());
        command.arg("check").arg(&trace).arg("--suppressions");
        run(command.arg(file))
    };
    check(&file).exits(0).prints("1 suppressed");

    // The next look heeds it, and takes it back.
    let mut command = tracer(folder.path());
    command.arg("view").arg(&trace);
    let terminal = Terminal::start(command, 100, 30);
    terminal.wait_for("No finding, 1 suppressed");
    terminal.press("zjU");
    terminal.wait_for("told again");
    terminal.press("q");
    terminal.end_and_assert_clean();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "");
    check(&file).exits(1);
}

#[test]
fn two_traces_are_compared_on_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let bug = demo_trace(folder.path(), &["leftover"]);
    let mended = demo_trace(folder.path(), &["leftover", "--fixed"]);
    let mut command = tracer(folder.path());
    command.arg("view").arg("--diff").arg(&bug).arg(&mended);
    let terminal = Terminal::start(command, 100, 30);
    terminal.wait_for("0 new, 1 gone, 0 same");
    terminal.press("\r");
    terminal.wait_for("Diff › Biography of");
    terminal.wait_for("before: ");
    terminal.press("q\x03");
    let (status, contents) = terminal.end_and_assert_clean();
    assert_eq!(status.code(), Some(0), "{contents}");
}
