//! The program `hammer`, its acknowledgements, and what a trace must hold because of them.
//!
//! `hammer` records as fast as it can and acknowledges each record in a shared file, so that it can be
//! killed at any moment and its trace be compared with what was promised. Record `i` of a thread is a
//! leak, a peek or a reclaim as `i % 3` is 0, 1 or 2; a peek says its thread and its round, `i / 3`. A
//! handler's record is a peek with another mark, its thread and its number.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use traces::Trace;
use traces::event::{LossReason, What};

use crate::support::{PATIENCE, entries, raw_folder, scenario, tracer};

const THREADS: usize = 4;
const MARK: u64 = 0x7A;
const HANDLER_MARK: u64 = 0x7B;

/// `hammer` at work.
pub(crate) struct Hammered {
    /// Our child: the recorder, or `hammer` itself where there is none.
    pub(crate) parent: Child,
    /// Its acknowledgements.
    pub(crate) ack: PathBuf,
    /// Below it lies the recording folder.
    pub(crate) raw: PathBuf,
}

impl Hammered {
    /// Starts it under `tracer record`, told how much to keep.
    pub(crate) fn under_a_recorder(folder: &Path, room: &str, options: &[&str]) -> Self {
        let raw = raw_folder(folder);
        std::fs::create_dir_all(&raw).unwrap();
        let command = recorder(folder, room, &raw);
        Self::start(command, folder, raw, options)
    }

    /// As [`Hammered::under_a_recorder`], with a limit on the size of files, in what the shell counts by.
    pub(crate) fn with_small_files(folder: &Path, room: &str, limit: &str) -> Self {
        let raw = raw_folder(folder);
        std::fs::create_dir_all(&raw).unwrap();
        let inner = recorder(folder, room, &raw);
        let mut command = Command::new("sh");
        command.current_dir(folder).arg("-c");
        command.arg(format!("ulimit -f {}; exec \"$0\" \"$@\"", limit));
        command.arg(inner.get_program()).args(inner.get_args());
        command.env_remove("TRACER_DIR");
        Self::start(command, folder, raw, &[])
    }

    /// As [`Hammered::under_a_recorder`], with the recording in `raw`.
    pub(crate) fn recorded_in(raw: &Path, folder: &Path, room: &str) -> Self {
        let command = recorder(folder, room, raw);
        Self::start(command, folder, raw.to_path_buf(), &[])
    }

    /// Starts it with a recording folder of ours and nobody who would seal it.
    pub(crate) fn alone(folder: &Path, session: &str, options: &[&str]) -> Self {
        use std::os::unix::fs::DirBuilderExt;
        let raw = raw_folder(folder);
        let recording = raw.join("recording");
        let mut private = std::fs::DirBuilder::new();
        private.mode(0o700).recursive(true);
        private.create(&recording).unwrap();
        std::fs::write(recording.join("session"), session).unwrap();
        let mut command = tracer(folder);
        command.args(["__scenario", "hammer", "--seconds", "2000"]);
        command.env("TRACER_DIR", &recording);
        Self::start(command, folder, raw, options)
    }

    fn start(mut command: Command, folder: &Path, raw: PathBuf, options: &[&str]) -> Self {
        let ack = folder.join("ack");
        let _ = std::fs::remove_file(&ack);
        command.args(options).arg("--ack").arg(&ack);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let parent = command.spawn().unwrap();
        Self { parent, ack, raw }
    }

    /// Waits until so many records were made, and says which process makes them.
    pub(crate) fn wait_for(&mut self, records: u64) -> Process {
        wait_for(records, &self.ack, &mut self.parent);
        Process::in_recording(&self.raw)
    }

    /// The process file in the recording folder.
    pub(crate) fn file(&self) -> PathBuf {
        let folder = entries(&self.raw).remove(0);
        let mut files = entries(&folder);
        files.retain(|path| path.extension().is_some_and(|end| end == "trc"));
        assert_eq!(files.len(), 1, "{files:?}");
        files.remove(0)
    }
}

fn recorder(folder: &Path, room: &str, raw: &Path) -> Command {
    let mut command = tracer(folder);
    command.args(["record", room, "--dir"]).arg(raw).arg("--");
    command.args(scenario(&["hammer", "--seconds", "2000"]));
    command
}

