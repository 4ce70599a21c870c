//! Events into state: generations, operations, rings, coroutines, and what was lost.
//!
//! One pass. What the model keeps grows with the things that are alive, plus one tombstone for each
//! address, the oldest of which go when there are too many.
//!
//! Reading order: `things` (what lives here), `moment` (what rules see of it), `state` (events change
//! it) with its parts `pointers`, `rings`, `completions`, `queue`, `coroutines`, `memory`, `results`,
//! `provided` and `borrows`, `expect` (what operations owe), `buffers` (what memory they point at),
//! `schemes` (how cookies are read), `facts` (which events there are at all), `cuts` (cookies that lost bits), `loss` (what is missing), `sharing` (whose order times by batch leave open), `drops`
//! (rings dropped with operations in flight), `finish` (the end of a process).

mod borrows;
mod buffers;
mod completions;
mod coroutines;
mod cuts;
mod drops;
mod expect;
mod facts;
mod finish;
mod loss;
mod memory;
mod moment;
mod opcodes;
mod pointers;
mod provided;
mod queue;
mod results;
mod rings;
mod schemes;
mod sharing;
mod state;
mod things;

pub(crate) use buffers::Part;
pub(crate) use facts::Facts;
pub(crate) use loss::Losses;
pub(crate) use moment::{
    Cancels, Completed, Gone, Handled, Held, HeldAt, MemoryGone, Moment, Resumed, Stray, Submitted,
};
pub(crate) use sharing::{Sharing, Thing, Unordered};
pub(crate) use state::within;
pub(crate) use things::{
    Dead, Doing, Flown, Found, Generation, GenerationId, Lap, Operation, OperationId, Past,
    Pointers, Poll, Standing, is_nowhere, is_sole,
};

use crate::event::{Event, EventId};
use crate::finding::Verdict;
use crate::names::Objects;
use crate::recording::Recording;
use crate::rules::Drafts;

/// What one pass over the events gives.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    pub(crate) verdict: Verdict,
    pub(crate) objects: Objects,
    /// One for each event.
    pub(crate) links: Vec<Link>,
    /// Parents of scopes, by process and scope.
    pub(crate) scope_parents: rustc_hash::FxHashMap<(u32, u32), u32>,
    /// What rules said before consequences were folded, for their tests.
    #[cfg(test)]
    pub(crate) drafts: Vec<crate::rules::Draft>,
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

/// Who watches the model: hands each moment to the rules and keeps what they say.
pub(crate) struct Observer<'a> {
    pub(crate) recording: &'a Recording,
    pub(crate) events: &'a [Event],
    pub(crate) objects: Objects,
    pub(crate) losses: Losses,
    pub(crate) sharing: Sharing,
    pub(crate) drafts: Drafts,
}

impl Observer<'_> {
    fn see(&mut self, moment: &Moment<'_>) {
        crate::rules::judge(self, moment);
    }
}

/// Goes through a recording once.
pub(crate) fn judge(recording: &Recording, facts: Facts, events: &[Event]) -> Judged {
    let sharing = Sharing::survey(recording, events);
    let mut observer = Observer {
        recording,
        events,
        objects: Objects::default(),
        losses: Losses::survey(events, |event| sharing.end(event)),
        sharing,
        drafts: Drafts::default(),
    };
    let mut state = state::State::new(recording, facts, events);
    for event in events {
        state.step(event, &mut observer);
    }
    state.show_hits(u64::MAX, &mut observer);
    state.show_overlaps(u64::MAX, &mut observer);
    state.drops_at_end(recording, &mut observer);
    state.finish(recording, events, &mut observer);
    let mut summary = state.summary;
    let lost = recording
        .losses
        .iter()
        .filter_map(|located| located.loss.records);
    summary.events = events.len() as u64;
    summary.ended = recording
        .processes
        .iter()
        .map(|process| (process.pid, process.ended))
        .collect();
    summary.losses = recording.losses.len() as u64;
    summary.records_lost = lost.fold(0, u64::saturating_add);
    summary.losses_hide = observer.losses.hide
        || recording.problems_more > 0
        || recording.problems.iter().any(|problem| problem.hides);
    summary.problems = (recording.problems.len() as u64).saturating_add(recording.problems_more);
    #[cfg(test)]
    let drafts = observer.drafts.all();
    let (stories, cannot_tell, unanswered) = observer.drafts.fold();
    summary.cannot_tell = unanswered;
    Judged {
        verdict: Verdict {
            stories,
            cannot_tell,
            summary,
        },
        objects: observer.objects,
        links: state.links,
        scope_parents: state.scope_parents,
        #[cfg(test)]
        drafts,
    }
}
