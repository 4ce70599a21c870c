//! `record --uprobes`: who gives a pointer away and takes it back, in a debug build that never heard of the probe.
//!
//! It takes root. Where that is missing these tests say so by name and are left out; `TRACER_REQUIRE_KERNEL=1` makes that
//! an error.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{PoisonError, RwLock};

use traces::event::{Event, What};
use traces::recording::Capture;

use crate::kernel::{is_allowed, left_out};
use crate::support::{Ran, read, read_until, run, tracer, wait};

const TABLE: &str = "/sys/kernel/tracing/uprobe_events";

/// Whoever starts a recorder clears what a killed one left: the test that looks for that runs alone.
pub(crate) static CLEARED: RwLock<()> = RwLock::new(());

/// Whether functions can be probed.
pub(crate) fn may_probe(test: &str) -> bool {
    if !is_allowed(test) {
        return false;
    }
    let may = rustix::process::geteuid().is_root()
        && cfg!(target_arch = "x86_64")
        && Path::new(TABLE).exists();
    if !may {
        left_out(&format!(
            "{test}, because it takes root, x86-64 and {TABLE}"
        ));
    }
    may
}

/// The program, of the standard library alone, compiled with some more options.
fn program(name: &str, options: &[&str]) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plain/owners.rs");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut build = Command::new(compiler);
    build.args(["--edition", "2024", "-o"]).arg(&program);
    run(build.arg(source).args(options)).exits(0);
    program
}

#[track_caller]
fn recorded(folder: &Path, program: &Path, mode: &str) -> Ran {
    let mut recorder = tracer(folder);
    recorder.args(["record", "--uprobes", "--"]).arg(program);
    run(recorder.arg(mode)).exits(0)
}

/// What is left in the kernel's table of this very test's recorders, by their process id.
fn left_by(pid: u32) -> String {
    let table = std::fs::read_to_string(TABLE).unwrap();
    let own = format!(":tracer_{pid}_");
    table.lines().filter(|line| line.contains(&own)).collect()
}

#[test]
fn leaks_and_double_reclaims_of_a_debug_build_are_found_and_a_correct_one_is_clean() {
    if !may_probe("owners by --uprobes") {
        return;
    }
    let _shared = CLEARED.read().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let check = || run(tracer(folder.path()).args(["check", "trace.bin"]));
    for (name, options) in [
        ("owners-legacy", &["-g"][..]),
        (
            "owners-v0",
            &[
                "-g",
                "-Csymbol-mangling-version=v0",
                "-Cforce-frame-pointers=yes",
            ],
        ),
    ] {
        let program = program(name, options);
        recorded(folder.path(), &program, "correct").says("recorded by uprobes: saw ");
        check()
            .exits(0)
            .prints("recorded by preload and uprobes, without the probe")
            .prints("no findings");
        let trace = read(&folder.path().join("trace.bin"));
        assert!(trace.recording().losses.is_empty());
        let captures = trace.recording().processes.iter().map(|it| it.capture);
        let mut captures: Vec<_> = captures.map(|it| format!("{it:?}")).collect();
        captures.sort();
        let all = [Capture::Kernel, Capture::Preload, Capture::Uprobes];
        assert_eq!(captures, all.map(|it| format!("{it:?}")));
        assert_eq!(trace.recording().process_count(), 1);

        recorded(folder.path(), &program, "leaked");
        check()
            .exits(1)
            .prints("T09 never-reclaimed (observed)")
            .prints("Timer#1 ")
            .prints("owners.rs:")
            .prints("1 finding\n");

        recorded(folder.path(), &program, "twice");
        check()
            .exits(1)
            .prints("T08 reclaimed-twice (observed)")
            .prints("Conn#1 ")
            .prints("1 finding\n");

        recorded(folder.path(), &program, "stale");
        check()
            .exits(1)
            .prints("T03 stale-cookie (suspected)")
            .prints("1 finding\n");
    }
}

