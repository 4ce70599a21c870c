//! The filter over the events, and what it has found.
//!
//! Looking through millions of events takes longer than a frame, so it is done in slices; what was
//! found so far can be used at any time. The grammar is that of [`traces::filter`].
//!
//! Invariants
//! - `found` holds exactly the matching events below `scanned`.

use traces::Trace;
use traces::event::EventId;
use traces::filter::{Filter, FilterError, Prepared};

/// Events that are looked at in one slice: a few milliseconds.
pub(crate) const SLICE: usize = 1024;

/// A filter and what it has found so far.
#[derive(Clone, Debug, Default)]
pub struct Hits {
    text: String,
    prepared: Prepared,
    found: Found,
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

/// Events that were found: a bit for each event there is, as any number of them may match.
#[derive(Clone, Debug, Default)]
pub struct Found {
    words: Vec<u64>,
    /// Events found before each word.
    before: Vec<usize>,
    len: usize,
}

impl Found {
    /// Adds an event behind all others.
    fn push(&mut self, event: EventId) {
        let at = usize::try_from(event.0).unwrap_or(usize::MAX);
        while self.words.len() <= at / 64 {
            self.words.push(0);
            self.before.push(self.len);
        }
        if let Some(word) = self.words.last_mut() {
            *word |= 1 << (at % 64);
            self.len += 1;
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many of them are before an event.
    pub fn before(&self, event: EventId) -> usize {
        let at = usize::try_from(event.0).unwrap_or(usize::MAX);
        let Some((word, before)) = self.words.get(at / 64).zip(self.before.get(at / 64)) else {
            return self.len;
        };
        before + (word & ((1 << (at % 64)) - 1)).count_ones() as usize
    }

    /// Whether an event is among them.
    pub fn has(&self, event: EventId) -> bool {
        let at = usize::try_from(event.0).unwrap_or(usize::MAX);
        let word = self.words.get(at / 64);
        word.is_some_and(|word| word & (1 << (at % 64)) != 0)
    }

    /// The one at a position.
    pub fn get(&self, position: usize) -> Option<EventId> {
        if position >= self.len {
            return None;
        }
        let at = self.before.partition_point(|before| *before <= position) - 1;
        let mut word = *self.words.get(at)?;
        for _ in *self.before.get(at)?..position {
            word &= word - 1;
        }
        Some(EventId(at as u64 * 64 + u64::from(word.trailing_zeros())))
    }
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

    /// Matching events found so far.
    pub fn found(&self) -> &Found {
        &self.found
    }

    /// How many events were looked at.
    pub fn scanned(&self) -> usize {
        self.scanned
    }

    /// Looks at the next events.
    pub fn work(&mut self, trace: &Trace) {
        let end = trace.events().len().min(self.scanned + SLICE);
        let Self {
            prepared, found, ..
        } = self;
        trace.events().each(self.scanned..end, |event| {
            if prepared.event(trace, event) {
                found.push(event.id);
            }
        });
        self.scanned = end;
    }

    /// The hit that stands where `event` is or would be, as a position among the hits.
    pub fn nearest(&self, event: EventId) -> Option<usize> {
        let last = self.found.len().checked_sub(1)?;
        Some(self.found.before(event).min(last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use proptest::prelude::*;

    fn found(text: &str) -> Hits {
        let trace = fixture::trace(fixture::CLEAN);
        let mut hits = Hits::of(&trace, text, None)
            .expect("the filter reads")
            .expect("and is one");
        hits.work(&trace);
        hits
    }

    fn all(hits: &Hits) -> Vec<EventId> {
        let found = hits.found();
        (0..found.len())
            .map(|at| found.get(at).expect("within"))
            .collect()
    }

    proptest! {
        #[test]
        fn found_events_are_counted_and_numbered(
            ids in proptest::collection::btree_set(0u64..2000, 0..200), asked in 0u64..2200
        ) {
            let mut found = Found::default();
            ids.iter().for_each(|id| found.push(EventId(*id)));
            prop_assert_eq!(found.len(), ids.len());
            prop_assert_eq!(found.before(EventId(asked)), ids.range(..asked).count());
            prop_assert_eq!(found.has(EventId(asked)), ids.contains(&asked));
            for (at, id) in ids.iter().enumerate() {
                prop_assert_eq!(found.get(at), Some(EventId(*id)));
            }
            prop_assert_eq!(found.get(ids.len()), None);
        }
    }

    #[test]
    fn words_and_fields_are_those_of_every_filter() {
        assert_eq!(all(&found("kind:submit")), [EventId(2)]);
        assert_eq!(all(&found("conn recv")), [EventId(2)]);
        assert!(found("nothing").found().is_empty());
        let trace = fixture::trace(fixture::CLEAN);
        assert!(Hits::of(&trace, "  ", None).expect("no filter").is_none());
        let error = Hits::of(&trace, "kind:sumbit", None).expect_err("no such kind");
        assert_eq!(error.at, 5..11);
    }

    #[test]
    fn the_nearest_hit_is_the_next_one_or_the_last() {
        let hits = found("conn.rs");
        assert_eq!(hits.found().get(0), Some(EventId(1)));
        let last = hits.found().len() - 1;
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
        assert_eq!((hits.scanned(), hits.found().len()), (SLICE, SLICE / 2));
    }
}
