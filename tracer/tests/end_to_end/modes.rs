//! How much a recording keeps, and until when: files that grow, and recordings that end before the program.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;
use traces::finding::RuleId;
use traces::recording::Stopped;

use crate::account::{Account, Writer};
use crate::hammered::{Acknowledged, Hammered};
use crate::support::{
    Ran, end_of, has_io_uring, memory_folder, read, read_until, run, scenario, tracer,
};

/// Kills it once so many records are made; what its recorder says, and what the trace holds.
fn killed_at(mut hammered: Hammered, folder: &Path, records: u64) -> (Ran, Account) {
    let program = hammered.wait_for(records);
    program.end(Signal::KILL);
    let ran = end_of(hammered.parent).dies_by(Signal::KILL.as_raw());
    let trace = read(&folder.join("trace.bin"));
    let account = Account::of(&trace, &Acknowledged::read(&hammered.ack), Writer::Still);
    assert_eq!(
        (&account.corrupt[..], account.lost),
        (&[][..], 0),
        "{account:?}"
    );
    (ran, account)
}

#[test]
fn growing_recording_keeps_everything_from_the_start() {
    let folder = memory_folder();
    let hammered = Hammered::under_a_recorder(folder.path(), "--grow=16MiB", &[]);
    // More than the file has room for at first, which is 1 MiB.
    let (_, account) = killed_at(hammered, folder.path(), 120_000);
    assert!(account.recovered > 60_000, "{account:?}");
}

#[test]
fn growing_recording_ends_where_it_was_told_to() {
    let folder = memory_folder();
    let hammered = Hammered::under_a_recorder(folder.path(), "--grow=2MiB", &[]);
    let (ran, account) = killed_at(hammered, folder.path(), 120_000);
    ran.says("records lost");
    assert!(account.counted > 10_000, "{account:?}");
}

#[test]
fn limit_on_files_ends_the_growth_and_nothing_else() {
    let folder = memory_folder();
    let hammered = Hammered::with_small_files(folder.path(), "--grow=16MiB", "6000");
    let (ran, account) = killed_at(hammered, folder.path(), 200_000);
    ran.says("could not grow beyond ")
        .says(" MiB: File too large")
        .says("records lost");
    assert!(account.counted > 10_000, "{account:?}");
}

#[test]
fn full_disk_ends_the_growth_and_nothing_else() {
    let Some(disk) = Disk::of("3500k") else {
        eprintln!("skipped: a file system of a certain size can be mounted by root alone");
        return;
    };
    let folder = memory_folder();
    let hammered = Hammered::recorded_in(&disk.0, folder.path(), "--grow=16MiB");
    let (ran, account) = killed_at(hammered, folder.path(), 200_000);
    ran.says("could not grow beyond 2 MiB: No space left")
        .says("records lost");
    assert!(account.counted > 10_000, "{account:?}");
}

/// The ring, how its cookies are to be read, that there are coroutines: what was said of that is overwritten first.
#[test]
fn of_what_the_newest_records_tell_nothing_is_asked() {
    if !has_io_uring() {
        return;
    }
    let folder = memory_folder();
    let mut command = tracer(folder.path());
    command
        .args(["record", "--ring=1MiB", "--"])
        .args(scenario(&["echo"]));
    run(&mut command).exits(0);
    let verdict = read(&folder.path().join("trace.bin")).verdict().clone();
    assert_eq!(verdict.exit_code(), 3, "it went round");
    assert!(
        verdict.stories.is_empty() && verdict.cannot_tell.is_empty(),
        "{verdict:#?}"
    );
}

