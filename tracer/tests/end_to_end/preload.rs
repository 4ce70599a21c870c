//! Programs that do not link the probe, recorded by the shim: they do what they always did, what is wrong with them
//! is found, and what cannot be seen is said.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use traces::event::What;
use traces::recording::Capture;

use crate::c::skip;
use crate::support::{Ran, has_io_uring, read, record, run, scenario, tracer};

/// A program over the plain `io-uring` crate, built beside this test as a package of its own.
fn plain() -> &'static str {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let package = Path::new(env!("CARGO_TARGET_TMPDIR")).join("plain");
        std::fs::create_dir_all(&package).unwrap();
        let manifest = format!(
            "[package]\nname = \"plain\"\nedition = \"2024\"\n[workspace]\n\
             [[bin]]\nname = \"plain\"\npath = {:?}\n\
             [dependencies]\nio-uring = \"0.7.15\"\nlibc = \"0.2\"\n",
            root.join("tracer/tests/plain/rings.rs"),
        );
        std::fs::write(package.join("Cargo.toml"), manifest).unwrap();
        std::fs::copy(root.join("Cargo.lock"), package.join("Cargo.lock")).unwrap();
        let mut build = Command::new(env!("CARGO"));
        build
            .args(["build", "--quiet", "--offline", "--target-dir", "target"])
            .current_dir(&package);
        run(&mut build).exits(0);
        package.join("target/debug/plain")
    });
    built.to_str().expect("a path of text")
}

/// A program in C that fills its slots in place.
fn leftover() -> &'static str {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let built = BUILT.get_or_init(|| in_place("plain-leftover", "leftover.c", &[]));
    built.to_str().expect("a path of text")
}

/// Compiles a program of `tests/plain` that needs no library.
fn in_place(name: &str, source: &str, options: &[&str]) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/plain")
        .join(source);
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let mut build = Command::new("cc");
    build.arg("-O1").arg("-o").arg(&program).arg(source);
    run(build.args(options)).exits(0);
    program
}

