//! A selected stretch of time, and which events are in it.

use traces::Trace;
use traces::event::{Event, EventId};

/// A selected stretch of time: every screen shows what happened in it only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// From when.
    pub from_ns: u64,
    /// Until when, inclusive.
    pub to_ns: u64,
    /// The first event in it.
    pub first: EventId,
    /// The first event behind it.
    pub end: EventId,
}

/// Events that the causal order may have moved behind later ones, or before earlier ones.
const OUT_OF_ORDER: usize = 256;

impl Range {
    /// The stretch between two times of a trace.
    pub fn of(trace: &Trace, from_ns: u64, to_ns: u64) -> Self {
        let events = trace.events();
        let is_in = |event: &Event| (from_ns..=to_ns).contains(&event.at_ns);
        let near = events.partition_point(|event| event.at_ns < from_ns);
        let window = near.saturating_sub(OUT_OF_ORDER)..events.len().min(near + OUT_OF_ORDER);
        let first = window.clone().find(|at| events.get(*at).is_some_and(is_in));
        let near = events.partition_point(|event| event.at_ns <= to_ns);
        let window = near.saturating_sub(OUT_OF_ORDER)..events.len().min(near + OUT_OF_ORDER);
        let last = window.rev().find(|at| events.get(*at).is_some_and(is_in));
        let (first, end) = match (first, last) {
            (Some(first), Some(last)) => (first, last + 1),
            _ => (near, near),
        };
        Self {
            from_ns,
            to_ns,
            first: EventId(first as u64),
            end: EventId(end as u64),
        }
    }

    /// Whether an event is in it.
    pub fn has(&self, event: EventId) -> bool {
        self.first <= event && event < self.end
    }
}
