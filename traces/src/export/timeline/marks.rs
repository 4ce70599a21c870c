//! Tracks, and what begins, ends or happens on them, in the order of time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use rustc_hash::{FxHashMap, FxHashSet};

use crate::event::{Completion, Event, Submission, What};
use crate::filter::Prepared;
use crate::names;
use crate::operations::{self, Ends, Operations};
use crate::trace::Trace;

/// Process, ring and sequence number.
type OperationId = (u32, u32, u64);

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    pub(super) tracks: Vec<Track>,
    pub(super) marks: Vec<Mark>,
}

/// A row of a viewer.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) name: String,
    /// Process id, 0 where not known.
    pub(super) pid: u32,
    pub(super) kind: Kind,
    /// Position of the track that it lies under.
    pub(super) parent: Option<usize>,
    /// The latest time on it.
    last_ns: u64,
}

/// What a track stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Process,
    /// With the thread's id, where no other track of its process has it.
    Thread(Option<u32>),
    /// Holds others, and nothing by itself.
    Group,
    /// Operations of a ring, or one coroutine.
    Other,
}

/// Something on a track.
#[derive(Debug)]
pub(super) struct Mark {
    pub(super) track: usize,
    pub(super) at_ns: u64,
    pub(super) phase: Phase,
    pub(super) name: String,
    pub(super) category: &'static str,
    pub(super) arguments: Vec<(&'static str, Argument)>,
    /// The flow that goes through it, from 1; 0 for none.
    pub(super) flow: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Begin,
    End,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Argument {
    Text(String),
    Number(i64),
    Word(u64),
    Flag(bool),
}

/// A slice that began and did not end.
#[derive(Clone, Copy, Debug)]
struct Open {
    track: usize,
    /// Position of its track in those of its ring, while it holds it.
    lane: Option<usize>,
    flow: u64,
    opcode: u8,
}

#[derive(Debug, Default)]
struct Ring {
    group: usize,
    tracks: Vec<usize>,
    free: BinaryHeap<Reverse<usize>>,
}

struct Builder<'a> {
    trace: &'a Trace,
    out: Timeline,
    processes: FxHashMap<u32, usize>,
    threads: FxHashMap<u32, usize>,
    /// Process and thread ids that have a track.
    taken: FxHashSet<(u32, u32)>,
    rings: FxHashMap<(u32, u32), Ring>,
    groups: FxHashMap<u32, usize>,
    coroutines: FxHashMap<(u32, u32), usize>,
    operations: Operations,
    open: FxHashMap<OperationId, Open>,
    /// Flows so far.
    flows: u64,
    /// The flow of a ring's latest completion with a cookie, until it resumes somebody.
    completed: FxHashMap<(u32, u32, u64), u64>,
    /// Coroutines that run on each lane, the innermost last.
    running: FxHashMap<u32, Vec<u32>>,
    /// The lanes that each of them runs on, and how many times.
    runs_on: FxHashMap<u32, BTreeMap<u32, u32>>,
    /// Coroutines whose track has an open slice.
    polled: FxHashSet<(u32, u32)>,
    last_ns: u64,
}

impl Timeline {
    /// What a filter asks for.
    pub(super) fn of(trace: &Trace, filter: &Prepared) -> Self {
        let is_wanted = |event: &Event| filter.event(trace, event);
        // An operation is wanted for any of its events.
        let mut wanted: FxHashSet<OperationId> = FxHashSet::default();
        for event in trace.events() {
            if matches!(event.what, What::Submit(_) | What::Complete(_)) && is_wanted(event) {
                let link = trace.link(event.id);
                wanted.extend(link.operation.map(|it| (event.process, it.0, it.1)));
            }
        }
        let mut builder = Builder {
            trace,
            out: Self::default(),
            processes: FxHashMap::default(),
            threads: FxHashMap::default(),
            taken: FxHashSet::default(),
            rings: FxHashMap::default(),
            groups: FxHashMap::default(),
            coroutines: FxHashMap::default(),
            operations: Operations::of(trace),
            open: FxHashMap::default(),
            flows: 0,
            completed: FxHashMap::default(),
            running: FxHashMap::default(),
            runs_on: FxHashMap::default(),
            polled: FxHashSet::default(),
            last_ns: 0,
        };
        for event in trace.events() {
            builder.see(event, is_wanted(event), &wanted);
        }
        builder.finish()
    }
}

impl Builder<'_> {
    fn see(&mut self, event: &Event, is_wanted: bool, wanted: &FxHashSet<OperationId>) {
        self.last_ns = self.last_ns.max(event.at_ns);
        let process = event.process;
        let link = self.trace.link(event.id);
        let operation = link.operation.map(|it| (process, it.0, it.1));
        let operation = operation.filter(|id| wanted.contains(id));
        match &event.what {
            What::Submit(submission) => {
                let ends = self.operations.submitted(process, submission);
                self.flows += u64::from(operation.is_some());
                let flow = operation.map_or(0, |_| self.flows);
                // First, because a flow goes from it to the operation, and both are of one time.
                if is_wanted {
                    self.instant(event, flow);
                }
                if let Some(id) = operation {
                    self.submitted(event, submission, id, ends, flow);
                }
            }
            What::Complete(completion) => {
                let flow = operation.map_or(0, |id| self.flow_of(id));
                if is_wanted {
                    self.instant(event, flow);
                }
                if let Some(id) = operation {
                    self.completed(event, completion, id);
                }
            }
            What::Resume { coroutine, by } => {
                let flow =
                    by.and_then(|(ring, cookie)| self.completed.remove(&(process, ring, cookie)));
                self.stop(event, *coroutine);
                if is_wanted {
                    self.resumed(event, *coroutine, flow.unwrap_or(0));
                }
            }
            What::Suspend { coroutine, .. }
            | What::Done { coroutine }
            | What::CoroutineDrop { coroutine } => {
                self.stop(event, *coroutine);
                if is_wanted {
                    self.instant(event, 0);
                }
            }
            _ if is_wanted => self.instant(event, 0),
            _ => {}
        }
    }

