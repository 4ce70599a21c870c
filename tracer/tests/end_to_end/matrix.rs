//! `matrix` over the sample project: each bug in the columns of the tools that see it, and in no other.

use std::path::Path;
use std::process::{Command, Output};

use crate::runners::small_project;
use crate::sample::sample;
use crate::support::{run, tracer};

/// `tracer matrix`; what it builds of the probe is kept between runs below a name, and else in the folder at a path.
fn matrix(folder: &Path, name: &str, arguments: &[&str]) -> Output {
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let mut command: Command = tracer(folder);
    command
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("RUSTFLAGS")
        .arg("matrix")
        .arg("--dir")
        .arg(kept);
    command.args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The words of a test's row.
#[track_caller]
fn row<'a>(table: &'a str, test: &str) -> Vec<&'a str> {
    let row = table
        .lines()
        .filter(|line| !line.starts_with("test "))
        .find(|line| line.split_whitespace().any(|word| word == test));
    let row = row.unwrap_or_else(|| panic!("no row `{test}` in:\n{table}"));
    row.split_whitespace()
        .skip_while(|word| *word != test)
        .skip(1)
        .collect()
}

#[test]
fn each_bug_is_in_the_columns_of_those_who_see_it() {
    let folder = tempfile::tempdir().unwrap();
    let sample = sample(folder.path());
    // An example of the documentation with a bug: rustdoc builds it together with those that have none.
    let library = sample.join("src/lib.rs");
    let text_of_library = std::fs::read_to_string(&library).unwrap()
        + "/// ```\n/// sample::memory::leaked();\n/// sample::cookies::reclaimed_twice();\n/// ```\n\
           pub fn documented() {}\n";
    std::fs::write(&library, text_of_library).unwrap();
    let has_valgrind = Command::new("valgrind").arg("--version").output().is_ok();
    assert!(
        has_valgrind || std::env::var_os("TRACER_REQUIRE_ALL").is_none(),
        "valgrind is missing: apt-get install valgrind"
    );
    let ran = matrix(
        &sample,
        "matrix-sample",
        &[
            "--with",
            "plain,memcheck,tracer",
            "--report",
            "json=m.json",
            "--report",
            "junit=m.xml",
            "--",
            "cargo",
            "test",
            "--offline",
        ],
    );
    let (table, said) = (text(&ran.stdout), text(&ran.stderr));
    assert_eq!(ran.status.code(), Some(1), "{table}\n{said}");
    let memcheck = |word: &'static str| if has_valgrind { vec![word] } else { Vec::new() };
    let expect = |test: &str, by_memcheck: &'static str, by_tracer: &'static str| {
        let expected = [vec!["ok"], memcheck(by_memcheck), vec![by_tracer]].concat();
        assert_eq!(row(&table, test), expected, "{test} in:\n{table}");
    };
    expect("sound", "ok", "ok");
    expect("cookie_reclaimed_twice", "ok", "FAIL");
    expect("memory_leaked", "FAIL", "-");
    expect("memory_used_after_free", "FAIL", "-");
    expect("memory_uninitialised", "FAIL", "-");
    expect("panics_as_it_should", "ok", "-");
    assert!(!table.contains("  ignored "), "{table}");
    let example = |name: &str| {
        let line = table.lines().find(|line| line.contains(name));
        let line = line.unwrap_or_else(|| panic!("no row `{name}` in:\n{table}"));
        let cells = line
            .split_once("(line ")
            .unwrap()
            .1
            .split_whitespace()
            .skip(1);
        cells.map(str::to_owned).collect::<Vec<_>>()
    };
    let all =
        |by_memcheck, by_tracer| [vec!["ok"], memcheck(by_memcheck), vec![by_tracer]].concat();
    assert_eq!(example("src/lib.rs - next"), all("ok", "ok"), "{table}");
    assert_eq!(
        example("src/lib.rs - documented"),
        all("FAIL", "FAIL"),
        "{table}"
    );
    assert!(!table.contains("in one process"), "{table}");
    if has_valgrind {
        assert!(
            table.contains("Invalid read of size 8, src/memory.rs:"),
            "{table}"
        );
    } else {
        assert!(
            table.contains("memcheck skipped: no valgrind here"),
            "{table}"
        );
    }
    assert!(
        table.contains("T08 reclaimed-twice (observed), src/cookies.rs:"),
        "{table}"
    );
    assert!(table.contains("found by tracer alone: 1\n"), "{table}");
    trace_can_be_looked_at(&table);
    reports_say_the_same(&sample, has_valgrind);
    assert!(
        said.contains("[1/3] plain") && said.contains("[3/3] tracer"),
        "{said}"
    );
}

