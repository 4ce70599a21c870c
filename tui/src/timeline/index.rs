//! All that happened, sorted into lanes: threads, rings and coroutines.
//!
//! One pass over the events, done in slices. What it keeps is a point for each event and a span for
//! each operation and each poll, by lane and in order, so that a screen finds what is visible by
//! binary search, however much there is.
//!
//! Of a recording with more than [`CLOSE`] events a stretch is looked at that closely, and of all of it there are
//! sums: how much each lane did when, what rings did, which objects are held at the end. The stretch is moved to
//! where somebody looks, by a pass over its events alone.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::ops::Range;

use traces::Trace;
use traces::event::{Completion, Event, EventId, Pointer, What};
use traces::finding::Subject;
use traces::operations::{self, Ends, Operations};

use super::lane::Start;
pub use super::lane::{Depth, Lane, Point, Poll, Span, Who};
use super::overview::{Overview, Scale};
use super::window::Window;
use crate::objects::{Object, Objects};

/// Events that are looked at in one slice: some milliseconds.
const SLICE: usize = 16_384;

/// Events that are looked at closely: some 100 MiB.
pub const CLOSE: usize = 1 << 19;

/// Parts of them after which is noted how many operations are in flight: a stretch begins at one.
const PARTS: usize = 8;

/// Lanes that have an overview; others are told apart by where they begin and end only.
const OVERVIEWS_MAX: usize = 4096;

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

    fn add(&mut self, trace: &Trace, event: &Event, about: Option<Subject>) {
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
                let ring = *ring;
                let (lane, _) = self.point(Who::Ring { process, ring }, event);
                if let Some(sums) = self.sums(lane) {
                    match &event.what {
                        What::Enter { .. } => sums.enters += 1,
                        What::Overflow { count, .. } => {
                            sums.overflows.0 += 1;
                            sums.overflows.1 = sums.overflows.1.max(*count);
                        }
                        _ => {}
                    }
                }
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
            What::Complete(completion) => self.complete(about, event, completion),
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
                if self.is_close(event.id) {
                    self.lanes[lane].polls.push(Poll {
                        start_ns,
                        end_ns: u64::MAX,
                        start: event.id,
                        cause: cause.map(|cause| cause.0),
                        is_last: false,
                    });
                }
            }
            What::Suspend { coroutine, .. } => self.stopped(process, *coroutine, event, false),
            What::Done { coroutine } | What::CoroutineDrop { coroutine } => {
                self.stopped(process, *coroutine, event, true);
            }
            What::Spawn { coroutine, .. } | What::Wake { coroutine } => {
                let coroutine = *coroutine;
                self.point(Who::Coroutine { process, coroutine }, event);
            }
            // A closer look finds nothing new of what is held.
            _ if self.looking.is_some() => {}
            What::Leak(pointer) | What::Retain(pointer) => self.leased(about, event, pointer),
            What::Reclaim(_) | What::Release(_) => {
                if let Some(subject @ Subject::Generation { .. }) = about {
                    self.objects.returned(subject, event.at_ns);
                }
            }
            What::LeakForever(_) => {
                if let Some(subject @ Subject::Generation { .. }) = about {
                    self.objects.forgotten(subject, event.at_ns);
                }
            }
            _ => {}
        }
    }

    fn leased(&mut self, about: Option<Subject>, event: &Event, pointer: &Pointer) {
        if let Some(subject @ Subject::Generation { .. }) = about {
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
            if !self.is_all_close {
                self.objects.forget_the_gone();
            }
        }
    }

    /// Adds an event to a lane; gives the lane, and the time it is drawn at there.
    fn point(&mut self, who: Who, event: &Event) -> (usize, u64) {
        let number = match self.by_who.get(&who) {
            Some(number) => *number,
            None => self.new_lane(who),
        };
        let is_close = self.is_close(event.id);
        let lane = &mut self.lanes[number];
        let at_ns = lane.now_ns.max(event.at_ns);
        lane.now_ns = at_ns;
        lane.first_ns = lane.first_ns.min(at_ns);
        if self.looking.is_none()
            && let Some(overview) = &mut lane.overview
        {
            overview.event(self.scale, event.at_ns);
        }
        if is_close {
            lane.points.push(Point {
                at_ns,
                event: event.id,
            });
        }
        (number, at_ns)
    }

    fn new_lane(&mut self, who: Who) -> usize {
        let number = self.lanes.len();
        let mut lane = Lane::new(who);
        if !self.is_all_close {
            lane.overview = (number < OVERVIEWS_MAX).then(|| Box::new(Overview::new()));
            if let Who::Ring { .. } = who {
                lane.sums = Some(Box::default());
                self.rings.push(number);
            }
        }
        self.lanes.push(lane);
        self.by_who.insert(who, number);
        number
    }

    /// What a ring did in all, where that is summed up now.
    fn sums(&mut self, lane: usize) -> Option<&mut super::overview::Sums> {
        if self.looking.is_some() {
            return None;
        }
        self.lanes.get_mut(lane)?.sums.as_deref_mut()
    }

    /// So many more operations are in flight from an event on.
    fn changed(&mut self, lane: usize, at_ns: u64, by: i32, event: EventId) {
        let is_close = self.is_close(event);
        let lane = &mut self.lanes[lane];
        let before = lane.in_flight;
        lane.changed(at_ns, by, is_close);
        if self.looking.is_none()
            && let Some(overview) = &mut lane.overview
        {
            overview.changed(self.scale, at_ns, before, lane.in_flight);
        }
    }

    fn submit(&mut self, lane: usize, mut span: Span, operation: OperationId) {
        let is_close = self.is_close(span.start);
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
        let at = is_close.then(|| {
            let at = tracks[track].len();
            place.starts.push(Start {
                event: span.start,
                track,
                span: at,
            });
            let number = place.starts.len() - 1;
            place.by_sequence.push((operation.2, number));
            tracks[track].push(span);
            at
        });
        if ends == Ends::Seen {
            self.changed(lane, start_ns, 1, span.start);
        }
        if let Some(sums) = self.sums(lane) {
            sums.opcodes.entry(span.opcode).or_default().submitted += 1;
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
        let place = Place {
            lane,
            track,
            span: at,
        };
        self.open.insert(operation, (place, span));
    }

    fn complete(&mut self, about: Option<Subject>, event: &Event, completion: &Completion) {
        let (process, ring) = (event.process, completion.ring);
        let (lane, at_ns) = self.point(Who::Ring { process, ring }, event);
        let operation = completed(process, completion, about);
        let found = operation.and_then(|operation| self.open.get_mut(&operation));
        let place = found.as_ref().map(|found| found.0);
        self.completed
            .insert((process, ring, completion.cookie), (event.id, place));
        let Some((place, span)) = found else {
            // It was submitted before what is looked at closely.
            if self.looking.is_some() && operation.is_some() && operations::is_last(completion) {
                self.changed(lane, at_ns, -1, event.id);
            }
            return;
        };
        span.end = Some(event.id);
        // A notification says nothing of how it went.
        if let Some(failed) = operations::failed(span.opcode, completion) {
            span.failed = failed;
        }
        let (place, span) = (*place, *span);
        if let Some(kept) = self.span(place) {
            (kept.end, kept.failed) = (span.end, span.failed);
        }
        if !operations::is_last(completion) {
            return;
        }
        if let Some(operation) = operation {
            self.open.remove(&operation);
            self.end(place, span, at_ns, event.id);
            self.end_behind(operation, at_ns, event.id);
        }
    }

    /// An operation is over.
    fn end(&mut self, place: Place, span: Span, at_ns: u64, event: EventId) {
        let ends = span.ends;
        let lane = &mut self.lanes[place.lane];
        if let Some(at) = place.span
            && let Some(track) = lane.tracks.get_mut(place.track)
        {
            let is_newest = at + 1 == track.len();
            if let Some(span) = track.get_mut(at)
                && (ends != Ends::Quietly || is_newest)
            {
                span.end_ns = at_ns.max(span.start_ns);
            }
        }
        if ends == Ends::Seen {
            let last = lane.depths.last();
            let at_ns = last.map_or(at_ns, |last| last.at_ns.max(at_ns));
            self.changed(place.lane, at_ns, -1, event);
        }
        if ends != Ends::Quietly {
            let free = self.free.entry(place.lane).or_default();
            free.push(Reverse(place.track));
        }
        let ended = Span {
            end_ns: at_ns.max(span.start_ns),
            ..span
        };
        self.sum_up(place.lane, &ended);
    }

    /// Counts an operation that is over, or will not be.
    fn sum_up(&mut self, lane: usize, span: &Span) {
        if let Some(sums) = self.sums(lane) {
            let of_opcode = sums.opcodes.entry(span.opcode).or_default();
            of_opcode.failed += u64::from(span.failed);
            of_opcode.pending += u64::from(span.is_pending());
            if let Some(latency) = span.latency() {
                of_opcode.latencies.add(latency);
            }
        }
    }

    /// One that ends quietly failed: what is chained to it posts nothing any more.
    fn end_behind(&mut self, failed: OperationId, at_ns: u64, event: EventId) {
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
            if let Some((place, span)) = self.open.remove(&operation) {
                self.end(place, span, at_ns, event);
            }
        }
    }

    fn stopped(&mut self, process: u32, coroutine: u32, event: &Event, is_last: bool) {
        let (lane, end_ns) = self.point(Who::Coroutine { process, coroutine }, event);
        if !self.is_close(event.id) {
            return;
        }
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
            .get_mut(place.span?)
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
        self.finish_look();
    }

    /// All that is looked at closely is there.
    fn finish_look(&mut self) {
        for lane in &mut self.lanes {
            lane.by_sequence.sort_unstable();
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
    fn an_operation_that_the_kernel_tells_of_too_ends_in_both_rings() {
        let trace = fixture::trace(
            "process 0 pid=77 start=9 end=exit:0
            process 1 pid=77 start=9 capture=kernel end=exit:0
            lane k process=1
            1 k ring-create 4 fd=3 sq=8 cq=16
            2 main ring-create 0 fd=3 sq=8 cq=16
            10 main submit 0 NOP 0x1000 seq=0
            11 k submit 4 NOP 0x1000 seq=0
            12 k complete 4 0x1000 0 of=0
            13 main complete 0 0x1000 0",
        );
        let index = index(&trace);
        for (process, ring, start, end) in [(0, 0, 2, 5), (1, 4, 3, 4)] {
            let who = Who::Ring { process, ring };
            let wanted = (index.lane_of(who), EventId(start), Some(EventId(end)));
            for event in [start, end] {
                let found = index.operation_of(&trace, EventId(event));
                let found = found.map(|(lane, _, span)| (Some(lane), span.start, span.end));
                assert_eq!(found, Some(wanted), "event {event}");
            }
        }
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

    /// Two threads, a ring with some operations in flight, coroutines, and pointers that are held for a while or for
    /// good.
    fn long() -> Trace {
        let mut text = "process 0 pid=1 end=exit:0\n0 main ring-create 0 sq=64 cq=128\n".to_owned();
        let (mut flying, mut random) = (Vec::new(), 1u64);
        for at in 1..1500u64 {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1);
            let ns = at * 100;
            let thread = ["main", "other"][(random >> 40) as usize % 2];
            let coroutine = random >> 41 & 3;
            match random >> 60 {
                0..7 => {
                    let cookie = 0x1000 + at * 64;
                    let op = ["RECV", "SEND"][(random >> 42) as usize % 2];
                    text += &format!("{ns} {thread} leak {cookie:#x} Op op.rs:8 owner=Box\n");
                    text +=
                        &format!("{ns} {thread} submit 0 {op} {cookie:#x} op.rs:9 slot=1 len=9\n");
                    flying.push(cookie);
                }
                7..13 if !flying.is_empty() => {
                    let cookie = flying.remove((random >> 43) as usize % flying.len());
                    let result = (random >> 44) as i64 % 3 - 1;
                    text += &format!("{ns} {thread} complete 0 {cookie:#x} {result}\n");
                    text += &format!("{ns} {thread} resume {coroutine} {cookie:#x} ring=0\n");
                    if result >= 0 {
                        text +=
                            &format!("{ns} {thread} reclaim {cookie:#x} Op op.rs:9 owner=Box\n");
                    }
                }
                13 => text += &format!("{ns} {thread} suspend {coroutine} 0x1000\n"),
                _ => text += &format!("{ns} {thread} enter 0 1 -> 1 min=1\n"),
            }
        }
        fixture::trace(&text)
    }

    #[test]
    fn what_is_too_long_is_summed_up_and_looked_at_closely_in_any_place() {
        let trace = long();
        let all = trace.events().len();
        let exact = index(&trace);
        let mut coarse = Index::with(256);
        while coarse.work(&trace) {}
        assert!(exact.close().is_none() && all > 2000);
        let whos = |index: &Index| index.lanes.iter().map(|lane| lane.who).collect::<Vec<_>>();
        assert_eq!(whos(&exact), whos(&coarse));
        assert_eq!(exact.last_ns(), coarse.last_ns());

        // In sums: events by lane, the deepest of all, what rings did, what is held.
        let end = exact.last_ns() + 1;
        for (exact_lane, lane) in exact.lanes.iter().zip(&coarse.lanes) {
            assert_eq!(
                coarse.many(lane, 0, end),
                Many::Some(exact_lane.points.len())
            );
            assert_eq!(exact_lane.first_ns, lane.first_ns);
            assert_eq!(
                coarse.most_in_flight(lane, 0, end),
                exact.most_in_flight(exact_lane, 0, end)
            );
        }
        let rings = |index: &Index| crate::rings::stats(&trace, index, None);
        let (mut exact_rings, mut coarse_rings) = (rings(&exact), rings(&coarse));
        assert!(coarse_rings[0].is_of_all && exact_rings[0].failed > 0);
        for opcode in exact_rings
            .iter_mut()
            .chain(&mut coarse_rings)
            .flat_map(|it| &mut it.opcodes)
        {
            assert!(opcode.latency.take().is_some());
        }
        for (exact, coarse) in exact_rings.iter_mut().zip(&coarse_rings) {
            exact.is_of_all = true;
            exact.deepest = coarse.deepest;
        }
        assert_eq!(format!("{exact_rings:?}"), format!("{coarse_rings:?}"));
        let held = |index: &Index| {
            let held = index.objects.all.iter().filter(|it| it.gone_ns == u64::MAX);
            held.copied().collect::<Vec<_>>()
        };
        assert!(!held(&exact).is_empty());
        assert_eq!(held(&exact), held(&coarse));

        // Closely: around any event, and in any window that is small enough.
        for middle in [0, 1, 700, all / 2, all - 1] {
            let window = Window::around(0, end);
            coarse.look_closely(&trace, window, middle);
            while coarse.is_at_work(&trace) {
                coarse.work(&trace);
            }
            assert!(coarse.is_close(EventId(middle as u64)), "{middle}");
            check_closely(&exact, &coarse);
            // Right behind it is another place.
            let behind = coarse.close().map_or(all, |close| close.end);
            if behind < all {
                assert!(coarse.look_closely(&trace, window, behind), "{behind}");
                while coarse.is_at_work(&trace) {
                    coarse.work(&trace);
                }
                assert!(coarse.is_close(EventId(behind as u64)), "{behind}");
            }
            assert!(!coarse.look_closely(&trace, window, behind), "{behind}");
        }
        for from in [0, 40_000, 100_000, 149_000] {
            let window = Window {
                start_ns: from,
                len_ns: 5_000,
            };
            coarse.look_closely(&trace, window, 0);
            while coarse.work(&trace) {}
            assert!(coarse.is_time_close(from, from + 5_000), "{from}");
            assert!(!coarse.look_closely(&trace, window, 0), "it is looked at");
            check_closely(&exact, &coarse);
        }
    }

    fn check_closely(exact: &Index, coarse: &Index) {
        let close = coarse.close().expect("not all");
        let (from, until) = coarse.close_ns;
        let until = until.min(exact.last_ns() + 1);
        assert!(close.len() > 100);
        for (exact_lane, lane) in exact.lanes.iter().zip(&coarse.lanes) {
            let inside = |event: EventId| close.contains(&(event.0 as usize));
            let points = exact_lane.points.iter().filter(|point| inside(point.event));
            assert!(points.eq(&lane.points), "{:?}", lane.who);
            let mut spans: Vec<Span> = lane.tracks.iter().flatten().copied().collect();
            let all = exact_lane.tracks.iter().flatten().copied();
            let mut wanted: Vec<Span> = all.filter(|span| inside(span.start)).collect();
            spans.sort_by_key(|span| span.start);
            wanted.sort_by_key(|span| span.start);
            // The resume behind the last end is not looked for.
            for (span, wanted) in spans.iter_mut().zip(&wanted) {
                if span.resume.is_none() && !wanted.resume.is_some_and(inside) {
                    span.resume = wanted.resume;
                }
                // Nor is an end that is very far behind.
                let far = EventId((close.end + coarse.close_max) as u64);
                if span.end.is_none() && wanted.end.is_some_and(|end| end >= far) {
                    *span = *wanted;
                }
            }
            assert!(spans == wanted, "{:?} from {from}", lane.who);
            for step in 0..20 {
                let (a, b) = (from + step * 97, from + step * 97 + 400);
                if b < until {
                    assert_eq!(
                        coarse.most_in_flight(lane, a, b),
                        exact.most_in_flight(exact_lane, a, b),
                        "{:?} {a} {b} from {from}",
                        lane.who
                    );
                }
            }
        }
    }
}
