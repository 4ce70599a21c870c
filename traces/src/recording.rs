//! What a recording is made of besides its events: processes, lanes, names, problems, losses.
//!
//! Indices in events point into the tables here; index 0 of a table stands for "not known". Nothing
//! here fails on a wrong index: it gives the unknown entry.

use rustc_hash::FxHashMap;

use crate::event::{EventId, Loss, LossReason, Ring, SiteId, StringId, TypeId, What};
use crate::packed::Packed;
use crate::schema::Schema;
use crate::stack::{Frame, Module, Stacks};
use crate::untrusted::Untrusted;

/// One run of `tracer record`, or of a test scope.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// `CLOCK_MONOTONIC` of the first event, in ns: times of events count from there. 0 where it is not known.
    pub began_ns: i64,
    /// Processes, in the order in which they were read.
    pub processes: Vec<Process>,
    /// Lanes of all processes.
    pub lanes: Vec<Lane>,
    /// What was wrong with the input, at most [`PROBLEMS_MAX`].
    pub problems: Vec<Problem>,
    /// Problems beyond those.
    pub problems_more: u64,
    /// Where records are known to be missing, in causal order.
    pub losses: Vec<LocatedLoss>,
    /// Arguments of the recorded command, where the recorder said so.
    pub command: Vec<Untrusted>,
    /// What else the recorder said, as keys and values.
    pub recorder: Vec<(Untrusted, Untrusted)>,
    /// Records of kinds that this build does not know, and that change no answer.
    pub records_unknown: u64,
    /// Files that code was loaded from, of all processes.
    pub modules: Vec<Module>,
    /// Whether all that is to be known of the program is in the file, so that no other may be looked into.
    pub is_packed: bool,
    /// How much there was of what rules judge, where nothing was judged: see [`crate::Trace::survey`].
    pub seen: Seen,
    pub(crate) packed: Option<Packed>,
    pub(crate) tables: Tables,
}

/// Problems that are kept with their text.
pub const PROBLEMS_MAX: usize = 64;

/// Counts over all events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Rings that were made.
    pub rings: u64,
    /// Operations that were submitted.
    pub operations: u64,
}

/// One recorded process.
#[derive(Clone, Debug)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// Process id of its parent, 0 where not known.
    pub ppid: u32,
    /// Start time in clock ticks since boot: tells apart two processes with one id.
    pub start_time: u64,
    /// Path of the executable as the process saw it. A hint.
    pub exe: Untrusted,
    /// Build-id of the executable.
    pub build_id: Vec<u8>,
    /// Version of the writer.
    pub writer: Untrusted,
    /// What its time stamps counted.
    pub clock: Clock,
    /// Whether its records share the times of their batches: each came at its time or later, and what
    /// threads handed to each other is in no known order.
    pub times_by_batch: bool,
    /// Who wrote its records.
    pub capture: Capture,
    /// Whether `exit` ran its handlers, as the process itself said.
    pub exit_handlers_ran: bool,
    /// How it ended.
    pub ended: Ended,
    /// When the recorder saw how it ended, or that it had not, by `CLOCK_MONOTONIC` in ns.
    pub watched_until_ns: Option<i64>,
    /// Why its recording ended before it did, where it did.
    pub stopped: Option<Stopped>,
    /// Names, places, types and call stacks that no room was left for.
    pub names_lost: u64,
    /// What it said that lasts, and is known whatever was overwritten.
    pub lasting: Lasting,
    /// How its ticks became times.
    pub pace: Pace,
    /// Name of the input it was read from.
    pub source: String,
}

/// What a process said that lasts: its writer keeps it beside the names as well, where nothing is overwritten.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lasting {
    /// Rings that were made and what was declared of cookies, in the order in which it was written.
    pub said: Vec<Said>,
    /// Whether cookies were declared shared one by one.
    pub shares: bool,
    /// Whether coroutines were spawned.
    pub spawns: bool,
    /// Whether all of it is here.
    pub is_whole: bool,
}

/// Something that lasts.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// When it was said, by `CLOCK_MONOTONIC` in ns.
    pub at_ns: i64,
    /// A [`What::RingCreate`] or a [`What::Scheme`].
    pub what: What,
}

impl Lasting {
    /// Takes in an event of a kind that lasts.
    pub(crate) fn take(&mut self, at_ns: i64, what: What) {
        match what {
            What::RingCreate(_) | What::Scheme { .. } => self.said.push(Said { at_ns, what }),
            What::Shared { .. } => self.shares = true,
            What::Spawn { .. } => self.spawns = true,
            _ => {}
        }
    }

