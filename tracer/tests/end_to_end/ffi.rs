//! Owners that travel through a C library, in a program that really links one: libuv, from the
//! distribution. Where it is not installed the test says so and looks at nothing, unless
//! `TRACER_REQUIRE_ALL=1`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{record, run, tracer};

/// The program, built beside this test; nothing where there is no libuv.
fn timers() -> Option<PathBuf> {
    let installed = Command::new("pkg-config")
        .args(["--exists", "libuv"])
        .status()
        .is_ok_and(|status| status.success());
    if !installed {
        let why = "no libuv here (apt-get install libuv1-dev pkg-config)";
        assert!(std::env::var_os("TRACER_REQUIRE_ALL").is_none(), "{why}");
        eprintln!("SKIPPED: {why}; nothing is known about callbacks of C libraries from this run");
        return None;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let package = Path::new(env!("CARGO_TARGET_TMPDIR")).join("libuv-timers");
    std::fs::create_dir_all(&package).unwrap();
    // A package of its own: the workspace must build where there is no libuv.
    let manifest = format!(
        "[package]\nname = \"libuv-timers\"\nedition = \"2024\"\n[workspace]\n\
         [[bin]]\nname = \"libuv-timers\"\npath = {:?}\n\
         [dependencies]\ntracer-probe = {{ path = {:?} }}\n",
        root.join("probe/tests/libuv/timers.rs"),
        root.join("probe"),
    );
    std::fs::write(package.join("Cargo.toml"), manifest).unwrap();
    // The versions of the workspace; Cargo leaves out what is not needed.
    std::fs::copy(root.join("Cargo.lock"), package.join("Cargo.lock")).unwrap();
    let mut build = Command::new(env!("CARGO"));
    build
        .args(["build", "--quiet", "--offline", "--target-dir", "target"])
        .current_dir(&package);
    run(&mut build).exits(0);
    Some(package.join("target/debug/libuv-timers"))
}

#[test]
fn mistakes_with_the_data_of_a_timer_are_found_and_correct_use_is_clean() {
    let Some(program) = timers() else { return };
    let program = program.to_str().expect("a path of text");
    let folder = tempfile::tempdir().unwrap();
    for (turn, found) in [
        ("correct", None),
        ("closed-twice", Some("T08 reclaimed-twice")),
        ("freed-while-armed", Some("T07 reclaimed-in-flight")),
    ] {
        run(&mut record(folder.path(), [program, turn])).exits(0);
        let ran = run(tracer(folder.path()).args(["check", "trace.bin"]));
        match found {
            None => ran.exits(0),
            Some(found) => ran.exits(1).prints(found).prints("timers.rs"),
        };
    }
}
