//! `tracer record --` in place of each program that cargo and nextest run: real ones, over the sample project.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::sample::{alone, sample};
use crate::support::{PATIENCE, entries, read, run, tracer};

/// Where the project is built; kept between runs.
pub(crate) fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("runners")
}

/// A command of cargo's over the sample project, which starts with no traces from before.
pub(crate) fn cargo(sample: &Path, arguments: &[&str]) -> Command {
    let mut command = tracer(sample);
    let environment: Vec<_> = command
        .get_envs()
        .map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned)))
        .collect();
    command = Command::new("cargo");
    for (name, value) in environment {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    // What nextest says of the tests of this file is not about those of the sample.
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"NEXTEST") {
            command.env_remove(name);
        }
    }
    command
        .current_dir(sample)
        .env("CARGO_TARGET_DIR", target())
        .env("CARGO_NET_OFFLINE", "true")
        .env_remove("RUSTFLAGS")
        .env_remove("GITHUB_STEP_SUMMARY")
        .args(arguments);
    command
}

/// The variable that names cargo's runner on this machine.
fn runner() -> String {
    format!(
        "CARGO_TARGET_{}_UNKNOWN_LINUX_GNU_RUNNER",
        std::env::consts::ARCH.to_uppercase()
    )
}

fn recorder(options: &str) -> String {
    format!("{} record {options} --", env!("CARGO_BIN_EXE_tracer"))
}

/// Whether nextest is here; fails where it must be.
pub(crate) fn has_nextest() -> bool {
    let asked = Command::new("cargo")
        .args(["nextest", "--version"])
        .output();
    let has = asked.is_ok_and(|output| output.status.success());
    if !has {
        assert!(
            std::env::var_os("TRACER_REQUIRE_ALL").is_none(),
            "cargo-nextest is missing: cargo install cargo-nextest --locked"
        );
        eprintln!("SKIPPED: no cargo-nextest here (cargo install cargo-nextest --locked)");
    }
    has
}

pub(crate) fn ran(mut command: Command) -> (Output, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    (output, out, err)
}

/// The traces in a folder, by their names.
fn traces(folder: &Path) -> Vec<String> {
    let paths = entries(folder).into_iter();
    let name = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    paths
        .map(name)
        .filter(|name| name.ends_with(".bin"))
        .collect()
}

/// What the verdict says is recorded in a trace.
fn recorded(folder: &Path, trace: &str) -> String {
    let ran = run(tracer(folder).arg("check").arg(folder.join(trace)));
    let text = ran.stdout().to_owned();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("recorded: "));
    line.unwrap_or_else(|| panic!("nothing is said in {text}"))
        .to_owned()
}

#[test]
fn cargo_has_a_trace_for_each_binary_and_for_examples_whose_program_is_gone() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let sample = sample(folder.path());
    let usual = target().join("tracer");
    let _ = std::fs::remove_dir_all(&usual);
    let mut command = cargo(&sample, &["test", "--offline"]);
    command.env(runner(), recorder("--stacks"));
    let (output, out, err) = ran(command);
    assert!(output.status.success(), "{out}\n{err}");
    assert!(!out.contains("tracer:"), "{out}");
    let names = traces(&usual);
    // The library has no tests, so there is nothing to keep of it.
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names[0].starts_with("sample-example-"), "{names:?}");
    assert!(names[1].starts_with("sample-tools-"), "{names:?}");
    assert_eq!(
        recorded(&usual, &names[1]),
        "the tests of sample::tools, in one process (cargo)"
    );
    assert_eq!(
        recorded(&usual, &names[0]),
        "examples of the documentation of sample (cargo)"
    );
    // The name of a function in a program that rustdoc has removed by now.
    run(tracer(&usual).arg("dump").arg(usual.join(&names[0])))
        .exits(0)
        .prints("src/cookies.rs:")
        .prints(" via ");
}

