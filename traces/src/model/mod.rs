//! Events into state: generations, operations, rings, coroutines, and what was lost.

use crate::event::{Event, EventId};
use crate::finding::Verdict;
use crate::names::Objects;
use crate::recording::Recording;

/// What one pass over the events gives.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    pub(crate) verdict: Verdict,
    pub(crate) objects: Objects,
    /// One for each event.
    pub(crate) links: Vec<Link>,
}

/// What an event belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Link {
    /// Address of [`Link::generation`].
    pub(crate) address: u64,
    /// Generation, 0 for none.
    pub(crate) generation: u32,
    /// Coroutine.
    pub(crate) coroutine: Option<u32>,
    /// Ring and sequence number of the operation.
    pub(crate) operation: Option<(u32, u64)>,
    /// Of a submission: the enter that handed it to the kernel.
    pub(crate) enter: Option<EventId>,
}

pub(crate) fn judge(_recording: &Recording, events: &[Event]) -> Judged {
    Judged {
        links: vec![Link::default(); events.len()],
        ..Judged::default()
    }
}
