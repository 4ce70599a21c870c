//! What is known of a recording before its first event is judged: which kinds of events it has at all.
//!
//! Gathered from all events in any order, before they are in the right one.

use rustc_hash::{FxHashMap, FxHashSet};

use super::schemes::Schemes;
use crate::event::{Event, What};
use crate::recording::Recording;

/// Found in one look over all events.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// Rings whose enters are recorded, and the one lane that they all come from.
    pub(super) entered: FxHashMap<(u32, u32), Option<u32>>,
    /// Frees, moves or stacks are recorded.
    pub(super) has_memory: bool,
    /// Somebody says what is freed; that a frame returned is another thing.
    pub(super) has_frees: bool,
    /// Coroutines are resumed or suspended.
    pub(crate) has_resumes: bool,
    /// Processes that say which descriptors they open and close.
    pub(super) has_descriptors: FxHashSet<u32>,
    /// Processes that are the kernel's view of one: what they say of rings may be known already.
    pub(crate) views: FxHashSet<u32>,
    /// Rings that were made.
    pub(crate) rings: u64,
    /// Operations that were submitted.
    pub(crate) operations: u64,
    /// Places where records are missing, and processes that have any.
    pub(crate) losses: u64,
    pub(super) lossy: FxHashSet<u32>,
    /// Processes whose times are by batch.
    pub(crate) by_batch: FxHashSet<u32>,
    /// What those declare: another thread may have done so before, whatever the times say.
    pub(super) declared: Schemes,
}

impl Facts {
    /// Looks over all events.
    pub(crate) fn survey(recording: &Recording, events: &[Event]) -> Self {
        let processes = (0u32..).zip(&recording.processes);
        let by_batch = processes.filter(|(_, process)| process.times_by_batch);
        let mut facts = Self {
            by_batch: by_batch.map(|(index, _)| index).collect(),
            ..Self::default()
        };
        for event in events {
            facts.learn(event.process, event.lane, &event.what);
        }
        facts
    }

    /// Whether records are missing somewhere.
    pub(crate) fn is_lossy(&self) -> bool {
        self.losses > 0
    }

    /// A ring is entered.
    pub(crate) fn entered(&mut self, process: u32, lane: u32, ring: u32) {
        let only = self.entered.entry((process, ring)).or_insert(Some(lane));
        *only = only.filter(|only| *only == lane);
    }

    /// Memory is freed or moved.
    #[inline]
    pub(crate) fn memory(&mut self) {
        self.has_memory = true;
    }

    /// A block or a mapping is given back.
    #[inline]
    pub(crate) fn frees(&mut self) {
        self.has_memory = true;
        self.has_frees = true;
    }

    /// A coroutine is resumed or suspended.
    #[inline]
    pub(crate) fn resumes(&mut self) {
        self.has_resumes = true;
    }

    /// So many operations are submitted.
    #[inline]
    pub(crate) fn submits(&mut self, process: u32, operations: u64) {
        if self.views.is_empty() || !self.views.contains(&process) {
            self.operations += operations;
        }
    }

    /// Something is declared.
    fn declared(&mut self, process: u32, what: &What) {
        if !self.by_batch.contains(&process) {
            return;
        }
        match *what {
            What::Scheme {
                ring,
                scheme,
                parameter,
            } => self.declared.expect(process, ring, scheme, parameter),
            What::Shared { cookie } => self.declared.share(process, cookie),
            _ => {}
        }
    }

    /// Looks at an event.
    #[inline]
    pub(crate) fn learn(&mut self, process: u32, lane: u32, what: &What) {
        match *what {
            What::Enter { ring, .. } => self.entered(process, lane, ring),
            What::Free { .. } | What::Realloc { .. } | What::Unmap { .. } => self.frees(),
            What::StackPointer { .. } => self.memory(),
            What::FdOpen { .. } | What::FdClose { .. } => {
                self.has_descriptors.insert(process);
            }
            What::Resume { .. } | What::Suspend { .. } => self.resumes(),
            What::Submit(_) => self.submits(process, 1),
            What::RingCreate(_) => self.rings += u64::from(!self.views.contains(&process)),
            What::Lost(_) => {
                self.losses = self.losses.saturating_add(1);
                self.lossy.insert(process);
            }
            What::Scheme { .. } | What::Shared { .. } => self.declared(process, what),
            _ => {}
        }
    }
}
