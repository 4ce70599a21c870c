//! The assertions of the probe over the sample project, which has a bug for each rule: what each failure shows, that
//! tests that run at the same time are never told each other's bugs, and that all reports of their traces are what
//! their schemas say.
//!
//! The screens stand in `tests/sample/screens.txt`; `UPDATE_EXPECT=1` writes it. `TRACER_ATTRIBUTION_RUNS` says how often
//! all tests run side by side.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::runners::{cargo, has_nextest, ran, target};
use crate::sample::{alone, sample};
use crate::support::{entries, run, tracer};

const RULES: usize = 27;

/// The binary whose tests all fail.
fn built(sample: &Path) -> PathBuf {
    let mut command = cargo(
        sample,
        &["test", "--offline", "--no-run", "--message-format", "json"],
    );
    command.args(["--features", "asserted", "--test", "asserted"]);
    let (output, out, err) = ran(command);
    assert!(output.status.success(), "{err}");
    let messages = out
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut built = messages.filter(|message| message["target"]["name"] == "asserted");
    let message = built.next().expect("the binary");
    message["executable"].as_str().unwrap().into()
}

fn asserted(program: &Path, sample: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(sample)
        .env("RUST_BACKTRACE", "0")
        .env_remove("TRACER_DIR");
    let (output, out, err) = ran(command);
    assert!(!output.status.success(), "{out}\n{err}");
    out + &err
}

fn names(program: &Path) -> Vec<String> {
    let output = Command::new(program)
        .args(["--list", "--format", "terse"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let names = text.lines().filter_map(|line| line.strip_suffix(": test"));
    names.map(str::to_owned).collect()
}

/// What probes saved since the last time.
fn saved() -> Vec<PathBuf> {
    let folder = target().join("tracer");
    let is_saved = |path: &PathBuf| path.extension().is_some_and(|end| end == "trc");
    match folder.is_dir() {
        true => entries(&folder).into_iter().filter(is_saved).collect(),
        false => Vec::new(),
    }
}

fn remove_saved() {
    for path in saved() {
        std::fs::remove_file(path).unwrap();
    }
}

/// The failure's own text, with what differs from run to run replaced by something of a fixed width.
fn screen(output: &str) -> String {
    let lines = output.lines();
    let mut lines = lines.skip_while(|line| !line.contains(" (scope opened at "));
    let mut text = String::new();
    for line in lines
        .by_ref()
        .take_while(|line| !line.starts_with("note: ") && !line.starts_with("test "))
    {
        let line = match line
            .strip_prefix("trace: ")
            .or_else(|| line.strip_prefix("view:  "))
        {
            Some(_) => {
                let mut words: Vec<&str> = line.split(' ').collect();
                for word in &mut words {
                    if word.ends_with(".trc") {
                        assert!(Path::new(word).is_file(), "{word} is not there");
                        *word = "TRACE";
                    }
                }
                words.join(" ")
            }
            None => plain(line),
        };
        text += line.trim_end();
        text.push('\n');
    }
    text.trim_end().to_owned() + "\n"
}

/// Times and addresses.
fn plain(line: &str) -> String {
    let words = line.split_inclusive(' ').map(|word| {
        let Some(at) = word.find("0x") else {
            return word.to_owned();
        };
        let (before, hex) = word.split_at(at);
        let digits = hex[2..].find(|letter: char| !letter.is_ascii_hexdigit());
        let after = &hex[digits.map_or(hex.len(), |digits| digits + 2)..];
        let length = hex.len() - after.len() - 2;
        // Short ones are no addresses; half of one may begin with zeros.
        let shown = match length {
            0..5 => return word.to_owned(),
            5..=8 => 8,
            length => length,
        };
        format!("{before}0x{}{after}", "x".repeat(shown))
    });
    let line: String = words.collect();
    // `   111.606410 ms  thread: role`
    let mut parts = line.trim_start().splitn(3, ' ');
    let (number, unit, rest) = (parts.next(), parts.next(), parts.next());
    match (number.map(str::parse::<f64>), unit, rest) {
        (Some(Ok(_)), Some("ns" | "us" | "ms" | "s"), Some(rest)) => {
            format!("            TIME  {}", without_id(rest.trim_start()))
        }
        _ => line,
    }
}

/// `worker#4711: role`, of threads that share a name.
fn without_id(rest: &str) -> String {
    let id = rest.split_once(": ").and_then(|(thread, role)| {
        let (name, id) = thread.rsplit_once('#')?;
        id.parse::<u32>().ok()?;
        Some(format!("{name}#ID: {role}"))
    });
    id.unwrap_or_else(|| rest.to_owned())
}

#[test]
fn each_assertion_fails_with_its_screen_and_all_reports_are_valid() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let sample = sample(folder.path());
    let program = built(&sample);
    remove_saved();
    let names = names(&program);
    assert_eq!(names.len(), RULES, "{names:?}");
    let screens = Mutex::new(BTreeMap::new());
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let output = asserted(&program, &sample, &["--exact", name, "--nocapture"]);
                    screens
                        .lock()
                        .unwrap()
                        .insert(name.clone(), screen(&output));
                }
            });
        }
    });
    let screens = screens.into_inner().unwrap();
    let text: String = screens
        .iter()
        .map(|(name, screen)| format!("== {name}\n{screen}\n"))
        .collect();
    let expected = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sample/screens.txt");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&expected, &text).unwrap();
    }
    let expected = std::fs::read_to_string(&expected).unwrap();
    for (got, wanted) in text.split("== ").zip(expected.split("== ")) {
        assert_eq!(got, wanted, "UPDATE_EXPECT=1 writes what is told now");
    }
    assert_eq!(text.len(), expected.len());
    reports_are_valid(&sample);
    remove_saved();
}

