//! No room, or no right to write: the program runs as ever, and the message says what to do.
//!
//! Disks that are really full are small memory file systems, mounted where only the processes of the test
//! see them: by root, or where users may have a namespace of their own. Elsewhere the tests say that they
//! were skipped.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use crate::support::{Ran, entries, raw_folder, run, scenario, tracer};
use crate::surroundings::for_user;

/// Runs a shell script in a mount namespace of its own, in `folder`, with the binary as `$0` and the
/// recorded program, which has next to nothing to record, as `$@`. Nothing where that is not permitted here.
fn in_own_mounts(folder: &Path, script: &str) -> Option<Ran> {
    in_own_mounts_for(folder, script, "0")
}

/// The same with a program that records for so many seconds.
fn in_own_mounts_for(folder: &Path, script: &str, seconds: &str) -> Option<Ran> {
    let namespace: &[&str] = if rustix::process::geteuid().is_root() {
        &["--mount"]
    } else {
        &["--user", "--map-root-user", "--mount"]
    };
    let mut probe = Command::new("unshare");
    probe
        .args(namespace)
        .args(["mount", "-t", "tmpfs", "none", "/mnt"]);
    if !probe.output().is_ok_and(|ran| ran.status.success()) {
        eprintln!("SKIPPED: no mount namespace to be had here (unshare --mount)");
        return None;
    }
    let recorder = tracer(folder);
    let mut command = Command::new("unshare");
    command.args(namespace).args(["sh", "-c", script]);
    command.arg(recorder.get_program());
    command.args(scenario(&["hammer", "--seconds", seconds, "--ack", "ack"]));
    command.current_dir(folder).env_remove("TRACER_DIR");
    Some(run(command.env("NO_COLOR", "1")))
}

/// What the program says when it ran as ever.
const RAN: &str = "records, each acknowledged";

#[test]
fn disk_too_small_for_the_process_file_leaves_the_program_unharmed() {
    let folder = tempfile::tempdir().unwrap();
    let script = "mkdir small && mount -t tmpfs -o size=1m none small && \
                  \"$0\" record --dir small -- \"$@\"";
    let Some(ran) = in_own_mounts(folder.path(), script) else {
        return;
    };
    ran.exits(0)
        .prints(RAN)
        .says("has no room for the trace file")
        .says("--dir")
        .says("nothing was recorded: a process of")
        .says("there is no room for it where the recording lies");
    assert!(!folder.path().join("trace.bin").exists());
}

#[test]
fn processes_take_the_room_that_they_use_and_what_they_did_not_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    // Eight that may have 64 MiB each on a disk for a part of that; then the program goes on.
    let script = "mkdir small && mount -t tmpfs -o size=300m none small && \
                  \"$0\" record --dir small -- sh -c 'for each in 1 2 3 4 5 6 7 8; do \"$@\" >/dev/null & done; wait; \
                  taken=$(du -sk small | cut -f1); turns=0; \
                  while test $(du -sk small | cut -f1) -gt $((taken-3000)) && test $turns -lt 600; do \
                  turns=$((turns+1)); sleep 0.1; done; echo of $taken kept $(du -sk small | cut -f1) >&2; \
                  exec \"$@\"' sh \"$@\"";
    let Some(ran) = in_own_mounts(folder.path(), script) else {
        return;
    };
    let ran = ran.exits(0).prints(RAN).says("9 processes");
    assert!(!ran.stderr.contains("no room"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("kept less"), "{}", ran.stderr);
    let sizes = ran.stderr.lines().find_map(|line| {
        let (taken, kept) = line.strip_prefix("of ")?.split_once(" kept ")?;
        Some([taken, kept].map(|size| size.parse::<u64>().unwrap()))
    });
    let Some([taken, kept]) = sizes else {
        panic!("{}", ran.stderr);
    };
    assert!(taken < 60_000 && kept <= taken - 3000, "{}", ran.stderr);
}

#[test]
fn a_program_of_many_processes_does_not_fill_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    // Together they may take a quarter, and each the least.
    let script = "mkdir small && mount -t tmpfs -o size=64m none small && \
                  \"$0\" record --ring=8MiB --dir small -- sh -c 'for each in 1 2 3 4 5 6 7 8; do \
                  \"$@\" >/dev/null & done; wait; du -sm small >&2; exec \"$@\"' sh \"$@\"";
    let Some(ran) = in_own_mounts_for(folder.path(), script, "1") else {
        return;
    };
    let ran = ran
        .exits(0)
        .prints(RAN)
        .says("9 processes")
        .says("some processes kept less than 8 MiB each, because");
    assert!(!ran.stderr.contains("no room"), "{}", ran.stderr);
    let taken = ran.stderr.lines().find_map(|line| {
        let (size, _) = line.split_once("\tsmall")?;
        size.parse::<u64>().ok()
    });
    assert!(taken.is_some_and(|size| size <= 36), "{}", ran.stderr);
}

#[test]
fn a_disk_that_others_fill_meanwhile_ends_no_program() {
    let folder = tempfile::tempdir().unwrap();
    // Filled once the programs record, by one of the recording's own. Each acknowledges in a folder of its own: they map
    // that file, and who begins cuts it.
    let script = "mkdir small && mount -t tmpfs -o size=24m none small && \
                  \"$0\" record --dir small -- sh -c 'mkdir one other; \
                  (cd one && exec \"$@\" >/dev/null) & one=$!; (cd other && exec \"$@\" >/dev/null) & other=$!; \
                  while test $(ls small/*/*.trc | wc -l) -lt 2; do sleep 0.01; done; \
                  dd if=/dev/zero of=small/filler bs=64k 2>/dev/null; wait $one && wait $other && rm small/filler && \
                  exec \"$@\"' sh \"$@\"";
    let Some(ran) = in_own_mounts_for(folder.path(), script, "1") else {
        return;
    };
    // Whether the last one finds room for a file depends on who was faster.
    ran.exits(0).prints(RAN);
    let ran = run(tracer(folder.path()).args(["check", "trace.bin"]));
    assert!(matches!(ran.status.code(), Some(0 | 3)), "{ran:#?}");
}

