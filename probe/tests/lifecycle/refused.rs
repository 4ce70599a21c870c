//! Where no recording can be made, the program goes on as if nothing were.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::folder::{Folder, SESSION, noted, program, read, succeeds};

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
    // Of a recording that has ended: nobody's mistake, and nobody may be there to read of it.
    let mut outlives = Command::new(program());
    let ended = path.join("tracer-0123456789ab");
    let output = outlives.arg("clean").env("TRACER_DIR", ended).output();
    let output = output.expect("the example starts");
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
    fs::remove_file(path.join("session")).expect("own file");
    refused(path, "no recording");
    fs::write(path.join("session"), "protocol=99\n").expect("own file");
    refused(path, "version of tracer");
    assert!(folder.files().is_empty());
}

/// Nothing that the variable, the folder or its session can say harms the program or speaks to a terminal.
#[test]
fn whatever_the_recorder_s_word_is_the_program_runs() {
    let folder = Folder::new(SESSION);
    let path = folder.0.path();
    let strange = path.join("\x1b]0;title\x07\nline\u{9b}2J\u{202e}");
    refused(
        &strange,
        "/\\x1b]0;title\\x07\\x0aline\\xc2\\x9b2J\\xe2\\x80\\xae is not a directory",
    );
    refused(Path::new("/dev/null"), "not a directory");
    refused(Path::new(&"/x".repeat(4000)), "is too long");
    fs::remove_file(path.join("session")).expect("own file");
    std::os::unix::fs::symlink("/dev/zero", path.join("session")).expect("own folder");
    refused(path, "no recording");
    fs::remove_file(path.join("session")).expect("a link");
    fs::create_dir(path.join("session")).expect("own folder");
    refused(path, "not a file");
    fs::remove_dir(path.join("session")).expect("own folder");
    for session in [
        "",
        "protocol=18446744073709551616\n",
        "protocol=-1\n",
        "protocol=1\nchunks=99999999999999999999\n",
        "protocol=1\nchunks=\n",
        "protocol=1\nticks_per_second=x\n",
        "\0\u{ff}\x1b[2J=\n=\n",
    ] {
        fs::write(path.join("session"), session).expect("own file");
        refused(path, "version of tracer");
    }
    assert!(folder.files().is_empty());
    // Numbers that are too small or too large are taken for what can be, and what nobody knows is left out.
    for session in [
        "protocol=1\nchunks=0\nfirst_chunks=0\nmode=\n",
        "protocol=1\nchunks=16\nfirst_chunks=4294967295\nmode=stop\ntoken=zz\npoison=x\nx=y\n",
        "protocol=1\nchunks=16\nticks_per_second=0\nclock=\n",
        "protocol=1\nchunks=16\nticks_per_second=18446744073709551615\n",
    ] {
        fs::write(path.join("session"), session).expect("own file");
        succeeds(&folder.run("clean"));
        let [file] = &folder.files()[..] else {
            panic!("one file by {session:?}");
        };
        assert_eq!(noted(&read(file)), [1, 2, 3], "{session:?}");
        fs::remove_file(file).expect("own file");
    }
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

/// Says why a test that needs root, or a tool, tests nothing here.
fn skipped(why: &str) {
    eprintln!("SKIPPED: {why}");
}

/// A copy of the program that any user can start, in a folder that `prepare` may give rights to. Whoever
/// starts it is nobody; the recording folder is root's, and would be accepted if the copy were trusted.
fn started_by_nobody(prepare: impl Fn(&Path) -> Result<(), String>) {
    const NOBODY: u32 = 65534;
    // SAFETY: no arguments.
    if unsafe { libc::geteuid() } != 0 {
        return skipped("only root can make a program that raises its user's rights");
    }
    let place = tempfile::tempdir().expect("a temporary folder");
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).expect("own folder");
    let copy = place.path().join("lifecycle");
    fs::copy(program(), &copy).expect("a copy");
    if let Err(why) = prepare(&copy) {
        return skipped(&why);
    }
    let folder = Folder::new(SESSION);
    let output = Command::new(&copy)
        .arg("clean")
        .env("TRACER_DIR", folder.0.path())
        .uid(NOBODY)
        .gid(NOBODY)
        .output()
        .expect("the copy starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        stderr,
        "tracer: not recording: this program runs with raised privileges\n"
    );
    assert!(folder.files().is_empty(), "it wrote as another user");
}

#[test]
fn setuid_program_stays_off() {
    started_by_nobody(|copy| {
        // SAFETY: all zeros is a valid value; the path ends in NUL.
        let nosuid = unsafe {
            let mut status: libc::statvfs = std::mem::zeroed();
            let path = std::ffi::CString::new(copy.as_os_str().as_encoded_bytes());
            libc::statvfs(path.expect("a path").as_ptr(), &mut status) != 0
                || status.f_flag & libc::ST_NOSUID != 0
        };
        if nosuid {
            return Err("the temporary folder is mounted `nosuid`".into());
        }
        std::os::unix::fs::chown(copy, Some(0), Some(0)).expect("own file");
        fs::set_permissions(copy, fs::Permissions::from_mode(0o4755)).expect("own file");
        Ok(())
    });
}

#[test]
fn program_with_file_capabilities_stays_off() {
    started_by_nobody(|copy| {
        let given = Command::new("setcap")
            .arg("cap_net_bind_service+ep")
            .arg(copy)
            .output();
        match given {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(format!(
                "setcap: {}",
                String::from_utf8_lossy(&output.stderr)
            )),
            Err(error) => Err(format!("no setcap here (libcap2-bin): {error}")),
        }
    });
}