/// Compiles a program of `tests/plain`. Nothing where the library is not there and tests may be left out.
fn compiled(name: &str, source: &str, options: &[&str]) -> Option<String> {
    if !Path::new("/usr/include/liburing.h").exists() {
        skip("programs on liburing, for want of liburing-dev");
        return None;
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/plain")
        .join(source);
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let mut build = Command::new("cc");
    build.arg("-O1").arg("-o").arg(&program).arg(source);
    run(build.args(options)).exits(0);
    Some(program.to_str().expect("a path of text").to_owned())
}

/// Runs a program as it is, then recorded: it must do the same. Returns what the recorder said.
#[track_caller]
fn same(folder: &Path, words: &[&str], options: &[&str]) -> Ran {
    let alone = run(Command::new(words[0]).args(&words[1..]));
    let mut recorder = tracer(folder);
    recorder.arg("record").args(options).arg("--").args(words);
    let recorded = run(&mut recorder);
    assert_eq!(recorded.status.code(), alone.status.code(), "{recorded:#?}");
    assert_eq!(recorded.stdout(), alone.stdout(), "{recorded:#?}");
    recorded
}

#[track_caller]
fn check(folder: &Path) -> Ran {
    run(tracer(folder).args(["check", "trace.bin"]))
}

#[test]
fn correct_programs_do_what_they_did_and_are_clean() {
    if !has_io_uring() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (mode, rings, operations) in [
        ("correct", 1, 200),
        ("threads", 80, 3200),
        ("shared", 1, 2000),
        ("closed", 1, 1),
    ] {
        let said = format!(
            "recorded by preload: saw {rings} ring{} and {}",
            if rings == 1 { "" } else { "s" },
            match operations {
                1 => "1 operation".to_owned(),
                3200 => "3,200 operations".to_owned(),
                2000 => "2,000 operations".to_owned(),
                count => format!("{count} operations"),
            }
        );
        same(folder.path(), &[plain(), mode], &[]).says(&said);
        check(folder.path()).exits(0).prints("recorded by preload");
        let trace = read(&folder.path().join("trace.bin"));
        let summary = &trace.verdict().summary;
        assert_eq!((summary.rings, summary.operations), (rings, operations));
        if mode != "closed" {
            assert_eq!(summary.completions, operations, "{mode}");
        }
    }
}

/// The shim tells entries as what they differ in from those before them: what is read is what the kernel got.
#[test]
fn every_word_of_every_entry_of_a_batch_is_what_the_kernel_got() {
    if !has_io_uring() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = in_place("plain-batches", "batches.c", &["-no-pie", "-pthread"]);
    let program = program.to_str().expect("a path of text");
    let options = [&[][..], &["--poison=off"], &["--time=batch"], &["--stacks"]];
    let ways = options
        .into_iter()
        .flat_map(|options| ["one", "many"].map(|threads| (options, threads)));
    for (options, threads) in ways {
        let ran = same(folder.path(), &[program, threads], options);
        let trace = read(&folder.path().join("trace.bin"));
        let mut submitted = String::new();
        for event in trace.events() {
            if let What::Submit(submission) = &event.what {
                let entry = &submission.entry;
                assert_eq!(entry.cookie, submission.sequence + 1);
                let words = [
                    submission.sequence.to_string(),
                    entry.slot.to_string(),
                    entry.opcode.to_string(),
                    entry.sqe_flags.to_string(),
                    entry.ioprio.to_string(),
                    entry.fd.to_string(),
                    entry.off.to_string(),
                    format!("{:x}", entry.addr),
                    entry.len.to_string(),
                    entry.op_flags.to_string(),
                    entry.buf_index.to_string(),
                    entry.file_index.to_string(),
                ];
                submitted += &(words.join(" ") + "\n");
            }
        }
        assert!(submitted.lines().count() > 10_000);
        assert_eq!(ran.stdout(), submitted, "{options:?}");
        let summary = &trace.verdict().summary;
        assert_eq!(summary.completions, summary.operations);
        assert_eq!(summary.records_lost, 0);
    }
}

#[test]
fn a_child_with_a_ring_of_its_own_is_a_process_of_its_own() {
    if !has_io_uring() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    same(folder.path(), &[plain(), "forked"], &[]);
    check(folder.path()).exits(0);
    let trace = read(&folder.path().join("trace.bin"));
    assert_eq!(trace.recording().processes.len(), 2);
    assert_eq!(trace.verdict().summary.operations, 20 + 20 + 1);
}

#[test]
fn memory_given_away_in_flight_is_found_without_the_probe() {
    if !has_io_uring() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (mode, found) in [
        ("buffer-freed", "T16 buffer-freed-in-flight (observed)"),
        ("cookie-freed", "T07 reclaimed-in-flight (suspected)"),
        ("moved", "T16 buffer-freed-in-flight (observed)"),
    ] {
        same(folder.path(), &[plain(), mode], &[]);
        check(folder.path())
            .exits(1)
            .prints(found)
            .prints("1 finding\n");
    }
}

#[test]
fn a_program_that_confines_itself_is_recorded_all_the_same_and_a_refused_ring_is_named() {
    if !has_io_uring() {
        return;
    }
    let Some(program) = compiled("plain-confined", "confined.c", &["-luring"]) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    for options in [
        &[][..],
        &["--stacks"],
        &["--trap=always"],
        &["--stacks", "--trap=always"],
    ] {
        let ran = same(folder.path(), &[&program, "listed"], options);
        ran.says("saw 1 ring and 9 operations");
    }
    for options in [&[][..], &["--stacks"]] {
        same(folder.path(), &[&program, "strict"], options).says("saw 1 ring and 9 operations");
    }
    // More than a ring has room for at first, and nothing may be asked of the kernel to get more.
    for how in ["strict", "direct"] {
        let ran = same(folder.path(), &[&program, how, "60000"], &[]);
        ran.says("saw 1 ring and 60,009 operations")
            .says("nothing lost");
    }
    // What is trapped ends by a call that this list has not.
    let mut recorder = tracer(folder.path());
    recorder.args(["record", "--trap=always", "--", &program, "strict"]);
    run(&mut recorder)
        .dies_by(31)
        .says("`--trap=never` records without them");
    same(folder.path(), &[&program, "refused"], &[])
        .says("io_uring_setup was refused: Operation not permitted");
}

#[test]
fn a_forgotten_cookie_is_proved_without_the_probe() {
    if !has_io_uring() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // The program prints whose cookie came back: the leftover's owner, as without the shim.
    same(folder.path(), &[leftover(), "forget"], &[]);
    check(folder.path())
        .exits(1)
        .prints("T02 leftover-cookie (proved)")
        .prints("operation #6 (ring 1, slot 2, NOP)");
    same(folder.path(), &[leftover()], &[]);
    check(folder.path()).exits(0);
    // A program that never sets a cookie and never looks at one.
    same(folder.path(), &[leftover(), "none"], &[]);
    check(folder.path()).exits(0);
    // What was left out is not found, and said to be not there.
    same(folder.path(), &[leftover(), "forget"], &["--poison=off"]);
    check(folder.path()).exits(0);
}

#[test]
fn call_stacks_lead_into_a_program_that_keeps_frame_pointers() {
    if !has_io_uring() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plain/leftover.c");
    let program = folder.path().join("leftover");
    let mut build = Command::new("cc");
    build.args(["-O1", "-g", "-fno-omit-frame-pointer", "-o"]);
    run(build.arg(&program).arg(source)).exits(0);
    let program = program.to_str().unwrap();
    run(tracer(folder.path()).args(["record", "--stacks", "--", program, "forget"])).exits(0);
    let ran = check(folder.path()).exits(1);
    let ran = ran.prints("from ").prints("leftover.c:");
    for text in [ran.stdout(), &ran.stderr] {
        assert!(!text.contains("libtracer_preload"), "{text}");
    }
}

#[test]
fn poison_that_is_kept_reaches_the_program() {
    if !has_io_uring() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // It takes the word for a pointer: what would have happened sometime happens at once, before it is seen that the
    // slot is filled each time.
    let keep = ["record", "--poison=keep", "--", leftover(), "forget"];
    run(tracer(folder.path()).args(keep)).dies_by(11);
    check(folder.path())
        .exits(1)
        .prints("T02 leftover-cookie (suspected)")
        .prints("the probe's poison was still in it");
}

#[test]
fn odd_uses_of_a_ring_are_left_as_they_are_and_are_no_mistakes() {
    if !has_io_uring() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = in_place("plain-odd", "odd.c", &[]);
    let program = program.to_str().expect("a path of text");
    let copies = "not recorded any further: whether cookies were set";
    for (mode, operations, code, said) in [
        // What was poison in the copy is the cookie again before the kernel sees it.
        ("copied", 12, 0, copies),
        ("kept", 28, 0, copies),
        ("carried", 18, 0, copies),
        // No proof of a forgotten cookie.
        ("again", 20, 0, ""),
        // A completion that the parent took of an operation that it never entered for; of the child nothing is known.
        ("forked", 4, 3, "a ring that its parent made"),
        // More than the other ring's queue holds.
        ("posted", 20, 0, ""),
    ] {
        same(folder.path(), &[program, mode], &[]).says(said);
        let checked = check(folder.path()).exits(code).prints(said);
        let trace = read(&folder.path().join("trace.bin"));
        assert_eq!(trace.verdict().summary.operations, operations, "{mode}");
        assert!(trace.verdict().stories.is_empty(), "{mode}: {checked:#?}");
    }
    // What some slots were filled with once cannot be told from what was forgotten.
    same(folder.path(), &[program, "beside"], &[]);
    check(folder.path())
        .exits(3)
        .prints("a program may fill one once for good");
    let trace = read(&folder.path().join("trace.bin"));
    assert!(trace.verdict().stories.is_empty());
    // One more is marked as seen than there was: left as it is, and a mistake.
    same(folder.path(), &[program, "beyond"], &[]);
    check(folder.path()).exits(1).prints("T21 ");
    let trace = read(&folder.path().join("trace.bin"));
    assert_eq!(trace.verdict().summary.operations, 2);
    assert_eq!(trace.verdict().stories.len(), 1);
}

#[test]
fn a_daemon_that_outlives_the_recording_is_named_and_left_in_peace() {
    if !has_io_uring() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = in_place("plain-late", "odd.c", &[]);
    let program = program.to_str().expect("a path of text");
    // Its standard error is read to its end, which is the daemon's.
    let ran = same(folder.path(), &[program, "late"], &[])
        .says("ended before anything of it used the probe or made a ring")
        .says("1 process that it started is still running (pid ");
    assert!(!ran.stderr.contains("not recording"), "{ran:#?}");
}

#[test]
fn a_program_whose_files_may_not_be_large_runs_all_the_same_and_is_told_why_it_is_not_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let limited = "ulimit -f 100; exec \"$0\" \"$@\"";
    // How the program finds the signal of that limit is printed.
    let program = ["sh", "-c", "grep Sig[IC] /proc/self/status; exit 7"];
    let alone = run(Command::new("sh").args(["-c", limited]).args(program)).exits(7);
    let recorder = tracer(folder.path());
    let mut command = Command::new("sh");
    command.args(["-c", limited]).arg(recorder.get_program());
    command
        .args(recorder.get_args())
        .args(["record", "--"])
        .args(program);
    let recorded = run(command.current_dir(folder.path()))
        .exits(7)
        .says("is larger than files may be here (`ulimit -f`)");
    assert_eq!(recorded.stdout(), alone.stdout());
    // Large enough for the shim, and not for what it records.
    if has_io_uring() {
        let limited = limited.replace("100", "20000");
        let program = in_place("plain-limited", "odd.c", &[]);
        let mut command = Command::new("sh");
        command.args(["-c", &limited]).arg(recorder.get_program());
        command.args(["record", "--"]).arg(program).arg("again");
        run(command.current_dir(folder.path()))
            .exits(5)
            .says("files may not be larger than")
            .says("(`ulimit -f`; `--ring SIZE` asks for less)");
    }
}

