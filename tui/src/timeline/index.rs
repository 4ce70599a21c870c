//! All that happened, sorted into lanes: threads, rings and coroutines.
//!
//! One pass over the events, done in slices. What it keeps is a point for each event and a span for
//! each operation and each poll, by lane and in order, so that a screen finds what is visible by
//! binary search, however much there is.
//!
//! Invariants
//! - Times within one lane do not go back: where the causal order and the clock disagree by some
//!   nanoseconds, the later event is drawn at the time of the earlier one.
//! - Spans of one track do not overlap; an operation gets the first track that is free.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use traces::Trace;
use traces::event::{Completion, Event, EventId, Pointer, What};
use traces::finding::Subject;
use traces::operations::{self, Ends, Operations};

use crate::objects::{Object, Objects};

/// Events that are looked at in one slice: some milliseconds.
const SLICE: usize = 16_384;

/// Changes of a depth that are summed up by one maximum.
const BLOCK: usize = 256;

/// Whose lane it is. Numbers as in [`Event`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Who {
    /// A thread: an index into the lanes of the recording.
    Thread {
        /// Process index.
        process: u32,
        /// Lane of the recording.
        lane: u32,
    },
    /// A ring.
    Ring {
        /// Process index.
        process: u32,
        /// Ring of the process.
        ring: u32,
    },
    /// A coroutine.
    Coroutine {
        /// Process index.
        process: u32,
        /// Coroutine of the process.
        coroutine: u32,
    },
}

/// An event in a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// When, as drawn.
    pub at_ns: u64,
    /// What.
    pub event: EventId,
}

/// An operation, from its submission to the last completion it got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// When it was submitted.
    pub start_ns: u64,
    /// When its last completion was taken; `u64::MAX` while there was none.
    pub end_ns: u64,
    /// The submission.
    pub start: EventId,
    /// The last completion.
    pub end: Option<EventId>,
    /// The resume that its completion led to.
    pub resume: Option<EventId>,
    /// `IORING_OP_*`
    pub opcode: u8,
    /// Whether a completion said that it failed.
    pub failed: bool,
    /// How it ends. Of one that may have ended in silence nobody knows when it did: it is drawn where it was
    /// submitted, until a completion says otherwise.
    pub ends: Ends,
}

impl Span {
    /// Whether its last completion is still to come.
    pub fn is_pending(&self) -> bool {
        self.end_ns == u64::MAX && self.ends == Ends::Seen
    }

    /// How long it took, where that was seen.
    pub fn latency(&self) -> Option<u64> {
        let is_seen = self.end_ns != u64::MAX && (self.end.is_some() || self.ends == Ends::Seen);
        is_seen.then(|| self.end_ns.saturating_sub(self.start_ns))
    }
}

/// A coroutine's poll, from its resume until it waits or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Poll {
    /// When it was resumed.
    pub start_ns: u64,
    /// When it stopped running; `u64::MAX` where nobody saw it.
    pub end_ns: u64,
    /// The resume.
    pub start: EventId,
    /// The completion that it came from.
    pub cause: Option<EventId>,
    /// Whether the coroutine is over with it.
    pub is_last: bool,
}

/// How many operations are in flight from a time on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Depth {
    /// From when.
    pub at_ns: u64,
    /// How many.
    pub count: u32,
}

/// All that happened to one thread, ring or coroutine.
#[derive(Clone, Debug)]
pub struct Lane {
    /// Whose it is.
    pub who: Who,
    /// Its events.
    pub points: Vec<Point>,
    /// A ring's operations, by track.
    pub tracks: Vec<Vec<Span>>,
    /// A ring's operations in flight, at each change.
    pub depths: Vec<Depth>,
    /// The most of each [`BLOCK`] changes.
    depth_blocks: Vec<u32>,
    /// A coroutine's polls.
    pub polls: Vec<Poll>,
    in_flight: u32,
    /// A ring's operations, in the order of their submissions.
    starts: Vec<Start>,
    /// Their positions there, by sequence number; in order once all are there.
    by_sequence: Vec<(u64, usize)>,
}

/// Where the span of a submission is.
#[derive(Clone, Copy, Debug)]
struct Start {
    event: EventId,
    track: usize,
    span: usize,
}