/// Waits until so many records were acknowledged.
pub(crate) fn wait_for(records: u64, ack: &Path, parent: &mut Child) {
    let started = Instant::now();
    loop {
        let acknowledged = Acknowledged::read(ack);
        if acknowledged.own.iter().sum::<u64>() >= records {
            break;
        }
        assert!(started.elapsed() < PATIENCE, "too slow: {acknowledged:?}");
        assert!(parent.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::yield_now();
    }
}

/// A process that need not be our child: held by a descriptor, so that its number cannot come to mean
/// another one. It is killed at the end, whatever became of the test.
pub(crate) struct Process {
    handle: OwnedFd,
    pid: i32,
}

impl Process {
    /// The one process that has a file in the recording folder below `raw`.
    pub(crate) fn in_recording(raw: &Path) -> Self {
        Self::find(raw).expect("there is a process file")
    }

    pub(crate) fn find(raw: &Path) -> Option<Self> {
        let folder = entries(raw).into_iter().next()?;
        // The folder may be sealed and removed while it is looked at.
        let mut files = std::fs::read_dir(folder).ok()?.filter_map(Result::ok);
        let is_trace = |name: &str| name.ends_with(".trc");
        let name =
            files.find_map(|file| file.file_name().into_string().ok().filter(|n| is_trace(n)))?;
        let pid = name.split('-').next()?.parse().ok()?;
        let handle = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
        Some(Self { handle, pid })
    }

    /// Sends a signal until the process is over: the handler that Rust's library has for SIGSEGV takes
    /// the first one that was sent for its own.
    pub(crate) fn end(&self, signal: Signal) {
        let started = Instant::now();
        loop {
            assert!(started.elapsed() < PATIENCE, "it does not die");
            if pidfd_send_signal(&self.handle, signal).is_err() || self.is_over(20) {
                return;
            }
        }
    }

    /// Stops it, and waits until none of its threads runs.
    pub(crate) fn stop(&self) {
        pidfd_send_signal(&self.handle, Signal::STOP).unwrap();
        let started = Instant::now();
        while !self.is_stopped() {
            assert!(started.elapsed() < PATIENCE, "it does not stop");
            std::thread::yield_now();
        }
    }

    fn is_stopped(&self) -> bool {
        entries(Path::new(&format!("/proc/{}/task", self.pid)))
            .iter()
            .all(|task| {
                let stat = std::fs::read_to_string(task.join("stat")).unwrap_or_default();
                stat.rsplit(") ")
                    .next()
                    .is_some_and(|rest| rest.starts_with('T'))
            })
    }

    fn is_over(&self, milliseconds: i64) -> bool {
        let patience = Timespec {
            tv_sec: 0,
            tv_nsec: milliseconds * 1_000_000,
        };
        let mut fds = [PollFd::new(&self.handle, PollFlags::IN)];
        poll(&mut fds, Some(&patience)).is_ok_and(|ready| ready > 0)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = pidfd_send_signal(&self.handle, Signal::KILL);
    }
}

/// Records that were made for certain, by thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Acknowledged {
    pub(crate) own: [u64; THREADS],
    /// Of the signal handler.
    pub(crate) handled: [u64; THREADS],
}

impl Acknowledged {
    pub(crate) fn read(ack: &Path) -> Self {
        let mut page = [0; 4096];
        if let Ok(file) = File::open(ack) {
            let _ = file.read_at(&mut page, 0);
        }
        let word = |at: usize| u64::from_le_bytes(page[at * 64..at * 64 + 8].try_into().unwrap());
        Self {
            own: std::array::from_fn(word),
            handled: std::array::from_fn(|thread| word(THREADS + thread)),
        }
    }
}

/// Whether the writer still writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writer {
    /// It is dead, or stands still: what was not acknowledged is at most one record a thread.
    Still,
    /// It writes while the trace is read: what is just being written counts as missing, and as counted.
    Live,
}

/// A trace beside what was promised.
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// Records that the trace holds.
    pub(crate) recovered: u64,
    /// The handler's among them.
    pub(crate) handled: u64,
    /// Acknowledged records that are neither in the trace nor counted by it as lost.
    pub(crate) lost: u64,
    /// Records that the trace counts as lost for want of room, or because they were overwritten.
    pub(crate) counted: u64,
    /// Records that were cut off within.
    pub(crate) torn: u64,
    /// What cannot be right, whatever happened.
    pub(crate) corrupt: Vec<String>,
    /// Where records were lost.
    pub(crate) places: Vec<String>,
}