    /// Rings that were made.
    pub(crate) fn rings(&self) -> impl Iterator<Item = &Ring> {
        self.said.iter().filter_map(|said| match &said.what {
            What::RingCreate(ring) => Some(ring),
            _ => None,
        })
    }

    /// All of it, as events with their times.
    pub(crate) fn events(&self) -> impl Iterator<Item = (i64, What)> {
        let said = self.said.iter().map(|said| (said.at_ns, said.what.clone()));
        let shared = self.shares.then_some(What::Shared { cookie: 0 });
        let spawned = self.spawns.then_some(What::Spawn {
            coroutine: 0,
            parent: None,
            site: SiteId(0),
            ty: TypeId(0),
        });
        said.chain(shared.into_iter().chain(spawned).map(|what| (0, what)))
    }
}

/// How ticks became times: a line, which is known the better the longer a recording goes on. So a tick of a
/// recording that is still written has another time the next time it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// `CLOCK_MONOTONIC` in ns at a moment that stays the same.
    pub from_ns: i64,
    /// So many ticks
    pub ticks: u64,
    /// took so many ns.
    pub ns: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            from_ns: 0,
            ticks: 1,
            ns: 1,
        }
    }
}

impl Pace {
    /// The time that a moment has by this pace, if it has `at_ns` by another one.
    pub fn translate(&self, at_ns: i64, other: &Self) -> i64 {
        if self == other {
            return at_ns;
        }
        let since = i128::from(at_ns) - i128::from(other.from_ns);
        let product = |a: u64, b: u64| (u128::from(a) * u128::from(b)).max(1) as f64;
        // Within an hour the paces differ by milliseconds: the difference is what needs to be exact.
        let ratio = product(self.ns, other.ticks) / product(self.ticks, other.ns);
        let drift = (since as f64) * (ratio - 1.0);
        let at = i128::from(self.from_ns) + since + drift.round() as i128;
        i64::try_from(at).unwrap_or(if at < 0 { i64::MIN } else { i64::MAX })
    }
}

impl Default for Process {
    fn default() -> Self {
        Self {
            pid: 1,
            ppid: 0,
            start_time: 0,
            exe: Untrusted::default(),
            build_id: Vec::new(),
            writer: Untrusted::default(),
            clock: Clock::Logical,
            times_by_batch: false,
            capture: Capture::Linked,
            exit_handlers_ran: false,
            ended: Ended::Unknown,
            watched_until_ns: None,
            stopped: None,
            names_lost: 0,
            lasting: Lasting::default(),
            pace: Pace::default(),
            source: String::new(),
        }
    }
}

impl Process {
    /// Whether both are views of one process. The recorder may have had to guess when it began, to a clock tick.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        self.pid == other.pid
            && self.start_time != 0
            && other.start_time != 0
            && self.start_time.abs_diff(other.start_time) <= 2
    }

    /// Whether it might have gone on, had it not been told to end or the recording come to its end: it had all the
    /// time until then.
    pub(crate) fn was_cut_off(&self) -> bool {
        // HUP, INT, QUIT, KILL and TERM; what a fault ends was at work.
        let was_told = |signal: i32| matches!(signal, 1 | 2 | 3 | 9 | 15);
        self.stopped.is_none()
            && match self.ended {
                Ended::Killed { signal, .. } => was_told(signal),
                Ended::Unknown | Ended::Gone => !self.exit_handlers_ran,
                _ => false,
            }
    }

    /// Whether it went through an ordinary exit that its recording saw, so that what it still held was its own
    /// decision.
    pub fn ended_clean(&self) -> bool {
        let exited = self.exit_handlers_ran || matches!(self.ended, Ended::Exited { .. });
        exited && self.stopped.is_none()
    }
}

/// What a tick is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The invariant time-stamp counter of x86-64.
    Tsc,
    /// `CLOCK_MONOTONIC`
    Monotonic,
    /// The virtual counter of aarch64.
    Cntvct,
    /// A counter that a simulated runtime advances by itself.
    Logical,
    /// One that this build does not know.
    Unknown,
}

/// Who wrote the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capture {
    /// The probe, linked into the program.
    Linked,
    /// The shim for programs that do not link the probe.
    Preload,
    /// Kernel tracepoints.
    Kernel,
    /// Uprobes.
    Uprobes,
    /// One that this build does not know.
    Unknown,
}

