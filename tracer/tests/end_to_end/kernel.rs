//! `record --kernel`: what the kernel says of rings, held against what the program is known to have done.
//!
//! It takes rights that not everybody has. Where they are missing these tests say so by name and are left out;
//! `TRACER_REQUIRE_KERNEL=1` makes that an error.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use traces::event::{LossReason, What};
use traces::events::Events;
use traces::finding::Confidence;
use traces::recording::Capture;

use crate::support::{Ran, has_io_uring, read, read_until, run, tracer, wait};

const SAME: u64 = 0x4242;

/// Whether the kernel can be listened to; says why not, and which test is left out for it.
pub(crate) fn is_allowed(test: &str) -> bool {
    if !has_io_uring() {
        return false;
    }
    let folder = tempfile::tempdir().unwrap();
    let tried = run(tracer(folder.path()).args(["record", "--kernel", "--", "true"]));
    if tried.status.success() {
        return true;
    }
    left_out(&format!("{test}, because:\n{}", tried.stderr));
    false
}

pub(crate) fn left_out(what: &str) {
    assert!(
        std::env::var_os("TRACER_REQUIRE_KERNEL").is_none_or(|value| value != "1"),
        "TRACER_REQUIRE_KERNEL=1, and not tested: {what}"
    );
    let _ = writeln!(std::io::stderr(), "NOT TESTED: {what}");
}

/// The program, linked in one of two ways.
fn program(linked: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plain/kernel.c");
    let id = std::thread::current().id();
    let name = format!("plain-kernel{linked}-{id:?}").replace(['(', ')'], "-");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let mut build = Command::new("cc");
    build
        .arg("-O1")
        .arg(linked)
        .arg("-o")
        .arg(&program)
        .arg(source);
    run(build.arg("-lpthread")).exits(0);
    program
}

/// Records a mode of the program; its trace is `trace.bin` in the folder.
#[track_caller]
fn recorded(folder: &Path, program: &Path, words: &[&str], options: &[&str]) -> Ran {
    let mut recorder = tracer(folder);
    recorder.args(["record", "--kernel"]).args(options);
    recorder.arg("--").arg(program).args(words);
    run(&mut recorder).exits(0)
}

/// Submissions and completions of a trace, by the kernel.
fn counted(events: &Events) -> (usize, usize) {
    let count = |is: fn(&What) -> bool| events.iter().filter(|event| is(&event.what)).count();
    (
        count(|what| matches!(what, What::Submit(_))),
        count(|what| matches!(what, What::Complete(_))),
    )
}

