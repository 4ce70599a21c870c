//! The biography of the focused object as rows: what matters one by one, the rest folded.
//!
//! Folded are runs of steps that say little by themselves (a slot is claimed, the kernel is entered),
//! the middle of long stretches that no finding rests on, and what lies outside of the selected time.
//! An event that a finding rests on is never folded.

use std::collections::{BTreeMap, BTreeSet};

use traces::Trace;
use traces::biography::{Biography, Gathering};
use traces::event::EventId;
use traces::finding::Subject;

use crate::model::Range;
use crate::text::counted;

/// Rows of a life from which long stretches without a finding are folded.
const LONG_LIFE: usize = 40;

/// Rows that stay at each end of a stretch that is folded.
const AROUND: usize = 3;

/// Kinds of steps that the text of a fold names.
const NAMED: usize = 4;

/// A row of the biography.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LifeRow {
    /// What lived there before.
    Previous(Subject),
    /// An event of the life, as a position in the biography's rows.
    Event(usize),
    /// Steps that are folded, as a position among the folds.
    Folded(usize),
    /// What lived there afterwards.
    Next(Subject),
}

/// Steps that are one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Steps {
    /// Position of the first one in the biography's rows.
    pub from: usize,
    /// How many.
    pub len: usize,
    /// What they are, as `3 steps: claim, 2 enter`.
    pub text: String,
}

/// Which of the two lives around.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What was there before.
    Before,
    /// What came next.
    After,
}

/// A row of the lives around.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeighbourRow {
    /// Whose life follows.
    Head(Side),
    /// An event of it, as a position in that biography's rows.
    Event(Side, usize),
}

/// The biography of the focused object.
#[derive(Clone, Debug, Default)]
pub struct Life {
    /// The life, once it was gathered.
    pub told: Option<Biography>,
    /// It, while it is.
    pub gathering: Option<Box<Gathering>>,
    /// The names of the object, and of what was there before and after it: looking them up may take a
    /// pass over all events, which a frame has no time for.
    pub names: LifeNames,
    /// What is listed.
    pub rows: Vec<LifeRow>,
    /// What is not, but for a count.
    pub folds: Vec<Steps>,
    /// Folds that were opened, by their first position.
    pub opened: BTreeSet<usize>,
    /// The lives around, where somebody wanted to see them.
    pub around: Option<Around>,
    /// They, while they are gathered: one side, then the other.
    pub gathering_around: Option<Box<GatheringAround>>,
    /// Position of the selected row.
    pub selected: usize,
    /// Position of the first visible row.
    pub top: usize,
    /// First visible line of the text about the selected row.
    pub text_top: usize,
}

/// The lives before and after in the same place.
#[derive(Clone, Debug, Default)]
pub struct Around {
    /// What was there before.
    pub before: Option<Biography>,
    /// What came next.
    pub after: Option<Biography>,
}

/// The lives around while they are gathered.
#[derive(Clone, Debug, Default)]
pub struct GatheringAround {
    before: Option<Gathering>,
    after: Option<Gathering>,
}

impl GatheringAround {
    /// Begins, with what was there before and after.
    pub fn of(trace: &Trace, before: Option<Subject>, after: Option<Subject>) -> Self {
        Self {
            before: before.map(|subject| Gathering::alone(trace, subject)),
            after: after.map(|subject| Gathering::alone(trace, subject)),
        }
    }

    /// Goes on with about so many events; false once there is nothing left to do but to finish.
    pub fn work(&mut self, trace: &Trace, events: usize) -> bool {
        let mut sides = [&mut self.before, &mut self.after].into_iter().flatten();
        sides.any(|side| side.work(trace, events))
    }

    /// Both lives.
    pub fn finish(self, trace: &Trace) -> Around {
        Around {
            before: self.before.map(|side| side.finish(trace)),
            after: self.after.map(|side| side.finish(trace)),
        }
    }
}

impl Around {
    /// The life of one side.
    pub fn side(&self, side: Side) -> Option<&Biography> {
        match side {
            Side::Before => self.before.as_ref(),
            Side::After => self.after.as_ref(),
        }
    }

    fn len_of(&self, side: Side) -> usize {
        self.side(side).map_or(0, |told| told.rows.len() + 1)
    }

