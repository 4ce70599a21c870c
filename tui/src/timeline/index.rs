//! All that happened, sorted into lanes: threads, rings and coroutines. How one event is sorted in says `adding`.
//!
//! One pass over the events, done in slices. What it keeps is a point for each event and a span for
//! each operation and each poll, by lane and in order, so that a screen finds what is visible by
//! binary search, however much there is.
//!
//! Of a recording with more than [`CLOSE`] events a stretch is looked at that closely, and of all of it there are
//! sums: how much each lane did when, what rings did, which objects are held at the end. The stretch is moved to
//! where somebody looks, by a pass over its events alone.

mod adding;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::ops::Range;

use traces::Trace;
use traces::event::{Completion, EventId, What};
use traces::finding::Subject;
use traces::operations::{Ends, Operations};

pub use super::lane::{Depth, Lane, Point, Poll, Span, Who};
use super::overview::Scale;
use super::window::Window;
use crate::objects::Objects;

/// Events that are looked at in one slice: some milliseconds.
const SLICE: usize = 16_384;

/// Events that are looked at closely: some 100 MiB.
pub const CLOSE: usize = 1 << 19;

/// Parts of them after which is noted how many operations are in flight: a stretch begins at one.
const PARTS: usize = 8;

/// Lanes that have an overview; others are told apart by where they begin and end only.
const OVERVIEWS_MAX: usize = 4096;

/// Lanes that there are, where not all is looked at closely: further coroutines have theirs only where one looks
/// closely. A lane takes some 200 bytes, and a server may have a coroutine for each request.
const LANES_MAX: usize = 1 << 17;

/// Operations and completions that are remembered of a long recording, though nothing may come of them any more.
const OPEN_MAX: usize = 1 << 18;

/// Process, ring and sequence number.
type OperationId = (u32, u32, u64);

/// Where an operation's span is; its last part is missing where it is not looked at closely.
#[derive(Clone, Copy, Debug)]
struct Place {
    lane: usize,
    track: usize,
    span: Option<usize>,
}

/// What of a lane there is between two times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Many {
    /// One event, and which.
    One(EventId),
    /// So many; 0 as well.
    Some(usize),
}

/// Lanes and what is in them.
#[derive(Clone, Debug)]
pub struct Index {
    /// All lanes: those of a process together; threads, then rings, then coroutines.
    pub lanes: Vec<Lane>,
    /// Leaked pointers, held and taken back.
    pub objects: Objects,
    by_who: HashMap<Who, usize>,
    /// Operations without a terminal completion.
    open: HashMap<OperationId, (Place, Span)>,
    /// Tracks without an operation in flight, of each ring. The lowest one is taken first, so that a
    /// ring is no higher than it was deep.
    free: HashMap<usize, BinaryHeap<Reverse<usize>>>,
    /// The newest completion of a cookie on a ring, and its operation.
    completed: HashMap<(u32, u32, u64), (EventId, Option<Place>)>,
    /// How operations end.
    operations: Option<Operations>,
    /// The latest operation of a ring that ends quietly, and what is chained to it.
    quiet: HashMap<(u32, u32), (OperationId, Vec<OperationId>)>,
    scanned: usize,
    last_ns: u64,
    /// Events that are looked at closely, at most.
    close_max: usize,
    /// Lanes that there are, at most, besides those of a closer look.
    lanes_max: usize,
    /// Those, once all are known: what stands behind them is of the closer look.
    kept: usize,
    /// Coroutines that were spawned and have no lane of their own.
    without_lane: u64,
    /// Those that are, and from when until before when that is.
    close: Range<usize>,
    close_ns: (u64, u64),
    /// Whether those are all.
    is_all_close: bool,
    /// The next event of a closer look, while there is one.
    looking: Option<usize>,
    scale: Scale,
    /// Lanes of rings, before all are brought into their order.
    rings: Vec<usize>,
    /// Operations in flight at the beginning of each part, of each ring.
    in_flight: HashMap<Who, Vec<u32>>,
}

impl Default for Index {
    fn default() -> Self {
        Self::with(CLOSE)
    }
}

impl Index {
    /// One that looks at so many events closely.
    pub(crate) fn with(close_max: usize) -> Self {
        Self {
            lanes: Vec::new(),
            objects: Objects::default(),
            by_who: HashMap::new(),
            open: HashMap::new(),
            free: HashMap::new(),
            completed: HashMap::new(),
            operations: None,
            quiet: HashMap::new(),
            scanned: 0,
            last_ns: 0,
            close_max,
            lanes_max: LANES_MAX,
            kept: 0,
            without_lane: 0,
            close: 0..0,
            close_ns: (0, u64::MAX),
            is_all_close: true,
            looking: None,
            scale: Scale::default(),
            rings: Vec::new(),
            in_flight: HashMap::new(),
        }
    }

    /// How many events were sorted in.
    pub fn scanned(&self) -> usize {
        self.scanned
    }