#[test]
fn a_static_program_is_seen_as_the_kernel_sees_it() {
    if !is_allowed("static programs by --kernel") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = program("-static");
    let summary = |words: &[&str]| {
        recorded(folder.path(), &program, words, &[]).says("it is linked statically");
        let trace = read(&folder.path().join("trace.bin"));
        assert!(trace.recording().losses.is_empty(), "{words:?}");
        let of = trace.recording().processes.iter();
        assert!(of.clone().all(|process| process.capture == Capture::Kernel));
        (trace.verdict().summary.clone(), trace)
    };

    // All cookies are equal, and completions come in another order than submissions: by what each brought it is known
    // which read it was, and the kernel's own request has to say the same.
    let (seen, trace) = summary(&["pipes", "20"]);
    assert_eq!(
        (seen.operations, seen.completions, seen.rings),
        (320, 320, 1)
    );
    let mut in_order = 0;
    for event in trace.events() {
        if let What::Complete(completion) = &event.what {
            let sequence = completion.operation.expect("the kernel says whose it is");
            assert_eq!(sequence % 16 + 1, u64::try_from(completion.res).unwrap());
            assert_eq!(completion.cookie, SAME);
            in_order += u64::from(sequence == in_order);
        }
    }
    assert!(in_order < 320, "they came in order, which shows nothing");

    // A thread of the kernel takes the entries: nobody enters.
    let (seen, trace) = summary(&["sqpoll", "64"]);
    assert_eq!((seen.operations, seen.completions), (64, 64));
    let submit = trace
        .events()
        .iter()
        .find(|event| matches!(event.what, What::Submit(_)));
    let thread = trace.names().thread(submit.unwrap().lane);
    assert!(
        thread.starts_with("iou-sqp-") && thread.ends_with("(kernel)"),
        "{thread}"
    );

    // Threads, a child, and a child that became another program: three, one and one rings.
    let (seen, trace) = summary(&["family", "8"]);
    assert_eq!(
        (seen.rings, seen.operations, seen.completions),
        (5, 4 * 8 + 64, 4 * 8 + 64)
    );
    assert_eq!(trace.recording().process_count(), 3);

    // Those that say no request: what follows F_MORE, a notification, what is refused. One posts nothing.
    let (seen, trace) = summary(&["odd"]);
    assert_eq!(
        (seen.operations, seen.completions, seen.pending_at_end),
        (5, 7, 0)
    );
    let cookies: Vec<u64> = trace
        .events()
        .iter()
        .filter_map(|event| match &event.what {
            What::Complete(completion) => Some(completion.cookie),
            _ => None,
        })
        .collect();
    assert_eq!(cookies, [1, 1, 2, 1, 3, 3, 5]);
    let lives = |sequence| {
        let subject = traces::finding::Subject::Operation {
            process: 0,
            ring: 0,
            sequence,
        };
        trace.biography(subject).rows.len()
    };
    // The submission, and its completions.
    assert_eq!([0, 1, 2, 3, 4].map(lives), [4, 2, 3, 1, 2]);

    // 8 entries, 16 completions: the rest has to wait.
    let (seen, _) = summary(&["overflow", "40"]);
    assert_eq!(
        (seen.operations, seen.completions, seen.kernel.overflowed),
        (40, 40, 24)
    );
    assert_eq!(seen.pending_at_end, 0);

    let (seen, _) = summary(&["untaken"]);
    assert_eq!((seen.pending_at_end, seen.kernel.pending), (1, 1));
    let said = run(tracer(folder.path()).args(["check", "trace.bin"])).exits(0);
    said.prints("seen by the kernel alone: 2 READ; 1 in flight at the end")
        .prints("of all rules T05 alone has its input");
}

#[test]
fn what_the_shim_saw_is_not_counted_twice_and_what_differs_is_said() {
    if !is_allowed("merging by --kernel") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = program("-O1");
    recorded(folder.path(), &program, &["pipes", "20"], &[]).says("1 process, ");
    let trace = read(&folder.path().join("trace.bin"));
    let seen = &trace.verdict().summary;
    assert_eq!((seen.rings, seen.operations), (1, 320));
    // The last ones the program takes without another call, behind the shim's back.
    assert_eq!(seen.completions + seen.posted_at_end, 320, "{seen:#?}");
    assert_eq!(seen.pending_at_end, seen.posted_at_end);
    assert_eq!((seen.kernel.merged, seen.kernel.differed), (1, 0));
    let (submits, completes) = counted(trace.events());
    assert_eq!(
        (submits, completes as u64),
        (640, 320 + seen.completions),
        "each by both"
    );
    assert_eq!(trace.recording().processes.len(), 2);
    assert_eq!(trace.recording().process_count(), 1);
    let stats = traces::stats::Stats::of(&trace);
    assert_eq!(stats.rings.len(), 1);
    assert_eq!(stats.rings[0].operations[0].submitted, 320);

    // The kernel completed one read, and the program ended without taking that; the other is still in flight.
    recorded(folder.path(), &program, &["untaken"], &[]);
    let trace = read(&folder.path().join("trace.bin"));
    let seen = &trace.verdict().summary;
    assert_eq!((seen.operations, seen.pending_at_end), (2, 2));
    assert_eq!(seen.posted_at_end, 1);
    run(tracer(folder.path()).args(["check", "trace.bin"]))
        .exits(0)
        .prints("2 operations pending (1 completed by the kernel");
}

