//! What rules say they will look back at, found out by a pass that keeps nothing else.

use std::cell::{Cell, RefCell};

use rustc_hash::{FxHashMap, FxHashSet};

use super::Thing;
use super::kernel::Merged;
use crate::event::EventId;
use crate::finding::{RuleId, Subject};
use crate::watch::Found;

/// Events that are fetched because findings rest on them; where there are more, it is better to have all at hand.
const FETCHED_MAX: usize = 1 << 20;
/// Things of which it is found out who used them, where times are by batch: of more it is not known.
const THINGS_MAX: usize = if cfg!(test) { 1 << 10 } else { 1 << 20 };
/// Numbers of events that are kept one by one.
const FEW: usize = 1 << 14;

/// What is asked for: single events, the lives of subjects, and the things whose events have to be in order.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) events: Ids,
    pub(crate) subjects: FxHashSet<Subject>,
    pub(crate) things: Things,
}

impl Wanted {
    /// Whether it is better to have all events at hand.
    pub(super) fn is_too_much(&self) -> bool {
        self.events.len().max(self.subjects.len()) > FETCHED_MAX
    }

    /// What the kernel says of an operation is of its life, too, under another number.
    pub(super) fn and_kernels(&mut self, merged: &FxHashMap<(u32, u32), Merged>) {
        let kernels: FxHashMap<_, _> = merged
            .iter()
            .filter_map(|(kernels, merged)| Some((merged.of_operations()?, *kernels)))
            .collect();
        let of_kernel = |subject: &Subject| match subject {
            Subject::Operation {
                process,
                ring,
                sequence,
            } => kernels
                .get(&(*process, *ring))
                .map(|(process, ring)| Subject::Operation {
                    process: *process,
                    ring: *ring,
                    sequence: *sequence,
                }),
            _ => None,
        };
        if !kernels.is_empty() {
            let more: Vec<Subject> = self.subjects.iter().filter_map(of_kernel).collect();
            self.subjects.extend(more);
        }
    }
}

/// Things, by process; and whether there were more.
#[derive(Debug, Default)]
pub(crate) struct Things {
    pub(super) all: FxHashSet<(u32, Thing)>,
    pub(super) has_more: bool,
}

impl Things {
    pub(super) fn add(&mut self, process: u32, thing: Thing) {
        if self.all.len() < THINGS_MAX {
            self.all.insert((process, thing));
        } else {
            self.has_more |= !self.all.contains(&(process, thing));
        }
    }
}

/// Numbers of events: few ones one by one, many as a bit each, whatever there is of them; of those that were met, so that
/// there are no more bits than there are events.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    few: FxHashSet<u64>,
    many: Vec<u64>,
    len: usize,
    /// The number behind those that were met.
    end: u64,
}

impl Ids {
    /// All events up to this one are there.
    pub(super) fn meet(&mut self, id: EventId) {
        self.end = self.end.max(id.0.saturating_add(1));
    }

    /// Of a number that is no event's nothing will ever be asked.
    pub(super) fn insert(&mut self, id: EventId) {
        if id.0 >= self.end {
            return;
        }
        if self.many.is_empty() && self.few.len() < FEW {
            self.len += usize::from(self.few.insert(id.0));
            return;
        }
        if self.many.is_empty() {
            self.len = 0;
        }
        for id in std::mem::take(&mut self.few).into_iter().chain([id.0]) {
            let Ok(word) = usize::try_from(id / 64) else {
                continue;
            };
            if word >= self.many.len() {
                self.many.resize(word + 1, 0);
            }
            if let Some(bits) = self.many.get_mut(word) {
                let bit = 1 << (id % 64);
                self.len += usize::from(*bits & bit == 0);
                *bits |= bit;
            }
        }
    }

