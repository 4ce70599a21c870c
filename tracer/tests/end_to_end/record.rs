//! `record` stands between a caller and a program, and neither notices: exit codes, signals, input
//! and output pass through.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid,
};

use crate::support::{
    end_of, entries, raw_folder, read_until, record, run, run_with_input, scenario, tracer,
};
use crate::terminal::Terminal;

#[test]
fn exit_codes_pass_through() {
    let folder = tempfile::tempdir().unwrap();
    for code in [0, 3, 125, 255] {
        run(&mut record(
            folder.path(),
            ["sh", "-c", &format!("exit {code}")],
        ))
        .exits(code);
    }
}

#[test]
fn own_failures_have_their_own_codes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    run(&mut record(path, ["no-such-program"]))
        .exits(127)
        .says("not found in PATH");
    run(&mut record(path, ["./no-such-file"]))
        .exits(127)
        .says("no such file");
    std::fs::write(path.join("text"), "not a program").unwrap();
    run(&mut record(path, ["./text"]))
        .exits(126)
        .says("not executable");
    run(&mut record(path, ["./."]))
        .exits(126)
        .says("./.: is a folder");
    std::fs::set_permissions(path.join("text"), PermissionsExt::from_mode(0o755)).unwrap();
    run(&mut record(path, ["./text"]))
        .exits(126)
        .says("cannot be run");
    let failure = run(tracer(path).args(["record", "-o", "no/such/folder/x", "--", "true"]));
    failure.exits(125).says("cannot write into");
    run(tracer(path).args(["record", "--dir", "nowhere", "--", "true"])).exits(125);
    run(tracer(path).args(["record", "-o", "-", "--", "true"]))
        .exits(125)
        .says("stdout");
    run(tracer(path).args(["record", "--ring", "7", "--", "true"])).exits(2);
    assert!(
        entries(&raw_folder(path)).is_empty(),
        "a recording folder was left behind"
    );
}

#[test]
fn program_that_takes_too_long_is_asked_to_end_and_then_made_to() {
    let folder = tempfile::tempdir().unwrap();
    let limited = |script: &str| {
        let mut command = tracer(folder.path());
        command.args(["record", "--timeout", "1", "--", "sh", "-c", script]);
        run(&mut command)
    };
    limited("trap 'echo asked; exit 3' TERM; while :; do sleep 0.1; done")
        .exits(124)
        .says("did not end within 1 s")
        .prints("asked");
    limited("trap '' TERM; while :; do sleep 0.1; done").exits(124);
    limited("exit 3").exits(3);
    // The shell dies at once; what it waits for has the output that we wait for.
    limited("sh -c \"trap '' TERM; while :; do sleep 0.1; done\"; true").exits(124);
}

#[test]
fn signals_that_end_the_program_end_the_recorder() {
    let folder = tempfile::tempdir().unwrap();
    for signal in [
        Signal::KILL,
        Signal::TERM,
        Signal::ABORT,
        Signal::SEGV,
        Signal::INT,
    ] {
        let number = signal.as_raw();
        let ran = run(&mut record(
            folder.path(),
            ["sh", "-c", &format!("kill -{number} $$")],
        ));
        ran.dies_by(number);
    }
    assert!(entries(&raw_folder(folder.path())).is_empty());
    assert!(!folder.path().join("core").exists());
}

#[test]
fn real_time_signal_is_told_as_a_shell_tells_it() {
    let folder = tempfile::tempdir().unwrap();
    run(&mut record(folder.path(), ["sh", "-c", "kill -40 $$"])).exits(128 + 40);
}

#[test]
fn input_and_output_are_the_programs_own() {
    let folder = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..1_000_000u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let ran = run_with_input(&mut record(folder.path(), ["cat"]), &bytes).exits(0);
    assert!(
        ran.stdout == bytes,
        "stdout differs from what the program wrote"
    );
}

#[test]
fn program_without_the_probe_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let ran = run(&mut record(folder.path(), ["sh", "-c", "echo out; exit 3"])).exits(3);
    assert_eq!(ran.stdout(), "out\n");
    let ran = ran
        .says("nothing was recorded: `sh` never used the probe, and the shim was loaded and saw no ring")
        .says("docs/probe.md");
    assert!(!ran.stderr.contains("earlier recording"));
    assert!(!folder.path().join("trace.bin").exists());
    std::fs::write(folder.path().join("trace.bin"), "old").unwrap();
    run(&mut record(folder.path(), ["true"]))
        .exits(0)
        .says("trace.bin is from an earlier recording");
    assert_eq!(
        std::fs::read(folder.path().join("trace.bin")).unwrap(),
        b"old"
    );
}

