//! Where no recording can be made, the program goes on as if nothing were.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::folder::{Folder, SESSION, program, succeeds};

#[test]
fn files_are_for_their_owner_alone() {
    let folder = Folder::new(SESSION);
    succeeds(&folder.run("clean"));
    let mode = fs::metadata(&folder.files()[0])
        .expect("the file")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

/// The program goes on as if nothing were, and says in one line why it is not recorded.
fn refused(folder: &Path, why: &str) {
    let output = Command::new(program())
        .arg("clean")
        .env("TRACER_DIR", folder)
        .output()
        .expect("the example starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{output:?}");
    assert!(stderr.starts_with("tracer: not recording: "), "{stderr}");
    assert!(stderr.contains(why), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

#[test]
fn a_folder_that_cannot_be_trusted_is_refused() {
    let folder = Folder::new(SESSION);
    let path = folder.0.path();
    fs::set_permissions(path, fs::Permissions::from_mode(0o777)).expect("own folder");
    refused(path, "can be written to by other users");
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).expect("own folder");
    fs::remove_file(path.join("session")).expect("own file");
    let fifo = std::ffi::CString::new(path.join("session").into_os_string().into_encoded_bytes())
        .expect("a path");
    // SAFETY: the path ends in NUL.
    assert_eq!(unsafe { libc::mkfifo(fifo.as_ptr(), 0o600) }, 0);
    refused(path, "not a file");
    fs::remove_file(path.join("session")).expect("own file");
    fs::write(path.join("session"), SESSION).expect("own file");
    refused(&path.join("missing"), "not a directory");
    refused(&path.join("session"), "not a directory");
    fs::remove_file(path.join("session")).expect("own file");
    refused(path, "no recording");
    fs::write(path.join("session"), "protocol=99\n").expect("own file");
    refused(path, "version of tracer");
    assert!(folder.files().is_empty());
}

#[test]
fn a_full_disk_is_noticed_before_anything_can_go_wrong() {
    let folder = Folder::new("protocol=1\nchunks=64\nmode=ring\n");
    // A limit on the size of files stands in for a full disk. Growing past it would kill the program.
    let output = Command::new("sh")
        .args(["-c", "ulimit -f 100; exec \"$0\" clean"])
        .arg(program())
        .env("TRACER_DIR", folder.0.path())
        .output()
        .expect("sh starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{output:?}");
    assert!(stderr.contains("no room"), "{stderr}");
    assert!(folder.files().is_empty(), "a file was left behind");
}

#[test]
fn a_process_without_address_space_runs_on_unrecorded() {
    let folder = Folder::new("protocol=1\nchunks=8192\nmode=ring\n");
    let output = Command::new("sh")
        .args(["-c", "ulimit -v 200000; exec \"$0\" clean"])
        .arg(program())
        .env("TRACER_DIR", folder.0.path())
        .output()
        .expect("sh starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{output:?}");
    assert!(stderr.contains("could not be mapped"), "{stderr}");
}
