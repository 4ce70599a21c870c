//! Runs each measurement in a process of its own, with or without a recording folder: whether a
//! program records is decided once, at its first hook.

use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::measure::is_quick;

const CHILD: &str = "TRACER_BENCH_CHILD";

/// As many as `tracer record` keeps: 64 MiB.
const CHUNKS: usize = 1024;

/// Fills the recording once. Until then it takes memory from the system, chunk by chunk; a program pays
/// for that in its first 64 MiB, and never again.
pub fn fill() {
    // A type of its own: the hooks that are measured stay as the compiler makes them for those who
    // measure. The smallest record has two words.
    for _ in 0..CHUNKS * wire::layout::CHUNK_WORDS / 2 {
        probe::peek::<Box<u32>>(std::ptr::null_mut());
    }
}

/// Runs `body` in a child process. Every measurement but `off` and `hooks-off` finds a recorder's folder; those whose
/// name ends in `-batch` have records share times.
pub fn alone(name: &str, body: impl FnOnce()) {
    if std::env::var(CHILD).as_deref() == Ok(name) {
        body();
        return;
    }
    let folder = folder(name);
    let mut child = Command::new(std::env::current_exe().expect("own path"));
    child.arg(name).env(CHILD, name).env_remove("TRACER_DIR");
    if is_quick() {
        child.arg("--quick");
    }
    if name != "off" && name != "hooks-off" {
        child.env("TRACER_DIR", folder.path());
    }
    let status = child.status().expect("the benchmark starts itself");
    assert!(
        status.success(),
        "the measurement {name} ended with {status}"
    );
}

/// The recorder itself, built as it is released.
pub fn tracer() -> Result<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "--locked", "--quiet", "-p", "tracer"]);
    let status = cargo
        .arg("--manifest-path")
        .arg(root.join("Cargo.toml"))
        .status()
        .map_err(|error| format!("cargo: {error}"))?;
    let built = root.join("target/release/tracer");
    (status.success() && built.exists())
        .then_some(built)
        .ok_or_else(|| "tracer does not build".to_owned())
}

/// A recorder's folder for a measurement, as `tracer record` makes it.
pub fn folder(name: &str) -> TempDir {
    folder_with(name, CHUNKS)
}

/// The same with room for so many chunks.
pub fn folder_with(name: &str, chunks: usize) -> TempDir {
    let shm = Path::new("/dev/shm");
    let parent = if shm.is_dir() {
        shm.to_path_buf()
    } else {
        std::env::temp_dir()
    };
    folder_for(&parent, name, chunks)
}

/// The same somewhere else.
pub fn folder_for(parent: &Path, name: &str, chunks: usize) -> TempDir {
    let folder = tempfile::Builder::new()
        .prefix("tracer-bench-")
        .permissions(std::fs::Permissions::from_mode(0o700))
        .tempdir_in(parent)
        .expect("a temporary folder");
    let mut session = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(folder.path().join("session"))
        .expect("a session file");
    writeln!(session, "protocol=1\nchunks={chunks}\nmode=ring").expect("a session file");
    // As much of the disk as anybody asks for.
    let mut room = [0; wire::layout::ROOM_BYTES];
    room[..8].copy_from_slice(&(1u64 << 40).to_le_bytes());
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(folder.path().join(wire::layout::ROOM))
        .and_then(|mut file| file.write_all(&room))
        .expect("a file that counts");
    if name.ends_with("-batch") {
        writeln!(session, "time=batch").expect("a session file");
    }
    // A measurement may be named after what it asks of the session.
    if name.contains('=') {
        writeln!(session, "{name}").expect("a session file");
    }
    folder
}
