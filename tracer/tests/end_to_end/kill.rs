//! A recording survives the death of its program at any moment, the recorder's own death, and
//! programs that outlive their parents.
//!
//! The program is `hammer`: threads that record as fast as they can and acknowledge each record in a
//! shared file. Killed at a random count, its trace must hold every acknowledged record that the ring
//! had room for.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};
use traces::event::{LossReason, What};
use traces::finding::Outcome;
use traces::recording::Ended;

use crate::support::{
    PATIENCE, end_of, entries, has_io_uring, raw_folder, read, record, run, scenario, tracer,
};

const THREADS: usize = 4;

/// A recorder with `hammer` under it.
struct Hammered {
    recorder: Child,
    ack: PathBuf,
    raw: PathBuf,
}

impl Hammered {
    fn start(folder: &Path, ring: &str) -> Self {
        let ack = folder.join("ack");
        let _ = std::fs::remove_file(&ack);
        let raw = raw_folder(folder);
        std::fs::create_dir_all(&raw).unwrap();
        let mut command = tracer(folder);
        command
            .args(["record", "--ring", ring, "--dir"])
            .arg(&raw)
            .arg("--");
        command
            .args(scenario(&["hammer", "--seconds", "200", "--ack"]))
            .arg(&ack);
        let recorder = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self { recorder, ack, raw }
    }

    /// Waits until so many records were made, and says which process makes them.
    fn wait_for(&mut self, records: u64) -> Process {
        wait_for(records, &self.ack, &mut self.recorder);
        Process::in_recording(&self.raw)
    }
}

/// Waits until so many records were acknowledged.
fn wait_for(records: u64, ack: &Path, recorder: &mut Child) {
    let started = Instant::now();
    while acknowledged(ack).iter().sum::<u64>() < records {
        assert!(
            started.elapsed() < PATIENCE,
            "too slow: {:?}",
            acknowledged(ack)
        );
        assert!(recorder.try_wait().unwrap().is_none(), "the recorder ended");
        std::thread::yield_now();
    }
}

/// Records acknowledged by each thread.
fn acknowledged(ack: &Path) -> [u64; THREADS] {
    let mut page = [0; 4096];
    if let Ok(file) = File::open(ack) {
        let _ = file.read_at(&mut page, 0);
    }
    std::array::from_fn(|thread| {
        u64::from_le_bytes(page[thread * 64..thread * 64 + 8].try_into().unwrap())
    })
}

/// A process that is not our child: held by a descriptor, so that its number cannot come to mean
/// another one. It is killed at the end, whatever became of the test.
struct Process(OwnedFd);

impl Process {
    /// The one process that has a file in the recording folder below `raw`.
    fn in_recording(raw: &Path) -> Self {
        Self::find(raw).expect("there is a process file")
    }

    fn find(raw: &Path) -> Option<Self> {
        let folder = entries(raw).into_iter().next()?;
        // The folder may be sealed and removed while it is looked at.
        let mut files = std::fs::read_dir(folder).ok()?.filter_map(Result::ok);
        let is_trace = |name: &str| name.ends_with(".trc");
        let name =
            files.find_map(|file| file.file_name().into_string().ok().filter(|n| is_trace(n)))?;
        let pid = name.split('-').next()?.parse().ok()?;
        pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty())
            .ok()
            .map(Self)
    }

    fn kill(&self) {
        pidfd_send_signal(&self.0, Signal::KILL).unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = pidfd_send_signal(&self.0, Signal::KILL);
    }
}

/// Records of one thread as the trace has them, by their numbers: `first..end`, without a gap.
#[derive(Debug)]
struct Records {
    /// Which thread; nothing where the trace holds too little of it to tell.
    thread: Option<usize>,
    first: u64,
    end: u64,
}

/// What each thread's lane holds. Record `i` of a thread is a leak, a peek or a reclaim as `i % 3` is
/// 0, 1 or 2, and a peek says its thread and its round, `i / 3`. Fails at any other order.
fn records_of(trace: &traces::Trace) -> Vec<Records> {
    let mut lanes: Vec<(u32, Vec<(u64, u64)>)> = Vec::new();
    for event in trace.events() {
        let record = match &event.what {
            What::Leak(_) => (0, 0),
            What::Peek(pointer) => (1, pointer.address),
            What::Reclaim(_) => (2, 0),
            _ => continue,
        };
        match lanes.iter_mut().find(|(lane, _)| *lane == event.lane) {
            Some((_, records)) => records.push(record),
            None => lanes.push((event.lane, vec![record])),
        }
    }
    lanes
        .iter()
        .map(|(_, records)| records_in(records))
        .collect()
}