#[test]
fn rings_that_cannot_be_followed_are_named() {
    if !has_io_uring() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    same(folder.path(), &[plain(), "sqpoll"], &[])
        .says("not recorded: a ring with IORING_SETUP_SQPOLL");
}

#[test]
fn of_a_process_that_cannot_open_the_recording_only_what_is_known_is_said() {
    if !has_io_uring() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // One descriptor, which the ring takes.
    let few = format!("ulimit -n 4; exec {} forget", leftover());
    let ran = same(folder.path(), &["sh", "-c", &few], &[])
        .says("cannot be opened: no descriptor is left (`ulimit -n`)")
        .says("a process made a ring that is not recorded: it had no descriptor left")
        .says("record it with more of them (`ulimit -n`), or with `--kernel`");
    assert!(!ran.stderr.contains("saw no ring"), "{ran:#?}");
    // Too little memory to map it: nothing is left behind that looks like a recording.
    let little = format!("ulimit -v 60000; exec {} forget", leftover());
    let ran = same(folder.path(), &["sh", "-c", &little], &[])
        .says("it may not map as much memory as the recording takes (`ulimit -v`)");
    assert!(!ran.stderr.contains("nothing can be read"), "{ran:#?}");
    // The shim is in `env` alone, and who made a ring behind it is not known.
    let ran = same(folder.path(), &["env", "-i", leftover(), "forget"], &[])
        .says("the shim was loaded and saw no ring: either none was made, or by a process that the shim was not in")
        .says("`--kernel` sees those, too");
    assert!(!ran.stderr.contains("used no io_uring"), "{ran:#?}");
    assert!(!folder.path().join("trace.bin").exists());
    // Beside a process that is recorded, the other one is told of, too.
    let both = format!("{} forget; {few}", leftover());
    same(folder.path(), &["sh", "-c", &both], &[])
        .says("recorded by preload: saw 1 ring")
        .says("a process made a ring that is not recorded: it had no descriptor left");
    // What `record` left here is what is meant where nothing is named.
    let unnamed = run(tracer(folder.path()).arg("check")).exits(1);
    assert_eq!(unnamed.stdout(), check(folder.path()).stdout());
    run(tracer(folder.path()).arg("stats")).exits(0);
    run(tracer(folder.path()).args(["dump", "--filter", "kind:submit"])).exits(0);
    std::fs::remove_file(folder.path().join("trace.bin")).unwrap();
    run(tracer(folder.path()).arg("check")).exits(2).says(
        "there is no trace.bin in this folder: name a trace, or record one: tracer record --",
    );
}