#[test]
fn disk_without_any_room_is_told_before_the_program_runs() {
    let folder = tempfile::tempdir().unwrap();
    let script = "mkdir full && mount -t tmpfs -o size=64k,nr_inodes=3 none full && \
                  dd if=/dev/zero of=full/filler bs=4k count=100 2>/dev/null; \
                  \"$0\" record --dir full -- \"$@\"; code=$?; ls full >&2; exit $code";
    let Some(ran) = in_own_mounts(folder.path(), script) else {
        return;
    };
    let ran = ran.exits(125).says("No space left on device").says("--dir");
    assert_eq!(ran.stdout(), "", "it ran");
    assert!(
        ran.stderr.lines().last() == Some("filler"),
        "a folder was left behind: {}",
        ran.stderr
    );
}

#[test]
fn recording_that_does_not_fit_where_it_is_sealed_stays_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(raw_folder(folder.path())).unwrap();
    let script = "mkdir full && mount -t tmpfs -o size=64k none full && \
                  dd if=/dev/zero of=full/filler bs=4k count=100 2>/dev/null; \
                  \"$0\" record --dir raw -o full/trace.bin -- \"$@\"; code=$?; ls -A full >&2; exit $code";
    let Some(ran) = in_own_mounts(folder.path(), script) else {
        return;
    };
    let ran = ran
        .exits(125)
        .prints(RAN)
        .says("exited with code 0")
        .says("could not be sealed")
        .says("No space left on device");
    assert!(
        ran.stderr.ends_with("filler\n"),
        "half a file was left: {}",
        ran.stderr
    );
    let left = entries(&raw_folder(folder.path())).remove(0);
    assert!(
        ran.stderr
            .contains(&format!("tracer check {}", left.display())),
        "{}",
        ran.stderr
    );
    run(tracer(folder.path()).arg("check").arg(&left)).exits(0);
}

#[test]
fn read_only_disk_is_told_before_the_program_runs() {
    let folder = tempfile::tempdir().unwrap();
    let script = "mkdir still && mount -t tmpfs -o ro none still && \
                  \"$0\" record $OPTIONS -- \"$@\"";
    for (options, says) in [
        ("--dir still", "`--dir DIR` names another place"),
        ("-o still/trace.bin", "cannot write into"),
    ] {
        let script = script
            .replace("$OPTIONS", options)
            .replace("mkdir", "mkdir -p");
        let Some(ran) = in_own_mounts(folder.path(), &script) else {
            return;
        };
        let ran = ran.exits(125).says(says).says("Read-only file system");
        assert_eq!(ran.stdout(), "", "it ran");
    }
}

#[test]
fn folder_that_this_user_may_not_write_to_is_told_before_the_program_runs() {
    const NOBODY: u32 = 65534;
    let is_root = rustix::process::geteuid().is_root();
    for option in ["--dir", "-o"] {
        let (folder, mut command) = if is_root {
            for_user(NOBODY)
        } else {
            let folder = tempfile::tempdir().unwrap();
            let command = tracer(folder.path());
            (folder, command)
        };
        let locked = folder.path().join("locked");
        std::fs::create_dir(&locked).unwrap();
        std::fs::set_permissions(&locked, Permissions::from_mode(0o555)).unwrap();
        if is_root {
            chown(&locked, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let place = if option == "-o" {
            locked.join("trace.bin")
        } else {
            locked.clone()
        };
        command.args(["record", option]).arg(place);
        command.args(["--", "echo", "it ran"]);
        let ran = run(&mut command).exits(125).says("Permission denied");
        assert_eq!(ran.stdout(), "");
        assert!(entries(&locked).is_empty());
    }
}

/// What is recorded is for its user alone, raw and sealed, whatever the mask allows.
#[test]
fn recording_is_for_its_user_alone() {
    let folder = tempfile::tempdir().unwrap();
    let raw = raw_folder(folder.path());
    std::fs::create_dir(&raw).unwrap();
    let script = "umask 0; exec \"$0\" record --dir raw -- sh -c '\"$@\"; stat -c \"%a %F\" \
                  \"$TRACER_DIR\" \"$TRACER_DIR\"/*' sh \"$@\"";
    let mut command = Command::new("sh");
    command
        .args(["-c", script])
        .arg(tracer(folder.path()).get_program());
    command.args(scenario(&["hammer", "--seconds", "0", "--ack", "ack"]));
    command.current_dir(folder.path()).env_remove("TRACER_DIR");
    let ran = run(&mut command).exits(0);
    let modes: Vec<_> = ran.stdout().lines().skip(1).collect();
    // The shim, whether it traps, the word that it was loaded, what a ring was refused with, who records, the session, what
    // room there is and the trace.
    let (folder_mode, files) = modes.split_first().unwrap();
    assert_eq!(*folder_mode, "700 directory");
    assert_eq!(files.len(), 8, "{files:?}");
    assert!(files.iter().all(|mode| mode.starts_with("600 regular")));
    let sealed = std::fs::metadata(folder.path().join("trace.bin")).unwrap();
    assert_eq!(sealed.permissions().mode() & 0o777, 0o600);
}