impl Account {
    /// Compares. `acknowledged` was read before the trace.
    pub(crate) fn of(trace: &Trace, acknowledged: &Acknowledged, writer: Writer) -> Self {
        let mut account = Self::default();
        let recording = trace.recording();
        for problem in recording.problems.iter().filter(|problem| problem.hides) {
            account.corrupt.push(problem.to_string());
        }
        for story in &trace.verdict().stories {
            account.corrupt.push(format!("a finding: {story:?}"));
        }
        let mut lanes: Vec<Lane> = recording.lanes.iter().map(|_| Lane::default()).collect();
        for event in trace.events() {
            lanes[event.lane as usize].take(&event.what, writer, &mut account);
        }
        // Of lanes without a peek: so early, or so full, that nothing tells whose they are.
        let mut unnamed = 0;
        let mut is_open = false;
        let mut seen = [false; THREADS];
        for lane in &lanes {
            match lane.thread() {
                Some(thread) if thread < THREADS && !seen[thread] => {
                    seen[thread] = true;
                    lane.compare(thread, acknowledged, writer, &mut account);
                }
                Some(thread) => account.corrupt.push(format!("thread {thread} again")),
                None => {
                    account.recovered += lane.own.len() as u64;
                    unnamed += lane.own.len() as u64 + lane.counted;
                    is_open |= lane.is_open;
                }
            }
        }
        for (thread, acknowledged) in acknowledged.own.into_iter().enumerate() {
            if !seen[thread] && acknowledged > 0 {
                let found = unnamed.min(acknowledged);
                unnamed -= found;
                if found < acknowledged && !is_open {
                    account.lost += acknowledged - found;
                    account.places.push(format!("thread {thread} is missing"));
                }
            }
        }
        account
    }

    /// Adds another one.
    pub(crate) fn add(&mut self, other: Self) {
        self.recovered += other.recovered;
        self.handled += other.handled;
        self.lost += other.lost;
        self.counted += other.counted;
        self.torn += other.torn;
        self.corrupt.extend(other.corrupt);
        self.places.extend(other.places);
    }
}

/// What a trace holds of one thread.
#[derive(Debug, Default)]
struct Lane {
    /// Kind and mark of the thread's own records.
    own: Vec<(u64, u64)>,
    /// Marks of its handler's records, and how many of the thread's own come before each.
    handled: Vec<(u64, usize)>,
    /// Records counted as lost that are not just the oldest.
    counted: u64,
    /// Whether the oldest were overwritten.
    is_wrapped: bool,
    /// Whether records may be lost without a number.
    is_open: bool,
}

impl Lane {
    fn take(&mut self, what: &What, writer: Writer, account: &mut Account) {
        match what {
            What::Leak(_) => self.own.push((0, 0)),
            What::Peek(pointer) if pointer.address >> 56 == MARK => {
                self.own.push((1, pointer.address));
            }
            What::Peek(pointer) if pointer.address >> 56 == HANDLER_MARK => {
                self.handled.push((pointer.address, self.own.len()));
            }
            What::Peek(pointer) => {
                let message = format!("a peek of {:#x}", pointer.address);
                account.corrupt.push(message);
            }
            What::Reclaim(_) => self.own.push((2, 0)),
            What::Lost(loss) => {
                let records = loss.records.unwrap_or(0);
                match (loss.reason, writer) {
                    (LossReason::Overwritten, _) => {
                        self.is_wrapped = true;
                        account.counted += records;
                        // Not the oldest: a chunk that a killed thread was about to recycle stayed,
                        // and those behind it were gone already.
                        if !self.own.is_empty() {
                            self.counted += records;
                        }
                    }
                    (LossReason::Torn, Writer::Still) => account.torn += records,
                    (LossReason::Damaged, Writer::Still) => {
                        account.corrupt.push(format!("{loss:?}"));
                    }
                    _ => {
                        self.is_open |= loss.records.is_none();
                        self.counted += records;
                        account.counted += records;
                    }
                }
            }
            _ => {}
        }
    }