#[test]
fn a_program_with_a_probe_of_its_own_has_one_recorder_also_when_stripped() {
    if !has_io_uring() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let scenario = scenario(&["echo"]);
    let stripped = folder.path().join("stripped");
    let mut strip = Command::new("strip");
    run(strip.arg("-o").arg(&stripped).arg(&scenario[0])).exits(0);
    for program in [PathBuf::from(&scenario[0]), stripped] {
        let words = std::iter::once(program.into_os_string()).chain(scenario[1..].iter().cloned());
        let ran = run(&mut record(folder.path(), words)).exits(0);
        assert!(!ran.stderr.contains("recorded by preload"), "{ran:#?}");
        let trace = read(&folder.path().join("trace.bin"));
        let captures = trace.recording().processes.iter();
        let captures: Vec<_> = captures.map(|process| process.capture).collect();
        assert_eq!(captures, [Capture::Linked]);
    }
}

#[test]
fn what_cannot_be_seen_is_said_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::write(path.join("hello.c"), "int main(void) { return 3; }").unwrap();
    let mut build = Command::new("cc");
    build.current_dir(path);
    run(build.args(["-static", "-o", "static", "hello.c"])).exits(0);
    run(tracer(path).args(["record", "--", "./static"]))
        .exits(3)
        .says("it is linked statically, so that nothing can be loaded into it");
    run(tracer(path).args(["record", "--no-preload", "--", "true"]))
        .exits(0)
        .says("`--no-preload` kept the shim out of it");
    run(tracer(path).args(["record", "--", "env", "-u", "LD_PRELOAD", "true"]))
        .exits(0)
        .says("saw no ring");
    let asm = "int main(void) { int r; __asm__ volatile(\"movl $426, %%eax; syscall\" : \"=a\"(r) : \"D\"(-1L) : \
               \"rcx\", \"r11\", \"memory\"); return 4; }";
    if cfg!(target_arch = "x86_64") {
        std::fs::write(path.join("inline.c"), asm).unwrap();
        let mut build = Command::new("cc");
        build.current_dir(path);
        run(build.args(["-o", "inline", "inline.c"])).exits(0);
        run(tracer(path).args(["record", "--trap=never", "--", "./inline"]))
            .exits(4)
            .says("makes the system calls of io_uring itself");
        run(tracer(path).args(["record", "--", "./inline"]))
            .exits(4)
            .says("saw no ring")
            .says("were trapped");
    }
}