    /// How many rows both have.
    pub fn len(&self) -> usize {
        self.len_of(Side::Before) + self.len_of(Side::After)
    }

    /// Whether there was nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The row at a position.
    pub fn row(&self, position: usize) -> Option<NeighbourRow> {
        let before = self.len_of(Side::Before);
        let (side, position) = if position < before {
            (Side::Before, position)
        } else {
            (Side::After, position - before)
        };
        if position >= self.len_of(side) {
            return None;
        }
        Some(match position.checked_sub(1) {
            None => NeighbourRow::Head(side),
            Some(index) => NeighbourRow::Event(side, index),
        })
    }
}

/// What the object of a life and its neighbours are called; empty where there is none.
#[derive(Clone, Debug, Default)]
pub struct LifeNames {
    /// The object itself.
    pub object: String,
    /// What was there before.
    pub previous: String,
    /// What came next.
    pub next: String,
}

impl Life {
    /// How many rows there are, neighbours included.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is nothing to show.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The row at a position.
    pub fn row(&self, position: usize) -> Option<LifeRow> {
        self.rows.get(position).copied()
    }

    /// The event that a row is about: of folded steps, the first one.
    pub fn event_of(&self, row: LifeRow) -> Option<EventId> {
        let index = match row {
            LifeRow::Event(index) => index,
            LifeRow::Folded(fold) => self.folds.get(fold)?.from,
            LifeRow::Previous(_) | LifeRow::Next(_) => return None,
        };
        Some(self.told.as_ref()?.rows.get(index)?.event)
    }

    /// Whether an event is among the steps of a fold.
    pub fn is_folded_in(&self, fold: usize, event: EventId) -> bool {
        let rows = self.told.as_ref().map_or(&[][..], |told| &told.rows[..]);
        self.folds.get(fold).is_some_and(|steps| {
            let inside = rows.get(steps.from..steps.from + steps.len).unwrap_or(&[]);
            inside.binary_search_by_key(&event, |row| row.event).is_ok()
        })
    }

    /// The position of an event, or of the last one before it.
    pub fn position_of(&self, event: EventId) -> usize {
        let Some(told) = &self.told else { return 0 };
        let index = told
            .rows
            .partition_point(|row| row.event <= event)
            .saturating_sub(1);
        let first = usize::from(told.previous.is_some());
        let of = |row: &LifeRow| match row {
            LifeRow::Previous(_) => 0,
            LifeRow::Event(at) => *at,
            LifeRow::Folded(fold) => self.folds.get(*fold).map_or(0, |steps| steps.from),
            LifeRow::Next(_) => usize::MAX,
        };
        self.rows
            .partition_point(|row| of(row) <= index)
            .saturating_sub(1)
            .max(first)
    }

    /// Whether an event belongs to this life.
    pub fn has(&self, event: EventId) -> bool {
        self.told.as_ref().is_some_and(|told| {
            told.rows
                .binary_search_by_key(&event, |row| row.event)
                .is_ok()
        })
    }

