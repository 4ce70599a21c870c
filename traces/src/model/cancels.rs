//! Cancellations that hit many operations at once: all of a ring, or all on a descriptor.
//!
//! A program may close connections for as long as it runs, each with a cancellation of all that is on its
//! descriptor, while many others fly. So none of them is looked at: what flew when such a one succeeded is told
//! by when it went in.

use rustc_hash::FxHashMap;

use super::things::{Operation, RingState};
use crate::event::EventId;

/// Descriptors whose cancellations are told apart.
const DESCRIPTORS_MAX: usize = 1 << 16;

/// When the latest of them succeeded.
#[derive(Debug, Default)]
pub(crate) struct Cancelled {
    all: Option<EventId>,
    by_descriptor: FxHashMap<i32, EventId>,
    /// When the latest of all went in that says nothing if it succeeds.
    asked: Option<EventId>,
}

impl Cancelled {
    /// All that fly on a ring, or may have been among those that were meant.
    pub(super) fn all(&mut self, at: EventId) {
        self.all = Some(at);
        self.by_descriptor.clear();
    }

    /// All that fly on a ring, or may have been among those that are meant, by what says nothing if it succeeds.
    pub(super) fn may_be_all(&mut self, at: EventId) {
        self.asked = Some(at);
    }

    /// All that fly on a descriptor.
    pub(super) fn descriptor(&mut self, fd: i32, at: EventId) {
        if self.by_descriptor.len() >= DESCRIPTORS_MAX {
            return self.all(at);
        }
        self.by_descriptor.insert(fd, at);
    }

    fn has_hit(&self, operation: &Operation) -> bool {
        let on_it = self.by_descriptor.get(&operation.entry.fd).copied();
        self.all.max(on_it) > Some(operation.submit)
    }
}

impl RingState {
    /// Whether a cancellation of an operation succeeded, or one that may have been of it.
    pub(crate) fn has_cancelled(&self, operation: &Operation) -> bool {
        operation.cancelled || self.cancels.has_hit(operation)
    }

    /// The same, or one that says nothing where it does was asked for.
    pub(super) fn may_have_cancelled(&self, operation: &Operation) -> bool {
        let asked = operation.cancelled_quietly || self.cancels.asked > Some(operation.submit);
        asked || self.has_cancelled(operation)
    }
}
