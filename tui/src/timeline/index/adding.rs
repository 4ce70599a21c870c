//! An event is sorted in: a point in each lane that it is part of, and what it begins or ends there.

use std::cmp::Reverse;

use traces::Trace;
use traces::event::{Completion, Event, EventId, Pointer, What};
use traces::finding::Subject;
use traces::operations::{self, Ends, Operations};

use super::super::lane::{Lane, Point, Poll, Span, Start, Who};
use super::super::overview::{Overview, Sums};
use super::{Index, OVERVIEWS_MAX, OperationId, Place, completed};
use crate::objects::Object;

impl Index {
    pub(super) fn add(&mut self, trace: &Trace, event: &Event, about: Option<Subject>) {
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
            | What::Overflow { ring, .. }
            | What::Passed { ring, .. } => {
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
                let point = self.point_of_coroutine(process, coroutine, event);
                if let Some((lane, start_ns)) = point
                    && self.is_close(event.id)
                {
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
                let point = self.point_of_coroutine(process, *coroutine, event);
                let is_spawned = matches!(event.what, What::Spawn { .. });
                if point.is_none() && is_spawned && self.looking.is_none() {
                    self.without_lane += 1;
                }
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

    /// Adds an event to a coroutine's lane, if that has one.
    fn point_of_coroutine(
        &mut self,
        process: u32,
        coroutine: u32,
        event: &Event,
    ) -> Option<(usize, u64)> {
        let who = Who::Coroutine { process, coroutine };
        let has_room = self.lanes.len() < self.lanes_max
            || self.is_all_close
            // What happened closely is drawn: those lanes go with the closer look.
            || (self.looking.is_some() && self.is_close(event.id));
        (has_room || self.by_who.contains_key(&who)).then(|| self.point(who, event))
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
    fn sums(&mut self, lane: usize) -> Option<&mut Sums> {
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
    pub(super) fn sum_up(&mut self, lane: usize, span: &Span) {
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
        let Some((lane, end_ns)) = self.point_of_coroutine(process, coroutine, event) else {
            return;
        };
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
}