    fn submitted(
        &mut self,
        event: &Event,
        submission: &Submission,
        id: OperationId,
        ends: Ends,
        flow: u64,
    ) {
        // The same number twice: the newer one counts, and the older one ends here.
        self.end_operation(id, event.at_ns, Vec::new());
        let entry = &submission.entry;
        let (track, lane) = self.operation_track(id.0, id.1);
        let mut arguments = vec![
            ("operation", Argument::Number(id.2 as i64)),
            ("slot", Argument::Number(entry.slot.into())),
            ("cookie", Argument::Word(entry.cookie)),
            ("fd", Argument::Number(entry.fd.into())),
        ];
        if let Some(site) = self.site(event) {
            arguments.push(("site", Argument::Text(site)));
        }
        let open = Open {
            track,
            lane: Some(lane),
            flow,
            opcode: entry.opcode,
        };
        let name = names::opcode(entry.opcode).into_owned();
        self.begin(track, event.at_ns, name, "operation", arguments, flow);
        self.open.insert(id, open);
        if ends == Ends::Quietly {
            let quiet = vec![("posts_nothing_on_success", Argument::Flag(true))];
            self.close(id, event.at_ns, quiet);
        }
    }

    fn flow_of(&self, id: OperationId) -> u64 {
        self.open.get(&id).map_or(0, |open| open.flow)
    }

    fn completed(&mut self, event: &Event, completion: &Completion, id: OperationId) {
        let Some(open) = self.open.get(&id).copied() else {
            return;
        };
        let cookie = (event.process, completion.ring, completion.cookie);
        self.completed.insert(cookie, open.flow);
        if operations::is_last(completion) {
            let mut arguments = vec![("result", Argument::Text(names::result(completion.res)))];
            if operations::failed(open.opcode, completion) == Some(true) {
                arguments.push(("failed", Argument::Flag(true)));
            }
            self.end_operation(id, event.at_ns, arguments);
        }
    }