impl Capture {
    /// Whether it is what somebody else saw of a process, beside what the process itself recorded, if it did.
    pub(crate) fn is_view(self) -> bool {
        matches!(self, Self::Kernel | Self::Uprobes)
    }
}

/// Why a recording ended before its process: what that did afterwards is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// The program ended it, for this reason.
    Program(StringId),
    /// The recorder was asked to end it.
    Recorder,
    /// Somebody that this build does not know.
    Unknown,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It exited with this code.
    Exited {
        /// The exit code.
        code: i32,
    },
    /// A signal killed it.
    Killed {
        /// The signal.
        signal: i32,
        /// Whether a core was dumped.
        core: bool,
    },
    /// It said that its exit handlers ran; nobody saw its code.
    Said,
    /// It said that an abort or panic handler ran; nobody saw more.
    Aborted,
    /// Its image was replaced by `exec`.
    Replaced,
    /// It was gone when the recording ended, and nobody but its parent saw how it ended.
    Gone,
    /// It still ran, or nobody saw how it ended.
    Unknown,
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exited { code } => write!(f, "exited with code {code}"),
            Self::Killed { signal, core } => {
                write!(f, "killed by signal {signal}")?;
                if let Some(name) = crate::names::signal(*signal) {
                    write!(f, " ({name})")?;
                }
                if *core {
                    f.write_str(", core dumped")
                } else {
                    Ok(())
                }
            }
            Self::Said => f.write_str("exited; its code was not seen"),
            Self::Aborted => f.write_str("aborted"),
            Self::Replaced => f.write_str("replaced by exec"),
            Self::Gone => f.write_str("ended; only its parent saw how"),
            Self::Unknown => f.write_str("still running, or its end was not seen"),
        }
    }
}

/// The record stream of one thread.
#[derive(Clone, Debug)]
pub struct Lane {
    /// Index of its process.
    pub process: u32,
    /// Thread id of its latest owner, 0 where not known.
    pub tid: u32,
    /// Name of that thread.
    pub thread: StringId,
    /// Whether another thread of its process has this name too, so that it takes the number as well to tell which.
    pub has_namesake: bool,
    /// Whether that thread was still running when the recording ended.
    pub is_running: bool,
}

/// Something wrong with the input that could be worked around.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Name of the input.
    pub source: String,
    /// Byte offset in it.
    pub offset: u64,
    /// What is wrong, and what was done about it.
    pub message: String,
    /// Whether records may be missing for it.
    pub hides: bool,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {:#x}: {}", self.source, self.offset, self.message)
    }
}

/// Missing records and their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocatedLoss {
    /// The event that stands in their place.
    pub event: EventId,
    /// Index of the process.
    pub process: u32,
    /// Index of the lane.
    pub lane: u32,
    /// How many and why.
    pub loss: Loss,
}

/// A place in the source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Site {
    /// Path as the compiler saw it.
    pub file: StringId,
    /// Line, from 1; 0 for unknown.
    pub line: u32,
    /// Column, from 1; 0 for unknown.
    pub column: u32,
}

/// A type of the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Type {
    /// Its whole name.
    pub name: StringId,
    /// Its size in bytes.
    pub size: u64,
    /// Its alignment.
    pub align: u64,
}

impl Recording {
    /// Finds out which threads need more than their name to be told apart: those of a pool have one name, and those that
    /// never got any have their program's. What the kernel saw of a process counts as that process.
    pub(crate) fn find_namesakes(&mut self) {
        let mut first: FxHashMap<(u32, StringId), Option<u32>> = FxHashMap::default();
        let pids: Vec<u32> = self.processes.iter().map(|process| process.pid).collect();
        let called = |lane: &Lane| Some((*pids.get(lane.process as usize)?, lane.thread));
        let named = |lane: &&Lane| lane.tid != 0 && lane.thread != StringId::default();
        for lane in self.lanes.iter().filter(named) {
            let Some(name) = called(lane) else { continue };
            let only = first.entry(name).or_insert(Some(lane.tid));
            *only = only.filter(|tid| *tid == lane.tid);
        }
        for lane in &mut self.lanes {
            let is_shared = called(lane).and_then(|name| first.get(&name)) == Some(&None);
            lane.has_namesake = lane.tid != 0 && is_shared;
        }
    }

