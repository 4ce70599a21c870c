//! What a program is recorded in: folders that others can write to, other users, kernels that forbid
//! io_uring.
//!
//! Holds `unsafe`: what runs between fork and exec.

use std::fs::{DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::support::{Ran, entries, has_io_uring, run, tracer};

/// Runs a built-in program as if `folder` were a recording folder.
fn run_with_folder(folder: &Path) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracer"));
    command
        .args(["__scenario", "double", "--ring", "simulated"])
        .env("TRACER_DIR", folder);
    run(&mut command)
}

/// The program ran as ever, said why it does not record in one line, and left nothing.
#[track_caller]
fn refused(folder: &Path, why: &str) {
    let ran = run_with_folder(folder).exits(0);
    let ran = ran.says("not recording").says(why);
    assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
    assert!(!ran.stdout().is_empty());
    if let Ok(found) = std::fs::read_dir(folder) {
        assert!(
            found.count() <= 1,
            "something was written into {}",
            folder.display()
        );
    }
}

fn recording_folder(parent: &Path, mode: u32) -> std::path::PathBuf {
    let folder = parent.join(format!("recording-{mode:o}"));
    DirBuilder::new().mode(0o700).create(&folder).unwrap();
    std::fs::write(folder.join("session"), "protocol=1\nchunks=16\n").unwrap();
    std::fs::set_permissions(&folder, Permissions::from_mode(mode)).unwrap();
    folder
}

#[test]
fn folder_that_others_can_write_to_is_refused_by_the_probe() {
    let base = tempfile::tempdir().unwrap();
    refused(
        &recording_folder(base.path(), 0o777),
        "can be written to by other users",
    );
    refused(
        &recording_folder(base.path(), 0o770),
        "can be written to by other users",
    );
    let own = recording_folder(base.path(), 0o700);
    let ran = run_with_folder(&own).exits(0);
    assert_eq!(ran.stderr, "");
    assert_eq!(
        entries(&own).len(),
        2,
        "a file of its own user's folder is used"
    );
}

#[test]
fn folder_that_is_no_recording_is_refused_by_the_probe() {
    let base = tempfile::tempdir().unwrap();
    refused(&base.path().join("missing"), "not a directory");
    let empty = base.path().join("empty");
    DirBuilder::new().mode(0o700).create(&empty).unwrap();
    refused(&empty, "session");
    let newer = recording_folder(base.path(), 0o700);
    std::fs::write(newer.join("session"), "protocol=2\n").unwrap();
    refused(&newer, "version");
}

/// The binary where any user can execute it, in a folder that belongs to `user`.
pub(crate) fn for_user(user: u32) -> (tempfile::TempDir, Command) {
    let folder = tempfile::tempdir().unwrap();
    let binary = folder.path().join("tracer");
    std::fs::copy(env!("CARGO_BIN_EXE_tracer"), &binary).unwrap();
    chown(folder.path(), Some(user), Some(user)).unwrap();
    let mut command = Command::new(binary);
    command
        .uid(user)
        .gid(user)
        .current_dir(folder.path())
        .env_clear();
    command
        .env("TMPDIR", folder.path())
        .env("PATH", "/usr/bin:/bin")
        .env("NO_COLOR", "1");
    (folder, command)
}

#[test]
fn ordinary_user_needs_no_privileges() {
    const NOBODY: u32 = 65534;
    has_io_uring();
    if !rustix::process::geteuid().is_root() {
        // Every other test is then this one.
        return;
    }
    let (folder, mut command) = for_user(NOBODY);
    let trace = folder.path().join("trace.bin");
    run(command.args(["demo", "--no-view", "-o"]).arg(&trace))
        .exits(1)
        .prints("T02");
    let metadata = std::fs::metadata(&trace).unwrap();
    assert_eq!((metadata.uid(), metadata.mode() & 0o777), (NOBODY, 0o600));

    let (_folder, mut other) = for_user(NOBODY - 1);
    run(other.arg("check").arg(&trace))
        .exits(2)
        .says("cannot open");
}

#[test]
fn folder_of_another_user_is_refused_by_the_probe() {
    if !rustix::process::geteuid().is_root() {
        // Only root can give a folder away.
        return;
    }
    let base = tempfile::tempdir().unwrap();
    let folder = recording_folder(base.path(), 0o700);
    chown(&folder, Some(65534), Some(65534)).unwrap();
    refused(&folder, "belongs to another user");
}

/// Makes the kernel refuse io_uring to a program, as the profiles of containers do.
fn forbid_io_uring(command: &mut Command) {
    // SAFETY: runs in the child between fork and exec: two system calls over data on the stack.
    unsafe { command.pre_exec(refuse_io_uring) };
}

fn refuse_io_uring() -> std::io::Result<()> {
    const NUMBER_OF_THE_CALL: u32 = 0;
    let io_uring_setup = u32::try_from(libc::SYS_io_uring_setup).unwrap_or(425);
    let word = |code: u32, jt, jf, k| libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    };
    let mut filter = [
        word(
            libc::BPF_LD | libc::BPF_W | libc::BPF_ABS,
            0,
            0,
            NUMBER_OF_THE_CALL,
        ),
        word(
            libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
            0,
            1,
            io_uring_setup,
        ),
        word(
            libc::BPF_RET | libc::BPF_K,
            0,
            0,
            libc::SECCOMP_RET_ERRNO | libc::EPERM as u32,
        ),
        word(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: the program and its filter live until the call has returned; the kernel copies them.
    let failed = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
            || libc::prctl(
                libc::PR_SET_SECCOMP,
                libc::SECCOMP_MODE_FILTER,
                &raw const program,
            ) != 0
    };
    if failed {
        Err(std::io::Error::last_os_error())
    } else {
        Ok(())
    }
}

#[test]
fn demo_without_io_uring_says_why_and_simulates() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, code) in [(&["demo"][..], 1), (&["demo", "leftover", "--fixed"], 0)] {
        let mut command = tracer(folder.path());
        forbid_io_uring(command.args(arguments).arg("--no-view"));
        run(&mut command)
            .exits(code)
            .says("seccomp")
            .says("simulated ring");
    }
    let mut command = tracer(folder.path());
    forbid_io_uring(command.args(["demo", "echo", "--no-view"]));
    run(&mut command)
        .exits(2)
        .says("io_uring is")
        .says("leftover");
}