impl Lane {
    fn new(who: Who) -> Self {
        Self {
            who,
            points: Vec::new(),
            tracks: Vec::new(),
            depths: Vec::new(),
            depth_blocks: Vec::new(),
            polls: Vec::new(),
            in_flight: 0,
            starts: Vec::new(),
            by_sequence: Vec::new(),
        }
    }

    /// The operation that an event submitted: its track and its span.
    fn submitted_by(&self, event: EventId) -> Option<(usize, &Span)> {
        let at = self
            .starts
            .binary_search_by_key(&event, |start| start.event)
            .ok()?;
        self.span_of(at)
    }

    /// The operation of a number, of which the newest before an event.
    fn numbered(&self, sequence: u64, before: EventId) -> Option<(usize, &Span)> {
        let end = self.by_sequence.partition_point(|it| it.0 <= sequence);
        let same = self.by_sequence.get(..end)?.iter().rev();
        let mut same = same.take_while(|it| it.0 == sequence);
        let found = same.find(|it| self.starts.get(it.1).is_some_and(|at| at.event < before))?;
        self.span_of(found.1)
    }

    fn span_of(&self, start: usize) -> Option<(usize, &Span)> {
        let start = self.starts.get(start)?;
        let span = self.tracks.get(start.track)?.get(start.span)?;
        Some((start.track, span))
    }

    /// Its events from one time until before another.
    pub fn between(&self, from_ns: u64, until_ns: u64) -> &[Point] {
        let first = self.points.partition_point(|point| point.at_ns < from_ns);
        let end = self.points.partition_point(|point| point.at_ns < until_ns);
        self.points.get(first..end).unwrap_or(&[])
    }

    /// The point of an event.
    pub fn find(&self, event: EventId) -> Option<&Point> {
        let at = self
            .points
            .binary_search_by_key(&event, |point| point.event)
            .ok()?;
        self.points.get(at)
    }

    /// The most operations that were in flight at once between two times.
    pub fn most_in_flight(&self, from_ns: u64, until_ns: u64) -> u32 {
        let first = self.depths.partition_point(|depth| depth.at_ns <= from_ns);
        let end = self.depths.partition_point(|depth| depth.at_ns < until_ns);
        // What held before the first change inside still holds at the beginning.
        let (mut at, end) = (first.saturating_sub(1), end.max(first));
        let mut most = 0;
        while at < end {
            if at.is_multiple_of(BLOCK) && at + BLOCK <= end {
                most = most.max(self.depth_blocks.get(at / BLOCK).copied().unwrap_or(0));
                at += BLOCK;
            } else {
                most = most.max(self.depths.get(at).map_or(0, |depth| depth.count));
                at += 1;
            }
        }
        most
    }

    fn changed(&mut self, at_ns: u64, by: i32) {
        self.in_flight = self.in_flight.saturating_add_signed(by);
        if self.depths.len().is_multiple_of(BLOCK) {
            self.depth_blocks.push(0);
        }
        if let Some(block) = self.depth_blocks.last_mut() {
            *block = (*block).max(self.in_flight);
        }
        self.depths.push(Depth {
            at_ns,
            count: self.in_flight,
        });
    }
}

/// Process, ring and sequence number.
type OperationId = (u32, u32, u64);

/// Where an operation's span is.
#[derive(Clone, Copy, Debug)]
struct Place {
    lane: usize,
    track: usize,
    span: usize,
}

/// Lanes and what is in them.
#[derive(Clone, Debug, Default)]
pub struct Index {
    /// All lanes: those of a process together; threads, then rings, then coroutines.
    pub lanes: Vec<Lane>,
    /// Leaked pointers, held and taken back.
    pub objects: Objects,
    by_who: HashMap<Who, usize>,
    /// Operations without a terminal completion.
    open: HashMap<(u32, u32, u64), Place>,
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
}

impl Index {
    /// How many events were sorted in.
    pub fn scanned(&self) -> usize {
        self.scanned
    }

    /// The latest time of all.
    pub fn last_ns(&self) -> u64 {
        self.last_ns
    }

    /// The lane of somebody.
    pub fn lane_of(&self, who: Who) -> Option<usize> {
        self.by_who.get(&who).copied()
    }