    /// What recorders in the programs put on the timeline about rings that they saw and could not record.
    ///
    /// Where the kernel was listened to, it is no way out any more.
    pub fn not_recorded(&self) -> impl Iterator<Item = String> {
        const WAY_OUT: &str = "(`record --kernel` lists its operations)";
        let mut kernels = self.processes.iter();
        let is_by_kernel = kernels.any(|it| it.capture == Capture::Kernel);
        let texts = self.tables.strings.iter().map(Untrusted::tty);
        let texts = texts.filter(|text| text.starts_with("not recorded"));
        texts.map(move |text| match is_by_kernel {
            true => text.replace(WAY_OUT, "(the kernel lists its operations)"),
            false => text,
        })
    }

    /// Rings that recorders in the programs saw being made, and do not follow.
    pub fn rings_not_followed(&self) -> u64 {
        let losses = self.losses.iter().map(|located| located.loss);
        let rings = losses.filter(|loss| loss.reason == LossReason::RingNotFollowed);
        rings.filter_map(|loss| loss.records).sum()
    }

    /// Whether the recorder in a process left a text about it that is so.
    fn has_left(&self, process: u32, is: impl Fn(&[u8]) -> bool) -> bool {
        let all = (process, StringId(0))..=(process, StringId(u32::MAX));
        let mut left = self.tables.left.range(all);
        left.any(|(_, text)| is(self.string(*text).bytes()))
    }

    /// Whether the probe for C recorded a process.
    pub(crate) fn is_by_c(&self, process: u32) -> bool {
        let own = self.process(process);
        own.is_some_and(|own| own.capture == Capture::Linked)
            && self.has_left(process, |text| text == wire::record::BY_C.as_bytes())
    }

    /// Whether nobody sees what a process frees, as its recorder said.
    pub(crate) fn frees_are_unseen(&self, process: u32) -> bool {
        self.has_left(process, |text| {
            text.starts_with(b"not recorded: what is freed")
        })
    }

    /// The text of an id; empty for 0 and for ids that do not exist.
    pub fn string(&self, id: StringId) -> &Untrusted {
        get(&self.tables.strings, id.0)
    }

    /// The place of an id.
    pub fn site(&self, id: SiteId) -> Site {
        *get(&self.tables.sites, id.0)
    }

