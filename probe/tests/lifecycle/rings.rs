//! Rings in memory, which get their room as they come to need it, out of what the recording may take.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use traces::event::LossReason;
use wire::layout::{self, CHUNK_BYTES, header};

use crate::folder::{Folder, header_word, noted, only, program, read, succeeds};

const SESSION: &str = "protocol=1\nchunks=1024\nmode=ring\n";
/// Chunks that a ring has room for at first.
const FIRST: u64 = 16;
const ROOM: usize = 1 << 30;

/// Chunks that a file says it has room for, and that it has; it is as long as it may be, and takes no more of the disk.
fn usable(file: &Path) -> u64 {
    let usable = header_word(file, header::CHUNKS_USABLE);
    let about = fs::metadata(file).expect("the file");
    assert_eq!(about.len(), layout::file_bytes(1024) as u64);
    assert_eq!(about.blocks() * 512, bytes(usable) as u64);
    usable
}

fn bytes(chunks: u64) -> usize {
    layout::file_bytes(usize::try_from(chunks).expect("a number of chunks"))
}

#[test]
fn a_ring_has_room_for_what_was_recorded() {
    let Some(folder) = Folder::with_room(SESSION, ROOM) else {
        return;
    };
    succeeds(&folder.run("clean"));
    assert_eq!(usable(&folder.files()[0]), FIRST);
    assert_eq!(folder.room(), (ROOM - bytes(FIRST)) as i64);
    assert_eq!(noted(&only(&folder)), [1, 2, 3]);

    let folder = Folder::with_room(SESSION, ROOM).expect("as before");
    succeeds(&folder.run("wrap"));
    let usable = usable(&folder.files()[0]);
    // A million records of 24 bytes.
    assert!((360..380).contains(&usable), "{usable}");
    assert_eq!(folder.room(), (ROOM - bytes(usable)) as i64);
    let trace = only(&folder);
    assert!(noted(&trace).into_iter().eq(1..=1_000_000));
    assert_eq!(trace.recording().losses, []);
}

#[test]
fn a_ring_that_finds_no_more_room_stays_as_long_as_it_is() {
    for (room, length) in [
        // The least is taken in any case.
        (0, FIRST),
        (bytes(FIRST + 4) + CHUNK_BYTES - 1, FIRST + 4),
    ] {
        let Some(folder) = Folder::with_room(SESSION, room) else {
            return;
        };
        succeeds(&folder.run("wrap"));
        let file = &folder.files()[0];
        assert_eq!(usable(file), length);
        assert_eq!(folder.room(), room as i64 - bytes(length) as i64);
        assert_ne!(header_word(file, header::RECYCLED), 0);
        let trace = only(&folder);
        let noted = noted(&trace);
        // The newest ones, but for a chunk that is being written and those of names.
        let kept = noted.len() as u64;
        assert!(noted.into_iter().eq(1_000_001 - kept..=1_000_000));
        assert!(kept * 24 > (length - 4) * CHUNK_BYTES as u64, "{kept}");
        let reasons = trace.recording().losses.iter().map(|it| it.loss.reason);
        assert!(reasons.eq([LossReason::Overwritten]));
    }
}

#[test]
fn errno_stays_while_a_ring_gets_longer_or_cannot() {
    for room in [0, ROOM] {
        let Some(folder) = Folder::with_room(SESSION, room) else {
            return;
        };
        // More than there is room for at first.
        succeeds(&folder.run_with(&["errno", "100000"]));
        assert_eq!(usable(&folder.files()[0]) == FIRST, room == 0);
    }
}

#[test]
fn what_many_processes_and_threads_take_is_counted_once() {
    for turn in ["grandchildren", "fork", "handler-forks", "few", "names"] {
        let Some(folder) = Folder::with_room(SESSION, ROOM) else {
            return;
        };
        succeeds(&folder.run(turn));
        let files = folder.files();
        let taken = files.iter().map(|file| {
            let usable = header_word(file, header::CHUNKS_USABLE);
            let allocated = fs::metadata(file).expect("the file").blocks() * 512;
            assert_eq!(allocated, bytes(usable) as u64, "{turn}");
            allocated as i64
        });
        let taken: i64 = taken.sum();
        assert_eq!(folder.room(), ROOM as i64 - taken, "{turn}, {files:?}");
    }
}