    /// Whether there is more to do.
    pub fn is_at_work(&self, trace: &Trace) -> bool {
        self.scanned < trace.events().len() || self.looking.is_some()
    }

    /// Coroutines without a lane, but where one looks closely.
    pub fn without_lane(&self) -> u64 {
        self.without_lane
    }

    /// The latest time of all.
    pub fn last_ns(&self) -> u64 {
        self.last_ns
    }

    /// The lane of somebody.
    pub fn lane_of(&self, who: Who) -> Option<usize> {
        self.by_who.get(&who).copied()
    }

    /// The events that are looked at closely, where those are not all.
    pub fn close(&self) -> Option<Range<usize>> {
        (!self.is_all_close).then(|| self.close.clone())
    }

    /// Whether an event is looked at closely.
    pub fn is_close(&self, event: EventId) -> bool {
        let at = usize::try_from(event.0).unwrap_or(usize::MAX);
        self.is_all_close || self.close.contains(&at)
    }

    /// Whether all that happened from one time until before another is looked at closely.
    pub fn is_time_close(&self, from_ns: u64, until_ns: u64) -> bool {
        self.is_all_close || (from_ns >= self.close_ns.0 && until_ns <= self.close_ns.1)
    }

    /// What a lane has from one time until before another.
    pub fn many(&self, lane: &Lane, from_ns: u64, until_ns: u64) -> Many {
        if self.is_time_close(from_ns, until_ns) {
            return match lane.between(from_ns, until_ns) {
                [one] => Many::One(one.event),
                many => Many::Some(many.len()),
            };
        }
        let overview = lane.overview.as_ref();
        Many::Some(overview.map_or(0, |it| it.events(self.scale, from_ns, until_ns)))
    }

    /// The most operations of a ring that were in flight at once between two times.
    pub fn most_in_flight(&self, lane: &Lane, from_ns: u64, until_ns: u64) -> u32 {
        if self.is_time_close(from_ns, until_ns) {
            return lane.most_in_flight(from_ns, until_ns);
        }
        let overview = lane.overview.as_ref();
        overview.map_or(0, |it| it.deepest(self.scale, from_ns, until_ns))
    }

    /// Begins a closer look where somebody looks: at what is in a window, if that is not too much, or around an event.
    /// False where that is looked at closely already.
    pub fn look_closely(&mut self, trace: &Trace, window: Window, around: usize) -> bool {
        if self.is_all_close || self.scanned < trace.events().len() || self.looking.is_some() {
            return false;
        }
        let events = trace.events();
        let (from_ns, end_ns) = (window.start_ns, window.end_ns());
        let Some(last) = events.len().checked_sub(1) else {
            return false;
        };
        let first = events.partition_point(|event| event.at_ns < from_ns);
        let end = events.partition_point(|event| event.at_ns < end_ns);
        let part = self.part();
        // One part is lost to where parts begin.
        let fits = end.saturating_sub(first) <= self.close_max.saturating_sub(part);
        let (wanted, middle) = if fits {
            (first..end, first + (end - first) / 2)
        } else {
            let around = around.min(last);
            (around..around + 1, around)
        };
        let is_there = self.close.start <= wanted.start && wanted.end <= self.close.end;
        if is_there {
            return false;
        }
        for lane in self.lanes.drain(self.kept.min(self.lanes.len())..) {
            self.by_who.remove(&lane.who);
        }
        for lane in &mut self.lanes {
            lane.step_back();
        }
        self.forget();
        self.operations = None;
        self.look_around(trace, middle);
        for lane in &mut self.lanes {
            let noted = self.in_flight.get(&lane.who);
            let noted = noted.and_then(|noted| noted.get(self.close.start / part));
            lane.in_flight = noted.copied().unwrap_or(0);
            if let Who::Ring { .. } = lane.who {
                lane.note_depth(self.close_ns.0);
            }
        }
        self.looking = Some(self.close.start);
        true
    }

    /// Events of a part.
    fn part(&self) -> usize {
        (self.close_max / PARTS).max(1)
    }

    /// Chooses what is looked at closely.
    fn look_around(&mut self, trace: &Trace, middle: usize) {
        let events = trace.events();
        let all = events.len();
        self.is_all_close = all <= self.close_max;
        if self.is_all_close {
            self.close = 0..all;
            return;
        }
        let latest = all - self.close_max;
        let start = middle.saturating_sub(self.close_max / 2).min(latest);
        let start = start - start % self.part();
        // What the beginning moved back is made up for.
        self.close = start..(start + self.close_max + self.part()).min(all);
        let at = |id: usize| events.get(id).map(|event| event.at_ns);
        self.close_ns = (
            if start == 0 {
                0
            } else {
                at(start).unwrap_or(0)
            },
            at(self.close.end).unwrap_or(u64::MAX),
        );
    }