    /// All places in the source that the trace names.
    pub fn sites(&self) -> impl Iterator<Item = Site> + '_ {
        self.tables.sites.iter().skip(1).copied()
    }

    /// What the recorder, or whoever packed the file, said under a key.
    pub fn said(&self, key: &str) -> Option<&Untrusted> {
        let found = self
            .recorder
            .iter()
            .find(|said| said.0.bytes() == key.as_bytes());
        found.map(|said| &said.1)
    }

    /// The type of an id.
    pub fn ty(&self, id: TypeId) -> Type {
        *get(&self.tables.types, id.0)
    }

    /// The frames of an event's call stack, the innermost first; none where it was not recorded.
    pub fn stack(&self, event: EventId) -> &[Frame] {
        self.tables.stacks.at(event)
    }

    /// How many different call stacks were recorded.
    pub fn stacks_count(&self) -> usize {
        self.tables.stacks.count()
    }

    /// The frames of all stacks; some may come several times.
    pub fn frames(&self) -> impl Iterator<Item = Frame> + '_ {
        self.tables.stacks.all()
    }

    /// The lane of an index.
    pub fn lane(&self, index: u32) -> Option<&Lane> {
        self.lanes.get(index as usize)
    }

    /// How a process ended, and that its recording did so before where that is so: safe for a terminal.
    pub fn end_in_words(&self, process: &Process) -> String {
        let ended = process.ended;
        match process.stopped {
            None => ended.to_string(),
            Some(Stopped::Program(reason)) => {
                let reason = self.string(reason).tty();
                format!("{ended}; the program had ended its recording before: {reason}")
            }
            Some(Stopped::Recorder | Stopped::Unknown) => {
                format!("{ended}; its recording was ended before")
            }
        }
    }

    /// Whether the end of its process cut off a lane in the middle of its work, although the process
    /// may have ended in order: its thread still ran, and it is not the one that ends the process.
    pub(crate) fn is_cut(&self, index: u32) -> bool {
        let Some(lane) = self.lane(index).filter(|lane| lane.is_running) else {
            return false;
        };
        let is_main = self
            .process(lane.process)
            .is_some_and(|process| process.pid == lane.tid);
        let others = self.lanes.iter().filter(|it| it.process == lane.process);
        !is_main && others.take(2).count() > 1
    }

    /// The process of an index.
    pub fn process(&self, index: u32) -> Option<&Process> {
        self.processes.get(index as usize)
    }

    /// The process, recorded in another way too, that a view from outside is of; the last of its images.
    pub fn seen_otherwise(&self, view: u32) -> Option<u32> {
        let view = self.process(view)?;
        let fits = |it: &Process| !it.capture.is_view() && it.is_same_as(view);
        let found = self.processes.iter().rposition(fits);
        found
            .filter(|_| view.capture.is_view())
            .and_then(|at| u32::try_from(at).ok())
    }

    /// The process that did what is recorded of one: what probes said of its functions is its own doing.
    pub(crate) fn acting(&self, process: u32) -> u32 {
        let is_calls = self.process(process);
        let is_calls = is_calls.is_some_and(|it| it.capture == Capture::Uprobes);
        let own = is_calls.then(|| self.seen_otherwise(process)).flatten();
        own.unwrap_or(process)
    }

    /// Whether the kernel said what a process did that was recorded in another way, too.
    pub fn has_kernels_view(&self, process: u32) -> bool {
        let own = self.process(process).filter(|own| !own.capture.is_view());
        own.is_some_and(|own| {
            let mut all = self.processes.iter();
            all.any(|it| it.capture == Capture::Kernel && it.is_same_as(own))
        })
    }

    /// Whether a view from outside is of a process that is there in another way, too.
    pub fn is_second_view(&self, process: u32) -> bool {
        let Some(view) = self.process(process) else {
            return false;
        };
        let mut kernels = self.processes.iter();
        self.seen_otherwise(process).is_some()
            || view.capture == Capture::Uprobes
                && kernels.any(|it| it.capture == Capture::Kernel && it.is_same_as(view))
    }

    /// What probes of the program's functions said of a process that recorded itself in another way.
    pub(crate) fn probed(&self, process: u32) -> bool {
        let Some(own) = self.process(process) else {
            return false;
        };
        let mut views = self.processes.iter();
        own.capture == Capture::Uprobes
            || views.any(|it| it.capture == Capture::Uprobes && it.is_same_as(own))
    }

    /// Processes, of which a view from outside is none of its own where there is another one.
    pub fn process_count(&self) -> usize {
        let is_view = |it: &&Process| it.capture.is_view();
        let mut others: FxHashMap<u32, Vec<&Process>> = FxHashMap::default();
        for process in self.processes.iter().filter(|it| !is_view(it)) {
            others.entry(process.pid).or_default().push(process);
        }
        let is_other = |view: &Process| {
            let same = others.get(&view.pid).into_iter().flatten();
            same.into_iter().any(|other| other.is_same_as(view))
        };
        let views = self.processes.iter().filter(is_view);
        // Of those that nobody else recorded the kernel's and the probes' view are one.
        let twice = |view: &Process| {
            let mut kernels = self.processes.iter();
            view.capture == Capture::Uprobes
                && kernels.any(|it| it.capture == Capture::Kernel && it.is_same_as(view))
        };
        self.processes.len() - views.filter(|view| is_other(view) || twice(view)).count()
    }

    /// Whether the times of a process are by batch.
    pub fn is_by_batch(&self, process: u32) -> bool {
        self.process(process)
            .is_some_and(|process| process.times_by_batch)
    }

    /// Something is damaged, so that records may be missing.
    pub(crate) fn problem(&mut self, source: &str, offset: u64, message: impl Into<String>) {
        self.add(source, offset, message.into(), true);
    }

    /// Something is odd, but no record is missing for it.
    pub(crate) fn note(&mut self, source: &str, offset: u64, message: impl Into<String>) {
        self.add(source, offset, message.into(), false);
    }

    fn add(&mut self, source: &str, offset: u64, message: String, hides: bool) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(Problem {
                source: source.to_owned(),
                offset,
                message,
                hides,
            });
        } else {
            self.problems_more = self.problems_more.saturating_add(1);
        }
    }
}

fn get<T>(table: &[T], index: u32) -> &T {
    // Every table holds its unknown entry from the start; see `Tables::default`.
    table
        .get(index as usize)
        .or_else(|| table.first())
        .expect("a table has an entry 0")
}