    /// Ends an operation's slice, and forgets it.
    fn end_operation(
        &mut self,
        id: OperationId,
        at_ns: u64,
        arguments: Vec<(&'static str, Argument)>,
    ) {
        self.close(id, at_ns, arguments);
        self.open.remove(&id);
    }

    /// Ends an operation's slice, if it is open.
    fn close(&mut self, id: OperationId, at_ns: u64, arguments: Vec<(&'static str, Argument)>) {
        let Some(open) = self.open.get_mut(&id) else {
            return;
        };
        let (track, Some(lane)) = (open.track, open.lane.take()) else {
            return;
        };
        self.end(track, at_ns, arguments);
        if let Some(ring) = self.rings.get_mut(&(id.0, id.1)) {
            ring.free.push(Reverse(lane));
        }
    }

    fn resumed(&mut self, event: &Event, coroutine: u32, flow: u64) {
        let process = event.process;
        let name = self.trace.names().coroutine(process, coroutine);
        let thread = self.thread(event.lane, process);
        self.begin(thread, event.at_ns, name, "coroutine", Vec::new(), 0);
        self.running.entry(event.lane).or_default().push(coroutine);
        let lanes = self.runs_on.entry(coroutine).or_default();
        *lanes.entry(event.lane).or_default() += 1;
        let own = self.coroutine(process, coroutine);
        let by = self.trace.describe(event);
        let arguments = vec![("by", Argument::Text(by))];
        self.begin(
            own,
            event.at_ns,
            "running".to_owned(),
            "coroutine",
            arguments,
            flow,
        );
        self.polled.insert((process, coroutine));
    }

    /// A coroutine stops running, wherever it did.
    fn stop(&mut self, event: &Event, coroutine: u32) {
        let process = event.process;
        if self.polled.remove(&(process, coroutine)) {
            let own = self.coroutine(process, coroutine);
            self.end(own, event.at_ns, Vec::new());
        }
        let lanes: Vec<u32> = self
            .runs_on
            .get(&coroutine)
            .into_iter()
            .flat_map(BTreeMap::keys)
            .copied()
            .filter(|lane| {
                let of = self.trace.recording().lane(*lane).map(|lane| lane.process);
                of.is_none_or(|of| of == process)
            })
            .collect();
        for lane in lanes {
            let thread = self.thread(lane, process);
            // What runs inside of it cannot go on without it.
            while let Some(inner) = self.running.get_mut(&lane).and_then(Vec::pop) {
                self.end(thread, event.at_ns, Vec::new());
                self.runs_once_less(inner, lane);
                if inner == coroutine {
                    break;
                }
            }
        }
    }

    fn runs_once_less(&mut self, coroutine: u32, lane: u32) {
        let Some(lanes) = self.runs_on.get_mut(&coroutine) else {
            return;
        };
        if let Some(times) = lanes.get_mut(&lane) {
            *times = times.saturating_sub(1);
            if *times == 0 {
                lanes.remove(&lane);
            }
        }
        if lanes.is_empty() {
            self.runs_on.remove(&coroutine);
        }
    }

    /// A slice of no length on its thread: flows go through slices alone.
    fn instant(&mut self, event: &Event, flow: u64) {
        let thread = self.thread(event.lane, event.process);
        let mut arguments = vec![
            ("event", Argument::Number(event.id.0 as i64)),
            ("text", Argument::Text(self.trace.describe(event))),
        ];
        if let Some(site) = self.site(event) {
            arguments.push(("site", Argument::Text(site)));
        }
        let name = event.what.kind().to_owned();
        self.begin(thread, event.at_ns, name, "event", arguments, flow);
        self.end(thread, event.at_ns, Vec::new());
    }

    fn site(&self, event: &Event) -> Option<String> {
        let site = self.trace.names().site(event.site());
        (site != "?").then_some(site)
    }

    fn begin(
        &mut self,
        track: usize,
        at_ns: u64,
        name: String,
        category: &'static str,
        arguments: Vec<(&'static str, Argument)>,
        flow: u64,
    ) {
        let at_ns = self.time(track, at_ns);
        self.out.marks.push(Mark {
            track,
            at_ns,
            phase: Phase::Begin,
            name,
            category,
            arguments,
            flow,
        });
    }

    fn end(&mut self, track: usize, at_ns: u64, arguments: Vec<(&'static str, Argument)>) {
        let at_ns = self.time(track, at_ns);
        self.out.marks.push(Mark {
            track,
            at_ns,
            phase: Phase::End,
            name: String::new(),
            category: "",
            arguments,
            flow: 0,
        });
    }

    /// Where causal order and clock disagree by a hair, the later event is put at the time of the earlier one.
    fn time(&mut self, track: usize, at_ns: u64) -> u64 {
        match self.out.tracks.get_mut(track) {
            Some(track) => {
                track.last_ns = track.last_ns.max(at_ns);
                track.last_ns
            }
            None => at_ns,
        }
    }

    fn track(&mut self, name: String, pid: u32, kind: Kind, parent: Option<usize>) -> usize {
        self.out.tracks.push(Track {
            name,
            pid,
            kind,
            parent,
            last_ns: 0,
        });
        self.out.tracks.len() - 1
    }

    fn pid(&self, process: u32) -> u32 {
        let known = self.trace.recording().process(process);
        known.map_or(0, |process| process.pid)
    }

    fn process(&mut self, process: u32) -> usize {
        if let Some(track) = self.processes.get(&process) {
            return *track;
        }
        let pid = self.pid(process);
        // Viewers write the number beside it.
        let names = self.trace.names();
        let name = names.program(process);
        let name = name.unwrap_or_else(|| names.process(process));
        let track = self.track(name, pid, Kind::Process, None);
        self.processes.insert(process, track);
        track
    }

    fn thread(&mut self, lane: u32, process: u32) -> usize {
        if let Some(track) = self.threads.get(&lane) {
            return *track;
        }
        let parent = self.process(process);
        let pid = self.pid(process);
        let tid = self.trace.recording().lane(lane).map_or(0, |lane| lane.tid);
        let is_first = tid != 0 && self.taken.insert((pid, tid));
        let name = self.trace.names().thread(lane);
        let kind = Kind::Thread(is_first.then_some(tid));
        let track = self.track(name, pid, kind, Some(parent));
        self.threads.insert(lane, track);
        track
    }

    fn coroutine(&mut self, process: u32, coroutine: u32) -> usize {
        if let Some(track) = self.coroutines.get(&(process, coroutine)) {
            return *track;
        }
        let pid = self.pid(process);
        let group = match self.groups.get(&process) {
            Some(group) => *group,
            None => {
                let parent = self.process(process);
                let group = self.track("coroutines".into(), pid, Kind::Group, Some(parent));
                self.groups.insert(process, group);
                group
            }
        };
        let name = self.trace.names().coroutine(process, coroutine);
        let track = self.track(name, pid, Kind::Other, Some(group));
        self.coroutines.insert((process, coroutine), track);
        track
    }

    /// A track of a ring without an operation in flight, and its position: the lowest, so that a ring is no higher
    /// than it was deep.
    fn operation_track(&mut self, process: u32, ring: u32) -> (usize, usize) {
        if !self.rings.contains_key(&(process, ring)) {
            let parent = self.process(process);
            let pid = self.pid(process);
            let group = self.track(format!("ring {ring}"), pid, Kind::Group, Some(parent));
            let new = Ring {
                group,
                ..Ring::default()
            };
            self.rings.insert((process, ring), new);
        }
        let pid = self.pid(process);
        let known = self.rings.get_mut(&(process, ring));
        let free = known.and_then(|ring| {
            let lane = ring.free.pop()?.0;
            Some((*ring.tracks.get(lane)?, lane))
        });
        if let Some(free) = free {
            return free;
        }
        let group = self.rings.get(&(process, ring)).map(|ring| ring.group);
        let name = format!("ring {ring} operations");
        let track = self.track(name, pid, Kind::Other, group);
        let tracks = self.rings.get_mut(&(process, ring)).map(|ring| {
            ring.tracks.push(track);
            ring.tracks.len() - 1
        });
        (track, tracks.unwrap_or(0))
    }

    /// Ends what is open, and puts all of it into the order of time.
    fn finish(mut self) -> Timeline {
        let last_ns = self.last_ns;
        let mut pending: Vec<OperationId> = self.open.keys().copied().collect();
        pending.sort_unstable();
        for id in pending {
            let arguments = vec![("no_last_completion_seen", Argument::Flag(true))];
            self.close(id, last_ns, arguments);
        }
        let mut running: Vec<(u32, usize)> = self
            .running
            .iter()
            .map(|(lane, stack)| (*lane, stack.len()))
            .collect();
        running.sort_unstable();
        for (lane, count) in running {
            if let Some(thread) = self.threads.get(&lane).copied() {
                (0..count).for_each(|_| self.end(thread, last_ns, Vec::new()));
            }
        }
        let mut polled: Vec<(u32, u32)> = self.polled.iter().copied().collect();
        polled.sort_unstable();
        for (process, coroutine) in polled {
            let own = self.coroutine(process, coroutine);
            self.end(own, last_ns, Vec::new());
        }
        // Stable: what is of one track and one time keeps its order.
        self.out.marks.sort_by_key(|mark| mark.at_ns);
        self.out
    }
}
