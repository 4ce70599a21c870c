//! `record --kernel`: what the kernel itself says of the program's rings.
//!
//! Its tracepoints of io_uring are listened to by perf events, one on each processor, which follow the program with
//! its threads, children and the kernel's own workers. They see every program, whatever it is linked with, and also a
//! ring that a thread of the kernel polls. A thread of this process takes out what the kernel wrote, puts it into
//! order, and writes a file for each process beside those that the processes write themselves.
//!
//! Reading order: here, [`tracefs`] and [`mod@format`] (where things are), [`perf`] (the kernel's interface), [`sample`]
//! (records into words), [`follow`] (words into operations, of processes that [`births`] knows), [`mod@file`]; [`maps`] for
//! `--stacks`, [`calls`], [`unwind`] and [`tables`] for `--uprobes`, and [`mod@look`] for what files say of themselves to both.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

mod births;
mod calls;
mod cut;
mod file;
mod follow;
mod format;
mod look;
mod maps;
#[expect(
    unsafe_code,
    reason = "speaks to the kernel's perf events, and reads what it writes"
)]
mod perf;
mod sample;
mod tables;
pub(crate) mod tracefs;
mod unwind;

use calls::Calls;
use calls::owners::Owners;
use calls::probes::Probes;
pub(crate) use calls::probes::leftovers;
use cut::Cut;
use follow::{Counted, Follow};
pub(crate) use look::child::run as look;
use perf::{About, Event, Memory, Whom};
use sample::{Entry, Said, Tracepoints};
use tracefs::Tracefs;

use super::Room;
use super::closing::grouped;
use super::session::Session;

/// Bytes of the kernel's buffer for threads that begin and end and map code, on each processor.
const THREADS: usize = 512 << 10;
/// Where there is less, code is not listened to that nobody asks for: a program that begins says some kilobytes of it.
const THREADS_LEAST: usize = 64 << 10;
/// Bytes of a stack that come with a push: frames of debug builds are large.
const STACK: u32 = 32 << 10;
/// Bytes of the kernel's buffer for pushes, on each processor and on all of them; and of those that wait to be worked
/// through.
const PUSHES: usize = 16 << 20;
const PUSHES_MAX: usize = 64 << 20;
const WAITING_MAX: usize = 128 << 20;
/// How long nothing is looked at, at the most.
const SLEEP: Duration = Duration::from_millis(20);
/// How late a record may come that is older than one on another processor: what is older than this is in order.
const LATE_NS: u64 = 50_000_000;
/// Bits of `CapEff` in `/proc/self/status`.
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_IPC_LOCK: u32 = 14;
/// Either of them is enough.
const LISTEN: [u32; 2] = [CAP_PERFMON, CAP_SYS_ADMIN];

/// What is listened to on one processor.
#[derive(Debug)]
struct Ear {
    /// Tracepoints; the first one owns the memory that all of them write to.
    events: Vec<Event>,
    memory: Memory,
    /// Threads that begin and end, with room of their own: however much is said of rings, these are not lost.
    threads: Event,
    of_threads: Memory,
    /// Pushes, each with a copy of the stack: what is lost of them is nothing else's.
    pushes: Option<(Event, Memory)>,
    /// Whether they say that they map code.
    hears_code: bool,
}

/// The overlay while the program runs.
#[derive(Debug)]
pub(crate) struct Kernel {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Option<Listener>>,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    counted: Counted,
    /// Calls of the program's functions, where they were listened to.
    calls: Option<u64>,
    /// Entries seen to be put into queues, those of them without a stack, and those that found no room.
    pushes: (u64, u64),
    pushes_lost: u64,
    cut: Cut,
    failure: Option<String>,
    /// Programs that ended what the kernel says of their processes, and how many of those there were.
    deaf: BTreeMap<String, u64>,
    remarks: Vec<String>,
}

