//! C and C++ programs that link the probe: compiled as users compile them, recorded, and judged.
//!
//! The programs are `probe/c/examples` and `probe/c/tests`. [`build`] makes them; where a compiler or a
//! library is missing it says what is not tested, and `TRACER_REQUIRE_ALL=1` turns that into a failure.

pub(crate) mod build;
mod given;
mod liburing;
pub(crate) use build::skip;

use std::path::Path;

use traces::finding::{Confidence, RuleId};

use self::build::{C, CXX, Needs, Program};
use crate::support::{Ran, has_io_uring, read, record, run, tracer};

const SANITIZERS: [&str; 2] = [
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=undefined",
];

/// Records a program, and returns how it ran; its trace is `trace.bin` in the folder.
#[track_caller]
fn recorded<'a>(folder: &Path, program: &'a Path, arguments: &'a [&'a str]) -> Ran {
    let words = std::iter::once(program.as_os_str())
        .chain(arguments.iter().map(|argument| argument.as_ref()));
    run(&mut record(folder, words))
}

/// Number of the first line of a source that holds `text`, behind the line that holds `after`.
#[track_caller]
fn line(source: &str, after: &str, text: &str) -> usize {
    let mut lines = source.lines().enumerate();
    lines
        .by_ref()
        .find(|(_, line)| line.contains(after))
        .unwrap_or_else(|| panic!("no `{after}`"));
    let found = lines.find(|(_, line)| line.contains(text));
    found.unwrap_or_else(|| panic!("no `{text}`")).0 + 1
}

/// A text with its addresses taken out.
fn without_addresses(text: &str) -> String {
    let mut parts = text.split("0x");
    let mut out = parts.next().unwrap_or("").to_owned();
    for part in parts {
        out.push_str("0x?");
        out.push_str(part.trim_start_matches(|c: char| c.is_ascii_hexdigit()));
    }
    out
}

/// The whole verdict over the leftover example: its one story, with places by line.
#[track_caller]
fn assert_leftover(folder: &Path, program: &Program) {
    let source = program.source();
    let file = program.path.display();
    let at = |after, text| format!("{file}:{}", line(&source, after, text));
    let forgotten = at("static void wake_ring", "io_uring_get_sqe");
    let (claimed, leaked) = (
        at("static void nap", "io_uring_get_sqe"),
        at("static void nap", "TRACER_LEAK"),
    );
    let reclaimed = at("static void turn", "TRACER_RECLAIM");
    let trace = read(&folder.join("trace.bin"));
    let verdict = trace.verdict();
    let [story] = &verdict.stories[..] else {
        panic!("{verdict:#?}");
    };
    assert_eq!(story.head.rule, RuleId(2));
    assert_eq!(story.head.confidence, Confidence::Proved);
    let short = |place: &str| {
        let parts: Vec<_> = place.rsplitn(4, '/').collect();
        format!("{}/{}/{}", parts[2], parts[1], parts[0])
    };
    let [forgotten, claimed, leaked, reclaimed] =
        [forgotten, claimed, leaked, reclaimed].map(|place| short(&place));
    assert_eq!(
        without_addresses(&story.head.message),
        format!(
            "operation #2 (ring 1, slot 0, NOP) never set user_data at {forgotten}; the slot still \
             held struct conn#1 0x?@1's cookie from operation #0 (TIMEOUT, {claimed}), leaked at \
             {leaked}, reclaimed at {reclaimed}; its completion resumed coroutine 2 (conn), although \
             operation #1 (ring 1, slot 1, TIMEOUT), which it waits for, was still in flight"
        )
    );
    let mut folded: Vec<_> = story.folded.iter().map(|finding| finding.rule).collect();
    folded.sort();
    assert_eq!(folded, [3, 5, 7, 8, 10, 20].map(RuleId));
    assert_eq!(verdict.cannot_tell, []);
    let summary = &verdict.summary;
    let counts = (summary.rings, summary.operations, summary.completions);
    assert_eq!(counts, (1, 3, 3));
    assert_eq!((summary.coroutines, summary.records_lost), (2, 0));
    run(tracer(folder).args(["check", "trace.bin"])).exits(1);
}

