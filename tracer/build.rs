//! Builds the shim that `record` loads into programs (`probe/preload`), so that the binary can carry it.
//!
//! By a cargo of its own, into this build's output folder: a package cannot depend on a shared object, the shim is
//! always optimised, and flags meant for this build (a sanitizer's, `-C target-cpu=native`) are no flags for a
//! file that is loaded into other programs. It has no dependency outside this repository, and its versions are
//! those of the same lock file, so that it builds wherever this does, offline too.
//!
//! Where there can be no shim the file is empty, and `record` says so.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Keeps the way open for whoever unwinds through the shim (a thread that is cancelled in a call), and for call stacks.
/// The second flag stands behind the separator of CARGO_ENCODED_RUSTFLAGS.
const FLAGS: &str = "-Cforce-unwind-tables=yes\u{1f}-Cforce-frame-pointers=yes";

fn main() {
    let out = PathBuf::from(variable("OUT_DIR"));
    let root = Path::new(&variable("CARGO_MANIFEST_DIR")).join("..");
    for part in [
        "probe/preload/src",
        "probe/preload/Cargo.toml",
        "probe/src",
        "probe/Cargo.toml",
        "probe/wire/src",
        "probe/wire/Cargo.toml",
    ] {
        println!("cargo::rerun-if-changed={}", root.join(part).display());
    }
    println!("cargo::rerun-if-changed=build.rs");
    let shim = out.join("shim.so");
    let built = if has_shim() {
        std::fs::copy(build(&root, &out), &shim).map(|_| ())
    } else {
        std::fs::write(&shim, [])
    };
    if let Err(error) = built {
        panic!("cannot write {}: {error}", shim.display());
    }
}

fn variable(name: &str) -> OsString {
    std::env::var_os(name).unwrap_or_else(|| panic!("cargo sets {name}"))
}

/// Whether the shim can be loaded into programs of the target: see `probe/preload/src/lib.rs`.
fn has_shim() -> bool {
    let cfg = |name: &str| std::env::var(format!("CARGO_CFG_TARGET_{name}")).unwrap_or_default();
    cfg("OS") == "linux"
        && cfg("ENV") == "gnu"
        && matches!(cfg("ARCH").as_str(), "x86_64" | "aarch64")
}

/// Builds it, and says where it is.
fn build(root: &Path, out: &Path) -> PathBuf {
    let (target, folder) = (variable("TARGET"), out.join("shim"));
    let mut cargo = Command::new(variable("CARGO"));
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
        .arg(&folder)
        .arg("--target")
        .arg(&target);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let is_for_this_build = text.starts_with("CARGO_PROFILE_")
            || text.starts_with("CARGO_BUILD_")
            || text.ends_with("RUSTFLAGS")
            // `cargo clippy` looks at this package, not at that one.
            || text == "RUSTC_WORKSPACE_WRAPPER";
        if is_for_this_build {
            cargo.env_remove(&name);
        }
    }
    cargo
        .env("CARGO_ENCODED_RUSTFLAGS", FLAGS)
        // A panic in it would be the end of the program that it is loaded into either way.
        .env("CARGO_PROFILE_RELEASE_PANIC", "abort")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1")
        // Hooks of the probe in line: a fifth less on a ring's way.
        .env("CARGO_PROFILE_RELEASE_LTO", "fat")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "false")
        .env("CARGO_PROFILE_RELEASE_STRIP", "debuginfo");
    let status = cargo.status().unwrap_or_else(|error| {
        panic!("cannot start cargo for the shim: {error}");
    });
    assert!(status.success(), "the shim (probe/preload) does not build");
    folder
        .join(target)
        .join("release")
        .join("libtracer_preload.so")
}