/// Texts, places and types, each once. Entry 0 is the unknown one.
#[derive(Clone, Debug)]
pub(crate) struct Tables {
    pub(crate) stacks: Stacks,
    /// What writers say of kinds that this build does not know, by process and kind.
    pub(crate) schemas: FxHashMap<(u32, u8), Schema>,
    /// Texts that recorders left about the processes that they recorded.
    left: std::collections::BTreeSet<(u32, StringId)>,
    strings: Vec<Untrusted>,
    sites: Vec<Site>,
    types: Vec<Type>,
    string_ids: FxHashMap<Untrusted, StringId>,
    site_ids: FxHashMap<Site, SiteId>,
    type_ids: FxHashMap<Type, TypeId>,
}

impl Default for Tables {
    fn default() -> Self {
        Self {
            stacks: Stacks::default(),
            schemas: FxHashMap::default(),
            left: std::collections::BTreeSet::new(),
            strings: vec![Untrusted::default()],
            sites: vec![Site::default()],
            types: vec![Type::default()],
            string_ids: [(Untrusted::default(), StringId(0))].into_iter().collect(),
            site_ids: [(Site::default(), SiteId(0))].into_iter().collect(),
            type_ids: [(Type::default(), TypeId(0))].into_iter().collect(),
        }
    }
}

impl Tables {
    /// A text of a process, which is kept with it where recorders leave such about what they record.
    pub(crate) fn string_of(&mut self, process: u32, text: Untrusted) -> StringId {
        let bytes = text.bytes();
        let is_left = bytes == wire::record::BY_C.as_bytes() || bytes.starts_with(b"not recorded");
        let id = self.string(text);
        if is_left {
            self.left.insert((process, id));
        }
        id
    }

    pub(crate) fn string(&mut self, text: Untrusted) -> StringId {
        if let Some(id) = self.string_ids.get(&text) {
            return *id;
        }
        let Ok(index) = u32::try_from(self.strings.len()) else {
            return StringId(0);
        };
        self.strings.push(text.clone());
        self.string_ids.insert(text, StringId(index));
        StringId(index)
    }

    pub(crate) fn site(&mut self, site: Site) -> SiteId {
        if let Some(id) = self.site_ids.get(&site) {
            return *id;
        }
        let Ok(index) = u32::try_from(self.sites.len()) else {
            return SiteId(0);
        };
        self.sites.push(site);
        self.site_ids.insert(site, SiteId(index));
        SiteId(index)
    }

    pub(crate) fn ty(&mut self, ty: Type) -> TypeId {
        if let Some(id) = self.type_ids.get(&ty) {
            return *id;
        }
        let Ok(index) = u32::try_from(self.types.len()) else {
            return TypeId(0);
        };
        self.types.push(ty);
        self.type_ids.insert(ty, TypeId(index));
        TypeId(index)
    }
}

#[cfg(test)]
mod tests {
    use crate::Trace;

    /// Names of the lanes of a trace whose threads got these names.
    fn called(text: &str, names: &[&str]) -> Vec<String> {
        let mut trace = Trace::parse_text(text).unwrap();
        let recording = &mut trace.recording;
        for (lane, name) in names.iter().enumerate() {
            recording.lanes[lane].thread = recording.tables.string((*name).into());
        }
        recording.find_namesakes();
        let lanes = 0..u32::try_from(names.len()).unwrap();
        lanes.map(|lane| trace.names().thread(lane)).collect()
    }

    #[test]
    fn threads_of_one_name_have_their_number_besides() {
        let text = "
process 0 pid=77
process 1 pid=78
process 2 pid=77 capture=kernel
lane a tid=101
lane b tid=102
lane c tid=103
lane d process=1 tid=201
lane e process=2 tid=103
lane f
1 a mark \"begun\"
";
        let names = ["pool", "pool", "other", "pool", "other", "pool"];
        assert_eq!(
            called(text, &names),
            [
                "pool#101",
                "pool#102",
                "other",
                "pool",
                "other (kernel)",
                "pool"
            ],
            "another process's is no namesake, nor is the same thread as the kernel saw it; without a number there is none to say"
        );
    }

    #[test]
    fn the_lane_of_a_threads_handlers_is_no_namesake() {
        let text = "process 0 pid=77\nlane a tid=101\nlane b tid=101\n1 a mark \"begun\"\n";
        assert_eq!(called(text, &["pool", "pool"]), ["pool", "pool"]);
    }

    #[test]
    fn threads_without_a_name_are_called_by_their_number_alone() {
        let text = "process 0 pid=77\nlane a tid=101\nlane b tid=102\n1 a mark \"begun\"\n";
        assert_eq!(called(text, &["", ""]), ["thread 101", "thread 102"]);
    }
}
