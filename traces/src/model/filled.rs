//! Slots that a program filled once for good, in rings that the shim recorded.
//!
//! A program may fill some slots of its ring once, user_data with them, and hand them over again and again as they are.
//! The shim's poison comes back from such a slot each time, just as from one whose cookie was forgotten, and contents do
//! not tell the two apart. So what went in to the last bit as it was, ever since its slot was filled first, is kept until the
//! slot is seen to be filled again: where a cookie is set there, or another entry comes from it. Where nothing of that
//! happens before the ring ends, it is asked. Whom its word belongs to by then says nothing of who filled the slot: a box
//! that is taken back is given away again where it was, and a connection's word travels with all that it does. Where it is
//! nobody's any more that is a mistake by the look of it, and suspected. What shows that a slot was filled again are
//! records of its own entries, so that nothing that is missing makes it seem so; and numbers of rings are not given out again
//! within a process.

use rustc_hash::FxHashMap;
use wire::payload::Submit;
use wire::record::CookieState;

use super::Observer;
use super::moment::Moment;
use super::opcodes as op;
use super::rings::UNSET_MAX;
use super::state::State;
use super::things::{GenerationId, Lap, Operation, RingState};
use crate::event::Submission;

/// Operations that are kept for each slot. Of others it is asked at once.
const KEPT_MAX: usize = 4;
/// Those of a ring up to which a slot keeps more than its first.
const MANY: usize = if cfg!(test) { 64 } else { 4096 };

/// How often a slot was filled, by what is seen of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filled {
    /// It is not asked: whoever fills it says so, or it was filled where nobody looked, or with what tells nothing.
    Untold,
    /// Perhaps once.
    Once,
    /// Perhaps once, and what its word stood for is gone by now.
    OnceDead,
    /// More than once.
    Again,
}

impl Filled {
    pub(super) fn is_once(self) -> bool {
        matches!(self, Self::Once | Self::OnceDead)
    }
}

/// High half of the words that the probe and the shim fill slots with.
const POISON: u64 = 0xFEED_5EED;

/// Whether the poison itself went in, as `record --poison=keep` lets it.
pub(crate) fn is_poison(entry: &Submit, state: CookieState) -> bool {
    state == CookieState::Poisoned && entry.cookie >> 32 == POISON
}

/// Whether an entry can be told from others: one without an address or a descriptor is the same without being an old one.
fn is_telling(entry: &Submit) -> bool {
    entry.addr != 0 || entry.fd >= 0
}

/// Whether an operation's entry is like all of its kind, whoever fills it. So is any NOP whose word is gone, since of it
/// nothing else matters: a program that takes the poison for a pointer dies of it before more is seen.
pub(crate) fn is_alike(operation: &Operation) -> bool {
    let entry = &operation.entry;
    let is_nop = matches!(entry.opcode, op::NOP | op::NOP128);
    !is_telling(entry) || (is_nop && is_poison(entry, operation.cookie_state))
}

/// Whether an entry is its slot's old one to the last bit; but for its word, where poison that was left in took its place.
fn is_same(entry: &Submit, state: CookieState, lap: &Lap) -> bool {
    let mut old = Submit {
        sequence: entry.sequence,
        site: entry.site,
        ..lap.entry
    };
    if is_poison(entry, state) {
        old.cookie = entry.cookie;
    }
    *entry == old
}

/// Whether an operation's entry is its slot's old one, where that tells anything.
pub(crate) fn is_again(operation: &Operation, lap: &Lap) -> bool {
    let entry = &operation.entry;
    is_same(entry, operation.cookie_state, lap) && is_telling(entry)
}

/// How often a slot was filled that went in as it was once more, for an owner.
fn as_before(entry: &Submit, lap: &Lap, owner: Option<GenerationId>) -> Filled {
    if !lap.filled.is_once() {
        return lap.filled;
    }
    // Of the word that poison took the place of nobody knows.
    let had_owner = lap.generation.is_some() || lap.filled == Filled::OnceDead;
    if had_owner && owner.is_none() && entry.cookie == lap.cookie {
        Filled::OnceDead
    } else {
        Filled::Once
    }
}

/// Operations of slots that were perhaps filled once for good, a few of each slot, and of many slots the first of each.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    by_slot: FxHashMap<u16, Vec<Operation>>,
    count: usize,
}

impl Kept {
    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Operation> {
        self.by_slot.values().flatten()
    }

