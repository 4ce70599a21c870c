//! The events list: which events are its rows, with a filter and a selected time.

use traces::event::EventId;

use super::Model;
use crate::hits::{Hits, Shown};

impl Model {
    /// How many events the filter found before the selected time, and up to its end.
    fn hits(&self) -> (usize, usize) {
        let Some(filter) = &self.events.filter else {
            return (0, 0);
        };
        let found = filter.found();
        self.range.map_or((0, found.len()), |range| {
            (found.before(range.first), found.before(range.end))
        })
    }

    /// How many events the filter found within the selected time.
    pub(crate) fn hits_len(&self) -> usize {
        let (first, end) = self.hits();
        end - first
    }

    /// Whether the events list shows only what the filter found.
    fn shows_hits(&self) -> bool {
        let filter = self.events.filter.as_ref();
        filter.is_some_and(|filter| filter.shown == Shown::Hits)
    }

    /// Positions of the first event of the selected time, and of the first one behind it.
    fn bounds(&self) -> (usize, usize) {
        let all = self.trace.events().len();
        let within = |id: EventId| usize::try_from(id.0).unwrap_or(all).min(all);
        self.range
            .map_or((0, all), |range| (within(range.first), within(range.end)))
    }

    /// How many rows the events list has.
    pub fn events_len(&self) -> usize {
        if self.shows_hits() {
            return self.hits_len();
        }
        let (first, end) = self.bounds();
        end - first
    }

    /// The event at a position of the events list.
    pub fn event_at(&self, position: usize) -> Option<EventId> {
        if self.shows_hits() {
            let (first, end) = self.hits();
            let at = first.checked_add(position).filter(|at| *at < end)?;
            return self.events.filter.as_ref()?.found().get(at);
        }
        let (first, end) = self.bounds();
        let at = first.checked_add(position).filter(|at| *at < end)?;
        Some(EventId(at as u64))
    }

    /// The focused event, or the nearest one to the focused time.
    pub(crate) fn nearest_event(&self) -> usize {
        match self.focus.event {
            Some(event) => usize::try_from(event.0).unwrap_or(usize::MAX),
            None => {
                let at_ns = self.focus.at_ns;
                let events = self.trace.events();
                events.partition_point(|event| event.at_ns < at_ns)
            }
        }
    }

    /// The selected position of the events list: the focused event, or the nearest one shown.
    pub fn events_selected(&self) -> usize {
        let event = self.nearest_event();
        if self.shows_hits() {
            let event = EventId(event as u64);
            let found = self.events.filter.as_ref().map(Hits::found);
            let (first, end) = self.hits();
            let near = found
                .map_or(0, |found| found.before(event))
                .clamp(first, end);
            return (near - first).min((end - first).saturating_sub(1));
        }
        let (first, end) = self.bounds();
        let last = end.saturating_sub(first).saturating_sub(1);
        event.saturating_sub(first).min(last)
    }
}