/// What is missing here for `--kernel`, each with the command that brings it.
pub(crate) fn missing() -> Vec<String> {
    let mut missing = Vec::new();
    match Tracefs::find().place().map(Tracepoints::read) {
        Err(error) | Ok(Err(error)) => missing.push(format!("{error:#}")),
        Ok(Ok(_)) => {}
    }
    let paranoid = std::fs::read_to_string("/proc/sys/kernel/perf_event_paranoid");
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    match paranoid.map(|text| text.trim().parse::<i32>()) {
        Ok(Ok(..=-1)) => {}
        Ok(Ok(_)) if has_capability(&status, &LISTEN) => {}
        Ok(Ok(level)) => missing.push(format!(
            "CAP_PERFMON: perf_event_paranoid is {level}, so that tracepoints are for those who have it; as root, for one \
             recording: setpriv --reuid USER --init-groups --inh-caps +perfmon,+ipc_lock --ambient-caps \
             +perfmon,+ipc_lock tracer record --kernel ..., or for everybody: sysctl kernel.perf_event_paranoid=-1"
        )),
        Ok(Err(_)) | Err(_) => missing.push(
            "perf events: this kernel was built without them, or does not show /proc/sys".to_owned(),
        ),
    }
    missing
}

/// Whether it has one of some.
fn has_capability(status: &str, some: &[u32]) -> bool {
    let bits = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let bits = bits.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
    bits.is_some_and(|bits| some.iter().any(|one| bits & 1 << one != 0))
}

impl Kernel {
    /// Begins to listen to what this thread starts from now on.
    pub(crate) fn start(
        folder: &Path,
        session: &Session,
        buffer: u64,
        probed: Option<&OsStr>,
    ) -> Result<Self> {
        Self::listen(folder, session, buffer, None, probed)
    }

    /// Begins to listen to a process that runs already, and to what it starts.
    pub(crate) fn attach(folder: &Path, session: &Session, buffer: u64, pid: u32) -> Result<Self> {
        Self::listen(folder, session, buffer, Some(pid), None)
    }

    /// `probed` is the command whose program's functions are listened to as well.
    fn listen(
        folder: &Path,
        session: &Session,
        buffer: u64,
        only: Option<u32>,
        probed: Option<&OsStr>,
    ) -> Result<Self> {
        let mut missing = missing();
        let place = Tracefs::find();
        let mut option = "--kernel";
        if probed.is_some() {
            option = "--uprobes";
            missing.extend(calls::missing(place.place().ok()));
        }
        if !missing.is_empty() {
            bail!(
                "the kernel cannot be listened to here (`{option}`); missing:\n  {}",
                missing.join("\n  ")
            );
        }
        let mut tracepoints = Tracepoints::read(place.place()?)?;
        let mut calls = None;
        if let Some(command) = probed {
            let prepared = Calls::prepare(place.place()?, command)?;
            tracepoints = tracepoints.and_calls(prepared.probes.formats()?)?;
            calls = Some(prepared);
        }
        // It is there before the events are: those are inherited by what is started behind them, and the processes that
        // look into files for this thread are not the program's.
        let is_over = Arc::new(AtomicBool::new(false));
        let over = is_over.clone();
        let (give, take) = mpsc::channel::<Listener>();
        let thread = std::thread::Builder::new()
            .name("kernel".into())
            .spawn(move || Some(take.recv().ok()?.run(&over)))
            .context("cannot start the thread that listens to the kernel")?;
        let whom = match only {
            None => Whom::Children,
            // The threads that it has would take an event each, on each processor.
            Some(_) => Whom::All,
        };
        if session.stacks {
            tracepoints = tracepoints.and_stacks();
        }
        let ears = listen(&tracepoints, whom, buffer)?;
        let common = file::Common {
            folder: folder.to_path_buf(),
            token: session.token(),
            chunks: usize::try_from(session.room.chunks()).unwrap_or(usize::MAX),
            stacks: session.stacks,
            is_ring: matches!(session.room, Room::Ring(_)),
            open: file::Files::default(),
        };
        let mut listener = Listener {
            tracepoints,
            pending: Vec::new(),
            follow: Follow::new(common.clone(), only),
            ears,
            reported: 0,
            waiting: 0,
            pushes_lost: 0,
            probes: None,
            remarks: Vec::new(),
        };
        // What everybody does is heard in another way, which nothing takes away.
        if only.is_none() && listener.ears.iter().all(|ear| ear.hears_code) {
            listener.follow.may_be_deaf();
        }
        if listener.tracepoints.have_code() {
            listener.follow.and_code();
        }
        if let Some(calls) = calls {
            let of_calls = file::Common {
                // Those of pushes have stacks in any case.
                stacks: session.stacks || calls.program.pushes.is_some(),
                ..common
            };
            listener.remarks = calls.remarks();
            listener
                .follow
                .and_calls(Owners::new(of_calls, calls.program));
            listener.probes = Some(calls.probes);
        }
        // Where the thread is gone, that is said when it is joined.
        let _ = give.send(listener);
        Ok(Self { is_over, thread })
    }