/// The io-uring crate in a program that does not link the probe and keeps no frame pointers: each operation is put into its
/// queue by a call whose stack leads to the coroutine that wanted it.
#[test]
fn who_puts_an_operation_into_its_queue_is_told_with_the_coroutines_call_stack() {
    if !may_probe("pushes by --uprobes") {
        return;
    }
    let _shared = CLEARED.read().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let gallery = crate::levels::bare();
    let recorded = |ring: &str| {
        let mut recorder = tracer(folder.path());
        recorder.args(["record", "--uprobes", "--"]).arg(&gallery);
        run(recorder.args(["leftover", "--ring", ring])).exits(0)
    };
    // Its own queues are no business of the crate's.
    let ran = recorded("inplace");
    assert!(!ran.stderr.contains("into submission queues"), "{ran:#?}");

    recorded("crate").says(" pushes into submission queues");
    let trace = read(&folder.path().join("trace.bin"));
    let own = |event: &&Event| {
        let process = trace.recording().process(event.process);
        process.is_some_and(|it| it.capture == Capture::Preload)
    };
    let (mut pushed, mut submitted) = (Vec::new(), Vec::new());
    for event in trace.events().iter().filter(own) {
        match &event.what {
            What::Push { index, cookie, .. } => pushed.push((u64::from(*index), *cookie)),
            What::Submit(it) => submitted.push((it.sequence, it.entry.cookie)),
            _ => {}
        }
    }
    assert!(!pushed.is_empty());
    assert_eq!(pushed, submitted, "each once, in order, with its cookie");

    let dump = run(tracer(folder.path()).args(["dump", "trace.bin"])).exits(0);
    let pushes = dump
        .stdout()
        .lines()
        .filter(|line| line.contains(" push ring "));
    let pushes: Vec<&str> = pushes.collect();
    assert_eq!(pushes.len(), pushed.len(), "{dump:#?}");
    let (timers, others): (Vec<&str>, Vec<&str>) =
        pushes.iter().partition(|line| line.contains(" Ticket#"));
    for timer in &timers {
        // Who called the queue, and not the queue itself; the coroutine, which frame pointers would not lead to.
        assert!(
            timer.contains(" via <Copied as Ring>::push (") && !timer.contains("squeue"),
            "{timer}"
        );
        assert!(
            timer.contains(" < leftover::") && timer.contains(" < Coroutine::resume ("),
            "{timer}"
        );
    }
    for coroutine in [" < leftover::pause (", " < leftover::main ("] {
        assert!(
            timers.iter().any(|it| it.contains(coroutine)),
            "{timers:#?}"
        );
    }
    assert!(!others.is_empty(), "{pushes:#?}");
    // The finding says who pushed the operation that nobody gave a cookie.
    run(tracer(folder.path()).args(["check", "trace.bin"]))
        .exits(1)
        .prints("T01 unset-cookie (suspected)")
        .prints(": put into the queue here")
        .prints("from <Copied as Ring>::push (");

    // Without debug information nobody says where the crate has its fields: no guess, and all else goes on.
    let bare = folder.path().join("without-debug-information");
    let mut strip = Command::new("strip");
    strip.args(["--strip-debug", "-o"]).arg(&bare).arg(&gallery);
    run(&mut strip).exits(0);
    let mut recorder = tracer(folder.path());
    recorder.args(["record", "--uprobes", "--"]).arg(&bare);
    let ran = run(recorder.args(["leftover", "--ring", "crate"])).exits(0);
    assert!(!ran.stderr.contains("into submission queues"), "{ran:#?}");
    ran.says("not recorded: who puts operations into the queues")
        .says("does not say where `SubmissionQueue` and `IoUring`");
}

/// Who may not probe is told of all that is missing, and not of tracepoints alone.
#[test]
fn an_ordinary_user_is_told_what_uprobes_take() {
    if !may_probe("refusals of --uprobes to others than root") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let anybody = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(folder.path(), anybody).unwrap();
    // The folder that it was built in may be for its owner alone.
    let recorder = folder.path().join("tracer");
    std::fs::copy(env!("CARGO_BIN_EXE_tracer"), &recorder).unwrap();
    let mut command = Command::new("setpriv");
    command.current_dir(folder.path());
    command.args(["--reuid=65534", "--clear-groups", "--inh-caps=-all"]);
    command.arg(recorder);
    let refused = run(command.args(["record", "--uprobes", "--", "true"])).exits(125);
    refused
        .says("the kernel cannot be listened to here (`--uprobes`); missing:")
        .says("CAP_PERFMON")
        .says("uprobe_events cannot be written to (Permission denied")
        .says("sudo tracer record --uprobes");
}

