//! Messages that nobody may have heard of: the kernel lists the operations of a ring that the process's own record does
//! not follow, and not what its messages say.
//!
//! A ring that both tell of is followed, and what it sends is known. Which of them both tell of is counted by descriptor,
//! since the two clocks may be so far apart that who was first says nothing: where the kernel tells of more rings than
//! the process does, or where a record of the kernel's is missing, any of them may be the one that is not followed. Where
//! it tells of fewer in all than the process made, it began to look later, and nothing is known of whose a descriptor was.

use rustc_hash::{FxHashMap, FxHashSet};

use super::opcodes as op;
use super::ringset::RingKey;
use crate::event::{Event, What};
use crate::recording::{Capture, Recording};

/// One look over all events.
#[derive(Debug, Default)]
pub(super) struct Unheard {
    /// The kernel's view of each process that was recorded in another way, too, and those views.
    view_of: FxHashMap<u32, u32>,
    views: FxHashSet<u32>,
    /// The event behind which the first ring was made that a process's own record does not follow.
    unfollowed: FxHashMap<u32, u64>,
    /// Rings that were made at a descriptor, by view: so many that the kernel tells of, and so many that the process does.
    made: FxHashMap<(u32, i32), (u64, u64)>,
    /// The same of all descriptors, with those that the process made and does not follow.
    all: FxHashMap<u32, (u64, u64)>,
    /// Descriptors of the kernel's rings, and those from whose rings messages were sent.
    descriptors: FxHashMap<RingKey, i32>,
    senders: FxHashSet<(u32, i32)>,
    /// Views in which a message may have been sent from a ring of which no more is known.
    unsure: FxHashSet<u32>,
}

impl Unheard {
    pub(super) fn new(recording: &Recording) -> Self {
        let numbered = || (0u32..).zip(&recording.processes);
        let kernels = numbered().filter(|(_, it)| it.capture == Capture::Kernel);
        let pairs = kernels.flat_map(|(view, process)| {
            let own = numbered().filter(|(_, it)| !it.capture.is_view() && it.is_same_as(process));
            own.map(move |(own, _)| (own, view))
        });
        let view_of: FxHashMap<u32, u32> = pairs.collect();
        Self {
            views: view_of.values().copied().collect(),
            view_of,
            ..Self::default()
        }
    }

    /// So many rings are not followed. Gives whether the kernel tells of them.
    pub(super) fn is_told(&mut self, process: u32, count: u64, after: u64) -> bool {
        let Some(view) = self.view_of.get(&process) else {
            return false;
        };
        let (_, by_process) = self.all.entry(*view).or_default();
        *by_process = by_process.saturating_add(count);
        self.unfollowed.entry(process).or_insert(after);
        true
    }

    /// Looks at the next event.
    #[inline]
    pub(super) fn learn(&mut self, event: &Event) {
        if !self.views.is_empty() {
            self.look(event);
        }
    }

    fn look(&mut self, event: &Event) {
        let view = event.process;
        if !self.views.contains(&view) {
            if let What::RingCreate(ring) = &event.what
                && let Some(view) = self.view_of.get(&event.process)
            {
                let at_descriptor = self.made.entry((*view, ring.fd)).or_default();
                for (_, by_process) in [at_descriptor, self.all.entry(*view).or_default()] {
                    *by_process = by_process.saturating_add(1);
                }
            }
            return;
        }
        match &event.what {
            What::RingCreate(ring) => {
                let at_descriptor = self.made.entry((view, ring.fd)).or_default();
                for (by_kernel, _) in [at_descriptor, self.all.entry(view).or_default()] {
                    *by_kernel = by_kernel.saturating_add(1);
                }
                self.descriptors.insert((view, ring.ring), ring.fd);
            }
            What::Submit(it) if it.entry.opcode == op::MSG_RING => {
                match self.descriptors.get(&(view, u32::from(it.entry.ring))) {
                    Some(fd) if *fd >= 0 => self.senders.insert((view, *fd)),
                    _ => self.unsure.insert(view),
                };
            }
            What::Lost(_) => {
                self.unsure.insert(view);
            }
            _ => {}
        }
    }

    /// Processes to whose rings such a message may have come, and the event behind which.
    pub(super) fn finish(self) -> FxHashMap<u32, u64> {
        let mut unsure = self.unsure;
        let made = |sender| self.made.get(sender).copied().unwrap_or_default();
        let came_late = |view: &u32| {
            let all = self.all.get(view).copied();
            all.is_some_and(|(by_kernel, by_process)| by_kernel < by_process)
        };
        for sender in &self.senders {
            let (by_kernel, by_process) = made(sender);
            if by_kernel != by_process || came_late(&sender.0) {
                unsure.insert(sender.0);
            }
        }
        let mut unfollowed = self.unfollowed;
        unfollowed.retain(|process, _| {
            let view = self.view_of.get(process);
            view.is_some_and(|view| unsure.contains(view))
        });
        // A message goes to any ring whose descriptor its sender has, a forked child's parent's for one.
        if let Some(first) = unfollowed.values().min().copied() {
            for process in self.view_of.keys() {
                unfollowed.entry(*process).or_insert(first);
            }
        }
        unfollowed
    }
}