fn trace_can_be_looked_at(table: &str) {
    let line = table
        .lines()
        .find_map(|line| line.trim().strip_prefix("tracer view "));
    let trace = Path::new(line.expect("the command that shows the trace"));
    let folder = trace.parent().unwrap();
    run(tracer(folder).arg("check").arg(trace))
        .exits(1)
        .prints("T08");
}

fn reports_say_the_same(sample: &Path, has_valgrind: bool) {
    let json = std::fs::read(sample.join("m.json")).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["exit_code"], 1);
    assert_eq!(json["columns"].as_array().unwrap().len(), 3);
    assert_eq!(json["by_tracer_alone"][0]["test"], "cookie_reclaimed_twice");
    let rows = json["rows"].as_array().unwrap();
    let leaked = rows
        .iter()
        .find(|row| row["test"] == "memory_leaked")
        .unwrap();
    assert_eq!(leaked["cells"]["plain"]["status"], "passed");
    assert_eq!(leaked["cells"]["tracer"]["status"], "nothing");
    let xml = std::fs::read_to_string(sample.join("m.xml")).unwrap();
    let failures = if has_valgrind { 6 } else { 2 };
    assert!(xml.contains(&format!("failures=\"{failures}\"")), "{xml}");
    assert!(xml.contains("T08 reclaimed-twice"), "{xml}");
}

#[test]
fn program_that_is_built_already_and_columns_that_cannot_be() {
    let folder = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_tracer");
    let ran = matrix(
        folder.path(),
        "matrix-program",
        &["--with", "plain,tsan,tracer", "--", program, "--version"],
    );
    let table = text(&ran.stdout);
    assert_eq!(row(&table, "tracer")[..], ["ok", "-"], "{table}");
    assert!(
        table.contains("tsan skipped: it needs the program built in its own way"),
        "{table}"
    );
    assert_eq!(ran.status.code(), Some(3), "{table}");
}

#[test]
fn command_that_runs_nothing_is_not_clean() {
    let folder = tempfile::tempdir().unwrap();
    let ran = matrix(
        folder.path(),
        "matrix-script",
        &["--with", "plain", "--", "true"],
    );
    assert_eq!(ran.status.code(), Some(3), "{}", text(&ran.stdout));
    assert!(
        text(&ran.stdout).contains("cargo ran no program"),
        "{}",
        text(&ran.stdout)
    );
    let wrong = matrix(
        folder.path(),
        "matrix-wrong",
        &["--", "cargo", "test", "--target-dir", "x"],
    );
    assert_eq!(wrong.status.code(), Some(2));
    assert!(
        text(&wrong.stderr).contains("leave `--target-dir` out"),
        "{}",
        text(&wrong.stderr)
    );
}

/// A lost completion is a hang, so this is the trace that one wants most.
#[test]
fn what_hangs_is_ended_and_its_trace_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let ack = folder.path().join("ack");
    let program = env!("CARGO_BIN_EXE_tracer");
    let forever = ["__scenario", "hammer", "--ack", ack.to_str().unwrap()];
    let mut arguments = vec!["--with", "tracer", "--timeout", "4", "--", program];
    arguments.extend(forever);
    let ran = matrix(folder.path(), "matrix-hang", &arguments);
    let table = text(&ran.stdout);
    assert_eq!(ran.status.code(), Some(1), "{table}");
    assert!(table.contains("did not end within 4 s"), "{table}");
    let named = table
        .lines()
        .find_map(|line| line.split("tracer view ").nth(1));
    let trace = crate::support::read(Path::new(named.unwrap().trim()));
    assert!(
        trace.events().len() > 1_000,
        "{} events",
        trace.events().len()
    );
}

/// A shell whose child would sleep on after it.
#[test]
fn what_a_hanging_test_started_ends_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let noted = folder.path().join("pid");
    let script = format!("sleep 600 & echo $! > {}; wait", noted.display());
    let arguments = [
        "--with",
        "plain",
        "--timeout",
        "4",
        "--",
        "/bin/sh",
        "-c",
        &script,
    ];
    let ran = matrix(folder.path(), "matrix-group", &arguments);
    let table = text(&ran.stdout);
    assert_eq!(ran.status.code(), Some(1), "{table}");
    assert!(table.contains("did not end within 4 s"), "{table}");
    let pid = std::fs::read_to_string(&noted).unwrap();
    // Told to end, it ends a moment later.
    let began = std::time::Instant::now();
    let stat = || std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    let is_gone = || stat().is_ok_and(|stat| stat.contains(") Z ")) || stat().is_err();
    while !is_gone() && began.elapsed() < crate::support::PATIENCE {
        std::thread::yield_now();
    }
    assert!(is_gone(), "{pid} goes on");
}

