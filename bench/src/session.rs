//! Runs each measurement in a process of its own, with or without a recording folder: whether a
//! program records is decided once, at its first hook.

use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::process::Command;

/// Runs `body` in a child process. Every measurement but `off` finds a recorder's folder; those whose
/// name ends in `-batch` have records share times.
pub fn alone(name: &str, body: impl FnOnce()) {
    const CHILD: &str = "TRACER_BENCH_CHILD";
    if std::env::var(CHILD).as_deref() == Ok(name) {
        body();
        return;
    }
    if std::env::var_os(CHILD).is_some() {
        return;
    }
    let shm = std::path::Path::new("/dev/shm");
    let parent = if shm.is_dir() {
        shm.to_path_buf()
    } else {
        std::env::temp_dir()
    };
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
    let time = if name.ends_with("-batch") {
        "batch"
    } else {
        "event"
    };
    let text = format!("protocol=1\nchunks=1024\nmode=ring\ntime={time}");
    writeln!(session, "{text}").expect("a session file");
    let mut child = Command::new(std::env::current_exe().expect("own path"));
    child.arg(name).env(CHILD, name).env_remove("TRACER_DIR");
    if name != "off" {
        child.env("TRACER_DIR", folder.path());
    }
    let status = child.status().expect("the benchmark starts itself");
    assert!(
        status.success(),
        "the measurement {name} ended with {status}"
    );
}