    /// The program ended, or never began: the rest is taken out and written. `began` is its process id and when that
    /// began.
    pub(crate) fn end(self, began: Option<(u32, u64)>) -> Outcome {
        self.is_over.store(true, Ordering::Relaxed);
        match self.thread.join() {
            Ok(Some(listener)) => listener.end(began),
            Ok(None) | Err(_) => Outcome {
                failure: Some("the thread that listened to the kernel ended early".to_owned()),
                ..Outcome::default()
            },
        }
    }
}

/// Opens everything on all processors.
fn listen(tracepoints: &Tracepoints, whom: Whom, buffer: u64) -> Result<Vec<Ear>> {
    let text = std::fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    let cpus = processors(&text);
    if cpus.is_empty() {
        bail!("/sys/devices/system/cpu/online does not say which processors there are");
    }
    let mut bytes = within_limits(buffer, cpus.len());
    loop {
        match open_all(tracepoints, whom, &cpus, bytes) {
            // More than this user may lock into memory: less of it, on each processor.
            Err(Refused { error, .. })
                if error.raw_os_error() == Some(libc::EPERM) && bytes / 2 >= page() =>
            {
                bytes /= 2;
            }
            Err(refused) => return Err(refused.into()),
            Ok(ears) => return Ok(ears),
        }
    }
}

/// Why a processor cannot be listened to.
struct Refused {
    error: io::Error,
    cpu: i32,
    /// It was the buffer.
    is_room: bool,
}

fn open_all(
    tracepoints: &Tracepoints,
    whom: Whom,
    cpus: &[i32],
    bytes: usize,
) -> Result<Vec<Ear>, Refused> {
    let mut ears = Vec::new();
    for &cpu in cpus {
        match Ear::open(tracepoints, whom, (cpu, cpus.len()), bytes) {
            Ok(ear) => ears.push(ear),
            // It was switched off just now.
            Err((error, _)) if error.raw_os_error() == Some(libc::ENODEV) => {}
            Err((error, is_room)) => {
                return Err(Refused {
                    error,
                    cpu,
                    is_room,
                });
            }
        }
    }
    Ok(ears)
}

fn page() -> usize {
    rustix::param::page_size()
}

/// Bytes of a buffer on each processor. What a user without `CAP_IPC_LOCK` has locked counts against what io_uring may
/// lock for the program: of that, no more than a quarter.
fn within_limits(wanted: u64, cpus: usize) -> usize {
    let wanted = usize::try_from(wanted).unwrap_or(usize::MAX >> 1);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let limit = rustix::process::getrlimit(rustix::process::Resource::Memlock).current;
    let allowed = match limit {
        Some(limit) if !has_capability(&status, &[CAP_IPC_LOCK]) => {
            // Twice, for threads that begin and end have a buffer, too.
            usize::try_from(limit).unwrap_or(usize::MAX) / 4 / cpus.max(1) / 2
        }
        _ => usize::MAX >> 1,
    };
    let most = allowed.max(page());
    // Down to a power of two.
    let most = 1 << most.ilog2();
    wanted.max(page()).next_power_of_two().min(most)
}