/// Says `ready`, then ends with code 7 as soon as `signal` arrives, and kills its helper first.
fn waiting_for(signal: &str) -> [String; 3] {
    let script = format!(
        "trap 'kill $!; exit 7' {signal}; sleep 100 >/dev/null 2>&1 & echo ready; wait; exit 1"
    );
    ["sh".into(), "-c".into(), script]
}

/// Whether this process was started without a signal, as by `nohup`: it is ignored by all that it starts, too.
fn is_ignored(signal: Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = u64::from_str_radix(ignored.unwrap().trim(), 16).unwrap();
    ignored & 1 << (signal.as_raw() - 1) != 0
}

#[test]
fn signals_to_the_recorder_reach_the_program() {
    let folder = tempfile::tempdir().unwrap();
    for (name, signal) in [
        ("TERM", Signal::TERM),
        ("HUP", Signal::HUP),
        ("INT", Signal::INT),
    ] {
        if is_ignored(signal) {
            eprintln!("skipped: {name} is ignored here");
            continue;
        }
        let mut recorder = record(folder.path(), waiting_for(name))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        read_until(recorder.stdout.as_mut().unwrap(), "ready");
        kill_process(Pid::from_child(&recorder), signal).unwrap();
        end_of(recorder).exits(7);
    }
}

#[test]
fn recorder_survives_what_its_whole_group_gets() {
    let folder = tempfile::tempdir().unwrap();
    let mut recorder = record(folder.path(), waiting_for("INT"))
        .process_group(0)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    read_until(recorder.stdout.as_mut().unwrap(), "ready");
    kill_process_group(Pid::from_child(&recorder), Signal::INT).unwrap();
    end_of(recorder).exits(7).says("nothing was recorded");
}

#[test]
fn key_that_interrupts_reaches_the_program_once() {
    let folder = tempfile::tempdir().unwrap();
    let script = "n=0; trap 'n=$((n+1)); echo got $n' INT; echo ready; \
                  until [ \"$line\" = end ]; do read line; done; echo total $n; exit 5";
    let terminal = Terminal::start(record(folder.path(), ["sh", "-c", script]), 80, 24);
    terminal.wait_for("ready");
    terminal.press("\x03");
    terminal.wait_for("got 1");
    terminal.press("end\n");
    let (status, contents) = terminal.end_and_assert_clean();
    assert_eq!(status.code(), Some(5), "{contents}");
    assert!(contents.contains("total 1"), "{contents}");
}

#[test]
fn recorder_and_program_stop_and_continue_together() {
    let folder = tempfile::tempdir().unwrap();
    let mut recorder = record(folder.path(), waiting_for("TERM"))
        .process_group(0)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = Pid::from_child(&recorder);
    read_until(recorder.stdout.as_mut().unwrap(), "ready");
    kill_process_group(pid, Signal::TSTP).unwrap();
    let stopped = waitid(WaitId::Pid(pid), WaitIdOptions::STOPPED)
        .unwrap()
        .unwrap();
    assert_eq!(stopped.stopping_signal(), Some(Signal::TSTP.as_raw()));
    kill_process_group(pid, Signal::CONT).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    end_of(recorder).exits(7);
}

/// The signal masks of a program that `sh` starts with SIGHUP ignored.
fn masks(program: &Command) -> String {
    let mut shell = Command::new("sh");
    shell
        .arg("-c")
        .arg("trap '' HUP; exec \"$@\"")
        .arg("sh")
        .arg(program.get_program());
    shell.args(program.get_args());
    run(&mut shell).exits(0).stdout().to_owned()
}

#[test]
fn program_starts_with_the_signals_it_would_have_without_the_recorder() {
    let folder = tempfile::tempdir().unwrap();
    let grep = ["grep", "-E", "^Sig(Blk|Ign|Cgt):", "/proc/self/status"];
    let trace = folder.path().join("trace.bin");
    let mut recorded = tracer(folder.path());
    recorded
        .arg("record")
        .arg("-o")
        .arg(trace)
        .arg("--")
        .args(grep);
    let mut alone = Command::new(grep[0]);
    alone.args(&grep[1..]);
    assert_eq!(masks(&recorded), masks(&alone));
}

#[test]
fn sealed_trace_takes_a_few_bytes_an_event() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("packed.bin");
    let mut command = tracer(folder.path());
    command
        .args(["record", "--ring", "1MiB", "-o"])
        .arg(&trace)
        .arg("--");
    command.args(scenario(&["hammer", "--seconds", "1", "--ack"]));
    run(command.arg(folder.path().join("ack"))).exits(0);
    let bytes = std::fs::read(&trace).unwrap();
    let input = traces::Input {
        name: "packed",
        bytes: &bytes,
    };
    let events = traces::Trace::read(&[input]).unwrap().events().len();
    assert!(
        events > 1000 && bytes.len() < events * 5,
        "{} bytes for {events}",
        bytes.len()
    );
}
