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

/// What each tool says of each test of the sample, as the table shows it. A dot is `ok`, F is `FAIL`, and `-` that there
/// was nothing to look at. Leaks are AddressSanitizer's too, where LeakSanitizer has no column of its own.
const SAMPLE: &str = "
test                                                 plain asan lsan tsan msan ubsan memcheck miri careful tracer
src/cookies.rs - cookies::taken_back (line 11)       .     .    .    .    .    -     .        .    .       .
src/lib.rs - next (line 10)                          .     .    .    .    .    -     .        .    .       -
src/lib.rs - documented (line 16)                    .     F    F    .    .    -     F        F    .       F
cookie_reclaimed_twice                               .     .    .    .    .    -     .        .    .       F
memory_leaked                                        .     F    F    .    .    -     F        F    .       -
memory_raced                                         .     .    .    F    .    -     .        F    .       -
memory_uninitialised                                 .     .    .    .    F    -     F        F    .       -
memory_used_after_free                               .     F    .    F    F    -     F        F    .       -
panics_as_it_should                                  .     .    .    .    .    -     .        .    .       -
sound                                                .     .    .    .    .    -     .        .    .       .
";
/// The command of the documentation whose table it shows.
const SHOWN: &str = "tracer matrix --with ";

/// Columns of the table above that are asked for by `TRACER_MATRIX_WITH`, or those that take no time.
fn asked() -> Vec<String> {
    let words = std::env::var("TRACER_MATRIX_WITH");
    let words = words.unwrap_or_else(|_| "plain,asan,memcheck,tracer".to_owned());
    words.split(',').map(str::to_owned).collect()
}

/// The name of each test and what the tools of the columns say of it.
fn expected(columns: &[String]) -> Vec<(&'static str, Vec<&'static str>)> {
    let mut lines = SAMPLE.trim().lines();
    let tools: Vec<&str> = lines.next().unwrap().split_whitespace().skip(1).collect();
    let has_lsan = columns.iter().any(|column| column == "lsan");
    let rows = lines.map(|line| {
        let (name, cells) = line.split_at(53);
        let cells: Vec<&str> = cells.split_whitespace().collect();
        let said = |column: &String| {
            let at = tools.iter().position(|tool| tool == column).unwrap();
            let is_leak = column == "asan" && has_lsan && !name.contains("used_after_free");
            match cells[at] {
                "F" if !is_leak => "FAIL",
                "-" => "-",
                _ => "ok",
            }
        };
        (name.trim_end(), columns.iter().map(said).collect())
    });
    rows.collect()
}

/// Whether a column may not be left out. Tools of the nightly compiler have a word of their own: where its components
/// cannot be fetched all else can still be asked for.
fn is_required(tool: &str) -> bool {
    let word = match tool {
        "asan" | "lsan" | "tsan" | "msan" | "miri" | "careful" => "TRACER_REQUIRE_NIGHTLY",
        _ => "TRACER_REQUIRE_ALL",
    };
    std::env::var_os(word).is_some_and(|value| value == "1")
}