    /// Sorts in the next events; false once there are no more.
    pub fn work(&mut self, trace: &Trace) -> bool {
        let all = trace.events().len();
        if let Some(at) = self.looking {
            // Operations that began there may end behind it.
            let last = all.min(self.close.end.saturating_add(self.close_max));
            let end = last.min(at + SLICE);
            trace.each(at..end, |event, subject| self.add(trace, event, subject));
            let is_done = end >= self.close.end && !self.is_any_open();
            self.looking = (end < last && !is_done).then_some(end);
            if self.looking.is_none() {
                self.finish_look();
            }
            return self.looking.is_some();
        }
        if self.scanned == 0 {
            self.scale = Scale::of(trace.events().last().map_or(0, |last| last.at_ns));
            self.look_around(trace, 0);
        }
        let end = all.min(self.scanned + SLICE);
        let part = self.part();
        trace.each(self.scanned..end, |event, subject| {
            if !self.is_all_close && event.id.0.is_multiple_of(part as u64) {
                self.note_in_flight(event.id.0 as usize / part);
            }
            self.add(trace, event, subject);
        });
        let was_unfinished = self.scanned < all;
        self.scanned = end;
        if was_unfinished && end == all {
            self.sort();
        }
        end < all
    }

    /// Whether an operation that is looked at closely has not ended yet.
    fn is_any_open(&self) -> bool {
        let mut open = self.open.values();
        open.any(|(place, span)| place.span.is_some() && span.ends == Ends::Seen)
    }

    fn note_in_flight(&mut self, part: usize) {
        for ring in &self.rings {
            if let Some(lane) = self.lanes.get(*ring) {
                let noted = self.in_flight.entry(lane.who).or_default();
                noted.resize(part, 0);
                noted.push(lane.in_flight);
            }
        }
        if self.completed.len() > OPEN_MAX {
            self.completed.clear();
        }
        if self.open.len() > OPEN_MAX {
            self.open.retain(|_, (_, span)| span.ends == Ends::Seen);
        }
    }

    /// The operation that an event submits, completes, or was resumed by: lane, track and span.
    pub fn operation_of(&self, trace: &Trace, event: EventId) -> Option<(usize, usize, &Span)> {
        let seen = trace.event(event)?;
        let process = seen.process;
        let in_ring = |ring| {
            let lane = self.lane_of(Who::Ring { process, ring })?;
            Some((lane, self.lanes.get(lane)?))
        };
        match &seen.what {
            What::Submit(submission) => {
                let (number, lane) = in_ring(u32::from(submission.entry.ring))?;
                let (track, span) = lane.submitted_by(event)?;
                Some((number, track, span))
            }
            What::Complete(completion) => {
                let about = trace.subject_of(event);
                let (_, ring, sequence) = completed(process, completion, about)?;
                let (number, lane) = in_ring(ring)?;
                let (track, span) = lane.numbered(sequence, event)?;
                Some((number, track, span))
            }
            What::Resume { coroutine, .. } => {
                let coroutine = *coroutine;
                let lane = self.lane_of(Who::Coroutine { process, coroutine })?;
                let polls = &self.lanes.get(lane)?.polls;
                let poll = polls.binary_search_by_key(&event, |poll| poll.start).ok()?;
                self.operation_of(trace, polls.get(poll)?.cause?)
            }
            _ => None,
        }
    }

    /// Brings the lanes into the order they are shown in, once all are known.
    fn sort(&mut self) {
        let open: Vec<(Place, Span)> = self.open.values().copied().collect();
        for (place, span) in open {
            self.sum_up(place.lane, &span);
        }
        let process = |who: Who| match who {
            Who::Thread { process, .. }
            | Who::Ring { process, .. }
            | Who::Coroutine { process, .. } => process,
        };
        self.lanes.sort_by_key(|lane| (process(lane.who), lane.who));
        self.by_who = self
            .lanes
            .iter()
            .enumerate()
            .map(|(at, lane)| (lane.who, at))
            .collect();
        for lane in &mut self.lanes {
            lane.end_ns = lane.now_ns;
        }
        self.kept = self.lanes.len();
        self.finish_look();
    }

    /// All that is looked at closely is there.
    fn finish_look(&mut self) {
        for lane in &mut self.lanes {
            lane.by_sequence.sort_unstable();
        }
        for lane in self.lanes.iter_mut().skip(self.kept) {
            lane.end_ns = lane.now_ns;
        }
        self.forget();
    }

    /// Only adding needs these, and their places are not those of the lanes in order.
    fn forget(&mut self) {
        self.open = HashMap::new();
        self.free = HashMap::new();
        self.completed = HashMap::new();
        self.quiet = HashMap::new();
    }
}

/// The operation that a completion is of, by the numbers of who recorded it: what the kernel says is drawn in the
/// kernel's ring, though it is about the operation of the process's own.
fn completed(process: u32, completion: &Completion, about: Option<Subject>) -> Option<OperationId> {
    match about? {
        Subject::Operation {
            process: of,
            ring,
            sequence,
        } => {
            let ring = if of == process { ring } else { completion.ring };
            Some((process, ring, sequence))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
