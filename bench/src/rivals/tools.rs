//! Which tools there are, and how the program is run under each.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Rival, Way, lttng};
use crate::measure::is_quick;

/// Operations of one loop for tools that cost little; a loop takes a millisecond, so that some of them
/// run undisturbed on a busy machine, and goes through a dozen of our chunks.
const FAST: [u32; 3] = [1_600, 8_000, 1_600];
/// For those that cost microseconds an operation.
const SLOW: [u32; 3] = [400, 1_280, 640];
/// For those that stop the program at every system call.
const CRAWLING: [u32; 3] = [40, 640, 320];

/// All of them, the bare program first. `folder` is for what they write.
pub(super) fn all(folder: &Path) -> Vec<Rival> {
    let rival = |name, operations, way| Rival {
        name,
        operations,
        way,
    };
    let out = |name: &str| folder.join(name).display().to_string();
    vec![
        rival("bare", FAST, Ok(inside("bare"))),
        rival("tracer (all four events)", FAST, Ok(inside("recorded"))),
        rival("LTTng-UST, flight recorder", FAST, lttng::way(folder)),
        rival(
            "heaptrack",
            FAST,
            wrapped("heaptrack", &["heaptrack", "-o", &out("heaptrack")]),
        ),
        rival("AddressSanitizer", FAST, address_sanitizer()),
        rival(
            "Valgrind memcheck",
            SLOW,
            wrapped("valgrind", &["valgrind", "-q", "--tool=memcheck"]),
        ),
        rival(
            "`tracing` + fmt, to /dev/null",
            SLOW,
            Ok(inside("tracing-fmt")),
        ),
        rival("tracing-chrome", SLOW, Ok(inside("tracing-chrome"))),
        rival(
            "strace -f, to a file",
            CRAWLING,
            wrapped("strace", &["strace", "-f", "-o", &out("strace")]),
        ),
    ]
}

/// This very executable.
fn own_path() -> PathBuf {
    std::env::current_exe().expect("own path")
}

fn inside(tool: &'static str) -> Way {
    Way {
        wrapper: Vec::new(),
        program: own_path(),
        tool,
        environment: Vec::new(),
        _keep: None,
    }
}

/// Whether a command can be started at all.
pub(super) fn is_there(command: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(command).is_file())
}

/// A tool that works from outside; its package has its name.
fn wrapped(name: &str, wrapper: &[&str]) -> Result<Way, String> {
    if !is_there(name) {
        return Err(format!("not installed (apt install {name})"));
    }
    Ok(Way {
        wrapper: wrapper.iter().map(Into::into).collect(),
        ..inside("bare")
    })
}

/// Builds the program anew with the sanitizer, which only nightly compilers have.
fn address_sanitizer() -> Result<Way, String> {
    let nightly = ["run", "nightly"];
    let found = Command::new("rustup")
        .args(nightly)
        .args(["rustc", "--version"])
        .output();
    if !found.is_ok_and(|found| found.status.success()) {
        return Err("not installed (rustup toolchain install nightly)".into());
    }
    if is_quick() {
        return Err("left out: --quick builds nothing".into());
    }
    // Without a target of its own, build scripts would be built with the sanitizer too.
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let own = own_path();
    let folder = own
        .parent()
        .and_then(Path::parent)
        .expect("a target folder");
    let folder = folder.join("asan");
    let built = Command::new("rustup")
        .args(nightly)
        .args(["cargo", "build", "--release", "--locked", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .args(["--target", &target, "--target-dir"])
        .arg(&folder)
        .env("RUSTFLAGS", "-Zsanitizer=address")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .output()
        .map_err(|error| error.to_string())?;
    if !built.status.success() {
        let talk = String::from_utf8_lossy(&built.stderr);
        let first = talk.lines().find(|line| line.starts_with("error"));
        return Err(format!("failed to build: {}", first.unwrap_or("?")));
    }
    Ok(Way {
        program: folder.join(target).join("release/bench"),
        // What is still held at the end is not what is measured.
        environment: vec![("ASAN_OPTIONS", "detect_leaks=0".into())],
        ..inside("bare")
    })
}
