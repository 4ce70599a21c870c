//! What operations of a program in C need beside their cookies: descriptors, provided buffers, borrows, initialised bytes,
//! and memory, of whose frees the shim tells the probe for C.

use std::path::Path;

use traces::finding::Confidence;

use super::build::{self, C, CXX, Language, Needs, Program};
use super::{line, recorded};
use crate::support::{has_io_uring, read, record, run, tracer};

/// Rules, confidence of the first, and all messages.
fn found(folder: &Path) -> (Vec<u8>, Option<Confidence>, String) {
    let trace = read(&folder.join("trace.bin"));
    let verdict = trace.verdict();
    assert_eq!(verdict.cannot_tell, [], "{verdict:#?}");
    assert_eq!(verdict.summary.records_lost, 0);
    let stories = &verdict.stories;
    let messages: Vec<_> = stories.iter().map(|it| it.head.message.as_str()).collect();
    (
        stories.iter().map(|story| story.head.rule.0).collect(),
        stories.first().map(|story| story.head.confidence),
        messages.join("\n"),
    )
}

/// In C, and in C++ where there is a compiler for it.
fn languages() -> Vec<(&'static Language, &'static [&'static str])> {
    let mut all: Vec<(_, &[&str])> = vec![(&C, &[])];
    if build::possible(&[Needs::Cxx]) {
        all.push((&CXX, &["-xc++", "-D_GNU_SOURCE", "-Wno-pedantic"]));
    }
    all
}

#[test]
fn descriptors_buffers_and_borrows_are_judged_in_c_and_in_cpp() {
    if !has_io_uring() || !build::possible(&[Needs::Liburing]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (language, options) in languages() {
        let program = Program::new("tests/given.c", language);
        let binary = program.build(folder.path(), options);
        let source = program.source();
        let at = |after: &str, text: &str| format!("given.c:{}", line(&source, after, text));
        for (how, rules, says) in [
            ("lost", &[24][..], "which nobody used or closed"),
            ("closed", &[16], "was closed at c/tests/given.c"),
            (
                "named",
                &[16],
                "was submitted: the kernel refused it (EBADF)",
            ),
            ("reused", &[16], "its number"),
            ("dry", &[19], "handed out and never given back"),
            (
                "twice",
                &[19],
                "buffer 1 of group 7 on ring 1 was given to the kernel, which has it already",
            ),
            (
                "borrow",
                &[26],
                "while it is borrowed exclusively at c/tests/given.c",
            ),
            ("unwritten", &[27], "40"),
            ("open", &[], ""),
            ("direct", &[], ""),
        ] {
            recorded(folder.path(), &binary, &[how]).exits(0);
            let (got, _, messages) = found(folder.path());
            assert_eq!(got, rules, "{how}: {messages}");
            assert!(messages.contains(says), "{how}: {messages}");
            if how == "direct" {
                continue;
            }
            if how == "open" {
                let place = at("static void open_at_end", "dup(fd)");
                let ran = run(tracer(folder.path()).args(["check", "trace.bin"])).exits(0);
                ran.prints("at the end: 1 descriptor still open")
                    .prints(&place);
            }
            let fixed = format!("{how}-fixed");
            recorded(folder.path(), &binary, &[&fixed]).exits(0);
            let (got, _, messages) = found(folder.path());
            assert_eq!(got, [0_u8; 0], "{fixed}: {messages}");
            let trace = read(&folder.path().join("trace.bin"));
            assert_eq!(trace.verdict().summary.open_at_end, 0, "{fixed}");
        }
    }
}

/// The probe sees a completion when it is taken, and the kernel said what it was.
#[test]
fn a_completion_that_was_written_over_is_found_where_the_kernel_is_listened_to() {
    let what = "a completion overwritten in the queue, by the probe for C and --kernel";
    if !build::possible(&[Needs::Liburing]) || !crate::kernel::is_allowed(what) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let binary = Program::new("tests/given.c", &C).build(folder.path(), &[]);
    // The word of another operation, which is in flight: that completes twice, as far as the program knows.
    for (how, rules) in [("forged-fixed", &[][..]), ("forged", &[12])] {
        let mut recorder = tracer(folder.path());
        recorder.args(["record", "--kernel", "--"]);
        run(recorder.arg(&binary).arg(how)).exits(0);
        let (got, confidence, messages) = found(folder.path());
        assert_eq!(got, rules, "{how}: {messages}");
        if how == "forged" {
            assert_eq!(confidence, Some(Confidence::Proved));
            let said =
                "brought 0x3000 in place of 0x2000, which the kernel had posted for operation #1";
            assert!(messages.contains(said), "{messages}");
        }
        let folded = read(&folder.path().join("trace.bin"));
        let folded = folded.verdict().stories.iter().flat_map(|it| &it.folded);
        let folded: Vec<u8> = folded.map(|it| it.rule.0).collect();
        assert_eq!(
            folded,
            if how == "forged" { vec![6] } else { vec![] },
            "{how}"
        );
    }
}

#[test]
fn what_a_program_in_c_tells_nothing_of_is_said_not_to_be_judged() {
    if !has_io_uring() || !build::possible(&[Needs::Liburing]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let binary = Program::new("tests/given.c", &C).build(folder.path(), &[]);
    // Lines may end anywhere.
    let said = |how: &str| {
        recorded(folder.path(), &binary, &[how]).exits(0);
        let ran = run(tracer(folder.path()).args(["check", "trace.bin"])).exits(0);
        let words: Vec<_> = ran.stdout().split_whitespace().collect();
        words.join(" ")
    };
    let all = [
        "T19 (no buffers were provided)",
        "T24, and T16 of descriptors (TRACER_FD_OPENED, TRACER_FD_CLOSING)",
        "T26 (TRACER_BORROW)",
        "T27 (TRACER_BUFFER_INITIALISED)",
    ];
    let direct = said("direct");
    let opening = "recorded by the probe for C; could not be judged, as nothing was recorded of what they go by: ";
    let whole = format!("{opening}{}", all.join(", "));
    assert!(direct.contains(&whole), "{direct}");
    // Of each rule that was told something it is not said.
    for (how, told) in [
        ("dry-fixed", 0),
        ("open-fixed", 1),
        ("borrow-fixed", 2),
        ("unwritten-fixed", 3),
    ] {
        let said = said(how);
        for (index, rule) in all.iter().enumerate() {
            // Closes that only the shim saw are no word of the program's.
            assert_eq!(said.contains(rule), index != told, "{how}: {said}");
        }
    }
}

#[test]
fn memory_that_is_freed_in_flight_is_found_by_what_the_shim_brings() {
    if !has_io_uring() || !build::possible(&[Needs::Liburing]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (language, options) in languages() {
        let program = Program::new("tests/freed.c", language);
        let options = [options, &["-fno-omit-frame-pointer"]].concat();
        let binary = program.build(folder.path(), &options);
        let source = program.source();
        for (how, rules, says, freed) in [
            (
                "buffer",
                &[16][..],
                "(100 bytes) of operation #0",
                "free(buffer)",
            ),
            ("moved", &[16], "was moved", "realloc"),
            ("unmapped", &[16], "was unmapped", "munmap"),
            ("object", &[7], "struct op#1", "free(op)"),
            ("bare", &[7], "points into was freed", "free(op)"),
        ] {
            // The program has frame pointers, and the library has none.
            let plain = record(folder.path(), [binary.as_os_str(), how.as_ref()]);
            let words: Vec<_> = plain.get_args().map(ToOwned::to_owned).collect();
            let mut command = tracer(folder.path());
            run(command.args(&words[..1]).arg("--stacks").args(&words[1..])).exits(0);
            let (got, confidence, messages) = found(folder.path());
            assert_eq!(got, rules, "{how}: {messages}");
            assert!(messages.contains(says), "{how}: {messages}");
            let is_guess = how == "bare";
            assert_eq!(confidence == Some(Confidence::Suspected), is_guess, "{how}");
            let place = |after: &str, text: &str| format!("freed.c:{}", line(&source, after, text));
            let submitted = place("static void read_into", "io_uring_get_sqe");
            assert!(messages.contains(&submitted), "{how}: {messages}");
            let function = if is_guess { "object" } else { how };
            let freed = place(&format!("static void {function}"), freed);
            let ran = run(tracer(folder.path()).args(["check", "trace.bin"])).exits(1);
            let joined: String = ran.stdout().split_whitespace().collect();
            assert!(joined.contains(&freed), "{how}: {freed}: {}", ran.stdout());

            let fixed = format!("{how}-fixed");
            recorded(folder.path(), &binary, &[&fixed]).exits(0);
            let (got, _, messages) = found(folder.path());
            assert_eq!(got, [0_u8; 0], "{fixed}: {messages}");
        }
        for how in ["threads", "forked"] {
            recorded(folder.path(), &binary, &[how]).exits(0);
            let (got, _, messages) = found(folder.path());
            assert_eq!(got, [0_u8; 0], "{how}: {messages}");
        }
    }
}

#[test]
fn copies_of_the_library_and_programs_that_follow_by_exec_are_told_and_static_ones_say_that_they_are_not()
 {
    if !has_io_uring() || !build::possible(&[Needs::Liburing]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let freed = Program::new("tests/freed.c", &C);
    let object = [
        "-shared",
        "-fPIC",
        "-Dmain=freed_main",
        "-Wl,--exclude-libs,libtracer_probe_c.a",
    ];
    let object = freed.build(folder.path(), &object);
    let shared = folder.path().join("libfreed.so");
    std::fs::rename(object, &shared).unwrap();
    let copies = Program::new("tests/copies.c", &C).build(folder.path(), &[]);
    recorded(
        folder.path(),
        &copies,
        &[shared.to_str().unwrap(), "buffer"],
    )
    .exits(0);
    let (got, _, messages) = found(folder.path());
    assert_eq!(got, [16, 16], "{messages}");
    for bytes in ["(500 bytes)", "(100 bytes)"] {
        assert!(messages.contains(bytes), "{messages}");
    }

    let binary = freed.build(folder.path(), &[]);
    let shell = Path::new("/bin/sh");
    let words = ["-c", "exec \"$0\" buffer", binary.to_str().unwrap()];
    recorded(folder.path(), shell, &words).exits(0);
    assert_eq!(found(folder.path()).0, [16]);

    if build::possible(&[Needs::Static]) {
        let binary = freed.build(folder.path(), &["-static"]);
        recorded(folder.path(), &binary, &["buffer"]).exits(0);
        assert_eq!(found(folder.path()).0, [0_u8; 0]);
        run(tracer(folder.path()).args(["check", "trace.bin"]))
            .exits(0)
            .prints("not recorded: what is freed, as there is no shim beside the probe for C (a static program");
    }
}
