//! What happened to one thread, ring or coroutine: closely, where the index looks closely, and in sums over all of it.
//!
//! Invariants
//! - Times within one lane do not go back: where the causal order and the clock disagree by some
//!   nanoseconds, the later event is drawn at the time of the earlier one.
//! - Spans of one track do not overlap; an operation gets the first track that is free.

use traces::event::EventId;
use traces::operations::Ends;

use super::overview::{Overview, Sums};

/// Changes of a depth that are summed up by one maximum.
const BLOCK: usize = 256;

/// Whose lane it is. Numbers as in [`traces::event::Event`].
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
    /// Its events, of those that are looked at closely.
    pub points: Vec<Point>,
    /// A ring's operations, by track.
    pub tracks: Vec<Vec<Span>>,
    /// A ring's operations in flight, at each change.
    pub depths: Vec<Depth>,
    /// The most of each [`BLOCK`] changes.
    depth_blocks: Vec<u32>,
    /// A coroutine's polls.
    pub polls: Vec<Poll>,
    /// A ring's operations in flight now, and at most.
    pub(super) in_flight: u32,
    pub(super) deepest: u32,
    /// When its first event was, and its last one.
    pub first_ns: u64,
    /// See there.
    pub end_ns: u64,
    /// The time of the latest event that was looked at.
    pub(super) now_ns: u64,
    /// A ring's operations, in the order of their submissions.
    pub(super) starts: Vec<Start>,
    /// Their positions there, by sequence number; in order once all are there.
    pub(super) by_sequence: Vec<(u64, usize)>,
    /// All of it, where not all is looked at closely.
    pub(super) overview: Option<Box<Overview>>,
    /// What a ring did in all, likewise.
    pub(crate) sums: Option<Box<Sums>>,
}

/// Where the span of a submission is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    pub(super) event: EventId,
    pub(super) track: usize,
    pub(super) span: usize,
}

impl Lane {
    pub(super) fn new(who: Who) -> Self {
        Self {
            who,
            points: Vec::new(),
            tracks: Vec::new(),
            depths: Vec::new(),
            depth_blocks: Vec::new(),
            polls: Vec::new(),
            in_flight: 0,
            deepest: 0,
            first_ns: u64::MAX,
            end_ns: 0,
            now_ns: 0,
            starts: Vec::new(),
            by_sequence: Vec::new(),
            overview: None,
            sums: None,
        }
    }

    /// The operation that an event submitted: its track and its span.
    pub(super) fn submitted_by(&self, event: EventId) -> Option<(usize, &Span)> {
        let at = self
            .starts
            .binary_search_by_key(&event, |start| start.event)
            .ok()?;
        self.span_of(at)
    }

    /// The operation of a number, of which the newest before an event.
    pub(super) fn numbered(&self, sequence: u64, before: EventId) -> Option<(usize, &Span)> {
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

    /// The most operations that were ever in flight at once, or have tracks.
    pub fn deepest(&self) -> usize {
        self.tracks.len().max(self.deepest as usize)
    }

    /// Operations in flight changed; whether that is looked at closely.
    pub(super) fn changed(&mut self, at_ns: u64, by: i32, is_close: bool) {
        self.in_flight = self.in_flight.saturating_add_signed(by);
        self.deepest = self.deepest.max(self.in_flight);
        if is_close {
            self.note_depth(at_ns);
        }
    }

    /// So many are in flight from a time on.
    pub(super) fn note_depth(&mut self, at_ns: u64) {
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

    /// Lets go of all that was looked at closely.
    pub(super) fn step_back(&mut self) {
        let Self {
            points,
            tracks,
            depths,
            depth_blocks,
            polls,
            starts,
            by_sequence,
            now_ns,
            ..
        } = self;
        *points = Vec::new();
        *tracks = Vec::new();
        *depths = Vec::new();
        *depth_blocks = Vec::new();
        *polls = Vec::new();
        *starts = Vec::new();
        *by_sequence = Vec::new();
        *now_ns = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            lane.changed(at * 10, by, true);
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
