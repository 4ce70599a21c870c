//! Entries that somebody wrote to while they were handed over: the kernel took another word than the one that was there
//! when the thread entered the kernel.
//!
//! The process's record of an entry is what lay in the slot right before that thread entered, or, of a ring that whole
//! entries are copied into, what was pushed; and the kernel's is what it took in that very call. In between nobody may
//! write there. Where the two were not made by one thread, in one call, a difference says nothing: the program may publish
//! an entry and fill it later, as long as it enters behind that; and what another thread handed over is recorded when the
//! kernel is done with it, from a slot that may be in use again.
//!
//! Both sides number the entries of one queue, and either may be off by some that it did not count: records that are
//! missing and said to be so only later, pushes that nobody saw, what went in before a ring was followed. That an operation
//! is the same one in both is shown by the ones right before and right behind it: each has one word in both, which is none
//! of those that differ, and which no other operation in flight has. If numbers were off, the one that the kernel took
//! would be in flight, too, under a number of its own and with that word. For the same reason the word of one that differs
//! may be that of no other.

use super::moment::Changed;

impl Changed {
    fn is_between(&self, (sequence, word): (u64, u64), neighbour: u64) -> bool {
        sequence == neighbour && word != self.words.0 && word != self.words.1
    }
}

/// The latest operation of a ring, as both sides have it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Handed {
    /// They cannot be held against each other.
    #[default]
    Unknown,
    /// Number and word are the same, and no other in flight has that word.
    Same(u64, u64),
    /// They differ, behind one that is the same.
    Differs(Changed),
}

impl Handed {
    /// The next one has the same word in both. If no other in flight has it, that shows that the one before it was the
    /// same, too, but for its word.
    pub(super) fn agrees(&mut self, sequence: u64, only_ones: Option<u64>) -> Option<Changed> {
        let before = std::mem::take(self);
        let word = only_ones?;
        *self = Self::Same(sequence, word);
        let Self::Differs(changed) = before else {
            return None;
        };
        let behind = changed.operation.id.sequence.wrapping_add(1);
        changed
            .is_between((sequence, word), behind)
            .then_some(changed)
    }

    /// The next one has another word; nothing is given where that need not mean anything.
    pub(super) fn differs(&mut self, changed: Option<Changed>) {
        let before = std::mem::take(self);
        let (Self::Same(sequence, word), Some(changed)) = (before, changed) else {
            return;
        };
        let first = changed.operation.id.sequence.wrapping_sub(1);
        if changed.is_between((sequence, word), first) {
            *self = Self::Differs(changed);
        }
    }
}