/// The traces that the failures saved, in all forms.
fn reports_are_valid(sample: &Path) {
    let traces = saved();
    assert_eq!(traces.len(), RULES);
    let mut check = tracer(sample);
    check.arg("check").args(&traces);
    for report in [
        "json=r.json",
        "sarif=r.sarif",
        "junit=r.xml",
        "jsonl=r.jsonl",
        "markdown=r.md",
    ] {
        check.args(["--report", report]);
    }
    run(&mut check).exits(1);
    let read = |name: &str| std::fs::read_to_string(sample.join(name)).unwrap();
    let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let schemas = [
        (
            "r.json",
            include_str!("../../../traces/schema/report.json").to_owned(),
        ),
        ("r.sarif", sarif_schema()),
    ];
    for (name, schema) in schemas {
        let mut schema = json(&schema);
        // The pattern of a run's language has a bracket too many, which validators refuse. We set no language.
        for owner in ["run", "toolComponent"] {
            let place = format!("/definitions/{owner}/properties/language");
            let language = schema.pointer_mut(&place).and_then(Value::as_object_mut);
            language.map(|language| language.remove("pattern"));
        }
        let validator = jsonschema::validator_for(&schema).unwrap();
        let report = json(&read(name));
        let errors: Vec<_> = validator
            .iter_errors(&report)
            .map(|error| error.to_string())
            .collect();
        assert!(errors.is_empty(), "{name}: {errors:?}");
    }
    let junit = quick_junit::Report::deserialize_from_str(&read("r.xml")).unwrap();
    assert!(junit.failures >= RULES, "{} failures", junit.failures);
    let findings: Vec<Value> = read("r.jsonl").lines().map(json).collect();
    assert!(findings.len() >= RULES, "{}", findings.len());
    let markdown = read("r.md");
    for rule in 1..=RULES {
        assert!(
            markdown.contains(&format!("T{rule:02}")),
            "T{rule:02} is not in {markdown}"
        );
    }
}

/// The official one, which a crate brings.
fn sarif_schema() -> String {
    let (_, out, err) = ran({
        let mut command = Command::new("cargo");
        command
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap())
            .args(["metadata", "--format-version", "1", "--offline", "--locked"])
            .args([
                "--filter-platform",
                &format!("{}-unknown-linux-gnu", std::env::consts::ARCH),
            ]);
        command
    });
    let metadata: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{err}"));
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages
        .iter()
        .find(|package| package["name"] == "serde-sarif")
        .unwrap();
    let manifest = Path::new(package["manifest_path"].as_str().unwrap());
    std::fs::read_to_string(manifest.with_file_name("src").join("schema.json")).unwrap()
}

/// Counts the failures of each test, each of which must be of its own rule.
#[track_caller]
fn attributed(output: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let mut lines = output.lines();
    while let Some(line) = lines.next() {
        let Some((_, rest)) = line.split_once(" in `t") else {
            continue;
        };
        let Some((name, _)) = rest.split_once("` (scope opened at ") else {
            continue;
        };
        let told = lines.next().unwrap_or_default().trim_start();
        assert!(
            told.starts_with(&format!("T{} ", &name[..2])),
            "{line}\n{told}"
        );
        assert!(line.trim_start().starts_with("1 finding"), "{line}");
        *counts.entry(format!("t{name}")).or_default() += 1;
    }
    counts
}

#[test]
fn tests_side_by_side_are_never_told_each_others_bugs() {
    let _alone = alone();
    let runs = std::env::var("TRACER_ATTRIBUTION_RUNS").map_or(5, |runs| runs.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let sample = sample(folder.path());
    let program = built(&sample);
    let expected: BTreeMap<String, usize> =
        names(&program).into_iter().map(|name| (name, 1)).collect();
    assert_eq!(expected.len(), RULES);
    for _ in 0..runs {
        let output = asserted(&program, &sample, &["--test-threads", "8"]);
        assert_eq!(attributed(&output), expected);
        remove_saved();
    }
    if !has_nextest() {
        return;
    }
    let mut nextest = cargo(&sample, &["nextest", "run", "--offline", "--no-fail-fast"]);
    nextest
        .args([
            "--features",
            "asserted",
            "--test",
            "asserted",
            "--test-threads",
            "8",
        ])
        .args([
            "--failure-output",
            "immediate",
            "--stress-count",
            &runs.to_string(),
        ])
        .env("RUST_BACKTRACE", "0");
    let (output, _, err) = ran(nextest);
    assert_eq!(output.status.code(), Some(100), "{err}");
    remove_saved();
    let all: BTreeMap<String, usize> = expected.into_keys().map(|name| (name, runs)).collect();
    assert_eq!(attributed(&err), all);
}