    fn thread(&self) -> Option<usize> {
        let own = self.own.iter().find(|(kind, _)| *kind == 1);
        let mark = own.map(|(_, mark)| *mark);
        let mark = mark.or(self.handled.first().map(|(mark, _)| *mark))?;
        usize::try_from(mark >> 48 & 0xFF).ok()
    }

    /// Adds this thread's part to the account.
    ///
    /// Numbers may only grow. How many are missing is known at each mark, and for all at the end; the
    /// trace must count as many as lost, be it of the thread or of its handler, which share a lane.
    fn compare(&self, thread: usize, promised: &Acknowledged, writer: Writer, all: &mut Account) {
        all.recovered += (self.own.len() + self.handled.len()) as u64;
        all.handled += self.handled.len() as u64;
        let mut missing = 0;
        let mut note = |message: String| all.corrupt.push(format!("thread {thread}: {message}"));
        let mut check = |numbers: Numbers, promised: u64| {
            missing += numbers.skipped;
            if !self.is_wrapped {
                missing += numbers.first;
            }
            if numbers.end < promised && !self.is_open {
                missing += promised - numbers.end;
            }
            if let Some(wrong) = numbers.wrong {
                note(wrong);
            }
            if writer == Writer::Still && numbers.end > promised + 1 {
                let end = numbers.end;
                note(format!(
                    "{end} records, and only {promised} were acknowledged"
                ));
            }
        };
        check(self.own_numbers(thread), promised.own[thread]);
        let handled = promised.handled[thread];
        check(self.handled_numbers(thread, handled), handled);
        if missing > self.counted {
            all.lost += missing - self.counted;
            let (own, handled) = (
                self.own_numbers(thread),
                self.handled_numbers(thread, handled),
            );
            all.places.push(format!(
                "thread {thread}: {own:?}, handler {handled:?}, of {promised:?}, counted {}",
                self.counted
            ));
        }
    }

    fn own_numbers(&self, thread: usize) -> Numbers {
        let Some(anchor) = self.own.iter().position(|(kind, _)| *kind == 1) else {
            return Numbers::from(0, self.own.len() as u64);
        };
        let number = |mark: u64| 3 * (mark & 0xFFFF_FFFF_FFFF) + 1;
        let first = number(self.own[anchor].1).saturating_sub(anchor as u64);
        let mut numbers = Numbers::from(first, first);
        for (kind, mark) in &self.own {
            let next = numbers.end;
            let here = if *kind == 1 {
                number(*mark)
            } else {
                next + (3 + kind - next % 3) % 3
            };
            if *kind == 1 && *mark >> 48 & 0xFF != thread as u64 {
                numbers.wrong = Some(format!("a record of another thread, {mark:#x}"));
            }
            numbers.go_to(here);
        }
        numbers
    }

    /// A handler that interrupts a record writes to another lane than one that interrupts none, whose
    /// records are overwritten with the thread's own: numbers count from where those begin.
    fn handled_numbers(&self, thread: usize, promised: u64) -> Numbers {
        let is_kept = |(_, before): &&(u64, usize)| !self.is_wrapped || *before > 0;
        let kept = self.handled.iter().filter(is_kept).map(|(mark, _)| *mark);
        let kept: Vec<u64> = kept.collect();
        let number = |mark: &u64| mark & 0xFFFF_FFFF_FFFF;
        let none = if self.is_wrapped { promised } else { 0 };
        let first = kept.first().map_or(none, number);
        let mut numbers = Numbers::from(first, first);
        for mark in &kept {
            if *mark >> 48 & 0xFF != thread as u64 {
                numbers.wrong = Some(format!("a handler's record of another thread, {mark:#x}"));
            }
            numbers.go_to(number(mark));
        }
        numbers
    }
}

/// Numbers of records in their order.
#[derive(Debug)]
struct Numbers {
    first: u64,
    end: u64,
    /// Numbers between them that are not there.
    skipped: u64,
    wrong: Option<String>,
}

impl Numbers {
    fn from(first: u64, end: u64) -> Self {
        Self {
            first,
            end,
            skipped: 0,
            wrong: None,
        }
    }

    fn go_to(&mut self, number: u64) {
        if number < self.end {
            self.wrong = Some(format!("record {number} after record {}", self.end - 1));
        } else {
            self.skipped += number - self.end;
        }
        self.end = number + 1;
    }
}