#[test]
fn the_original_bug_is_proved_in_c_and_gone_when_mended() {
    if !has_io_uring() || !build::possible(&[Needs::Liburing]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = Program::new("examples/leftover.c", &C);
    // As its head says, which is not counted.
    let source = program.source();
    let (_, code) = source.split_once("*/\n").unwrap();
    let lines = code.lines().filter(|line| !line.trim().is_empty()).count();
    assert!(lines <= 60, "{lines} lines");
    let buggy = program.build(folder.path(), &[]);
    let woken = "first wakes up (-62)\nsecond wakes up (0)\nsecond wakes up (-62)\n";
    recorded(folder.path(), &buggy, &[]).exits(0).prints(woken);
    assert_leftover(folder.path(), &program);
    // Without a recorder the program does the same, and says nothing of it.
    let plain = run(&mut std::process::Command::new(&buggy)).exits(0);
    assert_eq!((plain.stdout(), &*plain.stderr), (woken, ""));

    let mended = program.build(folder.path(), &["-DFIXED"]);
    let ran = recorded(folder.path(), &mended, &[]).exits(0);
    assert_eq!(
        ran.stdout(),
        "first wakes up (-62)\nsecond wakes up (-62)\n"
    );
    let ran = run(tracer(folder.path()).args(["check", "trace.bin"])).exits(0);
    assert!(!ran.stdout().contains("not recorded"), "{}", ran.stdout());
    ran.prints("no findings\n");
    // Without the shim nobody says what is freed.
    let mut alone = record(folder.path(), [mended.as_os_str()]);
    let words: Vec<_> = alone.get_args().map(ToOwned::to_owned).collect();
    alone = tracer(folder.path());
    run(alone
        .args(&words[..1])
        .arg("--no-preload")
        .args(&words[1..]))
    .exits(0);
    run(tracer(folder.path()).args(["check", "trace.bin"]))
        .exits(0)
        .prints("not recorded: what is freed")
        .prints("no findings\n");
}

#[test]
fn sanitizers_find_nothing_in_it_and_do_not_change_the_verdict() {
    if !has_io_uring() || !build::possible(&[Needs::Liburing, Needs::Sanitizers]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = Program::new("examples/leftover.c", &C);
    let binary = program.build(folder.path(), &SANITIZERS);
    let ran = recorded(folder.path(), &binary, &[]).exits(0);
    assert!(!ran.stderr.contains("Sanitizer"), "{ran:?}");
    assert!(!ran.stderr.contains("runtime error"), "{ran:?}");
    assert_leftover(folder.path(), &program);
    let binary = Program::new("tests/ways.c", &C).build(folder.path(), &SANITIZERS);
    recorded(folder.path(), &binary, &["2", "0"])
        .exits(0)
        .prints("360\n");
}

#[test]
fn the_same_program_is_judged_the_same_as_cpp_linked_statically_or_optimised_at_link_time() {
    if !has_io_uring() || !build::possible(&[Needs::Liburing]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (needs, language, options) in [
        (Needs::Cxx, &CXX, &["-xc++"][..]),
        (Needs::Lto, &C, &["-flto", "-O3"]),
        (Needs::Static, &C, &["-static"]),
        (Needs::Liburing, &C, &["-O2", "-s", "-Wl,--gc-sections"]),
    ] {
        if !build::possible(&[needs]) {
            continue;
        }
        let program = Program::new("examples/leftover.c", language);
        let binary = program.build(folder.path(), options);
        recorded(folder.path(), &binary, &[]).exits(0);
        assert_leftover(folder.path(), &program);
    }
}

#[test]
fn owner_that_goes_through_a_c_interface_is_missed_when_it_stays_away() {
    if !build::possible(&[Needs::Cxx]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = Program::new("examples/owner.cpp", &CXX);
    let binary = program.build(folder.path(), &[]);
    recorded(folder.path(), &binary, &[]).exits(0);
    let leaked = line(&program.source(), "static void start", "TRACER_LEAK_AS");
    let trace = read(&folder.path().join("trace.bin"));
    let [story] = &trace.verdict().stories[..] else {
        panic!("{:#?}", trace.verdict());
    };
    assert_eq!((story.head.rule, story.folded.len()), (RuleId(9), 0));
    assert_eq!(
        without_addresses(&story.head.message),
        format!(
            "pair<string, int>#1 0x?@2, leaked at c/examples/owner.cpp:{leaked}, was never reclaimed: \
             it was never submitted"
        )
    );
    let mended = program.build(folder.path(), &["-DFIXED"]);
    recorded(folder.path(), &mended, &[]).exits(0);
    let ran = run(tracer(folder.path()).args(["check", "trace.bin"])).exits(0);
    ran.prints("5 events").prints("no findings\n");
    if build::possible(&[Needs::Sanitizers]) {
        let mended = program.build(folder.path(), &["-DFIXED", SANITIZERS[0], SANITIZERS[1]]);
        recorded(folder.path(), &mended, &[]).exits(0);
    }
}

#[test]
fn places_are_the_callers_of_a_function_that_names_them() {
    if !build::possible(&[Needs::Cxx]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = Program::new("tests/caller.cpp", &CXX);
    let binary = program.build(folder.path(), &[]);
    recorded(folder.path(), &binary, &[]).exits(0);
    let source = program.source();
    let places = ["// first", "// second", "// third", "// third", "// fourth"]
        .map(|marked| format!("caller.cpp:{}", line(&source, "int main", marked)));
    let ran = run(tracer(folder.path()).args(["dump", "trace.bin", "--filter", "kind:leak"]));
    let dumped: Vec<_> = ran
        .stdout()
        .lines()
        .filter_map(|line| line.rsplit('/').next())
        .filter(|place| place.starts_with("caller.cpp:"))
        .map(str::trim)
        .collect();
    assert_eq!(dumped, places, "{}", ran.stdout());
    // Warnings that the program asked for beyond ours are about what it wrote itself.
    for off in [&[][..], &["-DTRACER_OFF"]] {
        let strict = [
            "-UTRACER_HEADER_WARNINGS",
            "-Wold-style-cast",
            "-Wuseless-cast",
        ];
        program.compile(folder.path(), &[&strict, off].concat());
    }
}

#[test]
fn word_that_comes_back_twice_or_never_is_found_without_a_ring() {
    let folder = tempfile::tempdir().unwrap();
    let binary = Program::new("tests/callback.c", &C).build(folder.path(), &[]);
    for (how, rules) in [("once", &[][..]), ("twice", &[8]), ("never", &[9])] {
        recorded(folder.path(), &binary, &[how]).exits(0);
        let trace = read(&folder.path().join("trace.bin"));
        let stories = &trace.verdict().stories;
        let found: Vec<_> = stories.iter().map(|story| story.head.rule.0).collect();
        assert_eq!(found, rules, "{how}");
        assert!(stories.iter().all(|story| story.folded.is_empty()), "{how}");
    }
}

/// `IORING_SETUP_*`: plain; SQPOLL; SQE128 and CQE32; SINGLE_ISSUER and DEFER_TASKRUN.
const SETUPS: [&str; 4] = ["0x0", "0x2", "0xc00", "0x3000"];
/// CQE_MIXED, which is not followed.
const MIXED: &str = "0x40000";

#[test]
fn each_completion_is_recorded_once_whichever_way_it_was_taken() {
    if !has_io_uring() || !build::possible(&[Needs::Liburing]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let binary = Program::new("tests/ways.c", &C).build(folder.path(), &[]);
    for setup in SETUPS {
        let ran = recorded(folder.path(), &binary, &["3", setup]);
        if is_unknown_to_kernel(&ran, setup) {
            continue;
        }
        ran.exits(0).prints("540\n");
        let trace = read(&folder.path().join("trace.bin"));
        let verdict = trace.verdict();
        assert!(verdict.stories.is_empty(), "{setup}: {verdict:#?}");
        assert_eq!(verdict.cannot_tell, []);
        let summary = &verdict.summary;
        let counts = (summary.rings, summary.operations, summary.completions);
        assert_eq!(counts, (3, 540, 540), "{setup}");
        assert_eq!((summary.pending_at_end, summary.records_lost), (0, 0));
    }
}

#[test]
fn ring_that_is_not_followed_is_named_and_its_events_are_counted_as_lost() {
    if !has_io_uring() || !build::possible(&[Needs::Liburing]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let binary = Program::new("tests/ways.c", &C).build(folder.path(), &[]);
    let ran = recorded(folder.path(), &binary, &["1", MIXED]);
    if is_unknown_to_kernel(&ran, MIXED) {
        return;
    }
    let ran = ran.exits(0).prints("180\n");
    let why = "a ring with entries of mixed sizes (IORING_SETUP_CQE_MIXED or _SQE_MIXED)";
    let line = format!("tracer: not recorded: {why}");
    assert_eq!(ran.stderr.matches(&line).count(), 1, "{}", ran.stderr);
    // Submissions and completions.
    ran.says("360 records lost");
    run(tracer(folder.path()).args(["check", "trace.bin"]))
        .exits(3)
        .prints("of a ring that cannot be followed");
    run(tracer(folder.path()).args(["dump", "trace.bin"])).prints(&format!("mark {why}"));
}

/// Whether the kernel refused the ring; says so, and fails where everything is to be tested.
fn is_unknown_to_kernel(ran: &Ran, setup: &str) -> bool {
    let refused = ran.stderr.contains("queue_init_params: -22");
    if refused {
        build::skip(&format!(
            "rings with setup flags {setup}: this kernel knows less"
        ));
    }
    refused
}

#[test]
fn completions_that_nobody_fetches_are_found_by_the_flag_that_says_so() {
    if !has_io_uring() || !build::possible(&[Needs::Liburing]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let binary = Program::new("tests/overflow.c", &C).build(folder.path(), &[]);
    for (how, seen, rules) in [("forgets", "4\n", &[17][..]), ("fetches", "8\n", &[])] {
        recorded(folder.path(), &binary, &[how])
            .exits(0)
            .prints(seen);
        let trace = read(&folder.path().join("trace.bin"));
        let stories = &trace.verdict().stories;
        let mut found: Vec<_> = stories.iter().map(|story| story.head.rule.0).collect();
        // What was never taken back is another story, and the same mistake.
        found.retain(|rule| *rule != 9);
        assert_eq!(found, rules, "{how}: {:#?}", trace.verdict());
    }
}

#[test]
fn a_head_that_is_moved_too_far_is_told_where_it_is_and_what_it_passed_by() {
    if !has_io_uring() || !build::possible(&[Needs::Liburing]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = Program::new("tests/passed.c", &C);
    for option in ["-DTRACER_ON", "-DTRACER_OFF"] {
        let binary = program.build(folder.path(), &[option]);
        let is_linked = option == "-DTRACER_ON";
        for (how, looked, rules) in [
            ("right", "6\n", &[][..]),
            // What the program looks at only the header knows.
            ("unread", "5\n", if is_linked { &[9] } else { &[] }),
            ("beyond", "5\n", if is_linked { &[21, 9] } else { &[21] }),
        ] {
            recorded(folder.path(), &binary, &[how])
                .exits(0)
                .prints(looked);
            let trace = read(&folder.path().join("trace.bin"));
            let verdict = trace.verdict();
            let stories = verdict.stories.iter();
            let told: Vec<_> = stories
                .flat_map(|story| std::iter::once(&story.head).chain(&story.folded))
                .collect();
            let mut found: Vec<_> = told.iter().map(|finding| finding.rule.0).collect();
            found.dedup();
            assert_eq!(found, rules, "{option} {how}: {verdict:#?}");
            assert_eq!(verdict.summary.cannot_tell, 0, "{verdict:#?}");
            for finding in told {
                let said = &finding.message;
                let is_told = match finding.rule.0 {
                    9 => said.contains("its completion was passed by"),
                    _ => said.contains("1 completion marked as seen"),
                };
                assert!(is_told, "{said}");
                assert_eq!(
                    finding.message.contains(" at passed.c:")
                        || finding.message.contains("/passed.c:"),
                    is_linked,
                    "{said}"
                );
            }
        }
    }
}

#[test]
fn every_macro_records_what_it_says_in_c_and_in_cpp() {
    let folder = tempfile::tempdir().unwrap();
    for (language, options) in [(&C, &[][..]), (&CXX, &["-xc++"])] {
        if language == &CXX && !build::possible(&[Needs::Cxx]) {
            continue;
        }
        let program = Program::new("tests/every_hook.c", language);
        let binary = program.build(folder.path(), options);
        // 3: it saw that it was recorded.
        recorded(folder.path(), &binary, &[]).exits(3);
        run(&mut std::process::Command::new(&binary)).exits(0);
        let ran = run(tracer(folder.path()).args(["dump", "trace.bin"])).exits(0);
        let dumped: Vec<_> = ran.stdout().lines().skip(1).map(without_head).collect();
        assert_eq!(dumped, EVERY_HOOK, "{dumped:#?}");
        let trace = read(&folder.path().join("trace.bin"));
        let [story] = &trace.verdict().stories[..] else {
            panic!("{:#?}", trace.verdict());
        };
        let at = line(&program.source(), "\"inner\"", "TRACER_LEAK");
        let message = &story.head.message;
        assert_eq!(story.head.rule, RuleId(9));
        assert!(
            message.contains(&format!("every_hook.c:{at}, was never")),
            "{message}"
        );
    }
}

/// A line of `dump` without number, time, thread, addresses and place.
fn without_head(line: &str) -> String {
    let words: Vec<_> = line.split_whitespace().skip(3).collect();
    let event = words.join(" ");
    without_addresses(event.split(" at c/").next().unwrap_or(""))
}

/// What `every_hook.c` says, behind the record that names its thread.
const EVERY_HOOK: &[&str] = &[
    "scope-begin 1 in 0 outer",
    "leak struct conn#1 0x?@1 custom",
    "peek struct conn#1 0x?@1 custom",
    "reclaim struct conn#1 0x?@1 custom",
    "leak struct conn#1 0x?@2 Arc",
    "retain struct conn#1 0x?@2 Arc",
    "release struct conn#1 0x?@2 Arc",
    "reclaim struct conn#1 0x?@2 Arc",
    "leak struct opaque#2 0x?@3 custom",
    "reclaim struct opaque#2 0x?@3 custom",
    "leak slot#3 0x?@1 index",
    "reclaim slot#3 0x?@1 index",
    "scope-begin 2 in 1 inner",
    "leak struct conn#4 0x?@4 custom",
    "scope-end 2",
    "scope-enter 1",
    "reclaim struct conn#4 0x?@4 custom",
    "scope-end 1",
    "scope-enter 0",
    "leak-forever struct conn#5 0x?@1 custom",
    "spawn coroutine 1 first",
    "spawn coroutine 2 second by coroutine 1",
    "ring-create ring 1 fd 3 sq 4 cq 8 setup 0x?",
    "scheme ring 1 tagged 0x?",
    "scheme ring 1 sentinel 0x?",
    "shared cookie 0x?",
    "claim ring 1 slot 0",
    "submit operation #0 (ring 1, slot 0, NOP) cookie 0x? set",
    "submit operation #1 (ring 1, slot 1, NOP) cookie 0x?",
    "enter ring 1 submit 2 wait 1 result 2",
    "suspend coroutine 1 on 0x?",
    "suspend coroutine 2 on 0x? 0x? 0x?",
    "overflow ring 1 waiting 1",
    "complete ring 1 operation #0 cookie 0x? result 0",
    "complete ring 1 operation #1 cookie 0x? result -62 (ETIME)",
    "owner of ring 1 part",
    "complete ring 1 cookie 0x? result -62 (ETIME)",
    "owner of ring 1",
    "resume coroutine 1 by ring 1 cookie 0x?",
    "done coroutine 1",
    "wake coroutine 2",
    "resume coroutine 2 by a wake",
    "coroutine-drop coroutine 2",
    "buffer-provide ring 1 group 7 buffer 1 count 2",
    "buffer-provide ring 1 group 7 buffer 0 count 0",
    "ring-drop ring 1",
    "fd-open 7",
    "fd-close 7",
    "buffer-init 0x? 3 of 16 bytes",
    "buffer-init 0x? 0 of 0 bytes",
    "borrow-begin 0x? exclusive",
    "borrow-end 0x? exclusive",
    "borrow-begin 0x? shared",
    "borrow-end 0x? shared",
    "leak struct conn#4 0x?@5 custom",
    "reclaim struct conn#4 0x?@5 custom",
    "free 0x? 4 bytes",
    "unmap 0x? 4096 bytes",
    "mark a mark",
];

#[test]
fn arguments_with_commas_are_one_argument_in_c_and_in_cpp() {
    if !build::possible(&[Needs::Liburing, Needs::Cxx]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (source, language) in [("tests/commas.c", &C), ("tests/commas.cpp", &CXX)] {
        for off in [&[][..], &["-DTRACER_OFF"]] {
            // liburing's header is in none of C++'s standards.
            let options = [&["-D_GNU_SOURCE", "-Wno-pedantic"], off].concat();
            let program = Program::new(source, language);
            program.compile(folder.path(), &options);
            if has_io_uring() && off.is_empty() {
                let binary = program.build(folder.path(), &options);
                recorded(folder.path(), &binary, &[]).exits(0);
            }
        }
    }
}

#[test]
fn with_tracer_off_nothing_is_left_of_the_macros() {
    let folder = tempfile::tempdir().unwrap();
    let mut sources = vec![("tests/every_hook.c", &C)];
    if build::possible(&[Needs::Liburing]) {
        sources.push(("examples/leftover.c", &C));
        sources.push(("tests/ways.c", &C));
        sources.push(("tests/given.c", &C));
        sources.push(("tests/freed.c", &C));
    }
    if build::possible(&[Needs::Cxx]) {
        sources.push(("examples/owner.cpp", &CXX));
    }
    for (source, language) in sources {
        for level in ["-O0", "-O2"] {
            let object =
                Program::new(source, language).compile(folder.path(), &[level, "-DTRACER_OFF"]);
            let names = build::names(&object);
            let left: Vec<_> = names
                .iter()
                .filter(|name| name.contains("tracer"))
                .collect();
            assert!(left.is_empty(), "{source} {level}: {left:?}");
        }
    }
}

#[test]
fn library_gives_away_no_name_of_c_that_does_not_begin_with_tracer() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::new("tests/every_hook.c", &C);
    let exported = build::exports(&program.build(folder.path(), &["-shared", "-fPIC"]));
    for hook in ["tracer_state", "tracer_pointer", "tracer_ring_reaped"] {
        assert!(exported.iter().any(|name| name == hook), "{exported:?}");
    }
    let strange: Vec<_> = exported
        .iter()
        .filter(|name| {
            !name.starts_with("tracer_") && !name.starts_with("_R") && !name.starts_with("_ZN")
        })
        .filter(|name| !["main", "rust_eh_personality"].contains(&name.as_str()))
        .collect();
    assert!(strange.is_empty(), "{strange:?}");
    // As the header says for shared objects.
    let hidden = program.build(
        folder.path(),
        &["-shared", "-fPIC", "-Wl,--exclude-libs,libtracer_probe_c.a"],
    );
    assert_eq!(build::exports(&hidden), ["main"]);
}