#[test]
fn a_forgotten_cookie_on_liburing_is_proved_by_name_and_by_trap() {
    if !has_io_uring() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let ways: [(&str, &[&str], bool); 2] = [
        ("plain-liburing", &["-luring"], false),
        // The library in the program itself: nothing can be taken by name.
        ("plain-liburing-a", &["-l:liburing.a"], true),
    ];
    for (name, options, trapped) in ways {
        if trapped && cfg!(not(target_arch = "x86_64")) {
            continue;
        }
        let Some(program) = compiled(name, "liburing.c", options) else {
            return;
        };
        let sound = same(folder.path(), &[&program], &[]).says("saw 1 ring and 12 operations");
        assert_eq!(sound.stderr.contains("trapped"), trapped, "{sound:#?}");
        check(folder.path()).exits(0);
        let trace = read(&folder.path().join("trace.bin"));
        assert_eq!(trace.verdict().summary.completions, 12);
        // The program prints whose cookie came back: the leftover's owner, as without the shim.
        same(folder.path(), &[&program, "forget"], &[]);
        check(folder.path())
            .exits(1)
            .prints("T02 leftover-cookie (proved)")
            .prints("Operation #7 (ring 1, slot 3, NOP)")
            .prints("1 finding\n");
    }
}

#[test]
fn what_is_published_is_looked_at_when_it_is_handed_over_and_not_at_a_peek() {
    if !has_io_uring() {
        return;
    }
    let Some(program) = compiled("plain-peeked", "peeked.c", &["-luring"]) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    same(folder.path(), &[&program], &[]).says("saw 1 ring and 3 operations");
    check(folder.path()).exits(0);
    let trace = read(&folder.path().join("trace.bin"));
    let words = |of: fn(&What) -> Option<u64>| {
        let words = trace.events().iter().filter_map(|event| of(&event.what));
        words.collect::<Vec<_>>()
    };
    let handed = |what: &What| match what {
        What::Submit(submission) => Some(submission.entry.cookie),
        _ => None,
    };
    assert_eq!(words(handed), [1, 2, 3]);
    let entered = |what: &What| match what {
        What::Enter { to_submit, .. } => Some(u64::from(*to_submit)),
        _ => None,
    };
    assert_eq!(words(entered), [1, 1, 1]);
}

