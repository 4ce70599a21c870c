//! Call stacks go through code that was loaded after the recording began, and threads that begin after the
//! program shut itself in still have theirs.
//!
//! The program is built here, with frame pointers, and links the probe as any program does.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{read, run, tracer};

const MANIFEST: &str = "
[package]
name = \"late\"
version = \"0.0.0\"
edition = \"2024\"

[dependencies]
tracer-probe = { path = PROBE }

[workspace]
";

const PROGRAM: &str = r#"
use std::ffi::{CString, c_char, c_int, c_long, c_ulong, c_void};

unsafe extern "C" {
    fn dlopen(path: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
    fn dlclose(library: *mut c_void) -> c_int;
    fn prctl(option: c_int, ...) -> c_int;
}

extern "C" fn round_trip() {
    let raw = probe::into_raw(Box::new(1u64));
    drop(unsafe { probe::from_raw::<Box<u64>>(raw) });
}

/// Whoever opens a file from here on is killed.
fn shut_in() {
    #[cfg(target_arch = "x86_64")]
    const OPENAT: u32 = 257;
    #[cfg(target_arch = "aarch64")]
    const OPENAT: u32 = 56;
    // Load the number of the call; kill the process if it is this one; else allow.
    let filter: [(u16, u8, u8, u32); 4] = [
        (0x20, 0, 0, 0),
        (0x15, 0, 1, OPENAT),
        (0x06, 0, 0, 0x8000_0000),
        (0x06, 0, 0, 0x7FFF_0000),
    ];
    #[repr(C)]
    struct Program(u16, *const c_void);
    #[repr(C)]
    struct Step(u16, u8, u8, u32);
    let steps = filter.map(|(code, yes, no, value)| Step(code, yes, no, value));
    let program = Program(4, steps.as_ptr().cast());
    let none: c_ulong = 0;
    unsafe {
        assert_eq!(prctl(38, 1 as c_ulong, none, none, none), 0);
        assert_eq!(prctl(22, 2 as c_ulong, &raw const program), 0);
    }
    let _: c_long = 0;
}

#[inline(never)]
fn in_a_new_thread() {
    round_trip();
}

fn main() {
    round_trip();
    for path in std::env::args().skip(1) {
        if path == "--shut-in" {
            shut_in();
            std::thread::spawn(in_a_new_thread).join().unwrap();
            continue;
        }
        if path == "--open" {
            let _ = std::fs::File::open("/dev/null");
            continue;
        }
        let path = CString::new(path).unwrap();
        unsafe {
            let library = dlopen(path.as_ptr(), 2);
            assert!(!library.is_null());
            let enter = dlsym(library, c"enter".as_ptr());
            assert!(!enter.is_null());
            let enter: extern "C" fn(extern "C" fn()) = std::mem::transmute(enter);
            enter(round_trip);
            dlclose(library);
        }
    }
}
"#;

/// A library that can be unloaded: without the standard library there is nothing that keeps it.
const LIBRARY: &str = "
#![no_std]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! { loop {} }
#[inline(never)]
fn NAME(f: extern \"C\" fn()) -> u64 { f(); core::hint::black_box(7) }
#[unsafe(no_mangle)]
pub extern \"C\" fn enter(f: extern \"C\" fn()) -> u64 { NAME(f).wrapping_add(core::hint::black_box(1)) }
";

const FRAME_POINTERS: &str = "-Cforce-frame-pointers=yes";

fn build_program(folder: &Path, flags: &str) -> PathBuf {
    let folder = &folder.join("late");
    std::fs::create_dir(folder).unwrap();
    let probe = Path::new(env!("CARGO_MANIFEST_DIR")).join("../probe");
    let manifest = MANIFEST.replace("PROBE", &format!("{:?}", probe.canonicalize().unwrap()));
    std::fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    std::fs::create_dir(folder.join("src")).unwrap();
    std::fs::write(folder.join("src/main.rs"), PROGRAM).unwrap();
    // What the probe may depend on is locked for the workspace, and so is there without a network.
    let lock = probe.join("../Cargo.lock");
    std::fs::copy(lock, folder.join("Cargo.lock")).unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["build", "--offline", "--quiet", "--target-dir", "target"])
        .current_dir(folder)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("CARGO_TARGET_DIR")
        .env("RUSTFLAGS", flags);
    run(&mut cargo).exits(0);
    folder.join("target/debug/late")
}

fn build_library(folder: &Path, name: &str) -> PathBuf {
    let source = folder.join(format!("{name}.rs"));
    std::fs::write(&source, LIBRARY.replace("NAME", name)).unwrap();
    let library = folder.join(format!("lib{name}.so"));
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut command = Command::new(compiler);
    command
        .args(["--edition", "2024", "--crate-type", "cdylib", "-g"])
        .args([
            FRAME_POINTERS,
            "-Cpanic=abort",
            "-Clink-arg=-nostartfiles",
            "-o",
        ])
        .arg(&library)
        .arg(&source);
    run(&mut command).exits(0);
    library
}

fn record(folder: &Path, program: &Path, arguments: &[&str]) -> Command {
    let mut command = tracer(folder);
    command.args(["record", "--stacks", "--"]);
    command.arg(program).args(arguments);
    command
}

#[test]
fn stacks_go_through_what_was_loaded_later_and_through_new_threads_of_a_sandbox() {
    let folder = tempfile::tempdir().unwrap();
    let program = build_program(folder.path(), FRAME_POINTERS);
    let libraries =
        ["first_library", "second_library"].map(|name| build_library(folder.path(), name));
    let paths = libraries.each_ref().map(|path| path.to_str().unwrap());

    // The first comes again at the end: it is not another module for that.
    let arguments = [paths[0], paths[1], paths[0]];
    let ran = run(&mut record(folder.path(), &program, &arguments)).exits(0);
    assert!(!ran.stderr.contains("cannot be followed"), "{}", ran.stderr);
    let trace = folder.path().join("trace.bin");
    let dump = run(tracer(folder.path()).arg("dump").arg(&trace)).exits(0);
    assert_eq!(dump.stderr, "");
    let leaks = dump.stdout().lines().filter(|line| line.contains(" leak "));
    let leaks: Vec<&str> = leaks.collect();
    assert_eq!(leaks.len(), 4, "{}", dump.stdout());
    for (leak, library) in
        leaks
            .iter()
            .zip(["", "first_library", "second_library", "first_library"])
    {
        assert!(leak.contains("late::main (late/src/main.rs:"), "{leak}");
        let through = |name: &str| leak.contains(&format!("::{name} ({name}.rs:"));
        for name in ["first_library", "second_library"] {
            assert_eq!(through(name), name == library, "{leak}");
        }
    }
    let recording = read(&trace);
    for path in paths {
        let modules = recording.recording().modules.iter();
        let modules = modules.filter(|module| module.path.bytes() == path.as_bytes());
        let modules: Vec<_> = modules.collect();
        assert_eq!(modules.len(), 1, "{path}");
        assert!(!modules[0].build_id.is_empty());
    }

    // The sandbox is one: it kills who opens a file. The thread that begins in it does not.
    run(&mut record(
        folder.path(),
        &program,
        &["--shut-in", "--open"],
    ))
    .dies_by(libc::SIGSYS);
    run(&mut record(folder.path(), &program, &["--shut-in"])).exits(0);
    let dump = run(tracer(folder.path()).arg("dump").arg(&trace)).exits(0);
    let mut lines = dump.stdout().lines();
    let last = lines.rfind(|line| line.contains(" leak ")).unwrap();
    assert!(last.contains("late::in_a_new_thread"), "{last}");
}

#[test]
fn program_without_frame_pointers_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let program = build_program(folder.path(), "-Cforce-frame-pointers=no -Copt-level=3");
    let ran = run(&mut record(folder.path(), &program, &[])).exits(0);
    let ran = ran.says("code without frame pointers cannot be followed");
    ran.says(&format!("`tracer doctor {}`", program.display()));
    // Nobody asked for stacks, nobody hears of them.
    let mut plain = tracer(folder.path());
    let ran = run(plain.args(["record", "--"]).arg(&program)).exits(0);
    assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
}