/// Why columns were left out, each told by its name; fails where none may be.
fn skipped(table: &str) -> Vec<String> {
    let lines = table
        .lines()
        .filter_map(|line| line.split_once(" skipped: "));
    let skipped: Vec<(&str, &str)> = lines.collect();
    for (tool, why) in &skipped {
        eprintln!("SKIPPED: {tool}: {why}");
    }
    let required: Vec<_> = skipped
        .iter()
        .filter(|(tool, _)| is_required(tool))
        .collect();
    assert!(
        required.is_empty(),
        "nothing may be left out, and this was: {required:?}"
    );
    skipped.iter().map(|(tool, _)| (*tool).to_owned()).collect()
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
    let with = asked();
    let kept = match with.iter().any(|column| column == "miri") {
        // Programs of Miri know the folder of their sources.
        true => folder.path().join("kept").to_str().unwrap().to_owned(),
        false => "matrix-sample".to_owned(),
    };
    let ran = matrix(
        &sample,
        &kept,
        &[
            "--with",
            &with.join(","),
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
    // What a night's run shows.
    eprintln!("{table}");
    assert_eq!(ran.status.code(), Some(1), "{table}\n{said}");
    let skipped = skipped(&table);
    let mut shown = with.clone();
    shown.retain(|column| !skipped.contains(column));
    let mut header = table.lines().next().unwrap().split_whitespace();
    assert_eq!(header.next(), Some("test"), "{table}");
    assert!(header.eq(&shown), "{table}");
    let expected = expected(&shown);
    for (test, cells) in &expected {
        let line = table.lines().find(|line| line.contains(test));
        let line = line.unwrap_or_else(|| panic!("no row `{test}` in:\n{table}"));
        let (_, found) = line.split_once(test).unwrap();
        assert!(
            found.split_whitespace().eq(cells.iter().copied()),
            "{test} is {cells:?} in:\n{table}"
        );
    }
    let rows = table
        .lines()
        .filter(|line| line.starts_with("sample") && line.ends_with(is_of_cell));
    assert_eq!(rows.count(), expected.len(), "{table}");
    as_the_documentation_shows_it(&with.join(","), &table);
    let has = |tool: &str| shown.iter().any(|column| column == tool);
    if has("memcheck") {
        assert!(
            table.contains("Invalid read of size 8, src/memory.rs:"),
            "{table}"
        );
    }
    if has("asan") {
        assert!(table.contains("heap-use-after-free"), "{table}");
    }
    if has("tracer") {
        assert!(
            table.contains("T08 reclaimed-twice (observed), src/cookies.rs:"),
            "{table}"
        );
        let count = by_tracer_alone(&shown, &expected).len();
        let alone = format!("found by tracer alone: {count}\n");
        assert!(table.contains(&alone), "{table}");
        trace_can_be_looked_at(&table);
    }
    reports_say_the_same(&sample, &shown, &expected);
    for (index, column) in with.iter().enumerate() {
        let progress = format!("[{}/{}] {column}", index + 1, with.len());
        assert!(said.contains(&progress), "{said}");
    }
}

/// Rows that fail in tracer's column alone; with all columns that is what no other tool can see.
fn by_tracer_alone<'a>(columns: &[String], expected: &[(&'a str, Vec<&str>)]) -> Vec<&'a str> {
    let at = columns.iter().position(|column| column == "tracer");
    let is_alone = |cells: &[&str]| {
        let fails = cells.iter().enumerate();
        let mut fails = fails
            .filter(|(_, cell)| **cell == "FAIL")
            .map(|(index, _)| index);
        fails.next().is_some_and(|first| Some(first) == at) && fails.next().is_none()
    };
    let rows = expected.iter().filter(|(_, cells)| is_alone(cells));
    let mut alone: Vec<&str> = rows.map(|(test, _)| *test).collect();
    alone.sort_unstable();
    alone
}

fn is_of_cell(letter: char) -> bool {
    matches!(letter, 'k' | 'L' | '-')
}

/// The documentation shows what its command prints, line by line, of the sample as it is in the repository.
fn as_the_documentation_shows_it(with: &str, table: &str) {
    for page in ["README.md", "docs/test.md"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(page);
        let text = std::fs::read_to_string(path).unwrap();
        let command = text.lines().find_map(|line| line.strip_prefix(SHOWN));
        let (columns, _) = command.unwrap().split_once(' ').unwrap();
        if columns != with {
            continue;
        }
        let lines = text.lines().skip_while(|line| !line.starts_with("test   "));
        let shown: Vec<&str> = lines.take_while(|line| *line != "```").collect();
        let printed = table.lines().filter(|line| !line.contains(" documented "));
        assert!(shown.len() > 5, "{page}: {shown:?}");
        assert!(
            printed.take(shown.len()).eq(shown.iter().copied()),
            "{page} shows another table than\n{table}"
        );
    }
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

fn reports_say_the_same(sample: &Path, columns: &[String], expected: &[(&str, Vec<&str>)]) {
    let json = std::fs::read(sample.join("m.json")).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["exit_code"], 1);
    let rows = json["rows"].as_array().unwrap();
    assert_eq!(rows.len(), expected.len());
    for (test, cells) in expected {
        let row = rows.iter().find(|row| row["test"] == *test).unwrap();
        for (column, cell) in columns.iter().zip(cells) {
            let status = match *cell {
                "ok" => "passed",
                "-" => "nothing",
                _ => "failed",
            };
            assert_eq!(row["cells"][column]["status"], status, "{test} by {column}");
        }
    }
    let alone = json["by_tracer_alone"].as_array().unwrap();
    let mut alone: Vec<&str> = alone
        .iter()
        .map(|row| row["test"].as_str().unwrap())
        .collect();
    alone.sort_unstable();
    assert_eq!(alone, by_tracer_alone(columns, expected), "{json}");
    let xml = std::fs::read_to_string(sample.join("m.xml")).unwrap();
    let cells = expected.iter().flat_map(|(_, cells)| cells);
    let failures = cells.filter(|cell| **cell == "FAIL").count();
    assert!(xml.contains(&format!("failures=\"{failures}\"")), "{xml}");
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
        assert!(!is_required("ubsan"), "{table}");
        assert_eq!(row(&table, "fits"), ["ok"], "{table}");
        return;
    }
    assert_eq!(row(&table, "fits"), ["ok", "ok"], "{table}");
    assert_eq!(row(&table, "overflows"), ["ok", "FAIL"], "{table}");
    assert!(table.contains("signed integer overflow"), "{table}");
    assert!(table.contains(", over.c:1:"), "{table}");
}

