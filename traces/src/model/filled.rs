//! Slots that a program filled once for good, in rings that the shim recorded.
//!
//! A program may fill some slots of its ring once, user_data with them, and hand them over again and again as they are.
//! The shim's poison comes back from such a slot each time, just as from one whose cookie was forgotten, and contents do
//! not tell the two apart. So what went in to the last bit as it was, ever since its slot was filled first, is kept until the
//! slot is seen to be filled again: where a cookie is set there, another entry comes from it, or its word stands for another
//! owner by then. Where nothing of that happens before the ring ends, it is asked. Numbers of rings are not given out again
//! within a process, so that what is missing in between has nothing to do with it.

use wire::payload::Submit;
use wire::record::CookieState;

use super::Observer;
use super::moment::Moment;
use super::state::State;
use super::things::{GenerationId, Lap, Operation, RingState};
use crate::event::Submission;

/// Operations that are kept for each slot. Of others it is asked at once.
const KEPT_MAX: usize = 4;

/// How often a slot was filled, by what is seen of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filled {
    /// It is not asked: whoever fills it says so, or it was filled where nobody looked, or with what tells nothing.
    Untold,
    /// Perhaps once.
    Once,
    /// More than once.
    Again,
}

/// Whether an entry can be told from others: one without an address or a descriptor is the same without being an old one.
fn is_telling(entry: &Submit) -> bool {
    entry.addr != 0 || entry.fd >= 0
}

/// Whether an entry is its slot's old one to the last bit, where that tells anything.
pub(crate) fn is_again(entry: &Submit, lap: &Lap) -> bool {
    let old = Submit {
        sequence: entry.sequence,
        site: entry.site,
        ..lap.entry
    };
    *entry == old && is_telling(entry)
}

impl RingState {
    /// How often the slot of an entry was filled, once that has gone in for an owner, or for one operation more than its
    /// owner was given away for.
    pub(super) fn filled(
        &self,
        submission: &Submission,
        (owner, exceeds): (Option<GenerationId>, bool),
        is_lossy: bool,
    ) -> Filled {
        let (entry, state) = (&submission.entry, submission.cookie_state);
        match (self.laps.get(&entry.slot), state) {
            (_, CookieState::Set) => Filled::Again,
            (None, _) if !is_telling(entry) => Filled::Untold,
            // What went in before may be missing. Else somebody filled it whom nobody saw.
            (None, CookieState::Poisoned) if !is_lossy => Filled::Untold,
            (None, _) if self.made.is_none() && !is_lossy => Filled::Untold,
            (None, _) => Filled::Once,
            // Where several threads enter the ring it is not seen whether it was set.
            (Some(lap), _) if is_again(entry, lap) => {
                let is_same = lap.generation == owner && !exceeds;
                if is_same { lap.filled } else { Filled::Again }
            }
            (Some(_), _) => Filled::Again,
        }
    }

    /// Whether the program may have meant what came back from an operation's slot, by all that is known now.
    pub(super) fn may_be_meant(&self, operation: &Operation) -> bool {
        let lap = self.laps.get(&operation.entry.slot);
        may_be_meant(operation) && lap.is_none_or(|lap| lap.filled == Filled::Once)
    }
}

impl State {
    /// Shows an operation whose cookie nobody set, with all that came of it, once that is known.
    pub(super) fn settle(&mut self, operation: &Operation, observer: &mut Observer<'_>) {
        let (id, slot) = (operation.id, operation.entry.slot);
        let ring = self.rings.get_mut(&(id.process, id.ring));
        let mut is_meant = false;
        if let Some(ring) = ring.filter(|ring| ring.may_be_meant(operation)) {
            let kept = ring.perhaps_forgotten.entry(slot).or_default();
            if kept.len() < KEPT_MAX {
                return kept.push(operation.clone());
            }
            is_meant = true;
        }
        settled(operation, is_meant, observer);
    }

    /// An operation went in; by it its slot may be known to be filled more than once.
    pub(super) fn show_forgotten(&mut self, operation: &Operation, observer: &mut Observer<'_>) {
        if operation.filled != Filled::Again {
            return;
        }
        let key = (operation.id.process, operation.id.ring);
        let ring = self.rings.get_mut(&key);
        let kept = ring.and_then(|ring| ring.perhaps_forgotten.remove(&operation.entry.slot));
        for kept in kept.into_iter().flatten() {
            settled(&kept, false, observer);
        }
    }

    /// A ring is over, and what was kept of its slots is asked.
    pub(super) fn ask_of_kept(&mut self, ring: (u32, u32), observer: &mut Observer<'_>) {
        let ring = self.rings.get_mut(&ring);
        let kept = ring.map(|ring| std::mem::take(&mut ring.perhaps_forgotten));
        let kept = kept.unwrap_or_default().into_values().flatten();
        let mut kept: Vec<Operation> = kept.collect();
        kept.sort_by_key(|operation| operation.submit);
        for operation in kept {
            settled(&operation, true, observer);
        }
    }
}

/// Whether the program may have meant what came back from a slot, for all that is known when it went in.
fn may_be_meant(operation: &Operation) -> bool {
    operation.cookie_state == CookieState::Poisoned && operation.filled == Filled::Once
}

/// Shows an operation, and whether the program may have meant what came back from its slot.
pub(super) fn settled(operation: &Operation, may_be_meant: bool, observer: &mut Observer<'_>) {
    let lap = operation.lap.as_ref();
    let dead_at_submit =
        operation.generation.is_none() && lap.is_some_and(|lap| lap.generation.is_some());
    observer.see(&Moment::Settled {
        operation,
        dead_at_submit,
        may_be_meant,
    });
}