/// A project with a part in C, built as such crates build it, and flags of its own in a configuration file.
#[test]
fn parts_in_c_are_looked_at_and_flags_of_the_project_stay() {
    const BUILD: &str = r#"
        fn main() {
            let out = std::env::var("OUT_DIR").unwrap();
            let target = std::env::var("TARGET").unwrap().replace('-', "_");
            let flags = std::env::var(format!("CFLAGS_{target}")).unwrap_or_default();
            let run = |program: &str, words: &[&str]| {
                let status = std::process::Command::new(program).args(words).status();
                assert!(status.unwrap().success());
            };
            let object = format!("{out}/over.o");
            let words: Vec<&str> = flags.split_whitespace().collect();
            run("cc", &[&words[..], &["-fPIC", "-c", "over.c", "-o", &object]].concat());
            run("ar", &["crs", &format!("{out}/libover.a"), &object]);
            println!("cargo::rustc-link-search=native={out}");
            println!("cargo::rustc-link-lib=static=over");
        }"#;
    const MAIN: &str = r#"
        unsafe extern "C" { fn next(x: i32) -> i32; }
        fn main() { assert_eq!(unsafe { next(1) }, 2); }
        #[test] fn fits() { main(); assert!(cfg!(of_build)); }
        #[test] fn overflows() {
            std::hint::black_box(unsafe { next(std::hint::black_box(i32::MAX)) });
        }"#;
    let folder = tempfile::tempdir().unwrap();
    let config = "[build]\nrustflags = ['--cfg', 'of_build']\n";
    small_project(folder.path(), MAIN, config);
    std::fs::write(folder.path().join("build.rs"), BUILD).unwrap();
    let part = "int next(int x) { return x + 1; }\n";
    std::fs::write(folder.path().join("over.c"), part).unwrap();
    let arguments = ["--with", "plain,ubsan", "--", "cargo", "test", "--offline"];
    let kept = folder.path().join("kept");
    let ran = matrix(folder.path(), kept.to_str().unwrap(), &arguments);
    let table = text(&ran.stdout);
    if table.contains("ubsan skipped: the C compiler cannot link") {
        assert!(std::env::var_os("TRACER_REQUIRE_ALL").is_none(), "{table}");
        assert_eq!(row(&table, "fits"), ["ok"], "{table}");
        return;
    }
    assert_eq!(row(&table, "fits"), ["ok", "ok"], "{table}");
    assert_eq!(row(&table, "overflows"), ["ok", "FAIL"], "{table}");
    assert!(table.contains("signed integer overflow"), "{table}");
    assert!(table.contains(", over.c:1:"), "{table}");
}

#[test]
fn miri_is_asked_for_each_test() {
    let folder = tempfile::tempdir().unwrap();
    let main = "fn main() {}
        #[test] fn fits() {}
        #[test] fn reads_what_is_freed() {
            let raw = Box::into_raw(Box::new(7));
            unsafe { drop(Box::from_raw(raw)) };
            assert_eq!(unsafe { *raw }, 7);
        }
        #[test] fn asks_the_kernel() { std::process::Command::new(\"true\").status().unwrap(); }";
    small_project(folder.path(), main, "");
    let library = "/// ```\n/// small::raw(7);\n/// ```\n\
        /// ```\n/// unsafe { *small::raw(7) };\n/// ```\n\
        pub fn raw(it: u8) -> *const u8 { &raw const *Box::new(it) }\n";
    std::fs::write(folder.path().join("src/lib.rs"), library).unwrap();
    let arguments = ["--with", "miri", "--", "cargo", "test", "--offline"];
    // Programs of Miri know the folder of their sources.
    let kept = folder.path().join("kept");
    let ran = matrix(folder.path(), kept.to_str().unwrap(), &arguments);
    let table = text(&ran.stdout);
    if let Some(why) = table
        .lines()
        .find(|line| line.starts_with("miri skipped: "))
    {
        eprintln!("SKIPPED: {why}");
        assert_eq!(ran.status.code(), Some(3), "{table}");
        return;
    }
    assert_eq!(row(&table, "fits"), ["ok"], "{table}");
    assert_eq!(row(&table, "reads_what_is_freed"), ["FAIL"], "{table}");
    assert_eq!(row(&table, "asks_the_kernel"), ["n/a"], "{table}");
    assert!(table.contains(", src/main.rs:6:"), "{table}");
    for (example, answer) in [("(line 1)", "ok"), ("(line 4)", "FAIL")] {
        let line = table
            .lines()
            .find(|line| line.contains(example))
            .unwrap_or_default();
        assert!(line.trim_end().ends_with(answer), "{example}: {table}");
    }
    assert!(
        table.contains("has been freed, so this pointer is dangling"),
        "{table}"
    );
}
