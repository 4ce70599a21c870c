//! The filter over the events: which lines contain what was typed.
//!
//! Looking through millions of lines takes longer than a frame, so it is done in slices; what was
//! found so far can be used at any time.
//!
//! Invariants
//! - `hits` is sorted and holds exactly the matching events below `scanned`.

use traces::event::EventId;

/// Events that are looked at in one slice: a few milliseconds.
const SLICE: usize = 4096;

/// A filter and what it has found so far.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    text: String,
    words: Vec<String>,
    hits: Vec<EventId>,
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

impl Filter {
    /// A filter for a text: each of its words must occur. Letters match in either case, unless the
    /// text has capitals.
    pub fn new(text: &str, wanted: Option<EventId>) -> Self {
        let words = text.split_whitespace().map(str::to_owned).collect();
        Self {
            text: text.to_owned(),
            words,
            wanted,
            ..Self::default()
        }
    }

    /// What was typed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Matching events found so far, in order.
    pub fn hits(&self) -> &[EventId] {
        &self.hits
    }

    /// How many events were looked at.
    pub fn scanned(&self) -> usize {
        self.scanned
    }

    /// Looks at the next events. `line` gives the line of an event.
    pub fn work(&mut self, events_count: usize, line: impl Fn(EventId) -> String) {
        let has_capitals = self.text.chars().any(char::is_uppercase);
        let end = events_count.min(self.scanned + SLICE);
        for index in self.scanned..end {
            let id = EventId(index as u64);
            let mut line = line(id);
            if !has_capitals {
                line = line.to_lowercase();
            }
            if self.words.iter().all(|word| line.contains(word.as_str())) {
                self.hits.push(id);
            }
        }
        self.scanned = end;
    }

    /// The hit that stands where `event` is or would be, as a position among the hits.
    pub fn nearest(&self, event: EventId) -> Option<usize> {
        let last = self.hits.len().checked_sub(1)?;
        Some(self.hits.partition_point(|hit| *hit < event).min(last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: [&str; 4] = ["leak Conn", "submit RECV Conn", "submit NOP", "complete"];

    fn hits(text: &str) -> Vec<u64> {
        let mut filter = Filter::new(text, None);
        filter.work(LINES.len(), |id| LINES[id.0 as usize].to_owned());
        filter.hits().iter().map(|id| id.0).collect()
    }

    #[test]
    fn every_word_must_occur_in_any_order() {
        assert_eq!(hits("submit"), [1, 2]);
        assert_eq!(hits("conn submit"), [1]);
        assert_eq!(hits("nothing"), [0u64; 0]);
        assert_eq!(hits(" "), [0, 1, 2, 3]);
    }

    #[test]
    fn capitals_make_it_exact() {
        assert_eq!(hits("recv"), [1]);
        assert_eq!(hits("RECV"), [1]);
        assert_eq!(hits("Recv"), [0u64; 0]);
    }

    #[test]
    fn the_nearest_hit_is_the_next_one_or_the_last() {
        let mut filter = Filter::new("submit", None);
        filter.work(LINES.len(), |id| LINES[id.0 as usize].to_owned());
        assert_eq!(filter.nearest(EventId(0)), Some(0));
        assert_eq!(filter.nearest(EventId(2)), Some(1));
        assert_eq!(filter.nearest(EventId(3)), Some(1));
    }

    #[test]
    fn a_long_list_is_looked_at_in_slices() {
        let mut filter = Filter::new("x", None);
        filter.work(1_000_000, |_| "x".to_owned());
        assert_eq!(filter.scanned(), SLICE);
        assert_eq!(filter.hits().len(), SLICE);
    }
}
