//! Slots that a program filled once for good.
//!
//! A program may fill slots of its ring at the start, cookies with them, and hand them over again and again, with an
//! offset or a length rewritten. The shim's poison comes back from such a slot each time, just as from one whose
//! cookie was forgotten. What tells them apart: in the one nobody is ever seen to set a cookie, and it goes in so more than
//! once. So the first time is said, and unsaid once the ring is known to have such slots; from then on it is silent. Of a
//! slot in which somebody is seen to set a cookie it stays said.

use rustc_hash::FxHashSet;
use wire::record::CookieState;

use super::things::{OperationId, RingState};
use crate::event::Submission;
use crate::finding::Subject;

/// Operations of a ring that are kept until it is known: one for each slot, or a few more.
const KEPT_MAX: usize = 1 << 16;

/// What a submission tells of its slot.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Filled {
    /// Somebody was seen to set a cookie in it, now or before.
    pub(super) was_set: bool,
    /// It went in with the cookie of an operation of its kind, which nobody was seen to set.
    pub(super) is_refill: bool,
}

impl RingState {
    /// Takes in a submission that the shim saw. `unsaid` are those of which it turned out that nobody forgot anything.
    pub(super) fn fill(
        &mut self,
        id: OperationId,
        submission: &Submission,
        unsaid: &mut FxHashSet<Subject>,
    ) -> Filled {
        let entry = &submission.entry;
        let is_set = submission.cookie_state == CookieState::Set;
        let Some(before) = self.laps.get(&entry.slot) else {
            return Filled {
                was_set: is_set,
                is_refill: false,
            };
        };
        let was_set = is_set || before.was_set;
        let is_left = submission.cookie_state == CookieState::Poisoned && entry.cookie != 0;
        let is_refill = is_left && !was_set && before.opcode == entry.opcode;
        let (again, before) = (before.is_refill, before.sequence);
        if is_refill && (again || self.is_refilled) {
            self.is_refilled = true;
            unsaid.extend(self.refills.drain(..).map(OperationId::subject));
        } else if is_refill && self.refills.len() < KEPT_MAX {
            self.refills.push(id);
        } else if is_set && again {
            let before = OperationId {
                sequence: before,
                ..id
            };
            self.refills.retain(|kept| *kept != before);
            unsaid.remove(&before.subject());
        }
        Filled { was_set, is_refill }
    }
}