    pub(super) fn contains(&self, id: EventId) -> bool {
        if self.many.is_empty() {
            return self.few.contains(&id.0);
        }
        let word = usize::try_from(id.0 / 64).unwrap_or(usize::MAX);
        let bits = self.many.get(word).copied().unwrap_or(0);
        bits & (1 << (id.0 % 64)) != 0
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// What rules said they would look back at.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    wanted: RefCell<Wanted>,
    /// How often each rule spoke.
    found: Cell<Found>,
    /// What findings rest on will be fetched; else all events will be at hand.
    fetches: bool,
    /// Processes whose times are by batch.
    by_batch: FxHashSet<u32>,
}

impl Asked {
    pub(super) fn new(fetches: bool, by_batch: FxHashSet<u32>) -> Self {
        Self {
            fetches,
            by_batch,
            ..Self::default()
        }
    }

    /// A rule spoke.
    pub(crate) fn rule(&self, rule: RuleId) {
        let mut found = self.found.get();
        found.add(rule);
        self.found.set(found);
    }

    /// How often each rule spoke so far.
    pub(super) fn found(&self) -> Found {
        self.found.get()
    }

    /// All that was asked for.
    pub(super) fn into_wanted(self) -> Wanted {
        self.wanted.into_inner()
    }

    /// Somebody may ask for all events up to this one.
    pub(super) fn meet(&self, id: EventId) {
        self.wanted.borrow_mut().events.meet(id);
    }

    /// Somebody will look at this event.
    pub(crate) fn event(&self, id: EventId) {
        // What is about to be given up takes no more memory; who had what at hand by batch is asked of any number.
        let is_enough = |wanted: &Wanted| self.fetches && wanted.events.len() > FETCHED_MAX;
        if !self.fetches && self.by_batch.is_empty() {
            return;
        }
        let mut wanted = self.wanted.borrow_mut();
        if !is_enough(&wanted) {
            wanted.events.insert(id);
        }
    }

    /// Somebody will look at the life of a subject.
    pub(crate) fn subject(&self, subject: Subject) {
        if self.fetches {
            let mut wanted = self.wanted.borrow_mut();
            if wanted.subjects.len() <= FETCHED_MAX {
                wanted.subjects.insert(subject);
            }
        }
        self.thing(subject.process(), Thing::of(subject));
    }

    /// Somebody will ask who used this.
    pub(super) fn thing(&self, process: u32, thing: Thing) {
        if self.by_batch.contains(&process) {
            self.wanted.borrow_mut().things.add(process, thing);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_numbers_are_what_few_ones_are() {
        let mut ids = Ids::default();
        let odd = |at: usize| EventId(at as u64 * 7 + 1);
        ids.meet(odd(FEW + 100));
        for at in 0..FEW + 100 {
            assert!(!ids.contains(odd(at)));
            ids.insert(odd(at));
            ids.insert(odd(at));
            assert_eq!(ids.len(), at + 1);
        }
        assert!(ids.few.is_empty());
        assert!((0..FEW + 100).all(|at| ids.contains(odd(at))));
        assert!((0..FEW + 100).all(|at| !ids.contains(EventId(at as u64 * 7 + 2))));
        assert!(!ids.contains(EventId(u64::MAX)));
    }

    #[test]
    fn a_number_that_is_no_event_s_takes_no_memory() {
        let mut ids = Ids::default();
        let insert_odd = |ids: &mut Ids| {
            for id in [1_000_001, 1 << 40, u64::MAX] {
                ids.insert(EventId(id));
                assert!(!ids.contains(EventId(id)));
            }
        };
        insert_odd(&mut ids);
        ids.meet(EventId(1_000_000));
        insert_odd(&mut ids);
        assert!(ids.is_empty());
        (0..=FEW as u64).for_each(|id| ids.insert(EventId(id)));
        insert_odd(&mut ids);
        ids.insert(EventId(1_000_000));
        // What was met before was met.
        ids.meet(EventId(5));
        insert_odd(&mut ids);
        assert_eq!((ids.len(), ids.many.len()), (FEW + 2, 1_000_000 / 64 + 1));
        assert!(ids.contains(EventId(1_000_000)));
    }
}