    /// How many they are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Keeps one, if there is room. Gives whether it did.
    fn keep(&mut self, operation: &Operation) -> bool {
        let room = if self.count < MANY { KEPT_MAX } else { 1 };
        // Nearly always the first is the only one, and one of them has half a kilobyte.
        let first = || Vec::with_capacity(1);
        let kept = self
            .by_slot
            .entry(operation.entry.slot)
            .or_insert_with(first);
        let has_room = kept.len() < room;
        if has_room {
            kept.push(operation.clone());
            self.count += 1;
        }
        has_room
    }

    /// Those of a slot.
    fn take(&mut self, slot: u16) -> Vec<Operation> {
        let taken = self.by_slot.remove(&slot).unwrap_or_default();
        self.count -= taken.len();
        taken
    }
}

impl RingState {
    /// How often the slot of an entry was filled, once that has gone in for an owner. `is_lossy`: records of its process are
    /// missing.
    pub(super) fn filled(
        &self,
        submission: &Submission,
        owner: Option<GenerationId>,
        is_lossy: bool,
    ) -> Filled {
        let (entry, state) = (&submission.entry, submission.cookie_state);
        match (self.laps.get(&entry.slot), state) {
            (_, CookieState::Set) => Filled::Again,
            // What went in before may be missing. Else somebody filled it whom nobody saw.
            (None, CookieState::Poisoned) if !is_lossy => Filled::Untold,
            (None, _) if self.made.is_none() && !is_lossy => Filled::Untold,
            (None, _) => Filled::Once,
            // Where several threads enter the ring it is not seen whether it was set.
            (Some(lap), _) if is_same(entry, state, lap) => as_before(entry, lap, owner),
            (Some(_), _) => Filled::Again,
        }
    }

    /// Whether an operation of which a rule tells came from a slot that may have been filled once for good, by all that is
    /// known now.
    pub(super) fn may_be_once(&self, operation: &Operation) -> bool {
        let is_told_of = match operation.cookie_state {
            CookieState::Poisoned => true,
            CookieState::Leftover => operation.exceeds || operation.filled == Filled::OnceDead,
            _ => false,
        };
        let lap = self.laps.get(&operation.entry.slot);
        is_told_of && operation.filled.is_once() && lap.is_none_or(|lap| lap.filled.is_once())
    }
}

impl State {
    /// Shows an operation whose cookie nobody set, with all that came of it, once that is known.
    pub(super) fn settle(&mut self, operation: &Operation, observer: &mut Observer<'_>) {
        let id = operation.id;
        let mut ring = self.rings.get_mut(&(id.process, id.ring));
        if let Some(ring) = ring.as_mut().filter(|ring| !ring.counts(operation)) {
            if ring.behind_zero.len() < UNSET_MAX {
                ring.behind_zero.push(operation.clone());
            }
            return;
        }
        let mut may_be_once = false;
        if let Some(ring) = ring.filter(|ring| ring.may_be_once(operation)) {
            if ring.perhaps_forgotten.keep(operation) {
                return;
            }
            may_be_once = true;
        }
        settled(operation, may_be_once, observer);
    }

    /// An operation went in; by it its slot may be known to be filled more than once.
    pub(super) fn show_forgotten(&mut self, operation: &Operation, observer: &mut Observer<'_>) {
        if operation.filled != Filled::Again {
            return;
        }
        let key = (operation.id.process, operation.id.ring);
        let ring = self.rings.get_mut(&key);
        let kept = ring.map(|ring| ring.perhaps_forgotten.take(operation.entry.slot));
        for kept in kept.unwrap_or_default() {
            settled(&kept, false, observer);
        }
    }

    /// A ring is over, and what was kept of its slots is asked.
    pub(super) fn ask_of_kept(&mut self, ring: (u32, u32), observer: &mut Observer<'_>) {
        let ring = self.rings.get_mut(&ring);
        let kept = ring.map(|ring| std::mem::take(&mut ring.perhaps_forgotten));
        let kept = kept.unwrap_or_default().by_slot.into_values().flatten();
        let mut kept: Vec<Operation> = kept.collect();
        kept.sort_by_key(|operation| operation.submit);
        for operation in kept {
            settled(&operation, true, observer);
        }
    }
}

/// Shows an operation, and whether its slot may have been filled once for good.
pub(super) fn settled(operation: &Operation, may_be_once: bool, observer: &mut Observer<'_>) {
    let lap = operation.lap.as_ref();
    let dead_at_submit =
        operation.generation.is_none() && lap.is_some_and(|lap| lap.generation.is_some());
    observer.see(&Moment::Settled {
        operation,
        dead_at_submit,
        may_be_once,
    });
}
