//! A recording survives its recorder's death. That it survives its program's death is counted in [`crate::crash`].

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use traces::finding::Outcome;
use traces::recording::Ended;

use crate::hammered::{Hammered, Process};
use crate::support::{
    PATIENCE, end_of, entries, has_io_uring, raw_folder, read, record, run, scenario, tracer,
};

#[test]
fn correct_program_killed_in_the_middle_has_no_finding() {
    if !has_io_uring() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let raw = raw_folder(folder.path());
    let mut killed = 0;
    for round in 0..20u64 {
        let mut command = record(folder.path(), scenario(&["echo"]));
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut recorder = command.spawn().unwrap();
        let started = Instant::now();
        let program = loop {
            assert!(started.elapsed() < PATIENCE, "the program made no file");
            match Process::find(&raw) {
                Some(program) => break Some(program),
                // It may be over before it was seen.
                None if recorder.try_wait().unwrap().is_some() => break None,
                None => std::thread::yield_now(),
            }
        };
        // Not to wait for something, but to kill at another moment each time.
        std::thread::sleep(Duration::from_micros(200 + round * round * 150));
        drop(program);
        let ran = end_of(recorder);
        killed += u32::from(ran.status.signal() == Some(Signal::KILL.as_raw()));
        if ran.stderr.contains("before its first record") {
            continue;
        }
        let trace = read(&folder.path().join("trace.bin"));
        let report = traces::report::text(&trace, 100);
        assert_eq!(
            trace.verdict().outcome(),
            Outcome::Clean,
            "round {round}:\n{report}"
        );
    }
    assert!(
        killed > 5,
        "only {killed} of 20 were still running when they were killed"
    );
}

#[test]
fn recorder_killed_leaves_a_folder_that_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut hammered = Hammered::under_a_recorder(folder.path(), "--ring=1MiB", &[]);
    let program = hammered.wait_for(1000);
    hammered.parent.kill().unwrap();
    hammered.parent.wait().unwrap();
    assert!(!folder.path().join("trace.bin").exists());
    let left = entries(&hammered.raw).remove(0);
    let check = || run(tracer(folder.path()).arg("check").arg(&left));
    // It still writes; what is read meanwhile holds only whole records.
    let ran = check();
    assert!(matches!(ran.status.code(), Some(0 | 3)), "{ran:#?}");
    program.end(Signal::KILL);
    let ran = check();
    assert!(matches!(ran.status.code(), Some(0 | 3)), "{ran:#?}");
}

#[test]
fn recording_that_cannot_be_sealed_stays_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("target");
    std::fs::create_dir(&target).unwrap();
    let script = "rmdir \"$0\"; exec \"$@\"";
    let raw = raw_folder(folder.path());
    std::fs::create_dir(&raw).unwrap();
    let mut command: Command = tracer(folder.path());
    command
        .args(["record", "-o", "target/trace.bin", "--dir"])
        .arg(&raw)
        .args(["--", "sh", "-c"]);
    command
        .arg(script)
        .arg(&target)
        .args(scenario(&["double", "--ring", "simulated"]));
    let ran = run(&mut command)
        .exits(125)
        .says("could not be sealed")
        .says("exited with code 0");
    let left = entries(&raw).remove(0);
    assert!(
        ran.stderr.contains(left.to_str().unwrap()),
        "{}",
        ran.stderr
    );
    run(tracer(folder.path()).arg("check").arg(&left)).exits(1);
}

#[test]
fn signal_to_the_recorder_ends_a_recorded_program_and_keeps_its_trace() {
    let folder = tempfile::tempdir().unwrap();
    let mut hammered = Hammered::under_a_recorder(folder.path(), "--ring=1MiB", &[]);
    let _program = hammered.wait_for(100);
    kill_process(Pid::from_child(&hammered.parent), Signal::TERM).unwrap();
    end_of(hammered.parent)
        .dies_by(Signal::TERM.as_raw())
        .says("tracer check trace.bin");
    let trace = read(&folder.path().join("trace.bin"));
    let ended = trace.recording().processes[0].ended;
    assert_eq!(
        ended,
        Ended::Killed {
            signal: 15,
            core: false
        }
    );
}