#[test]
fn signal_ends_the_recording_and_the_program_goes_on() {
    let folder = memory_folder();
    for room in ["--ring=1MiB", "--grow=64MiB"] {
        let mut hammered = Hammered::under_a_recorder(folder.path(), room, &[]);
        let program = hammered.wait_for(60_000);
        let recorder = rustix::process::Pid::from_child(&hammered.parent);
        rustix::process::kill_process(recorder, Signal::USR2).unwrap();
        read_until(
            hammered.parent.stderr.as_mut().unwrap(),
            "the recording ends here",
        );
        let file = hammered.file();
        // The program is told a moment later, and looks when it takes its next chunk.
        while stopped_word(&file) == 0 {
            std::thread::yield_now();
        }
        let kept = std::fs::read(&file).unwrap();
        let made = || Acknowledged::read(&hammered.ack).own.iter().sum::<u64>();
        let more = made() + 60_000;
        while made() < more {
            std::thread::yield_now();
        }
        // A thread that was about to take a chunk when another one stopped may have done so.
        let now = std::fs::read(&file).unwrap();
        let pairs = chunk_gates(&kept).into_iter().zip(chunk_gates(&now));
        let reused = pairs.filter(|(before, after)| before != after).count();
        assert!(reused <= 4, "{reused} chunks were reused");
        program.end(Signal::KILL);
        let ran = end_of(hammered.parent).dies_by(Signal::KILL.as_raw());
        let trace = read(&folder.path().join("trace.bin"));
        let process = &trace.recording().processes[0];
        assert_eq!(process.stopped, Some(Stopped::Recorder), "{ran:?}");
        let before = Acknowledged {
            own: [0; 4],
            handled: [0; 4],
        };
        let account = Account::of(&trace, &before, Writer::Live);
        assert_eq!(account.corrupt, [] as [String; 0]);
        assert!(account.recovered + account.counted < more, "{account:?}");
        let text = traces::report::text(&trace, 120);
        assert!(text.contains("its recording was ended before"), "{text}");
    }
}

fn stopped_word(file: &Path) -> u64 {
    let bytes = std::fs::read(file).unwrap();
    let at = wire::layout::header::STOPPED;
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// The gate of each chunk.
fn chunk_gates(file: &[u8]) -> Vec<&[u8]> {
    let chunks = file[wire::layout::chunk_offset()..].chunks(wire::layout::CHUNK_BYTES);
    chunks.map(|chunk| &chunk[..8]).collect()
}

/// A file system in memory, of a certain size.
struct Disk(
    PathBuf,
    #[expect(dead_code, reason = "removed with it")] tempfile::TempDir,
);

impl Disk {
    fn of(size: &str) -> Option<Self> {
        let place = memory_folder();
        let disk = place.path().join("disk");
        std::fs::create_dir(&disk).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "none"]);
        let mounted = mount
            .arg(&disk)
            .output()
            .is_ok_and(|ran| ran.status.success());
        mounted.then_some(Self(disk, place))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).output();
    }
}

#[test]
fn ring_and_growth_exclude_each_other() {
    let folder = memory_folder();
    let mut command = tracer(folder.path());
    command.args(["record", "--ring", "1MiB", "--grow", "2MiB", "--", "true"]);
    run(&mut command).exits(2).says("cannot be used with");
}

#[test]
fn first_finding_ends_the_recording_and_the_program_goes_on() {
    if !has_io_uring() {
        return;
    }
    let folder = memory_folder();
    let told = folder.path().join("told");
    // The second program begins when the first one's bug has been found.
    let script = format!(
        "{tracer} __scenario leftover; while [ ! -e {} ]; do sleep 0.05; done; {tracer} __scenario echo",
        told.display(),
        tracer = env!("CARGO_BIN_EXE_tracer"),
    );
    let mut command = tracer(folder.path());
    command.args(["record", "--until-finding", "--", "sh", "-c", &script]);
    command.stderr(Stdio::piped()).stdout(Stdio::piped());
    let mut recorder = command.spawn().unwrap();
    let said = read_until(recorder.stderr.as_mut().unwrap(), "the recording ends here");
    assert!(said.contains("tracer: T02: operation #"), "{said}");
    std::fs::write(told, "").unwrap();
    end_of(recorder).exits(0);
    let trace = read(&folder.path().join("trace.bin"));
    assert_eq!(trace.recording().processes.len(), 1);
    let heads = trace.verdict().stories.iter().map(|story| story.head.rule);
    assert_eq!(heads.collect::<Vec<_>>(), [RuleId(2)]);
}

#[test]
fn without_a_finding_the_recording_goes_on_to_the_end() {
    if !has_io_uring() {
        return;
    }
    let folder = memory_folder();
    let mut command = tracer(folder.path());
    command.args([
        "record",
        "--until-finding",
        "--",
        env!("CARGO_BIN_EXE_tracer"),
    ]);
    let ran = run(command.args(["__scenario", "echo"])).exits(0);
    assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    let trace = read(&folder.path().join("trace.bin"));
    assert_eq!(trace.recording().processes[0].stopped, None);
}