#[test]
fn nextest_lists_unseen_and_has_a_trace_for_each_attempt_at_each_test() {
    if !has_nextest() {
        return;
    }
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let sample = sample(folder.path());
    let out_folder = folder.path().join("out");
    let nextest = |more: &[&str]| {
        let mut command = cargo(&sample, &["nextest", "run", "--offline", "--no-fail-fast"]);
        command.args(more).env("TRACER_OUTPUT_DIR", &out_folder);
        command
    };
    // As the runner; `asserted` fails, and is tried again.
    let mut command = nextest(&["--features", "asserted", "--retries", "1", "-E"]);
    command
        .arg("binary(tools) or test(t08_reclaimed_twice)")
        .env(runner(), recorder(""));
    let (output, out, err) = ran(command);
    assert_eq!(output.status.code(), Some(100), "{out}\n{err}");
    assert!(out.is_empty(), "{out}");
    let names = traces(&out_folder);
    let expected = [
        (
            "sample.asserted--t08_reclaimed_twice.bin",
            "test t08_reclaimed_twice of sample::asserted (nextest)",
        ),
        (
            "sample.asserted--t08_reclaimed_twice_2-",
            "test t08_reclaimed_twice of sample::asserted, attempt 2 (nextest)",
        ),
        (
            "sample.tools--cookie_reclaimed_twice.bin",
            "test cookie_reclaimed_twice of sample::tools (nextest)",
        ),
        (
            "sample.tools--sound.bin",
            "test sound of sample::tools (nextest)",
        ),
    ];
    assert_eq!(names.len(), expected.len(), "{names:?}");
    for (name, (begin, words)) in names.iter().zip(expected) {
        assert!(name.starts_with(begin), "{names:?}");
        assert_eq!(recorded(&out_folder, name), words);
    }
    let run_id = |name: &String| {
        let trace = read(&out_folder.join(name));
        traces::run::Run::of(trace.recording()).unwrap().attempt_id
    };
    let ids: Vec<_> = names.iter().map(run_id).collect();
    assert!(
        ids.iter().all(|id| id.starts_with(&ids[0][..36])),
        "{ids:?}"
    );

    // As `--tracer`, redacted: the test's name is nobody's business.
    std::fs::remove_dir_all(&out_folder).unwrap();
    let recorder = recorder("--redact");
    let command = nextest(&["--tracer", &recorder, "-E", "test(=sound)"]);
    let (output, out, err) = ran(command);
    assert!(output.status.success(), "{out}\n{err}");
    assert_eq!(traces(&out_folder), ["sample.tools--sound.bin"]);
    let words = recorded(&out_folder, "sample.tools--sound.bin");
    assert!(
        words.starts_with("test text-") && !words.contains("sound"),
        "{words}"
    );

    // As a wrapper script, for the tests that somebody chose.
    std::fs::remove_dir_all(&out_folder).unwrap();
    let config = format!(
        "experimental = [\"wrapper-scripts\"]\n[scripts.wrapper.tracer]\ncommand = \"{}\"\n\
         [[profile.default.scripts]]\nfilter = \"test(cookie)\"\nrun-wrapper = \"tracer\"\n",
        self::recorder("")
    );
    let path = sample.join("nextest.toml");
    std::fs::write(&path, config).unwrap();
    let command = nextest(&[
        "--config-file",
        path.to_str().unwrap(),
        "-E",
        "binary(tools)",
    ]);
    let (output, out, err) = ran(command);
    assert!(output.status.success(), "{out}\n{err}");
    assert_eq!(
        traces(&out_folder),
        ["sample.tools--cookie_reclaimed_twice.bin"]
    );
}

/// `cargo tracer VERB` in a folder, as cargo starts it.
fn cargo_tracer(folder: &Path, verb: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-tracer"));
    for (name, value) in cargo(folder, &[]).get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.current_dir(folder).args(["tracer", verb]);
    command
}

#[test]
fn cargo_tracer_builds_records_and_judges() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let sample = sample(folder.path());
    let subcommand = |arguments: &[&str]| {
        let mut command = cargo_tracer(&sample, "test");
        command.args(arguments);
        ran(command)
    };
    let sound = ["--offline", "--test", "tools", "--", "--exact", "sound"];
    let (output, out, err) = subcommand(&sound);
    assert_eq!(output.status.code(), Some(0), "{out}\n{err}");
    assert!(out.ends_with("1 trace, 1 without findings\n"), "{out}");

    let (output, out, err) =
        subcommand(&["--report", "json=r.json", "--offline", "--test", "tools"]);
    assert_eq!(output.status.code(), Some(1), "{out}\n{err}");
    assert!(out.contains("T08 reclaimed-twice"), "{out}");
    // Call stacks have names, and begin where the program does.
    assert!(
        out.contains("from cookies::reclaimed_twice (sample/src/cookies.rs:"),
        "{out}"
    );
    assert!(!out.contains("recorder/cursor.rs"), "{out}");
    let json = std::fs::read(sample.join("r.json")).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["traces"][0]["run"]["binary"], "sample::tools");
    assert!(target().join("tracer-build/debug").is_dir());

    let unseen = [
        "--offline",
        "--test",
        "tools",
        "--",
        "--exact",
        "memory_leaked",
    ];
    let (output, out, err) = subcommand(&unseen);
    assert_eq!(output.status.code(), Some(3), "{out}\n{err}");
    assert!(err.contains("nothing was recorded"), "{err}");

    let failing = ["--offline", "--features", "asserted", "--test", "asserted"];
    let (output, out, err) = subcommand(&failing);
    assert_eq!(output.status.code(), Some(101), "{out}\n{err}");

    // What the workflow beside the sample does, step by step.
    let workflow = std::fs::read_to_string(sample.join(".github/workflows/tracer.yml")).unwrap();
    let step = "      - run: cargo tracer test ";
    let mut steps = workflow.lines().filter_map(|line| line.strip_prefix(step));
    let words: Vec<&str> = steps.next().expect("the step").split(' ').collect();
    assert_eq!(steps.next(), None);
    let (output, out, err) = subcommand(&words);
    assert_eq!(output.status.code(), Some(1), "{out}\n{err}");
    assert!(out.contains("::error file=src/cookies.rs,line="), "{out}");
    for report in ["tracer.sarif", "tracer.xml"] {
        let text = std::fs::read_to_string(sample.join(report)).unwrap();
        assert!(text.contains("T08"), "{report}: {text}");
    }
}