/// An extension of Python's or Node's is such a library.
#[test]
#[cfg(target_arch = "x86_64")]
fn calls_in_line_of_a_library_that_is_loaded_later_are_seen_once_it_is_there_from_the_start() {
    if !has_io_uring() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let options = [
        "-Dmain=extension",
        "-shared",
        "-fPIC",
        "-l:liburing.a",
        // Else its functions could be taken by name.
        "-Wl,--exclude-libs,ALL",
    ];
    let Some(library) = compiled("plain-extension.so", "liburing.c", &options) else {
        return;
    };
    let host = "#include <dlfcn.h>\n\
                int main(int n, char **words) {\n\
                    void *library = dlopen(words[1], RTLD_NOW);\n\
                    int (*run)(int, char **) = (int (*)(int, char **))dlsym(library, \"extension\");\n\
                    return run(n - 1, words + 1);\n\
                }\n";
    std::fs::write(folder.path().join("host.c"), host).unwrap();
    let mut build = Command::new("cc");
    build.current_dir(folder.path());
    run(build.args(["-o", "host", "host.c", "-ldl"])).exits(0);
    let host = folder.path().join("host");
    let words = [host.to_str().expect("a path of text"), &library];
    let alone = same(folder.path(), &words, &[]);
    assert!(!folder.path().join("trace.bin").exists(), "{alone:#?}");
    let alone = alone
        .says("saw no ring")
        .says("with its path in `LD_PRELOAD`");
    let mut recorder = tracer(folder.path());
    recorder.arg("record").arg("--").args(words);
    let recorded = run(recorder.env("LD_PRELOAD", &library))
        .says("saw 1 ring and 12 operations")
        .says("the libraries it starts with make past the C library were trapped");
    assert_eq!(recorded.status.code(), alone.status.code());
    assert_eq!(recorded.stdout(), alone.stdout());
    check(folder.path()).exits(0);
}

#[test]
fn a_wait_that_hands_over_entries_gives_no_poison_to_the_kernel() {
    if !has_io_uring() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // A liburing whose functions call each other past the names that the shim takes, as not all of them do.
    let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bound");
    std::fs::create_dir_all(&library).unwrap();
    let bound = library.join("liburing.so.2");
    let bound = bound.to_str().expect("a path of text");
    let whole =
        "-Wl,--whole-archive,-l:liburing.a,--no-whole-archive,-Bsymbolic,-soname,liburing.so.2";
    let rpath = format!("-Wl,-rpath,{}", library.display());
    if Path::new("/usr/include/liburing.h").exists() {
        run(Command::new("cc").args(["-shared", "-o", bound, whole])).exits(0);
    }
    let Some(program) = compiled("plain-liburing-old", "liburing.c", &[&rpath, bound]) else {
        return;
    };
    // Each of the 12 rounds goes in with an entry of liburing's own: the timeout of the wait.
    same(folder.path(), &[&program, "old"], &[]).says("saw 1 ring and 24 operations");
    check(folder.path()).exits(0);
    // Whose cookie comes back is the leftover's owner: with poison the program would end by a signal.
    same(folder.path(), &[&program, "old", "forget"], &[]);
    check(folder.path())
        .exits(1)
        .prints("T02 leftover-cookie (proved)")
        .prints("1 finding\n");
}

/// liburing fills the queue in order, its users may fill it otherwise: the poison that comes out belongs to the slot that went
/// in.
#[test]
fn an_order_of_the_programs_own_in_a_ring_of_liburings_is_followed() {
    if !has_io_uring() {
        return;
    }
    let Some(program) = compiled("plain-ordered", "ordered.c", &["-luring"]) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let sound = same(folder.path(), &[&program], &[]).says("saw 1 ring and 96 operations");
    assert_eq!(sound.status.code(), Some(7), "{sound:#?}");
    check(folder.path()).exits(0).prints("no findings\n");
    same(folder.path(), &[&program, "forget"], &[]);
    check(folder.path())
        .exits(1)
        .prints("T02 leftover-cookie (proved)")
        .prints("slot 5, NOP)")
        .prints("1 finding\n");
}

#[test]
fn however_a_ring_is_closed_it_is_gone_as_without_the_shim() {
    if !has_io_uring() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut programs = vec![in_place("plain-closed", "closed.c", &[])];
    if cfg!(target_arch = "x86_64") {
        programs.push(in_place("plain-closed-in-line", "closed.c", &["-DINLINE"]));
    }
    for program in programs {
        let program = program.to_str().expect("a path of text");
        let ran = same(folder.path(), &[program], &[]);
        let ran = ran.prints("the end").says("saw 13 rings and 13 operations");
        assert!(!ran.stdout().contains("nothing\n"), "{}", ran.stdout());
    }
}

