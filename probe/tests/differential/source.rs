//! The crate's own source, asked what there is: each public method of what the probe wraps, each operation, and each
//! option of an operation must be called by the suite.

use std::path::PathBuf;
use std::process::Command;

/// All of the suite.
const SUITE: [&str; 5] = [
    include_str!("common.rs"),
    include_str!("control.rs"),
    include_str!("files.rs"),
    include_str!("rings.rs"),
    include_str!("sockets.rs"),
];

/// The crate's source, where Cargo keeps it.
fn crate_source() -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--frozen",
            "--filter-platform",
            // Others may need crates that are not here.
            if cfg!(target_arch = "aarch64") {
                "aarch64-unknown-linux-gnu"
            } else {
                "x86_64-unknown-linux-gnu"
            },
            "--manifest-path",
        ])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .output()
        .expect("cargo");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("JSON is text");
    let end = text
        .find("/Cargo.toml\"")
        .map(|_| "/Cargo.toml\"")
        .expect("manifests");
    let found = text.match_indices(end).find_map(|(at, _)| {
        let start = text[..at].rfind('"')? + 1;
        let folder = &text[start..at];
        folder
            .rsplit('/')
            .next()?
            .starts_with("io-uring-0.7")
            .then(|| PathBuf::from(folder))
    });
    found.expect("the folder of io-uring").join("src")
}

/// Public methods in one of the crate's files, each with the type that has it.
fn methods(file: &str) -> Vec<(String, String)> {
    let source = std::fs::read_to_string(crate_source().join(file)).expect("a source file");
    let mut owner = String::new();
    let mut found = Vec::new();
    for line in source.lines() {
        if let Some(rest) = line.strip_prefix("impl") {
            // `impl<S: A> Name<S> {`
            let name =
                rest.rsplit_once("> ").map_or(
                    rest,
                    |(before, after)| {
                        if after == "{" { before } else { after }
                    },
                );
            let name = name.trim_start().split(['<', ' ']).next().unwrap_or("");
            owner = name.to_owned();
            // With parameters of its own: the name stands behind them.
            if let Some(behind) = rest.strip_prefix('<') {
                let mut depth = 1;
                let end = behind.find(|c| {
                    depth += i32::from(c == '<') - i32::from(c == '>');
                    depth == 0
                });
                let behind = end.map_or("", |end| &behind[end + 1..]);
                owner = behind
                    .trim_start()
                    .split(['<', ' '])
                    .next()
                    .unwrap_or("")
                    .to_owned();
            }
        }
        let words: Vec<_> = line.trim_start().split([' ', '(', '<']).collect();
        if line.starts_with("    pub ") && words.contains(&"fn") {
            let at = words.iter().position(|word| *word == "fn").unwrap_or(0);
            found.push((owner.clone(), words[at + 1].to_owned()));
        }
    }
    found
}

const WRAPPED: [&str; 5] = [
    "IoUring",
    "Builder",
    "Submitter",
    "SubmissionQueue",
    "CompletionQueue",
];

#[test]
fn the_suite_calls_every_method_of_what_is_wrapped() {
    let mut seen = [0; WRAPPED.len()];
    for file in ["lib.rs", "submit.rs", "squeue.rs", "cqueue.rs"] {
        for (owner, method) in methods(file) {
            let Some(at) = WRAPPED.iter().position(|wrapped| *wrapped == owner) else {
                continue;
            };
            seen[at] += 1;
            let is_called = [".", "::"].iter().any(|before| {
                ["(", "::<"].iter().any(|behind| {
                    let call = format!("{before}{method}{behind}");
                    SUITE.iter().any(|text| text.contains(&call))
                })
            });
            assert!(
                is_called,
                "{owner}::{method} is new: call it in the suite, and wrap it if it moves a queue"
            );
        }
    }
    // Of 0.7.16; a reader of the source that finds less has gone blind.
    for (found, at_least) in seen.iter().zip([12, 15, 39, 12, 10]) {
        assert!(*found >= at_least, "{seen:?}");
    }
}

/// The operations that the crate has, each with its options: what stands between `;;` and the end of its structure.
fn operations() -> Vec<(String, Vec<String>)> {
    let source = std::fs::read_to_string(crate_source().join("opcode.rs")).expect("a source file");
    let mut found = Vec::new();
    for text in source.split("    pub struct ").skip(1) {
        let text = text.split("pub const CODE").next().expect("a part");
        let name = text.split([' ', '{']).next().expect("a name").to_owned();
        // Of the macro that makes them.
        if name.starts_with('$') {
            continue;
        }
        let (_, options) = text.split_once(";;").expect("options");
        let options = options.lines().map(str::trim);
        let options = options.filter_map(|line| {
            let (option, _) = line.split_once(": ")?;
            (!line.starts_with("//")).then(|| option.to_owned())
        });
        found.push((name, options.collect()));
    }
    found
}

/// What is called from each `opcode::NAME::new(` to its `.build()`.
fn calls(operation: &str) -> Vec<String> {
    let new = format!("opcode::{operation}::new(");
    let mut found = Vec::new();
    for text in SUITE {
        let made = text.split(&new).skip(1);
        found.extend(made.filter_map(|rest| rest.split(".build()").next().map(str::to_owned)));
    }
    found
}

#[test]
fn the_suite_runs_every_operation_with_every_option() {
    let operations = operations();
    // As above.
    assert!(operations.len() >= 75, "{}", operations.len());
    let options: usize = operations.iter().map(|(_, options)| options.len()).sum();
    assert!(options >= 97, "{options}");
    for (operation, options) in operations {
        let calls = calls(&operation);
        assert!(
            !calls.is_empty(),
            "{operation} is new: run it in the suite, and say in the model what it owes"
        );
        for option in options {
            let given = format!(".{option}(");
            assert!(
                calls.iter().any(|call| call.contains(&given)),
                "{operation} has an option that the suite does not give it: {option}"
            );
        }
    }
}
