//! `view` on a terminal: it shows the verdict, and however it ends the terminal is as before.

use std::os::unix::process::ExitStatusExt;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{
    self, demo_trace, entries, has_io_uring, memory_folder, raw_folder, read, record, run, tracer,
};
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
    command.args(["--clipboard", "sh -c 'cat > copied'"]);
    let terminal = Terminal::start(command, 100, 30);
    terminal.wait_for("0 new, 1 gone, 0 same");
    terminal.press("\r");
    terminal.wait_for("Diff › Biography of");
    terminal.wait_for("before: ");
    terminal.press("y");
    terminal.wait_for(" to sh");
    terminal.press("q\x03");
    let (status, contents) = terminal.end_and_assert_clean();
    assert_eq!(status.code(), Some(0), "{contents}");
}

/// A program that has the original bug, and then waits for a file before it exits with 7.
fn waits_for(file: &std::path::Path) -> String {
    format!(
        "echo printed; printf '\\033[31mraw' > /dev/tty; {tracer} __scenario leftover; \
         while [ ! -e {} ]; do sleep 0.05; done; exit 7",
        file.display(),
        tracer = env!("CARGO_BIN_EXE_tracer"),
    )
}

#[test]
fn record_shows_findings_while_the_program_runs_and_ends_as_it_does() {
    if !has_io_uring() {
        return;
    }
    let folder = memory_folder();
    let told = folder.path().join("told");
    let raw = raw_folder(folder.path());
    std::fs::create_dir(&raw).unwrap();
    let mut command = tracer(folder.path());
    command.args(["record", "--view", "--dir", "raw", "--", "sh", "-c"]);
    command.arg(waits_for(&told));
    let terminal = Terminal::start(command, 80, 24);
    terminal.wait_for_screen();
    terminal.wait_for("LIVE");
    // The program cannot end before it is told to: this is found live.
    terminal.wait_for("T02 leftover-cookie");
    terminal.press(" ");
    terminal.wait_for("PAUSED");
    terminal.press(" ");
    terminal.wait_for("LIVE");
    terminal.press("3");
    terminal.wait_for("[3 Events]");
    terminal.press("1");
    terminal.press("q");
    terminal.wait_for("The program still runs");
    // Drawn to its end: the keys of what lies below it are told no more.
    terminal.wait_until_gone("j/k move");
    terminal.press("\x1b");
    // Answered before the program ends: else the key would be one of the findings.
    terminal.wait_for("j/k move");
    std::fs::write(told, "").unwrap();
    terminal.wait_for("ENDED: exited with code 7");
    terminal.press("q");
    let (status, contents) = terminal.end_and_assert_clean();
    assert_eq!(status.code(), Some(7), "{contents}");
    assert!(contents.contains("trace.bin: 1 process"), "{contents}");
    assert!(!contents.contains("raw"), "{contents}");
    let printed = std::fs::read_to_string(folder.path().join("trace.output.log")).unwrap();
    assert!(printed.starts_with("printed\n"), "{printed}");
    // Its shell says that there is no terminal to write to.
    assert!(printed.contains("/dev/tty: "), "{printed}");
    let trace = read(&folder.path().join("trace.bin"));
    assert_eq!(trace.verdict().stories.len(), 1);
    assert!(entries(&raw).is_empty());
}

#[test]
fn notes_of_a_paused_screen_are_kept_when_the_program_has_ended() {
    if !has_io_uring() {
        return;
    }
    let folder = memory_folder();
    let (told, state) = (folder.path().join("told"), folder.path().join("state"));
    let mut command = tracer(folder.path());
    command.env("XDG_STATE_HOME", &state);
    command.args(["record", "--view", "--", "sh", "-c", &waits_for(&told)]);
    let terminal = Terminal::start(command, 120, 40);
    terminal.wait_for("T02 leftover-cookie");
    terminal.press(" ");
    terminal.wait_for("PAUSED");
    terminal.press("Bseen live");
    terminal.wait_for("seen live");
    terminal.press("\r");
    std::fs::write(told, "").unwrap();
    terminal.wait_for("Space shows the end: exited with code 7");
    assert!(!state.exists(), "its events have no numbers yet");
    terminal.press("q");
    let (status, contents) = terminal.end_and_assert_clean();
    assert_eq!(status.code(), Some(7), "{contents}");

    let mut command = tracer(folder.path());
    command.env("XDG_STATE_HOME", &state);
    command.args(["view", "trace.bin"]);
    let terminal = Terminal::start(command, 80, 24);
    terminal.wait_for("T02 leftover-cookie");
    terminal.press("9");
    terminal.wait_for("seen live");
    terminal.press("\x03");
    let (status, contents) = terminal.end_and_assert_clean();
    assert_eq!(status.code(), Some(0), "{contents}");
}