#[test]
fn a_trap_comes_through_whatever_blocks_its_signal() {
    if !has_io_uring() || cfg!(not(target_arch = "x86_64")) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let options = ["-l:liburing.a", "-lpthread"];
    let Some(program) = compiled("plain-masks", "masks.c", &options) else {
        return;
    };
    same(folder.path(), &[&program], &[]).says("were trapped");
    check(folder.path()).exits(0);
}

#[test]
fn a_trap_changes_nothing_in_handlers_children_and_programs_that_it_is_not_for() {
    if !has_io_uring() || cfg!(not(target_arch = "x86_64")) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let source = "surrounded.c";
    let built =
        |name: &str, option: &str| compiled(name, source, &[option, "-l:liburing.a", "-lpthread"]);
    let (Some(program), Some(fixed), Some(other)) = (
        built("surrounded", "-pie"),
        built("surrounded-fixed", "-no-pie"),
        built("surrounded-static", "-static"),
    ) else {
        return;
    };
    // At its end its own filter kills it by the very signal.
    let alone = run(Command::new(&program).arg(&other)).dies_by(31);
    let record = |words: &[&str]| {
        let mut recorder = tracer(folder.path());
        run(recorder.arg("record").args(words).arg(&other))
    };
    let recorded = record(&["--", &program]).dies_by(31).says("were trapped");
    assert_eq!(recorded.stdout(), alone.stdout(), "{recorded:#?}");
    check(folder.path()).exits(0);
    let trace = read(&folder.path().join("trace.bin"));
    // 35 of its own, 5 of its child's, and 5 of its own once more after an exec.
    assert_eq!(trace.verdict().summary.operations, 45);
    // At a fixed address a filter could hit another program: not unless it is asked for.
    let recorded = record(&["--", &fixed])
        .dies_by(31)
        .says("nothing was recorded")
        .says("linked to a fixed address");
    assert_eq!(recorded.stdout(), alone.stdout(), "{recorded:#?}");
}

#[test]
fn many_threads_with_many_rings_under_load_do_what_they_did() {
    if !has_io_uring() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (name, library, ways) in [
        ("plain-load", "-luring", "never"),
        ("plain-load-a", "-l:liburing.a", "auto"),
    ] {
        let Some(program) = compiled(name, "load.c", &[library, "-lpthread"]) else {
            return;
        };
        let trap = format!("--trap={ways}");
        same(folder.path(), &[&program, "16", "2"], &[&trap]);
        let trace = read(&folder.path().join("trace.bin"));
        assert!(trace.verdict().stories.is_empty(), "{:#?}", trace.verdict());
        if cfg!(target_arch = "x86_64") || ways == "never" {
            let summary = &trace.verdict().summary;
            // 16 threads, 2 rounds, 50 enters of 8 operations.
            assert_eq!((summary.rings, summary.operations), (33, 12_800));
        }
    }
}

#[test]
fn rings_of_every_kind_are_followed_or_refused_by_name() {
    if !has_io_uring() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plain/kinds.c");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("plain-kinds");
    run(Command::new("cc")
        .args(["-O1", "-o"])
        .arg(&program)
        .arg(source))
    .exits(0);
    let program = program.to_str().expect("a path of text");
    let is_there = |kind: &str| {
        let ran = run(Command::new(program).arg(kind));
        ran.status.code() != Some(77) || {
            eprintln!("NOT TESTED: {kind}, which this kernel does not have");
            false
        }
    };
    for kind in [
        "plain",
        // Its queues lie in memory that it gives back before it closes the ring.
        "no-mmap",
        "no-sqarray",
        "sqe128",
        "cqe32",
        "large",
        "defer",
        "registered",
    ] {
        if is_there(kind) {
            same(folder.path(), &[program, kind], &[]).says("saw 1 ring and 12 operations");
            check(folder.path()).exits(0);
            same(folder.path(), &[program, kind, "forget"], &[]);
            check(folder.path())
                .exits(1)
                .prints("T02 leftover-cookie (proved)")
                .prints("1 finding\n");
        }
    }
    for (kind, seen, why) in [
        ("resize", 4, "a ring that was given another size"),
        ("registered-only", 0, "a ring without a descriptor"),
        ("sqpoll", 0, "a ring with IORING_SETUP_SQPOLL"),
        ("cqe-mixed", 0, "a ring with entries of mixed sizes"),
    ] {
        if is_there(kind) {
            let ran = same(folder.path(), &[program, kind, "forget"], &[])
                .says(&format!("and {seen} operations"))
                .says("not recorded")
                .says(why);
            assert!(!ran.stderr.contains("not seen being made"), "{ran:#?}");
            // What was not seen is not called clean.
            check(folder.path()).exits(3);
        }
    }
}