    /// Sorts in the next events; false once there are no more.
    pub fn work(&mut self, trace: &Trace) -> bool {
        let events = trace.events();
        let end = events.len().min(self.scanned + SLICE);
        for event in events.get(self.scanned..end).unwrap_or(&[]) {
            self.add(trace, event);
        }
        let was_unfinished = self.scanned < events.len();
        self.scanned = end;
        if was_unfinished && end == events.len() {
            self.sort();
        }
        end < events.len()
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
            What::Complete(_) => {
                let Some(Subject::Operation { ring, sequence, .. }) = trace.subject_of(event)
                else {
                    return None;
                };
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

    fn add(&mut self, trace: &Trace, event: &Event) {
        self.last_ns = self.last_ns.max(event.at_ns);
        let process = event.process;
        let thread = Who::Thread {
            process,
            lane: event.lane,
        };
        self.point(thread, event);
        match &event.what {
            What::RingCreate(ring) => {
                let ring = ring.ring;
                self.point(Who::Ring { process, ring }, event);
            }
            What::RingDrop { ring }
            | What::Claim { ring, .. }
            | What::Enter { ring, .. }
            | What::Overflow { ring, .. } => {
                self.point(
                    Who::Ring {
                        process,
                        ring: *ring,
                    },
                    event,
                );
            }
            What::Submit(submission) => {
                let ring = u32::from(submission.entry.ring);
                let (lane, at_ns) = self.point(Who::Ring { process, ring }, event);
                let operations = self.operations.get_or_insert_with(|| Operations::of(trace));
                let ends = operations.submitted(process, submission);
                let span = Span {
                    start_ns: at_ns,
                    end_ns: u64::MAX,
                    start: event.id,
                    end: None,
                    resume: None,
                    opcode: submission.entry.opcode,
                    failed: false,
                    ends,
                };
                self.submit(lane, span, (process, ring, submission.sequence));
            }
            What::Complete(completion) => self.complete(trace, event, completion),
            What::Resume { coroutine, by } => {
                let cause =
                    by.and_then(|(ring, cookie)| self.completed.remove(&(process, ring, cookie)));
                if let Some((_, Some(place))) = cause
                    && let Some(span) = self.span(place)
                {
                    span.resume = Some(event.id);
                }
                let coroutine = *coroutine;
                let (lane, start_ns) = self.point(Who::Coroutine { process, coroutine }, event);
                self.lanes[lane].polls.push(Poll {
                    start_ns,
                    end_ns: u64::MAX,
                    start: event.id,
                    cause: cause.map(|cause| cause.0),
                    is_last: false,
                });
            }
            What::Suspend { coroutine, .. } => self.stopped(process, *coroutine, event, false),
            What::Done { coroutine } | What::CoroutineDrop { coroutine } => {
                self.stopped(process, *coroutine, event, true);
            }
            What::Spawn { coroutine, .. } | What::Wake { coroutine } => {
                let coroutine = *coroutine;
                self.point(Who::Coroutine { process, coroutine }, event);
            }
            What::Leak(pointer) | What::Retain(pointer) => self.leased(trace, event, pointer),
            What::Reclaim(_) | What::Release(_) => {
                if let Some(subject @ Subject::Generation { .. }) = trace.subject_of(event.id) {
                    self.objects.returned(subject, event.at_ns);
                }
            }
            What::LeakForever(_) => {
                if let Some(subject @ Subject::Generation { .. }) = trace.subject_of(event.id) {
                    self.objects.forgotten(subject, event.at_ns);
                }
            }
            _ => {}
        }
    }

    fn leased(&mut self, trace: &Trace, event: &Event, pointer: &Pointer) {
        if let Some(subject @ Subject::Generation { .. }) = trace.subject_of(event.id) {
            self.objects.leased(Object {
                subject,
                born: event.id,
                born_ns: event.at_ns,
                gone_ns: u64::MAX,
                ty: pointer.ty,
                site: pointer.site,
                lane: event.lane,
                process: event.process,
            });
        }
    }

    /// Adds an event to a lane; gives the lane, and the time it is drawn at there.
    fn point(&mut self, who: Who, event: &Event) -> (usize, u64) {
        let lane = *self.by_who.entry(who).or_insert_with(|| {
            self.lanes.push(Lane::new(who));
            self.lanes.len() - 1
        });
        let points = &mut self.lanes[lane].points;
        let at_ns = points
            .last()
            .map_or(event.at_ns, |last| last.at_ns.max(event.at_ns));
        points.push(Point {
            at_ns,
            event: event.id,
        });
        (lane, at_ns)
    }

    fn submit(&mut self, lane: usize, mut span: Span, operation: (u32, u32, u64)) {
        let free = self.free.entry(lane).or_default();
        let place = &mut self.lanes[lane];
        let tracks = &mut place.tracks;
        let track = free.pop().map(|track| track.0).unwrap_or_else(|| {
            tracks.push(Vec::new());
            tracks.len() - 1
        });
        let (start_ns, ends) = (span.start_ns, span.ends);
        if ends == Ends::Quietly {
            // Nobody sees it end, so it holds no track.
            span.end_ns = start_ns;
            free.push(Reverse(track));
        }
        place.starts.push(Start {
            event: span.start,
            track,
            span: tracks[track].len(),
        });
        let number = place.starts.len() - 1;
        place.by_sequence.push((operation.2, number));
        tracks[track].push(span);
        let span = tracks[track].len() - 1;
        if ends == Ends::Seen {
            place.changed(start_ns, 1);
        }
        let ring = (operation.0, operation.1);
        match ends {
            Ends::Quietly => {
                self.quiet.insert(ring, (operation, Vec::new()));
            }
            Ends::BehindQuiet => {
                if let Some((_, behind)) = self.quiet.get_mut(&ring) {
                    behind.push(operation);
                }
            }
            Ends::Seen => {
                self.quiet.remove(&ring);
            }
        }
        self.open.insert(operation, Place { lane, track, span });
    }

    fn complete(&mut self, trace: &Trace, event: &Event, completion: &Completion) {
        let (process, ring) = (event.process, completion.ring);
        let (_, at_ns) = self.point(Who::Ring { process, ring }, event);
        let operation = match trace.subject_of(event.id) {
            Some(Subject::Operation { ring, sequence, .. }) => Some((process, ring, sequence)),
            _ => None,
        };
        let place = operation.and_then(|operation| self.open.get(&operation).copied());
        self.completed
            .insert((process, ring, completion.cookie), (event.id, place));
        let Some(place) = place else { return };
        let mut ends = Ends::Seen;
        if let Some(span) = self.span(place) {
            span.end = Some(event.id);
            // A notification says nothing of how it went.
            if let Some(failed) = operations::failed(span.opcode, completion) {
                span.failed = failed;
            }
            ends = span.ends;
        }
        if !operations::is_last(completion) {
            return;
        }
        if let Some(operation) = operation {
            self.open.remove(&operation);
            self.end(place, at_ns, ends);
            self.end_behind(operation, at_ns);
        }
    }

    /// An operation is over.
    fn end(&mut self, place: Place, at_ns: u64, ends: Ends) {
        let lane = &mut self.lanes[place.lane];
        let track = &mut lane.tracks[place.track];
        let is_newest = place.span + 1 == track.len();
        if let Some(span) = track.get_mut(place.span)
            && (ends != Ends::Quietly || is_newest)
        {
            span.end_ns = at_ns.max(span.start_ns);
        }
        if ends == Ends::Seen {
            let last = lane.depths.last();
            let at_ns = last.map_or(at_ns, |last| last.at_ns.max(at_ns));
            lane.changed(at_ns, -1);
        }
        if ends != Ends::Quietly {
            let free = self.free.entry(place.lane).or_default();
            free.push(Reverse(place.track));
        }
    }

    /// One that ends quietly failed: what is chained to it posts nothing any more.
    fn end_behind(&mut self, failed: (u32, u32, u64), at_ns: u64) {
        let ring = (failed.0, failed.1);
        if self
            .quiet
            .get(&ring)
            .is_none_or(|(head, _)| *head != failed)
        {
            return;
        }
        let (_, behind) = self.quiet.remove(&ring).unwrap_or_default();
        for operation in behind {
            if let Some(place) = self.open.remove(&operation) {
                self.end(place, at_ns, Ends::BehindQuiet);
            }
        }
    }

    fn stopped(&mut self, process: u32, coroutine: u32, event: &Event, is_last: bool) {
        let (lane, end_ns) = self.point(Who::Coroutine { process, coroutine }, event);
        if let Some(poll) = self.lanes[lane].polls.last_mut()
            && poll.end_ns == u64::MAX
        {
            poll.end_ns = end_ns;
            poll.is_last = is_last;
        }
    }

    fn span(&mut self, place: Place) -> Option<&mut Span> {
        self.lanes
            .get_mut(place.lane)?
            .tracks
            .get_mut(place.track)?
            .get_mut(place.span)
    }

    /// Brings the lanes into the order they are shown in, once all are known.
    fn sort(&mut self) {
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
            lane.by_sequence.sort_unstable();
        }
        // Only adding needs these, and their places are no longer true.
        self.open = HashMap::new();
        self.free = HashMap::new();
        self.completed = HashMap::new();
        self.quiet = HashMap::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn index(trace: &Trace) -> Index {
        let mut index = Index::default();
        while index.work(trace) {}
        index
    }

    #[test]
    fn lanes_are_threads_rings_and_coroutines_in_that_order() {
        let trace = fixture::trace(fixture::LEFTOVER);
        let whos: Vec<Who> = index(&trace).lanes.iter().map(|lane| lane.who).collect();
        let coroutine = |coroutine| Who::Coroutine {
            process: 0,
            coroutine,
        };
        assert_eq!(
            whos,
            [
                Who::Thread {
                    process: 0,
                    lane: 0
                },
                Who::Ring {
                    process: 0,
                    ring: 0
                },
                coroutine(7),
                coroutine(8),
            ]
        );
    }

    #[test]
    fn an_operation_is_a_span_with_its_completion_and_its_resume() {
        let trace = fixture::trace(fixture::CLEAN);
        let index = index(&trace);
        let (_, track, span) = index
            .operation_of(&trace, EventId(2))
            .expect("the submission is known");
        assert_eq!(
            (track, span.start, span.end),
            (0, EventId(2), Some(EventId(4)))
        );
        assert_eq!((span.start_ns, span.end_ns), (2000, 4000));
        assert!(!span.failed);
        let same = index.operation_of(&trace, EventId(4)).expect("by its end");
        assert_eq!(same.2, span);
        assert_eq!(index.operation_of(&trace, EventId(1)), None);
    }

    #[test]
    fn the_resume_is_found_and_a_poll_knows_where_it_came_from() {
        let trace = fixture::trace(fixture::LEFTOVER);
        let index = index(&trace);
        let (_, _, span) = index
            .operation_of(&trace, EventId(13))
            .expect("a resume belongs to an operation");
        assert_eq!((span.start, span.end), (EventId(9), Some(EventId(12))));
        let who = Who::Coroutine {
            process: 0,
            coroutine: 8,
        };
        let lane = &index.lanes[index.lane_of(who).expect("coroutine 8 has a lane")];
        assert_eq!(lane.polls[0].cause, Some(EventId(12)));
        assert!(lane.polls.iter().any(|poll| poll.is_last));
    }

    #[test]
    fn operations_in_flight_at_once_have_tracks_of_their_own() {
        let trace = fixture::trace(fixture::LEFTOVER);
        let index = index(&trace);
        let who = Who::Ring {
            process: 0,
            ring: 0,
        };
        let ring = &index.lanes[index.lane_of(who).expect("the ring has a lane")];
        assert_eq!(ring.most_in_flight(0, 3_000), 1);
        assert_eq!(ring.most_in_flight(5_000, 6_000), 2);
        assert_eq!(ring.most_in_flight(0, u64::MAX), 3);
        assert_eq!(ring.tracks.len(), 3);
        for track in &ring.tracks {
            for pair in track.windows(2) {
                assert!(pair[0].end_ns <= pair[1].start_ns, "{pair:?}");
            }
        }
    }

    #[test]
    fn the_most_in_flight_is_the_same_by_blocks_as_one_by_one() {
        let mut lane = Lane::new(Who::Ring {
            process: 0,
            ring: 0,
        });
        let mut state = 12345u64;
        for at in 0..5_000u64 {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
            let by = if state >> 63 == 0 { 1 } else { -1 };
            lane.changed(at * 10, by);
        }
        for (from, until) in [
            (0, 50_000),
            (5, 6),
            (2_555, 2_565),
            (100, 30_000),
            (49_990, 60_000),
        ] {
            let before = lane.depths.iter().rfind(|depth| depth.at_ns <= from);
            let inside = lane
                .depths
                .iter()
                .filter(|depth| depth.at_ns > from && depth.at_ns < until);
            let most = before
                .into_iter()
                .chain(inside)
                .map(|depth| depth.count)
                .max();
            assert_eq!(
                lane.most_in_flight(from, until),
                most.unwrap_or(0),
                "{from} {until}"
            );
        }
    }
}