impl From<Refused> for anyhow::Error {
    fn from(refused: Refused) -> Self {
        let Refused {
            error,
            cpu,
            is_room,
        } = refused;
        let why = match error.raw_os_error() {
            Some(libc::EPERM | libc::ENOMEM) if is_room => format!(
                "there is no room for the kernel's buffers, or this user may lock no more into memory ({error}); \
                 `ulimit -l` allows more, and CAP_IPC_LOCK all of it"
            ),
            Some(libc::EACCES | libc::EPERM) => format!(
                "the kernel refuses ({error}): a container's filter of system calls, or capabilities of another user \
                 namespace; record outside of the container, or start it with --cap-add PERFMON"
            ),
            Some(libc::EMFILE) => format!(
                "there are not enough descriptors for this many processors ({error}); `ulimit -n 65536` allows more"
            ),
            _ => error.to_string(),
        };
        anyhow!("the kernel cannot be listened to (`--kernel`) on processor {cpu}: {why}")
    }
}

/// Bytes for pushes on each of so many processors: a power of two, with room for a few.
fn room_for_pushes(cpus: usize) -> usize {
    let room = (PUSHES_MAX / cpus.max(1)).clamp(PUSHES / 64, PUSHES);
    1 << room.ilog2()
}

/// `0-3,8`
fn processors(text: &str) -> Vec<i32> {
    let ranges = text.trim().split(',').filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.parse::<i32>().ok()?..=last.parse().ok()?)
    });
    ranges.flatten().take(8192).collect()
}

impl Ear {
    /// Opens it with a buffer of this many bytes; of what fails, says whether it was the buffer.
    fn open(
        tracepoints: &Tracepoints,
        whom: Whom,
        (cpu, cpus): (i32, usize),
        bytes: usize,
    ) -> Result<Self, (io::Error, bool)> {
        let watermark = u32::try_from(bytes / 4).unwrap_or(u32::MAX);
        let open = |about| Event::open(about, whom, cpu, watermark).map_err(|error| (error, false));
        let map = |event: &Event, bytes| Memory::map(event, bytes).map_err(|error| (error, true));
        let about = if tracepoints.have_code() {
            About::ThreadsAndBuilds
        } else if bytes >= THREADS_LEAST {
            About::ThreadsAndCode
        } else {
            About::Threads
        };
        let threads = open(about)?;
        let of_threads = map(&threads, THREADS.min(bytes))?;
        let ((first, stacks), rest) = tracepoints.ids();
        let first = open(About::Tracepoint(first, stacks))?;
        let memory = map(&first, bytes)?;
        let mut events = vec![first];
        for (id, stacks) in rest {
            let event = open(About::Tracepoint(id, stacks))?;
            event.send_to(&events[0]).map_err(|error| (error, false))?;
            events.push(event);
        }
        let pushes = match tracepoints.pushes() {
            Some(id) => {
                let room = room_for_pushes(cpus);
                let watermark = u32::try_from(room / 4).unwrap_or(u32::MAX);
                let about = About::Tracepoint(id, perf::Stacks::Copied(STACK));
                let event =
                    Event::open(about, whom, cpu, watermark).map_err(|error| (error, false))?;
                let memory = map(&event, room)?;
                Some((event, memory))
            }
            None => None,
        };
        Ok(Self {
            events,
            memory,
            threads,
            of_threads,
            pushes,
            hears_code: about != About::Threads,
        })
    }

    fn poll_on(&self) -> impl Iterator<Item = &File> {
        let pushes = self.pushes.iter().map(|(event, _)| event);
        self.events
            .first()
            .into_iter()
            .chain(pushes)
            .map(Event::file)
    }

    fn all(&self) -> impl Iterator<Item = &Event> {
        self.events.iter().chain([&self.threads])
    }
}

