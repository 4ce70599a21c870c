//! What the shim costs programs that do not link the probe: each variant is a process of its own.
//!
//! Before it counts, each program's recording is filled once, as with the other measurements: until then it takes memory
//! from the system. The floor is what the program itself pays to write down the times and words of each operation.
//!
//! The program is in C (`program.c`), since this one links the probe, and the shim would step aside. It is built on
//! liburing's shared library, on its static one, whose system calls have to be trapped, and with system calls through
//! the C library.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::asked::Asked;
use crate::{Variant, session, table};

/// Workload, title, rounds and operations of a round.
const WORKLOADS: [(&str, &str, u32, u32); 4] = [
    ("nop-1", "NOP, one at a time", 40, 40_000),
    ("nop-128", "NOP, batches of 128", 40, 100_000),
    ("free", "malloc and free, nothing in flight", 40, 400_000),
    (
        "free-in-flight",
        "malloc and free, 32 reads into such blocks in flight",
        40,
        400_000,
    ),
];

/// NOPs whose records fill 64 MiB: each takes 32 bytes.
const FILL: u32 = 2_200_000;

/// Prints what each workload costs, with and without the shim.
pub fn run() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    match variants(folder.path()) {
        Ok(programs) => {
            for (workload, title, rounds, operations) in WORKLOADS {
                measure(&programs, workload, title, rounds, operations);
            }
        }
        Err(why) => println!("preload: not measured: {why}\n"),
    }
}

struct Programs {
    shim: PathBuf,
    called: PathBuf,
    floor: PathBuf,
    shared: PathBuf,
    inline: PathBuf,
    /// With the probe for C, which the shim tells what is freed.
    probe: PathBuf,
}

/// The program, built with options of the compiler's.
pub fn build(folder: &Path, name: &str, options: &[&str]) -> Result<PathBuf, String> {
    let program = folder.join(name);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/preload/program.c");
    let mut compiler = Command::new("cc");
    compiler.arg("-O2").arg("-o").arg(&program).arg(source);
    let output = compiler.args(options).output();
    let output = output.map_err(|error| format!("cc: {error}"))?;
    match output.status.success() {
        true => Ok(program),
        false => Err("cc and liburing are needed (apt install gcc liburing-dev)".to_owned()),
    }
}

fn variants(folder: &Path) -> Result<Programs, String> {
    let build = |name: &str, options: &[&str]| build(folder, name, options);
    let library = crate::c::library("c", &[])?;
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("../probe/c/include");
    let include = format!("-I{}", include.display());
    let library = library.to_string_lossy();
    let probe = [
        "-DPROBE",
        &include,
        &*library,
        "-luring",
        "-lpthread",
        "-ldl",
        "-lm",
    ];
    Ok(Programs {
        probe: build("probe", &probe)?,
        called: build("called", &["-DSYSCALL", "-luring"])?,
        floor: build("floor", &["-DSYSCALL", "-DFLOOR", "-luring"])?,
        shared: build("shared", &["-luring"])?,
        inline: build("inline", &["-l:liburing.a"])?,
        shim: shim()?,
    })
}

/// The shim, built as `tracer` builds it.
pub fn shim() -> Result<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target = root.join("bench/target/shim");
    let mut cargo = Command::new("cargo");
    cargo
        .args([
            "build",
            "--release",
            "--locked",
            "--quiet",
            "--manifest-path",
        ])
        .arg(root.join("probe/preload/Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .env(
            "CARGO_ENCODED_RUSTFLAGS",
            "-Cforce-unwind-tables=yes\u{1f}-Cforce-frame-pointers=yes",
        )
        .env("CARGO_PROFILE_RELEASE_PANIC", "abort")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1")
        .env("CARGO_PROFILE_RELEASE_LTO", "fat");
    let status = cargo.status().map_err(|error| format!("cargo: {error}"))?;
    let built = target.join("release/libtracer_preload.so");
    (status.success() && built.exists())
        .then_some(built)
        .ok_or_else(|| "the shim does not build".to_owned())
}

/// Starts a program, with the shim or without, and fills its recording once.
fn start(program: &Path, shim: Option<&Path>, trap: &str) -> Asked {
    let folder = shim.map(|_| session::folder("preload"));
    let mut command = Command::new(program);
    if let (Some(shim), Some(folder)) = (shim, &folder) {
        std::fs::write(folder.path().join("trap"), trap).expect("a word for the shim");
        command.env("LD_PRELOAD", shim);
    }
    let mut asked = Asked::start(command, folder);
    asked.does("nop-128", FILL);
    asked
}

fn measure(programs: &Programs, workload: &str, title: &str, rounds: u32, operations: u32) {
    let shim = Some(programs.shim.as_path());
    let variant = |name, mut program: Asked| Variant {
        name,
        run: Box::new(move |count| program.does(workload, count)),
    };
    let mut variants = vec![
        variant("bare", start(&programs.called, None, "")),
        variant("bare, once more", start(&programs.called, None, "")),
        variant(
            "shim, calls by the C library",
            start(&programs.called, shim, "never"),
        ),
    ];
    if workload.starts_with("free") {
        variants.push(variant(
            "shim, tells the probe for C",
            start(&programs.probe, shim, "never"),
        ));
    }
    if workload.starts_with("nop") {
        variants.extend([
            variant(
                "the floor: timestamps and stores alone",
                start(&programs.floor, None, ""),
            ),
            variant("liburing, bare", start(&programs.shared, None, "")),
            variant("liburing, shim", start(&programs.shared, shim, "never")),
            variant(
                "calls in line, shim: trapped",
                start(&programs.inline, shim, "auto"),
            ),
        ]);
    }
    table(
        &format!("{title}, without the probe"),
        &mut variants,
        rounds,
        operations,
    );
}