/// To cargo an example failed that this has its own word for; it must neither stop for that nor be believed.
#[test]
fn examples_of_every_package_are_run_whatever_those_of_another_came_to() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = "[workspace]\nmembers = [\"a\", \"b\"]\nresolver = \"2\"\n";
    std::fs::write(folder.path().join("Cargo.toml"), manifest).unwrap();
    for (package, body) in [("a", "assert!(false);"), ("b", "assert!(true);")] {
        let package_folder = folder.path().join(package);
        std::fs::create_dir_all(package_folder.join("src")).unwrap();
        let manifest =
            format!("[package]\nname = \"{package}\"\nversion = \"0.0.0\"\nedition = \"2021\"\n");
        std::fs::write(package_folder.join("Cargo.toml"), manifest).unwrap();
        let library = format!("/// ```\n/// {body}\n/// ```\npub fn {package}() {{}}\n");
        std::fs::write(package_folder.join("src/lib.rs"), library).unwrap();
    }
    let kept = folder.path().join("kept");
    let arguments = ["--with", "plain,tracer", "--", "cargo", "test", "--offline"];
    let ran = matrix(folder.path(), kept.to_str().unwrap(), &arguments);
    let table = text(&ran.stdout);
    assert_eq!(ran.status.code(), Some(1), "{table}");
    for (package, cells) in [("a", ["FAIL", "FAIL"]), ("b", ["ok", "-"])] {
        let begins = format!("{package} (doc)  {package}/src/lib.rs - {package} (line 1)");
        let row = table
            .lines()
            .find_map(|line| line.strip_prefix(&begins))
            .unwrap_or_else(|| panic!("no row of {package} in:\n{table}"));
        assert!(row.split_whitespace().eq(cells), "{table}");
    }
    assert!(!table.contains("(the command)"), "{table}");
    let arguments = [
        "--with",
        "tracer",
        "--",
        "cargo",
        "test",
        "-p",
        "b",
        "--offline",
    ];
    let ran = matrix(folder.path(), kept.to_str().unwrap(), &arguments);
    let table = text(&ran.stdout);
    assert_eq!(ran.status.code(), Some(3), "{table}");
    assert!(!table.contains("(the command)"), "{table}");
}

/// `cargo careful` sets flags of its own, which would take the place of those in a table of the target.
#[test]
fn flags_of_the_target_stay_beside_those_of_careful() {
    if !asked().iter().any(|column| column == "careful") {
        // It builds the standard library.
        eprintln!("SKIPPED: TRACER_MATRIX_WITH=careful looks at it, as `bash .ci/matrix` does");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let main = "fn main() {}
        #[test] fn of_target() { assert!(cfg!(of_target)); }
        #[test] fn by_careful() { assert!(cfg!(careful)); }";
    let config = "[target.'cfg(unix)']\nrustflags = ['--cfg', 'of_target']\n";
    small_project(folder.path(), main, config);
    let arguments = [
        "--with",
        "plain,careful",
        "--",
        "cargo",
        "test",
        "--offline",
    ];
    let kept = folder.path().join("kept");
    let ran = matrix(folder.path(), kept.to_str().unwrap(), &arguments);
    let table = text(&ran.stdout);
    assert_eq!(row(&table, "of_target")[0], "ok", "{table}");
    if skipped(&table).is_empty() {
        assert_eq!(row(&table, "of_target"), ["ok", "ok"], "{table}");
        assert_eq!(row(&table, "by_careful"), ["FAIL", "ok"], "{table}");
    }
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
    if !skipped(&table).is_empty() {
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