/// Another thread writes to an entry while the thread that published it is in the kernel, which has not taken it yet: a
/// third one holds the ring's lock there until then.
#[test]
fn an_entry_that_was_written_to_while_it_was_handed_over_is_not_the_one_that_the_kernel_took() {
    if !is_allowed("entries written to while they are handed over by --kernel") {
        return;
    }
    if !rustix::process::geteuid().is_root() {
        return left_out(
            "entries written to meanwhile, because holding a thread in the kernel takes root",
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let program = program("-O1");
    let found = |word: &str, options: &[&str]| {
        recorded(folder.path(), &program, &["race", word], options);
        let trace = read(&folder.path().join("trace.bin"));
        let seen = trace.verdict().summary.kernel.clone();
        assert_eq!(seen.merged, 1);
        assert_eq!(trace.verdict().cannot_tell, []);
        let stories = trace.verdict().stories.iter();
        let heads = stories.map(|it| (it.head.rule.0, it.head.confidence, it.head.message.clone()));
        (seen.differed, heads.collect::<Vec<_>>())
    };
    for options in [&[][..], &["--time=event"]] {
        assert_eq!(found("0", options), (0, vec![]));
        let said = "operation #1 (ring 1, slot 1, NOP) went in with 0x2000, and the kernel took it with 0x7777";
        let observed = (18, Confidence::Observed, said.to_owned());
        assert_eq!(found("30583", options), (1, vec![observed]));
    }
    // With times by batch it is not known whether it was looked at before.
    assert_eq!(found("30583", &["--time=batch"]), (1, vec![]));
    run(tracer(folder.path()).args(["check", "trace.bin"]))
        .exits(0)
        .prints("1 operation had another cookie when the kernel took it than\n");
}

/// A stray store into the mapped completion queue, and the same program without it.
#[test]
fn a_completion_that_was_overwritten_in_the_queue_is_not_the_one_that_the_kernel_posted() {
    if !is_allowed("forged completions by --kernel") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = program("-O1");
    let found = |options: &[&str], nth: &str| {
        recorded(folder.path(), &program, &["forged", nth], options);
        let trace = read(&folder.path().join("trace.bin"));
        assert_eq!(trace.verdict().summary.kernel.merged, 1);
        assert_eq!(trace.verdict().cannot_tell, []);
        let stories = trace.verdict().stories.iter();
        let heads = stories.map(|it| (it.head.rule.0, it.head.confidence, it.head.message.clone()));
        heads.collect::<Vec<_>>()
    };
    for options in [&[][..], &["--time=event"]] {
        assert_eq!(found(options, "0"), []);
        let said = "a completion on ring 1 brought 0x7777 in place of 0x2000, which the kernel had posted for operation #1 \
                    (ring 1, slot 1, READ)";
        let proved = (12, Confidence::Proved, said.to_owned());
        assert_eq!(found(options, "2"), [proved]);
    }
    run(tracer(folder.path()).args(["check", "trace.bin"]))
        .exits(1)
        .prints("what the kernel posted, which was never taken")
        .prints("T12");
    // By the shim alone nobody knows what the kernel posted.
    run(tracer(folder.path())
        .args(["record", "--"])
        .arg(&program)
        .args(["forged", "2"]))
    .exits(0);
    run(tracer(folder.path()).args(["check", "trace.bin"])).exits(0);
}

#[test]
fn what_the_shim_does_not_follow_is_not_missing_where_the_kernel_saw_it() {
    if !is_allowed("rings that the shim does not follow, by --kernel") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = program("-O2");
    recorded(folder.path(), &program, &["sqpoll", "64"], &[])
        .says("nothing lost")
        .says("recorded by preload: saw 0 rings and 0 operations; 1 ring is not followed")
        .says("(the kernel lists its operations)");
    run(tracer(folder.path()).args(["check", "trace.bin"]))
        .exits(0)
        .prints("(the kernel lists its operations)")
        .prints("seen by the kernel alone: 64 NOP");
    // Each has the number that it calls itself by.
    let mut space = Command::new("unshare");
    if run(space.args(["--pid", "--fork", "true"]))
        .status
        .success()
    {
        let words = [
            "--pid",
            "--fork",
            program.to_str().unwrap(),
            "slow-nops",
            "64",
        ];
        recorded(folder.path(), Path::new("unshare"), &words, &[]).says("1 process, ");
        let trace = read(&folder.path().join("trace.bin"));
        let seen = &trace.verdict().summary;
        assert_eq!((seen.rings, seen.operations), (1, 64));
        assert_eq!(trace.recording().process_count(), 1);
    } else {
        left_out("--kernel in a pid namespace (unshare --pid)");
    }
}

/// Only who is somebody else may execute a program that changes who it is.
#[test]
fn a_program_that_raises_its_privileges_is_said_not_to_be_seen() {
    if !is_allowed("setgid programs by --kernel") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = program("-O3");
    let raised = folder.path().join("raised");
    std::fs::copy(&program, &raised).unwrap();
    let group = std::os::unix::fs::chown(&raised, None, Some(65_534));
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o2755);
    if group.is_err() || std::fs::set_permissions(&raised, mode).is_err() {
        return left_out("setgid programs by --kernel, for want of another group");
    }
    let script = format!(
        "{0} nops 64; {0} nops 64; {1} nops 64",
        raised.display(),
        program.display()
    );
    recorded(folder.path(), Path::new("sh"), &["-c", &script], &[])
        .says("recorded by kernel: saw 1 ring and 64 operations")
        .says("not seen: what a process did from when it executed raised (with raised privileges");
    recorded(folder.path(), &raised, &["nops", "64"], &[])
        .says("saw no ring made, and nothing submitted, in what it could see")
        .says("it executed raised (with raised privileges");
}

#[test]
fn more_processes_with_rings_than_there_may_be_open_files() {
    if !is_allowed("many processes by --kernel") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = program("-O0");
    let recorder = tracer(folder.path());
    let mut limited = Command::new("prlimit");
    limited.current_dir(folder.path()).arg("--nofile=96");
    limited.arg(recorder.get_program());
    limited.args(["record", "--kernel", "--no-preload", "--ring", "1MiB", "--"]);
    run(limited.arg(&program).args(["children", "200"])).exits(0);
    let trace = read(&folder.path().join("trace.bin"));
    let seen = &trace.verdict().summary;
    assert_eq!(trace.recording().process_count(), 200);
    assert_eq!(
        (seen.rings, seen.operations, seen.completions),
        (200, 400, 400)
    );
    assert!(trace.recording().losses.is_empty());
}

#[test]
fn what_found_no_room_is_counted_to_the_last_record() {
    if !is_allowed("losses of --kernel") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = program("-static");
    let ran = recorded(
        folder.path(),
        &program,
        &["nops", "64000"],
        &["--kernel-buffer", "4KiB"],
    );
    ran.says("found no room in its buffer; `--kernel-buffer SIZE` makes more of it");
    let trace = read(&folder.path().join("trace.bin"));
    let losses = &trace.recording().losses;
    let of_kernel = |reason| reason == LossReason::KernelBuffer;
    assert!(losses.iter().all(|located| of_kernel(located.loss.reason)));
    let lost: u64 = losses
        .iter()
        .filter_map(|located| located.loss.records)
        .sum();
    let (submits, completes) = counted(trace.events());
    let rings = trace.verdict().summary.rings;
    assert!(lost > 1000, "{lost}: the buffer was too large for this");
    assert_eq!(
        submits as u64 + completes as u64 + rings + lost,
        2 * 64_000 + 1
    );
    let seen = &trace.verdict().summary;
    assert!(
        seen.pending_at_end < 64,
        "what a loss may have ended is not pending: {seen:#?}"
    );
}

#[test]
fn without_the_rights_it_says_which_are_missing_and_runs_nothing() {
    let paranoid = std::fs::read_to_string("/proc/sys/kernel/perf_event_paranoid");
    let Some(level) = paranoid
        .ok()
        .and_then(|text| text.trim().parse::<i32>().ok())
    else {
        return left_out("refusals of --kernel, for want of perf events");
    };
    if level < 0 {
        return left_out("refusals of --kernel, because everybody may use tracepoints here");
    }
    let folder = tempfile::tempdir().unwrap();
    let recorder = tracer(folder.path());
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command.current_dir(folder.path());
        command.args(["--bounding-set=-all", "--inh-caps=-all"]);
        command.arg(recorder.get_program());
        command
    } else {
        recorder
    };
    let refused = run(command.args(["record", "--kernel", "--", "echo", "it ran"])).exits(125);
    assert_eq!(refused.stdout(), "");
    refused
        .says("the kernel cannot be listened to here (`--kernel`); missing:")
        .says(&format!("CAP_PERFMON: perf_event_paranoid is {level}"))
        .says("setpriv --reuid USER");
    assert!(!folder.path().join("trace.bin").exists());
}

