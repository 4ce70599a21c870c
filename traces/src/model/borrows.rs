//! Borrows of traced cells that are alive.

use rustc_hash::FxHashMap;

use super::Observer;
use super::memory::UNCERTAIN_NS;
use super::moment::Moment;
use super::state::State;
use super::things::Doing;
use crate::event::{Borrow, Event, EventId, TypeId};

/// Borrows of one cell that are kept.
const BORROWS_MAX: usize = 64;
/// Overlaps that wait to be judged.
const OVERLAPS_MAX: usize = 4096;

/// What is borrowed, by process and cell, oldest first.
#[derive(Debug, Default)]
pub(super) struct Borrows {
    cells: FxHashMap<(u32, u64), Vec<Held>>,
    /// Overlaps of two threads that are not judged yet: on another core the first may have ended before.
    overlaps: Vec<Overlap>,
}

#[derive(Clone, Copy, Debug)]
struct Overlap {
    event: EventId,
    at_ns: u64,
    process: u32,
    scope: u32,
    borrow: Borrow,
    first: Held,
    /// The coroutine that holds the first one over a suspension.
    suspended: Option<(u32, EventId)>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    borrow: Borrow,
    event: EventId,
    lane: u32,
    coroutine: Option<u32>,
}

impl Borrows {
    /// Whether there are overlaps that were not shown yet.
    pub(super) fn has_overlaps(&self) -> bool {
        !self.overlaps.is_empty()
    }

    /// The newest borrow of the cell that is like this one ends: from the same place and thread where
    /// there is such a one.
    pub(super) fn end(&mut self, event: &Event, borrow: &Borrow) {
        let key = (event.process, borrow.cell);
        let Some(held) = self.cells.get_mut(&key) else {
            return;
        };
        let likeness = |other: &Held| {
            let same_kind = other.borrow.exclusive == borrow.exclusive;
            let same_site = other.borrow.site == borrow.site;
            (same_kind && may_be_one(&other.borrow, borrow))
                .then_some((same_site, other.lane == event.lane))
        };
        let best = held.iter().filter_map(likeness).max();
        let at = best.and_then(|best| held.iter().rposition(|held| likeness(held) == Some(best)));
        if let Some(at) = at {
            let ended = held.remove(at).event;
            self.overlaps
                .retain(|overlap| overlap.first.event != ended || !overlap.is_open(event.at_ns));
        }
        if held.is_empty() {
            self.cells.remove(&key);
        }
    }

    /// Cells in this memory are no more.
    pub(super) fn gone(&mut self, process: u32, address: u64, size: u64) {
        let within = address..address.saturating_add(size);
        self.cells
            .retain(|(owner, cell), _| *owner != process || !within.contains(cell));
    }
}

/// Whether two borrows at one address are of one cell: of two types, one lies at the beginning of the other.
fn may_be_one(one: &Borrow, other: &Borrow) -> bool {
    one.ty == other.ty || one.ty == TypeId(0) || other.ty == TypeId(0)
}

impl Overlap {
    /// Whether what happens now on another core may have happened before it.
    fn is_open(&self, now_ns: u64) -> bool {
        now_ns <= self.at_ns.saturating_add(UNCERTAIN_NS)
    }

    fn show(&self, observer: &mut Observer<'_>) {
        observer.see(&Moment::Overlapping {
            event: self.event,
            process: self.process,
            scope: self.scope,
            borrow: self.borrow,
            first: (self.first.borrow, self.first.event),
            suspended: self.suspended,
        });
    }
}

impl State {
    /// Shows overlaps of two threads that can be judged by now.
    #[inline]
    pub(super) fn show_overlaps(&mut self, now_ns: u64, observer: &mut Observer<'_>) {
        if self.borrows.has_overlaps() {
            self.show_ripe_overlaps(now_ns, observer);
        }
    }

    #[cold]
    fn show_ripe_overlaps(&mut self, now_ns: u64, observer: &mut Observer<'_>) {
        let all = std::mem::take(&mut self.borrows.overlaps);
        let (open, ripe): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|overlap| overlap.is_open(now_ns));
        self.borrows.overlaps = open;
        for overlap in ripe {
            overlap.show(observer);
        }
    }

    pub(super) fn borrow_begin(
        &mut self,
        event: &Event,
        borrow: &Borrow,
        observer: &mut Observer<'_>,
    ) {
        let process = event.process;
        self.link(event.id).address = borrow.cell;
        let coroutine = self.running.get(&event.lane).copied();
        let held = self
            .borrows
            .cells
            .entry((process, borrow.cell))
            .or_default();
        let clash = held
            .iter()
            .filter(|held| may_be_one(&held.borrow, borrow))
            .find(|held| held.borrow.exclusive || borrow.exclusive)
            .copied();
        if held.len() < BORROWS_MAX {
            held.push(Held {
                borrow: *borrow,
                event: event.id,
                lane: event.lane,
                coroutine,
            });
        }
        let Some(first) = clash else { return };
        let holder = first.coroutine.and_then(|number| {
            let coroutine = self.coroutines.get(&(process, number))?;
            match coroutine.doing {
                Doing::Suspended { event, .. } if event > first.event => Some((number, event)),
                _ => None,
            }
        });
        self.link(event.id).coroutine = coroutine;
        let overlap = Overlap {
            event: event.id,
            at_ns: event.at_ns,
            process,
            scope: event.scope,
            borrow: *borrow,
            first,
            suspended: holder,
        };
        if first.lane == event.lane {
            overlap.show(observer);
        } else if self.borrows.overlaps.len() < OVERLAPS_MAX {
            self.borrows.overlaps.push(overlap);
        }
    }
}