/// A chunk's room is what a kill can cost the recording, and none is on the disk that was not counted. `TRACER_KILLS` says
/// how many kills there are.
#[test]
fn killed_at_any_moment_it_has_taken_what_it_says_or_a_chunk_more() {
    let kills = std::env::var("TRACER_KILLS")
        .map_or(30, |value| value.parse().expect("TRACER_KILLS is a number"));
    let mut begun = 0;
    for kill in 0..kills {
        let Some(folder) = Folder::with_room(SESSION, ROOM) else {
            return;
        };
        let mut child = Command::new(program())
            .arg("wrap")
            .env("TRACER_DIR", folder.0.path())
            .spawn()
            .expect("the example starts");
        // Not to wait for something, but to kill at another moment each time.
        std::thread::sleep(Duration::from_micros(500 + kill * 7919 % 40_000));
        child.kill().expect("our child");
        child.wait().expect("our child");
        let taken = ROOM as i64 - folder.room();
        let [file] = &folder.files()[..] else {
            assert!([0, bytes(FIRST) as i64].contains(&taken), "{taken}");
            continue;
        };
        let about = fs::metadata(file).expect("the file");
        let allocated = (about.blocks() * 512) as i64;
        assert!(allocated <= taken, "{allocated} of {taken}");
        if about.len() == 0 || header_word(file, header::MAGIC) == 0 {
            assert_eq!(taken, bytes(FIRST) as i64);
            continue;
        }
        begun += 1;
        let said = bytes(header_word(file, header::CHUNKS_USABLE)) as i64;
        let more = taken - said;
        assert!([0, CHUNK_BYTES as i64].contains(&more), "{more}");
        let noted = noted(&read(file));
        assert!(noted.iter().copied().eq(1..=noted.len() as u64));
    }
    assert!(begun > kills / 4, "{begun} of {kills} had begun");
}

/// Its disk is full when it needs the second MiB: memory that is not there would be a SIGBUS.
#[test]
fn a_full_disk_is_no_end_of_the_program() {
    let Some(folder) = Folder::with_room(SESSION, ROOM) else {
        return;
    };
    let saved = tempfile::tempdir().expect("a temporary folder");
    let script = "cp -a \"$TRACER_DIR\"/. \"$1\" && mount -t tmpfs -o size=8m,mode=700 none \"$TRACER_DIR\" && \
                  cp -a \"$1\"/. \"$TRACER_DIR\" && \"$0\" full \"$TRACER_DIR\"/filler && \
                  rm \"$TRACER_DIR\"/filler && cp -a \"$TRACER_DIR\"/. \"$1\"";
    // SAFETY: no arguments.
    let namespace: &[&str] = match unsafe { libc::geteuid() } {
        0 => &["--mount"],
        _ => &["--user", "--map-root-user", "--mount"],
    };
    let mut probe = Command::new("unshare");
    let mut probe = probe
        .args(namespace)
        .args(["mount", "-t", "tmpfs", "none", "/mnt"]);
    probe = probe.stderr(std::process::Stdio::null());
    if !probe.status().is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: no mount namespace to be had here (unshare --mount)");
        return;
    }
    let mut command = Command::new("unshare");
    command.args(namespace).args(["sh", "-c", script]);
    command.arg(program()).arg(saved.path());
    let output = command.env("TRACER_DIR", folder.0.path()).output();
    succeeds(&output.expect("unshare starts"));
    let left = Folder(saved);
    let file = &left.files()[0];
    assert_eq!(header_word(file, header::CHUNKS_USABLE), FIRST);
    assert_eq!(left.room(), (ROOM - bytes(FIRST)) as i64);
    let noted = noted(&only(&left));
    let kept = noted.len() as u64;
    assert!(noted.into_iter().eq(200_001 - kept..=200_000), "{kept}");
}