#[test]
fn a_program_that_runs_already_is_listened_to_from_then_on() {
    if !is_allowed("attaching by the kernel") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = program("-O2");
    let mut running = Command::new(&program)
        .arg("asked")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut asks = running.stdin.take().unwrap();
    let mut says = running.stdout.take().unwrap();
    // 8 before, of which nothing is to be seen.
    asks.write_all(b"x").unwrap();
    read_until(&mut says, "8\n");
    let mut attach = tracer(folder.path());
    attach.args(["attach", &running.id().to_string()]);
    attach.stderr(Stdio::piped());
    let mut attached = attach.spawn().unwrap();
    let mut said = attached.stderr.take().unwrap();
    read_until(&mut said, "listening to process");
    asks.write_all(b"xx").unwrap();
    read_until(&mut says, "16\n24\n");
    drop(asks);
    assert!(wait(&mut running).success());
    assert!(wait(&mut attached).success());
    let trace = read(&folder.path().join("trace.bin"));
    let seen = &trace.verdict().summary;
    assert_eq!((seen.rings, seen.operations, seen.completions), (1, 16, 16));
    assert_eq!(trace.recording().processes.len(), 1);

    let gone = run(tracer(folder.path()).args(["attach", "4194304"])).exits(125);
    gone.says("there is no process 4194304");
}

#[test]
fn stacks_of_a_static_program_lead_to_its_source() {
    if !is_allowed("stacks by --kernel") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plain/kernel.c");
    let program = folder.path().join("walked");
    let mut build = Command::new("cc");
    build.args(["-g", "-O0", "-fno-omit-frame-pointer", "-static", "-o"]);
    build.arg(&program).arg(source);
    run(build.arg("-lpthread")).exits(0);
    recorded(folder.path(), &program, &["family", "2"], &["--stacks"]);
    let trace = read(&folder.path().join("trace.bin"));
    assert_eq!(trace.recording().problems, []);
    let recording = trace.recording();
    let submits = trace.events().iter();
    let submits = submits.filter(|event| matches!(event.what, What::Submit(_)));
    let mut processes = BTreeSet::new();
    for event in submits {
        assert!(recording.stack(event.id).len() > 1, "{event:?}");
        processes.insert(event.process);
    }
    // In the first process, in a child, and in a child that became another program.
    assert_eq!(processes.len(), 3);
    let dump = run(tracer(folder.path()).args(["dump", "trace.bin"])).exits(0);
    assert_eq!(dump.stderr, "");
    dump.prints(" via syscall < ").prints("kernel.c:");
}