#[test]
fn second_cargo_tracer_waits_for_the_first_and_neither_takes_the_others_traces() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let sample = sample(folder.path());
    let program = "fn main() {
        if let Some(go) = std::env::args().nth(1) {
            std::fs::write(format!(\"{go}.waits\"), \"\").unwrap();
            while !std::path::Path::new(&go).exists() {
                std::thread::yield_now();
            }
        }
        sample::cookies::reclaimed_twice();
    }";
    let examples = sample.join("examples");
    std::fs::create_dir(&examples).unwrap();
    std::fs::write(examples.join("one.rs"), program).unwrap();
    std::fs::write(examples.join("two.rs"), program).unwrap();
    let go = folder.path().join("go");
    let spawned = |example: &str, arguments: &[&str]| {
        let mut command = cargo_tracer(&sample, "run");
        command.args(["--offline", "--quiet", "--example", example, "--"]);
        command.args(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let first = spawned("one", &[go.to_str().unwrap()]);
    let began = Instant::now();
    while !folder.path().join("go.waits").exists() {
        assert!(began.elapsed() < PATIENCE * 5, "it is built and runs");
        std::thread::sleep(Duration::from_millis(50));
    }
    let mut second = spawned("two", &[]);
    let mut said = String::new();
    let mut lines = BufReader::new(second.stderr.take().unwrap());
    lines.read_line(&mut said).unwrap();
    assert!(
        said.starts_with("tracer: waiting for another `cargo tracer` in "),
        "{said}"
    );
    // One that the first waits for.
    let locked = said.split(' ').nth(7).unwrap();
    let mut within = cargo_tracer(&sample, "run");
    within.args(["--offline", "--quiet", "--example", "two"]);
    let output = within.env("TRACER_CARGO_LOCKED", locked).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(
        error.contains("is in use by the `cargo tracer` that runs this one"),
        "{error}"
    );
    std::fs::write(&go, "").unwrap();
    for (child, name) in [(first, "one"), (second, "two")] {
        let output = child.wait_with_output().unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1), "{out}");
        assert!(out.contains("T08 reclaimed-twice"), "{out}");
        let recorded = format!("recorded: program sample::{name} (cargo)\n");
        assert!(out.contains(&recorded), "{out}");
        assert!(out.ends_with("1 trace, 0 without findings\n"), "{out}");
    }
}

/// A project without dependencies, and cargo's settings for it.
pub(crate) fn small_project(folder: &Path, main: &str, config: &str) {
    for (name, text) in [
        (
            "Cargo.toml",
            "[package]\nname = \"small\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n",
        ),
        ("src/main.rs", main),
        (".cargo/config.toml", config),
    ] {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

#[test]
fn cargo_tracer_keeps_the_projects_flags_and_tells_a_failed_build_from_nothing_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    // Flags of one place make cargo drop those of another.
    let config = "[target.'cfg(unix)']\nrustflags = ['--cfg', 'of_target']\n";
    small_project(at, "fn main() { assert!(cfg!(of_target)); }", config);
    let subcommand = |verb: &str, arguments: &[&str]| {
        let mut command = cargo_tracer(at, verb);
        command.env("CARGO_TARGET_DIR", at.join("target"));
        command.env("CARGO_NET_OFFLINE", "true").args(arguments);
        ran(command)
    };
    let (output, out, err) = subcommand("run", &["-v"]);
    assert_eq!(output.status.code(), Some(3), "{out}\n{err}");
    assert!(
        err.contains(" --cfg of_target -Cforce-frame-pointers=yes`"),
        "{err}"
    );
    assert!(
        err.contains("tracer: nothing was recorded: no program used the probe"),
        "{err}"
    );

    let (output, out, err) = subcommand("test", &["--no-run"]);
    assert_eq!(output.status.code(), Some(3), "{out}\n{err}");
    assert!(err.contains("tracer: cargo ran no program"), "{err}");

    // A program that waits for ever is ended.
    let waits = "fn main() { loop { std::thread::park() } }";
    std::fs::write(at.join("src/main.rs"), waits).unwrap();
    let (output, out, err) = subcommand("run", &["--timeout=1"]);
    assert_eq!(output.status.code(), Some(124), "{out}\n{err}");
    assert!(err.contains("--timeout"), "{err}");

    std::fs::write(at.join("src/main.rs"), "fn main() { nobody_knows() }").unwrap();
    for verb in ["run", "test", "record"] {
        let (output, out, err) = subcommand(verb, &[]);
        assert_eq!(output.status.code(), Some(101), "{out}\n{err}");
        assert!(
            err.contains("tracer: cargo ended (exit status: 101) before it ran a program"),
            "{err}"
        );
        assert!(!err.contains("nothing was recorded"), "{err}");
    }

    std::fs::write(at.join(".cargo/config.toml"), "[build]\nrustflags = 7\n").unwrap();
    let (output, out, err) = subcommand("run", &[]);
    assert_eq!(output.status.code(), Some(2), "{out}\n{err}");
    assert!(err.contains("build.rustflags"), "{err}");
}
