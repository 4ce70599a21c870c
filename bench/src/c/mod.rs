//! What the probe costs programs in C, and what its word to sanitizers costs where none runs (the feature
//! `sanitizers`): each variant is a process of its own, built from `program.c`.
//!
//! Told of a completion or not, a library with that feature is called by every macro: that is most of what it costs
//! a program that is not recorded.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::asked::Asked;
use crate::{Variant, session, table};

/// Workload, title, rounds and operations of a round: a few milliseconds, which a busy machine gives in one piece.
const WORKLOADS: [(&str, &str, u32, u32); 10] = [
    (
        "pointers",
        "C: a block given away and taken back, beside malloc and free (2 records)",
        100,
        50_000,
    ),
    (
        "owners",
        "C: the same, by an owner who is named (2 records)",
        100,
        50_000,
    ),
    (
        "counts",
        "C: a handle more and a handle less of what is counted (2 records)",
        100,
        50_000,
    ),
    (
        "descriptors",
        "C: a descriptor opened and closed, without the system calls (2 records)",
        100,
        50_000,
    ),
    (
        "borrows",
        "C: a borrow begun and ended (2 records)",
        100,
        50_000,
    ),
    (
        "initialised",
        "C: how much of a buffer is initialised (1 record)",
        100,
        50_000,
    ),
    (
        "rings",
        "C: a ring of the program's own making, without a kernel (4 records, poison put in and out)",
        100,
        50_000,
    ),
    (
        "coroutines",
        "C: a coroutine resumed and suspended (2 records)",
        100,
        50_000,
    ),
    (
        "nops",
        "C: NOPs in batches of 32, by liburing's functions (4 records, poison put in and out)",
        100,
        10_000,
    ),
    (
        "reads",
        "C: reads of 4 KiB from memory in batches of 32 (4 records)",
        100,
        4_000,
    ),
];

/// NOPs whose records fill 64 MiB.
const FILL: u32 = 1_300_000;

/// Prints what each workload costs.
pub fn run() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    match Programs::build(folder.path()) {
        Ok(programs) => {
            for (workload, title, rounds, operations) in WORKLOADS {
                let mut variants = vec![
                    variant("bare", workload, &programs.bare, false),
                    variant("bare, once more", workload, &programs.bare, false),
                    variant("not recorded", workload, &programs.probe, false),
                    variant("recorded", workload, &programs.probe, true),
                    variant(
                        "feature sanitizers, no tool, not recorded",
                        workload,
                        &programs.sanitizers,
                        false,
                    ),
                    variant(
                        "feature sanitizers, no tool, recorded",
                        workload,
                        &programs.sanitizers,
                        true,
                    ),
                ];
                table(title, &mut variants, rounds, operations);
            }
        }
        Err(why) => println!("c: not measured: {why}\n"),
    }
}

fn variant(
    name: &'static str,
    workload: &'static str,
    program: &Path,
    is_recorded: bool,
) -> Variant<'static> {
    let folder = is_recorded.then(|| session::folder("c"));
    let mut asked = Asked::start(Command::new(program), folder);
    if is_recorded {
        asked.does("nops", FILL);
    }
    Variant {
        name,
        run: Box::new(move |count| asked.does(workload, count)),
    }
}

struct Programs {
    bare: PathBuf,
    probe: PathBuf,
    sanitizers: PathBuf,
}

impl Programs {
    fn build(folder: &Path) -> Result<Self, String> {
        let library = library("c", &[])?;
        let telling = library_that_tells()?;
        Ok(Self {
            bare: program(folder, "bare", &["-DTRACER_OFF"], None)?,
            probe: program(folder, "probe", &[], Some(&library))?,
            sanitizers: program(
                folder,
                "sanitizers",
                &["-DTRACER_SANITIZERS"],
                Some(&telling),
            )?,
        })
    }
}

fn library_that_tells() -> Result<PathBuf, String> {
    library("c-sanitizers", &["--features", "sanitizers"])
}

/// The static library, as README.md says to build it.
pub(crate) fn library(name: &str, options: &[&str]) -> Result<PathBuf, String> {
    let root = root();
    let target = root.join("bench/target").join(name);
    let mut cargo = Command::new("cargo");
    cargo
        .args([
            "build",
            "--release",
            "--locked",
            "--quiet",
            "-p",
            "tracer-probe-c",
        ])
        .args(options)
        .arg("--target-dir")
        .arg(&target)
        .current_dir(&root);
    let status = cargo.status().map_err(|error| format!("cargo: {error}"))?;
    match status.success() {
        true => Ok(target.join("release/libtracer_probe_c.a")),
        false => Err("the library for C does not build".to_owned()),
    }
}

fn program(
    folder: &Path,
    name: &str,
    options: &[&str],
    library: Option<&Path>,
) -> Result<PathBuf, String> {
    let program = folder.join(name);
    let mut compiler = Command::new("cc");
    compiler
        .args(["-O2", "-D_GNU_SOURCE", "-I"])
        .arg(root().join("probe/c/include"))
        .args(options)
        .arg("-o")
        .arg(&program)
        .arg(root().join("bench/src/c/program.c"))
        .args(library)
        .args(["-luring", "-lpthread", "-ldl", "-lm"]);
    let output = compiler.output().map_err(|error| format!("cc: {error}"))?;
    match output.status.success() {
        true => Ok(program),
        false => Err("cc and liburing are needed (apt install gcc liburing-dev)".to_owned()),
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