/// The thread's own.
#[derive(Debug)]
struct Listener {
    tracepoints: Tracepoints,
    ears: Vec<Ear>,
    /// Not worked through yet.
    pending: Vec<Entry>,
    follow: Follow,
    /// Losses that the kernel told of among its records.
    reported: u64,
    /// Bytes of stacks that wait with what is pending, and pushes that found no room.
    waiting: usize,
    pushes_lost: u64,
    /// What has to be taken out of the kernel's table again.
    probes: Option<Probes>,
    /// What to say of that.
    remarks: Vec<String>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Closed first: what is listened to cannot be removed.
        self.ears.clear();
        self.probes.take();
    }
}

impl Listener {
    fn run(mut self, is_over: &AtomicBool) -> Self {
        while !is_over.load(Ordering::Relaxed) {
            self.wait();
            let now = monotonic_ns();
            self.take();
            if self.work(now.saturating_sub(LATE_NS)) {
                self.follow.flush();
            }
        }
        self
    }

    /// Until a quarter of a buffer is full, or for a while.
    fn wait(&self) {
        let files = self.ears.iter().flat_map(Ear::poll_on);
        let mut files: Vec<_> = files
            .map(|file| PollFd::from_borrowed_fd(file.as_fd(), PollFlags::IN))
            .collect();
        let limit = Timespec {
            tv_sec: 0,
            tv_nsec: i64::from(SLEEP.subsec_nanos()),
        };
        let ended = |file: &PollFd<'_>| file.revents().contains(PollFlags::HUP);
        // What hangs up does so for ever, and would be no wait at all.
        if poll(&mut files, Some(&limit)).is_err() || files.iter().any(ended) {
            std::thread::sleep(SLEEP);
        }
    }

    /// Takes out what the kernel wrote.
    fn take(&mut self) {
        let Self {
            tracepoints,
            ears,
            pending,
            follow,
            reported,
            waiting,
            pushes_lost,
            ..
        } = self;
        for (_, memory) in ears.iter().filter_map(|ear| ear.pushes.as_ref()) {
            memory.take(|kind, body| {
                let Some(mut entry) = tracepoints.parse_push(kind, body) else {
                    return;
                };
                match &mut entry.said {
                    // A call stack less, and nothing that an answer rests on.
                    Said::Lost(count) => return *pushes_lost += *count,
                    Said::Push(push) => {
                        if *waiting + push.stack.len() > WAITING_MAX {
                            push.stack = Box::default();
                        }
                        *waiting += push.stack.len();
                    }
                    _ => {}
                }
                follow.meet(&entry);
                pending.push(entry);
            });
        }
        for memory in ears.iter().flat_map(|ear| [&ear.of_threads, &ear.memory]) {
            memory.take(|kind, body| {
                if let Some(entry) = tracepoints.parse(kind, body) {
                    if let Said::Lost(count) = entry.said {
                        *reported += count;
                    }
                    follow.meet(&entry);
                    pending.push(entry);
                }
            });
        }
    }

    /// Works through what is so old that nothing older will come. Says whether there was any.
    fn work(&mut self, until: u64) -> bool {
        self.pending.sort_by_key(|entry| entry.at);
        let ready = self.pending.partition_point(|entry| entry.at < until);
        for entry in self.pending.drain(..ready) {
            if let Said::Push(push) = &entry.said {
                self.waiting = self.waiting.saturating_sub(push.stack.len());
            }
            self.follow.take(entry);
        }
        ready > 0
    }