fn records_in(records: &[(u64, u64)]) -> Records {
    let Some(anchor) = records.iter().position(|(kind, _)| *kind == 1) else {
        assert_eq!(
            records,
            [(0, 0)],
            "a thread begins with a leak, and a peek follows"
        );
        return Records {
            thread: None,
            first: 0,
            end: 1,
        };
    };
    let mark = records[anchor].1;
    assert_eq!(mark >> 56, 0x7A, "a peek carries a mark");
    let round = |mark: u64| mark & 0xFFFF_FFFF_FFFF;
    let first = 3 * round(mark) + 1 - anchor as u64;
    for (number, (kind, marked)) in (first..).zip(records) {
        assert_eq!(
            number % 3,
            *kind,
            "record {number} is of another kind than it was made"
        );
        if *kind == 1 {
            assert_eq!(
                *marked,
                (mark & !0xFFFF_FFFF_FFFF) | (number / 3),
                "a round is missing"
            );
        }
    }
    let thread = usize::try_from(mark >> 48 & 0xFF).unwrap();
    Records {
        thread: Some(thread),
        first,
        end: first + records.len() as u64,
    }
}

/// Kills `hammer` once `count` records were made, and compares what is there with what was promised.
fn kill_at(folder: &Path, ring: &str, count: u64) {
    let mut hammered = Hammered::start(folder, ring);
    hammered.wait_for(count).kill();
    let (ack, raw) = (hammered.ack.clone(), hammered.raw.clone());
    end_of(hammered.recorder).dies_by(Signal::KILL.as_raw());
    assert!(entries(&raw).is_empty(), "the recording folder stayed");
    let acknowledged = acknowledged(&ack);
    let trace = read(&folder.join("trace.bin"));
    let context = || format!("killed at {count}, ring {ring}: {:#?}", trace.verdict());

    let ended = trace.recording().processes[0].ended;
    assert_eq!(
        ended,
        Ended::Killed {
            signal: 9,
            core: false
        },
        "{}",
        context()
    );
    assert!(trace.verdict().stories.is_empty(), "{}", context());
    assert_eq!(trace.verdict().outcome(), Outcome::Clean, "{}", context());
    let has_wrapped = trace
        .recording()
        .losses
        .iter()
        .any(|located| located.loss.reason == LossReason::Overwritten);
    let records = records_of(&trace);
    let mut unnamed = records
        .iter()
        .filter(|records| records.thread.is_none())
        .count();
    for (thread, acknowledged) in acknowledged.into_iter().enumerate() {
        let Some(records) = records
            .iter()
            .find(|records| records.thread == Some(thread))
        else {
            // A lane with a leak alone may be of any thread that came no further.
            assert!(
                acknowledged <= 1,
                "thread {thread} is missing, {}",
                context()
            );
            unnamed = unnamed
                .checked_sub(usize::try_from(acknowledged).unwrap())
                .unwrap();
            continue;
        };
        // A record may be whole and not yet acknowledged; never the other way round.
        assert!(
            records.end == acknowledged || records.end == acknowledged + 1,
            "thread {thread} acknowledged {acknowledged}, there are {records:?}, {}",
            context()
        );
        assert!(
            records.first == 0 || has_wrapped,
            "{records:?}, {}",
            context()
        );
    }
}

#[test]
fn fifty_kills_lose_no_acknowledged_record() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = std::process::id();
    for round in 0..50u32 {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // Early and late alike: a tenth of the kills for each doubling between 8 and 8192 records,
        // and every fifth kill where the ring has gone round.
        let count = 8u64 << ((random >> 16) % 11);
        let count = count + u64::from(random >> 8) % count;
        let (ring, count) = if round % 5 == 4 {
            ("1MiB", 60_000 + count)
        } else {
            ("16MiB", count)
        };
        kill_at(folder.path(), ring, count);
    }
}