#[test]
fn a_program_that_is_left_behind_is_recorded_to_its_end() {
    if !has_io_uring() {
        return;
    }
    let folder = memory_folder();
    let (told, state) = (folder.path().join("told"), folder.path().join("state"));
    let mut command = tracer(folder.path());
    command.env("XDG_STATE_HOME", &state);
    // It looks as `view` does.
    command.args([
        "record",
        "--view",
        "--ascii",
        "--theme=mono",
        "--exec",
        "help",
    ]);
    command.args(["--", "sh", "-c", &waits_for(&told)]);
    let terminal = Terminal::start(command, 80, 24);
    terminal.wait_for("+ Keys here");
    terminal.press("q");
    terminal.wait_for("T02 leftover-cookie");
    terminal.press("Bleft behind\r");
    terminal.press("ql");
    terminal.wait_for("the program runs on, and is recorded until it ends");
    std::fs::write(told, "").unwrap();
    let (status, contents) = terminal.end_and_assert_clean();
    assert_eq!(status.code(), Some(7), "{contents}");
    read(&folder.path().join("trace.bin"));
    let notes = entries(&state.join("tracer/notes")).pop().unwrap();
    let notes = std::fs::read_to_string(notes).unwrap();
    assert!(notes.ends_with(" left behind\n"), "{notes}");
    for (option, says) in [
        (None, "left behind"),
        (Some("--no-session"), "Nothing is noted yet"),
    ] {
        let mut command = tracer(folder.path());
        command.env("XDG_STATE_HOME", &state);
        command
            .args(["view", "trace.bin", "--exec", "notes"])
            .args(option);
        let terminal = Terminal::start(command, 80, 24);
        terminal.wait_for(says);
        terminal.press("\x03");
        terminal.end_and_assert_clean();
    }

    // Asked to end, and interrupted by a key once the terminal is the recorder's again.
    for (keys, signal) in [("qe", 15), ("ql", 2)] {
        let never = folder.path().join("never");
        let mut command = tracer(folder.path());
        command.args(["record", "--view", "--", "sh", "-c", &waits_for(&never)]);
        let terminal = Terminal::start(command, 80, 24);
        terminal.wait_for("T02 leftover-cookie");
        terminal.press(keys);
        if keys == "ql" {
            // Of one that was asked to end this is said only while it has not.
            terminal.wait_for("the program runs on");
            terminal.press("\x03");
        }
        let (status, contents) = terminal.end_and_assert_clean();
        assert_eq!(status.signal(), Some(signal), "{contents}");
    }
}

#[test]
fn record_with_a_viewer_says_what_it_could_not_start() {
    let folder = memory_folder();
    let mut command = tracer(folder.path());
    command.args(["record", "--view", "--", "/no/such/program"]);
    let (status, contents) = Terminal::start(command, 80, 24).end_and_assert_clean();
    assert_eq!(status.code(), Some(127), "{contents}");
    assert!(contents.contains("no such file"), "{contents}");
    assert!(!folder.path().join("trace.output.log").exists());
    run(tracer(folder.path()).args(["record", "--view", "--", "true"]))
        .exits(125)
        .says("terminal");
}

#[test]
fn a_recording_folder_is_followed_until_it_is_sealed() {
    if !has_io_uring() {
        return;
    }
    let folder = memory_folder();
    let told = folder.path().join("told");
    let mut recorder = record(folder.path(), ["sh", "-c", &waits_for(&told)])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let raw = loop {
        if let Some(found) = entries(&raw_folder(folder.path())).pop()
            && found.join("recorder").exists()
        {
            break found;
        }
        std::thread::yield_now();
    };
    let mut command = tracer(folder.path());
    command.arg("view").arg("--follow").arg(&raw);
    let terminal = Terminal::start(command, 80, 24);
    terminal.wait_for("T02 leftover-cookie");
    terminal.wait_for("LIVE");
    std::fs::write(told, "").unwrap();
    assert_eq!(support::wait(&mut recorder).code(), Some(7));
    terminal.wait_for("ENDED: sealed as");
    terminal.press("q");
    let (status, contents) = terminal.end_and_assert_clean();
    assert_eq!(status.code(), Some(0), "{contents}");
}

#[test]
fn who_follows_is_told_that_the_recorder_died() {
    if !has_io_uring() {
        return;
    }
    let folder = memory_folder();
    let told = folder.path().join("told");
    let mut recorder = record(folder.path(), ["sh", "-c", &waits_for(&told)])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let raw = loop {
        if let Some(found) = entries(&raw_folder(folder.path())).pop()
            && found.join("recorder").exists()
        {
            break found;
        }
        std::thread::yield_now();
    };
    let mut command = tracer(folder.path());
    command.arg("view").arg("--follow").arg(&raw);
    let terminal = Terminal::start(command, 120, 30);
    terminal.wait_for("T02 leftover-cookie");
    recorder.kill().unwrap();
    recorder.wait().unwrap();
    std::fs::write(told, "").unwrap();
    terminal.wait_for("ENDED: its recorder is gone and has sealed nothing");
    // What there is can be looked at; notes have nothing to be kept under, and that is said once.
    terminal.press("Bhere\r");
    terminal.wait_for("here");
    terminal.press("q");
    terminal.wait_for("leave again");
    terminal.press("q");
    let (status, contents) = terminal.end_and_assert_clean();
    assert_eq!(status.code(), Some(0), "{contents}");
}

#[test]
fn what_cannot_be_read_is_said_with_its_code() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("odd.bin");
    std::fs::write(&file, "no trace").unwrap();
    for (argument, says) in [("odd.bin", "odd.bin"), ("missing.bin", "No such file")] {
        let mut command = tracer(folder.path());
        command.arg("view").arg(argument);
        let (status, contents) = Terminal::start(command, 100, 24).end_and_assert_clean();
        assert_eq!(status.code(), Some(2), "{contents}");
        assert!(contents.contains(says), "{contents}");
    }
}