    fn end(mut self, began: Option<(u32, u64)>) -> Outcome {
        let pushes = self.ears.iter().filter_map(|ear| ear.pushes.as_ref());
        let pushes = pushes.map(|(event, _)| event);
        for event in self.ears.iter().flat_map(Ear::all).chain(pushes) {
            // One that does not end writes where nobody reads.
            let _ = event.disable();
        }
        self.take();
        if let Some((pid, start_time)) = began {
            self.follow.began(pid, start_time);
        }
        let pushes = self.ears.iter().filter_map(|ear| ear.pushes.as_ref());
        let lost = pushes.filter_map(|(event, _)| event.lost().ok().flatten());
        self.pushes_lost = self.pushes_lost.max(lost.sum());
        // What found no room behind the last record that did is counted, and nowhere told of.
        let lost = self.ears.iter().flat_map(Ear::all);
        let lost: u64 = lost.filter_map(|event| event.lost().ok().flatten()).sum();
        let untold = lost.saturating_sub(self.reported);
        if untold > 0 {
            let (pid, _) = began.unwrap_or_default();
            self.pending.push(Entry {
                at: monotonic_ns(),
                pid,
                tid: pid,
                said: Said::Lost(untold),
                stack: Box::default(),
            });
        }
        self.work(u64::MAX);
        self.follow.flush();
        Outcome {
            counted: self.follow.counted,
            calls: self.follow.calls(),
            pushes: self.follow.pushes(),
            cut: self.follow.cut(),
            pushes_lost: self.pushes_lost,
            failure: self.follow.failure(),
            deaf: self.follow.deaf(),
            remarks: std::mem::take(&mut self.remarks),
        }
    }
}

impl Outcome {
    /// What to say of it at the end.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let mut remarks = self.remarks.clone();
        if let Some(why) = &self.failure {
            remarks.push(format!(
                "not recorded: part of what the kernel said could not be written ({why})"
            ));
        }
        if !self.deaf.is_empty() {
            let mut names: Vec<&str> = self.deaf.keys().take(4).map(String::as_str).collect();
            if self.deaf.len() > names.len() {
                names.push("others");
            }
            remarks.push(format!(
                "not seen: what a process did from when it executed {} (with raised privileges: setuid, setgid or file \
                 capabilities; or with no right to read the file), and what it started: the kernel says no more of it. \
                 Record such a program as the user and the group that it runs as, or listen to it with `tracer attach PID`",
                names.join(", ")
            ));
        }
        if self.counted.lost > 0 {
            remarks.push(format!(
                "lost: {} of the kernel's records found no room in its buffer; `--kernel-buffer SIZE` makes more of it",
                self.counted.lost
            ));
        }
        let (_, bare) = self.pushes;
        if bare > 0 || self.pushes_lost > 0 {
            remarks.push(format!(
                "not recorded: the call stacks of {} pushes: their copies of the stack found no room, or could not be \
                 followed; no answer rests on them",
                grouped(bare + self.pushes_lost)
            ));
        }
        remarks.extend(self.cut.remarks());
        remarks
    }

    /// Entries that were seen to be put into submission queues.
    pub(crate) fn pushes(&self) -> u64 {
        self.pushes.0
    }

    /// What the kernel saw of all processes.
    pub(crate) fn saw(&self) -> (u64, u64) {
        (self.counted.rings, self.counted.operations)
    }

    /// Whether the kernel said nothing of a part of what was to be seen.
    pub(crate) fn is_deaf(&self) -> bool {
        !self.deaf.is_empty()
    }

    /// Calls of the program's functions, where they were listened to.
    pub(crate) fn calls(&self) -> Option<u64> {
        self.calls
    }
}

fn monotonic_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_listed_by_ranges() {
        assert_eq!(processors("0-3,8\n"), [0, 1, 2, 3, 8]);
        assert_eq!(processors("0\n"), [0]);
        assert_eq!(processors(""), [] as [i32; 0]);
    }

    #[test]
    fn either_capability_is_enough() {
        assert!(has_capability("CapEff:\t0000004000000000\n", &LISTEN));
        assert!(has_capability(
            "Name:\tx\nCapEff:\t000001ffffffffff\n",
            &LISTEN
        ));
        assert!(has_capability("CapEff:\t0000000000200000\n", &LISTEN));
        assert!(!has_capability(
            "CapEff:\t0000000000000000\nCapPrm:\t000001ffffffffff\n",
            &LISTEN
        ));
        assert!(!has_capability("", &LISTEN));
    }
}