    /// Lists the rows anew. `is_marked` says whether a finding rests on an event.
    pub fn list(&mut self, range: Option<Range>, is_marked: impl Fn(EventId) -> bool) {
        (self.rows, self.folds) = (Vec::new(), Vec::new());
        let Some(told) = &self.told else { return };
        let weights: Vec<Weight> = told
            .rows
            .iter()
            .map(|row| match row.kind {
                _ if range.is_some_and(|range| !range.has(row.event)) => Weight::Outside,
                _ if is_marked(row.event) => Weight::Marked,
                kind if TRIVIAL.contains(&kind) => Weight::Trivial,
                _ => Weight::Plain,
            })
            .collect();
        self.rows.extend(told.previous.map(LifeRow::Previous));
        let mut at = 0;
        while at < weights.len() {
            let len = folded_at(&weights, at);
            if len > 0 && !self.opened.contains(&at) {
                self.rows.push(LifeRow::Folded(self.folds.len()));
                let kinds = told.rows[at..at + len].iter().map(|row| kind(&row.text));
                self.folds.push(Steps {
                    from: at,
                    len,
                    text: in_words(kinds, weights[at] == Weight::Outside),
                });
            } else {
                self.rows.extend((at..at + len.max(1)).map(LifeRow::Event));
            }
            at += len.max(1);
        }
        self.rows.extend(told.next.map(LifeRow::Next));
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weight {
    Marked,
    Plain,
    Trivial,
    Outside,
}

/// How many steps from a position on make a fold; 0 for none.
fn folded_at(weights: &[Weight], at: usize) -> usize {
    let run = |is_in: fn(Weight) -> bool, from: usize| {
        weights[from..].iter().take_while(|w| is_in(**w)).count()
    };
    let outside = run(|w| w == Weight::Outside, at);
    if outside > 0 {
        return outside;
    }
    // The middle of a long stretch; its first rows come before, each for itself.
    if weights.len() >= LONG_LIFE && at >= AROUND {
        let quiet = |w| matches!(w, Weight::Plain | Weight::Trivial);
        let is_inside = weights[at - AROUND..at].iter().all(|w| quiet(*w));
        let starts = at == AROUND || !quiet(weights[at - AROUND - 1]);
        let rest = run(quiet, at);
        if is_inside && starts && rest > 2 * AROUND {
            return rest - AROUND;
        }
    }
    match run(|w| w == Weight::Trivial, at) {
        0 | 1 => 0,
        // Within what is yet to be looked at as a long stretch, nothing is folded twice.
        trivial => trivial,
    }
}

/// Steps that are there in every life and say nothing of their own, by their kinds.
const TRIVIAL: [&str; 9] = [
    "claim",
    "enter",
    "peek",
    "wake",
    "shared",
    "scope-enter",
    "stack-pointer",
    "buffer-init",
    "alloc",
];

/// The first word of what an event says.
fn kind(text: &str) -> &str {
    text.split(' ').next().unwrap_or(text)
}

fn in_words<'a>(kinds: impl Iterator<Item = &'a str>, is_outside: bool) -> String {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    let mut all = 0;
    for kind in kinds {
        *counts.entry(kind).or_default() += 1;
        all += 1;
    }
    if is_outside {
        return format!("{} outside of the selected time", counted(all, "event"));
    }
    let mut counts: Vec<(&str, u64)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let more = counts.len() > NAMED;
    let words: Vec<String> = counts
        .iter()
        .take(NAMED)
        .map(|(kind, count)| match count {
            1 => (*kind).to_owned(),
            count => format!("{} {kind}", crate::text::count(*count)),
        })
        .collect();
    let more = if more { " and others" } else { "" };
    format!("{}: {}{more}", counted(all, "step"), words.join(", "))
}

#[cfg(test)]
mod tests {
    use super::Weight::{Marked, Outside, Plain, Trivial};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn two_trivial_steps_are_one_row_and_one_is_not() {
        assert_eq!(folded_at(&[Trivial, Trivial, Plain], 0), 2);
        assert_eq!(folded_at(&[Trivial, Plain], 0), 0);
        assert_eq!(folded_at(&[Outside, Plain], 0), 1);
    }

    #[test]
    fn of_a_long_quiet_stretch_both_ends_stay() {
        let mut weights = vec![Plain; 60];
        weights[50] = Marked;
        assert_eq!(folded_at(&weights, 0), 0);
        assert_eq!(folded_at(&weights, 3), 50 - 3 - AROUND);
        assert_eq!(folded_at(&weights, 47), 0);
        assert_eq!(
            folded_at(&weights[..30], 3),
            0,
            "a short life is told whole"
        );
    }

    #[test]
    fn folds_say_what_is_in_them() {
        let kinds = ["enter", "claim", "enter"].into_iter();
        assert_eq!(in_words(kinds, false), "3 steps: 2 enter, claim");
    }

    proptest! {
        #[test]
        fn every_event_is_in_one_row_and_marked_ones_have_their_own(
            weights in proptest::collection::vec(0u8..4, 0..120)
        ) {
            let weights: Vec<Weight> = weights
                .into_iter()
                .map(|w| [Marked, Plain, Trivial, Outside][usize::from(w)])
                .collect();
            let mut at = 0;
            while at < weights.len() {
                let len = folded_at(&weights, at);
                prop_assert!(at + len <= weights.len());
                prop_assert!(weights[at..at + len].iter().all(|w| *w != Marked));
                at += len.max(1);
            }
        }
    }
}