#[test]
fn what_cannot_be_probed_is_refused_with_the_reason_and_nothing_runs() {
    if !may_probe("refusals of --uprobes") {
        return;
    }
    let _shared = CLEARED.read().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let refused = |program: &Path| {
        let mut recorder = tracer(folder.path());
        recorder.args(["record", "--uprobes", "--"]).arg(program);
        let ran = run(recorder.arg("correct")).exits(125);
        assert_eq!(ran.stdout(), "", "it ran");
        assert!(!folder.path().join("trace.bin").exists());
        ran
    };
    refused(&program("owners-release", &["-O"]))
        .says("the program's functions cannot be probed (`--uprobes`)")
        .says("has them in line")
        .says("link the probe");
    let mut recorder = tracer(folder.path());
    recorder.args([
        "record",
        "--uprobes",
        "--time=batch",
        "--",
        "echo",
        "it ran",
    ]);
    let ran = run(&mut recorder).exits(125);
    assert_eq!(ran.stdout(), "");
    ran.says("--uprobes and --time=batch do not go together")
        .says("--time=event");
    refused(&program("owners-stripped", &["-Cstrip=symbols"])).says("it has no symbols (stripped)");
    let script = folder.path().join("script");
    std::fs::write(&script, "#!/bin/sh\n").unwrap();
    refused(&script).says("name the program itself");
    refused(Path::new(env!("CARGO_BIN_EXE_tracer"))).says("links the probe");
}

/// Its debug information would take gigabytes: that ends the process that reads it, and neither the recorder nor what does
/// not depend on it.
#[test]
fn debug_information_that_takes_all_memory_costs_types_and_lines_alone() {
    if !may_probe("hostile debug information by --uprobes") {
        return;
    }
    let _shared = CLEARED.read().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let program = crate::hostile::of_ranges(folder.path(), 1024, 10 << 10);
    assert!(program.metadata().unwrap().len() < 1 << 20);
    // Less than it would take, so that a recorder which reads it itself ends at once instead of filling this machine.
    let mut recorder = Command::new("prlimit");
    recorder.current_dir(folder.path()).arg("--as=419430400");
    recorder.arg(env!("CARGO_BIN_EXE_tracer"));
    recorder.args(["record", "--uprobes", "--"]).arg(&program);
    run(&mut recorder)
        .exits(0)
        .says("recorded by uprobes: saw 1 call that gives a pointer away or takes it back")
        .says("not recorded: types and lines of calls: the debug information of ")
        .says("/hostile takes too much memory or time to read; no answer rests on it, and `llvm-dwarfdump ");
}

#[test]
fn the_kernels_table_is_cleared_however_it_ends() {
    if !may_probe("what --uprobes leaves behind") {
        return;
    }
    let _alone = CLEARED.write().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let program = program("owners-waits", &["-g"]);
    let start = || {
        let mut recorder = tracer(folder.path());
        recorder.args(["record", "--uprobes", "--"]).arg(&program);
        recorder
            .arg("waits")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut recorder = recorder.spawn().unwrap();
        let mut says = recorder.stdout.take().unwrap();
        read_until(&mut says, "waiting\n");
        (recorder, says)
    };
    let signal = |pid: u32, number| {
        let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        rustix::process::kill_process(pid, number).unwrap();
    };
    let (mut recorder, _) = start();
    let pid = recorder.id();
    assert!(left_by(pid).contains("enter"));
    // Passed on to the program, which dies by it.
    signal(pid, rustix::process::Signal::TERM);
    assert_eq!(wait(&mut recorder).signal(), Some(15));
    assert_eq!(left_by(pid), "");

    // Killed, it can do nothing; the next one does it.
    let (mut recorder, says) = start();
    let input = recorder.stdin.take();
    let pid = recorder.id();
    signal(pid, rustix::process::Signal::KILL);
    wait(&mut recorder);
    drop((input, says));
    assert!(left_by(pid).contains("enter"));
    let said = run(tracer(folder.path()).arg("doctor"));
    assert!(
        said.stdout().contains(&format!("tracer_{pid}_")),
        "{said:#?}"
    );
    recorded(folder.path(), &program, "correct");
    assert_eq!(left_by(pid), "");
}
