//! The filter over the events, and what it has found.
//!
//! Looking through millions of events takes longer than a frame, so it is done in slices; what was
//! found so far can be used at any time. The grammar is that of [`traces::filter`].
//!
//! Invariants
//! - `found` is sorted and holds exactly the matching events below `scanned`.

use traces::Trace;
use traces::event::EventId;
use traces::filter::{Filter, FilterError, Prepared};

/// Events that are looked at in one slice: a few milliseconds.
pub(crate) const SLICE: usize = 4096;

/// A filter and what it has found so far.
#[derive(Clone, Debug, Default)]
pub struct Hits {
    text: String,
    prepared: Prepared,
    found: Vec<EventId>,
    scanned: usize,
    /// Whether the list shows the hits only.
    pub shown: Shown,
    /// Where the selection wants to be, as near as the hits allow; until the user moves it.
    pub wanted: Option<EventId>,
}

/// What the events list shows while there is a filter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shown {
    /// The events that match.
    #[default]
    Hits,
    /// All events; the hits can still be gone to.
    All,
}

impl Hits {
    /// Begins to look for what a filter lets through; nothing for one that lets everything through.
    pub fn of(
        trace: &Trace,
        text: &str,
        wanted: Option<EventId>,
    ) -> Result<Option<Self>, FilterError> {
        let filter = Filter::parse(text)?;
        if filter.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self {
            text: traces::tty(text.trim().as_bytes()),
            prepared: filter.prepare(trace),
            wanted,
            ..Self::default()
        }))
    }

    /// What was typed, safe for a terminal.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Matching events found so far, in order.
    pub fn hits(&self) -> &[EventId] {
        &self.found
    }

    /// How many events were looked at.
    pub fn scanned(&self) -> usize {
        self.scanned
    }

    /// Looks at the next events.
    pub fn work(&mut self, trace: &Trace) {
        let end = trace.events().len().min(self.scanned + SLICE);
        let slice = trace.events().get(self.scanned..end).unwrap_or(&[]);
        let matching = slice
            .iter()
            .filter(|event| self.prepared.event(trace, event));
        self.found.extend(matching.map(|event| event.id));
        self.scanned = end;
    }

    /// The hit that stands where `event` is or would be, as a position among the hits.
    pub fn nearest(&self, event: EventId) -> Option<usize> {
        let last = self.found.len().checked_sub(1)?;
        Some(self.found.partition_point(|hit| *hit < event).min(last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn found(text: &str) -> Hits {
        let trace = fixture::trace(fixture::CLEAN);
        let mut hits = Hits::of(&trace, text, None)
            .expect("the filter reads")
            .expect("and is one");
        hits.work(&trace);
        hits
    }

    #[test]
    fn words_and_fields_are_those_of_every_filter() {
        assert_eq!(found("kind:submit").hits(), [EventId(2)]);
        assert_eq!(found("conn recv").hits(), [EventId(2)]);
        assert!(found("nothing").hits().is_empty());
        let trace = fixture::trace(fixture::CLEAN);
        assert!(Hits::of(&trace, "  ", None).expect("no filter").is_none());
        let error = Hits::of(&trace, "kind:sumbit", None).expect_err("no such kind");
        assert_eq!(error.at, 5..11);
    }

    #[test]
    fn the_nearest_hit_is_the_next_one_or_the_last() {
        let hits = found("conn.rs");
        assert_eq!(hits.hits().first(), Some(&EventId(1)));
        let last = hits.hits().len() - 1;
        assert_eq!(hits.nearest(EventId(0)), Some(0));
        assert_eq!(hits.nearest(EventId(99)), Some(last));
    }

    #[test]
    fn a_long_list_is_looked_at_in_slices() {
        let trace = fixture::many(10_000);
        let mut hits = Hits::of(&trace, "kind:resume", None)
            .expect("the filter reads")
            .expect("and is one");
        hits.work(&trace);
        assert_eq!((hits.scanned(), hits.hits().len()), (SLICE, SLICE / 2));
    }
}