#[test]
fn under_sanitizers_and_valgrind_programs_do_what_they_did() {
    if !has_io_uring() || cfg!(not(target_arch = "x86_64")) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (name, options) in [
        ("liburing-asan", ["-fsanitize=address", "-static-libasan"]),
        ("liburing-tsan", ["-fsanitize=thread", "-static-libtsan"]),
    ] {
        for library in ["-luring", "-l:liburing.a"] {
            let options = [options[0], options[1], library];
            let Some(program) = compiled(name, "liburing.c", &options) else {
                return;
            };
            let ran = same(folder.path(), &[&program, "forget"], &[]);
            assert!(!ran.stderr.contains("Sanitizer"), "{ran:#?}");
            check(folder.path())
                .exits(1)
                .prints("T02 leftover-cookie (proved)")
                .prints("not recorded: what is freed")
                .prints("T06, T15, T17");
        }
    }
    if run(Command::new("sh").args(["-c", "command -v valgrind"]))
        .status
        .code()
        != Some(0)
    {
        return skip("the shim under Valgrind, for want of it");
    }
    let Some(program) = compiled("liburing-memcheck", "liburing.c", &["-luring"]) else {
        return;
    };
    same(folder.path(), &[&program], &[]);
    let clean = check(folder.path())
        .exits(0)
        .prints("T06, T07, T15, T16, T17");
    assert!(!clean.stdout().contains("what is freed"), "{clean:#?}");
    let words = ["valgrind", "-q", "--error-exitcode=9", &program, "forget"];
    let ran = same(folder.path(), &words, &[]);
    assert!(
        !ran.stderr.contains("=="),
        "Memcheck has nothing to say: {ran:#?}"
    );
    check(folder.path())
        .exits(1)
        .prints("T02 leftover-cookie (proved)")
        .prints("not recorded: what is freed")
        .prints("T06, T15, T17");
    let Some(program) = compiled("liburing-a-memcheck", "liburing.c", &["-l:liburing.a"]) else {
        return;
    };
    let words = ["valgrind", "-q", "--error-exitcode=9", &program];
    let ran = same(folder.path(), &words, &[]).says("under Valgrind they cannot be trapped");
    assert!(!ran.stderr.contains("WARNING"), "{ran:#?}");
}

/// A child that a signal handler forks in the middle of a look, and that returns into it, goes on and harms nobody.
#[test]
fn a_child_forked_in_the_middle_of_a_look_goes_on() {
    if !has_io_uring() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = in_place("plain-forks", "forks.c", &[]);
    let ran = same(folder.path(), &[program.to_str().unwrap()], &[]);
    assert_eq!(ran.stdout(), "60 children, 0 of them ended badly\n");
    // Of the ring's own process all is there; a child has nothing to say of it but for the record that it was in, or that
    // it could not take its look to the end.
    let trace = read(&folder.path().join("trace.bin"));
    assert_eq!(trace.recording().problems, []);
    let said = ran.stderr.split(" operations").next().unwrap_or_default();
    let count = said.rsplit('\n').next().unwrap_or_default();
    let events = trace.events();
    let made: Vec<_> = events
        .iter()
        .filter(|event| matches!(event.what, What::RingCreate(_)))
        .collect();
    assert_eq!(made.len(), 1);
    let made = made[0].process;
    let submits = events
        .iter()
        .filter(|event| matches!(event.what, What::Submit(_)));
    let (own, others): (Vec<_>, Vec<_>) = submits.partition(|event| event.process == made);
    assert_eq!(own.len().to_string(), count);
    assert!(others.len() <= 60, "{}", others.len());
    let stories = &trace.verdict().stories;
    assert!(stories.is_empty(), "{stories:#?}");
}