#[test]
fn correct_program_killed_in_the_middle_has_no_finding() {
    if !has_io_uring() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let raw = raw_folder(folder.path());
    let mut killed = 0;
    for round in 0..20u64 {
        let mut command = record(folder.path(), scenario(&["echo"]));
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut recorder = command.spawn().unwrap();
        let started = Instant::now();
        let program = loop {
            assert!(started.elapsed() < PATIENCE, "the program made no file");
            match Process::find(&raw) {
                Some(program) => break Some(program),
                // It may be over before it was seen.
                None if recorder.try_wait().unwrap().is_some() => break None,
                None => std::thread::yield_now(),
            }
        };
        // Not to wait for something, but to kill at another moment each time.
        std::thread::sleep(Duration::from_micros(200 + round * round * 150));
        drop(program);
        let ran = end_of(recorder);
        killed += u32::from(ran.status.signal() == Some(Signal::KILL.as_raw()));
        if ran.stderr.contains("before its first record") {
            continue;
        }
        let trace = read(&folder.path().join("trace.bin"));
        let report = traces::report::text(&trace, 100);
        assert_eq!(
            trace.verdict().outcome(),
            Outcome::Clean,
            "round {round}:\n{report}"
        );
    }
    assert!(
        killed > 5,
        "only {killed} of 20 were still running when they were killed"
    );
}

#[test]
fn recorder_killed_leaves_a_folder_that_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut hammered = Hammered::start(folder.path(), "1MiB");
    let program = hammered.wait_for(1000);
    hammered.recorder.kill().unwrap();
    hammered.recorder.wait().unwrap();
    assert!(!folder.path().join("trace.bin").exists());
    let left = entries(&hammered.raw).remove(0);
    let check = || run(tracer(folder.path()).arg("check").arg(&left));
    // It still writes; what is read meanwhile holds only whole records.
    let ran = check();
    assert!(matches!(ran.status.code(), Some(0 | 3)), "{ran:#?}");
    program.kill();
    let ran = check();
    assert!(matches!(ran.status.code(), Some(0 | 3)), "{ran:#?}");
}

#[test]
fn processes_that_outlive_the_program_are_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let ack = folder.path().join("ack");
    // Ends as soon as it may: when its input does.
    let script = "\"$@\" >/dev/null 2>&1 & read line; exit 4";
    let mut command = record(folder.path(), ["sh", "-c", script, "sh"]);
    command
        .args(scenario(&["hammer", "--seconds", "200", "--ack"]))
        .arg(&ack);
    command.stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut recorder = command.spawn().unwrap();
    wait_for(100, &ack, &mut recorder);
    let _outlives = Process::in_recording(&raw_folder(folder.path()));
    drop(recorder.stdin.take());
    end_of(recorder).exits(4).says("1 process still running");
    let trace = read(&folder.path().join("trace.bin"));
    assert_eq!(trace.recording().processes[0].ended, Ended::Unknown);
}

#[test]
fn recording_that_cannot_be_sealed_stays_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("target");
    std::fs::create_dir(&target).unwrap();
    let script = "rmdir \"$0\"; exec \"$@\"";
    let raw = raw_folder(folder.path());
    std::fs::create_dir(&raw).unwrap();
    let mut command: Command = tracer(folder.path());
    command
        .args(["record", "-o", "target/trace.bin", "--dir"])
        .arg(&raw)
        .args(["--", "sh", "-c"]);
    command
        .arg(script)
        .arg(&target)
        .args(scenario(&["double", "--ring", "simulated"]));
    let ran = run(&mut command)
        .exits(125)
        .says("could not be sealed")
        .says("exited with code 0");
    let left = entries(&raw).remove(0);
    assert!(
        ran.stderr.contains(left.to_str().unwrap()),
        "{}",
        ran.stderr
    );
    run(tracer(folder.path()).arg("check").arg(&left)).exits(1);
}

#[test]
fn signal_to_the_recorder_ends_a_recorded_program_and_keeps_its_trace() {
    let folder = tempfile::tempdir().unwrap();
    let mut hammered = Hammered::start(folder.path(), "1MiB");
    let _program = hammered.wait_for(100);
    kill_process(Pid::from_child(&hammered.recorder), Signal::TERM).unwrap();
    end_of(hammered.recorder)
        .dies_by(Signal::TERM.as_raw())
        .says("tracer check trace.bin");
    let trace = read(&folder.path().join("trace.bin"));
    let ended = trace.recording().processes[0].ended;
    assert_eq!(
        ended,
        Ended::Killed {
            signal: 15,
            core: false
        }
    );
}
