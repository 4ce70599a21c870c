//! Events into state: generations, operations, rings, coroutines, and what was lost.
//!
//! One pass. What the model keeps grows with the things that are alive, plus one tombstone for each
//! address, the oldest of which go when there are too many.
//!
//! Reading order: `things` (what lives here), `addresses` (and where it is found: `places`, and what lives in scopes: `living`), `moment` (what rules see of it), `state` (events change
//! it) with its parts `pointers` (with `glance`, for those that are in order, and `looks`, which are no reclaims), `rings` (and `ringset`, which finds one), `completions` (and `credits`), `queue` (and `cancels`, `misnamed` words, and `renames` of polls), `coroutines`, `memory`, `results`,
//! `provided` and `borrows`, `expect` (what operations owe), `buffers` (what memory they point at),
//! `kernel` (what the kernel says of rings) with `posts` (which words it posted) and `handed` (which it took), `discipline` (whether small cookies are indices), `filled` (slots that may have been filled once for good), `schemes` (how cookies are read), `facts` (which events there are at all), `cuts` (cookies that lost bits), `loss` (what is missing) with `unheard` (messages that it hides), `sharing` (whose order times by batch leave open), `drops`
//! (rings dropped with operations in flight), `finish` (the end of a process), `links` (what events belong
//! to), `back` (events that rules look back at), `wanted` (what they will ask for), `course` (judging without having all
//! events at once).

mod addresses;
mod back;
mod borrows;
#[cfg(test)]
mod bounds;
mod buffers;
mod cancels;
mod completions;
mod coroutines;
pub(crate) mod course;
mod credits;
mod cuts;
mod descriptors;
mod discipline;
mod drops;
mod expect;
mod facts;
mod filled;
mod finish;
mod glance;
mod handed;
mod kernel;
mod links;
mod living;
mod looks;
mod loss;
mod memory;
mod misnamed;
mod moment;
pub(crate) mod opcodes;
mod places;
mod pointers;
mod posts;
mod provided;
mod pushes;
mod queue;
mod renames;
mod results;
mod rings;
mod ringset;
mod schemes;
mod sequences;
mod sharing;
mod state;
mod things;
mod unheard;
mod wanted;
mod zeros;

pub(crate) use addresses::Foreseen;
pub(crate) use back::Back;
pub(crate) use buffers::Part;
pub(crate) use discipline::{Carrier, Early, ends_others};
pub(crate) use expect::{Chains, ends_quietly, is_last, is_notification};
pub(crate) use facts::Facts;
pub(crate) use filled::{Filled, is_again, is_alike, is_poison};
pub(crate) use loss::{Losses, Survey};
pub(crate) use moment::{
    Cancels, Completed, Forged, Gone, Handled, Held, HeldAt, InSlot, MemoryGone, Moment, Resumed,
    Rewritten, Stray, Submitted,
};
pub(crate) use opcodes::{CLOSE, CQE_MORE};
pub(crate) use provided::Missed;
pub(crate) use queue::TARGETS_MAX;
pub(crate) use sharing::{Sharing, Thing, Unordered};
pub(crate) use state::within;
pub(crate) use things::{
    Coroutine, Dead, Doing, Flown, Found, Generation, GenerationId, Lap, Operation, OperationId,
    Owed, Pointers, Poll, Standing, Unwoken, is_nowhere, is_sole,
};
pub(crate) use wanted::Asked;

use rustc_hash::FxHashMap;

use links::Links;
use state::State;

use crate::event::{Event, EventId};
use crate::events::Pages;
use crate::finding::{Summary, Verdict};
use crate::names::Objects;
use crate::recording::{LocatedLoss, Recording};
use crate::rules::Drafts;
use crate::watch::{Counter, Stage, Watch};

/// What one pass over the events gives.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    pub(crate) verdict: Verdict,
    pub(crate) objects: Objects,
    /// One for each event that is at hand.
    pub(crate) links: Vec<Link>,
    /// Parents of scopes, by process and scope.
    pub(crate) scope_parents: FxHashMap<(u32, u32), u32>,
    /// Rings as the kernel sees them, and the process's own ring that each of them is.
    pub(crate) merged: FxHashMap<(u32, u32), kernel::Merged>,
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
    /// Events that rules look back at.
    pub(crate) back: Back<'a>,
    /// Set where rules only say what they will look back at.
    pub(crate) asked: Option<&'a Asked>,
    /// Nobody looks: what the model alone takes is measured.
    pub(crate) is_blind: bool,
    pub(crate) objects: Objects,
    pub(crate) losses: Losses,
    /// Set while it is being found out what is missing.
    pub(crate) survey: Option<Survey>,
    pub(crate) sharing: Sharing,
    pub(crate) drafts: Drafts,
    /// Where the program was seen to put an operation into its queue, by its submission.
    pub(crate) pushes: FxHashMap<EventId, EventId>,
}

impl Observer<'_> {
    #[inline]
    fn see(&mut self, moment: &Moment<'_>) {
        if !self.is_blind {
            crate::rules::judge(self, moment);
        }
    }

    /// As [`Observer::see`], of a handle that went out or came back.
    #[inline(always)]
    fn handle(&mut self, handled: Handled<'_>) {
        // In tests it is held that no rule has anything to say of the others.
        if cfg!(test) || crate::rules::concerns(&handled) {
            self.see_handle(handled);
        }
    }

    #[cold]
    fn see_handle(&mut self, handled: Handled<'_>) {
        self.see(&Moment::Handled(handled));
    }

    /// Whether several lanes used a thing, of a process by batch. Not known while rules only say what they will ask for.
    fn is_shared(&self, process: u32, thing: Thing) -> bool {
        match self.asked {
            Some(asked) => {
                asked.thing(process, thing);
                false
            }
            None => self.sharing.is_shared(process, thing),
        }
    }
}

/// Goes through a recording once, with all its events at hand.
pub(crate) fn judge(
    recording: &Recording,
    facts: &Facts,
    events: &[Event],
    watch: Watch<'_>,
) -> Judged {
    let mut course = Course::new(recording, facts, Links::all(events.len()));
    let each = |look: &mut dyn FnMut(&Event)| events.iter().for_each(look);
    let sharing = Sharing::survey(recording, facts, &each, None);
    if let Some(mut survey) = Losses::survey(recording, facts) {
        for event in events {
            survey.learn(event, |event| sharing.end(event.lane, event.id));
        }
        course.observer.losses = survey.finish();
    }
    course.observer.sharing = sharing;
    course.observer.back = Back::Here(events);
    course.state.began_ns = recording.began_ns;
    let mut counter = Counter::new(watch, Stage::Judging, events.len() as u64);
    for event in events {
        course.step(event);
        counter.more(1, || *course.observer.drafts.found());
    }
    course.finish()
}

/// Says how much is missing.
fn sum_up(summary: &mut Summary, located: &[LocatedLoss], losses: &Losses) {
    let lost = located.iter().filter_map(|located| located.loss.records);
    summary.losses = located.len() as u64;
    summary.records_lost = lost.fold(0, u64::saturating_add);
    summary.losses_hide |= losses.hide;
}

/// One pass over the events of a recording.
struct Course<'a> {
    state: State,
    observer: Observer<'a>,
}

impl<'a> Course<'a> {
    fn new(recording: &'a Recording, facts: &Facts, links: Links) -> Self {
        Self {
            state: State::new(recording, facts, links),
            observer: Observer {
                recording,
                back: Back::Here(&[]),
                asked: None,
                is_blind: false,
                objects: Objects::default(),
                losses: Losses::default(),
                survey: None,
                sharing: Sharing::default(),
                drafts: Drafts::default(),
                pushes: FxHashMap::default(),
            },
        }
    }

    #[inline(always)]
    fn step(&mut self, event: &Event) {
        self.state.step(event, &mut self.observer);
    }

    fn finish(self) -> Judged {
        self.finish_with_events().0
    }

    /// With all events, where they went into pages.
    fn finish_with_pages(mut self) -> (Judged, Option<Pages>) {
        let pages = self.state.links.take_pages();
        (self.finish(), pages)
    }

    /// With the events that were kept, if not all are at hand.
    fn finish_with_events(self) -> (Judged, Vec<Event>) {
        let Self {
            mut state,
            mut observer,
        } = self;
        let recording = observer.recording;
        if let Some(asked) = observer.asked {
            asked.meet(EventId(state.summary.events));
        }
        state.show_hits(u64::MAX, &mut observer);
        state.show_overlaps(u64::MAX, &mut observer);
        state.decide_looks_at_end(recording, &mut observer);
        state.drops_at_end(recording, &mut observer);
        state.posts_at_end(&mut observer);
        state.finish(recording, &mut observer);
        let mut summary = state.summary;
        summary.ended = recording
            .processes
            .iter()
            .map(|process| (process.pid, process.ended))
            .collect();
        // Those whose making was overwritten, or came before the recording, are rings, too.
        let unmade = state.rings.iter().filter(|(_, ring)| ring.made.is_none());
        summary.rings = summary.rings.saturating_add(unmade.count() as u64);
        summary.problems =
            (recording.problems.len() as u64).saturating_add(recording.problems_more);
        summary.losses_hide =
            recording.problems_more > 0 || recording.problems.iter().any(|problem| problem.hides);
        sum_up(&mut summary, &recording.losses, &observer.losses);
        #[cfg(test)]
        let drafts = observer.drafts.all();
        let (stories, cannot_tell, unanswered) = observer.drafts.fold();
        summary.cannot_tell = unanswered;
        let (events, links) = state.links.into_parts();
        let judged = Judged {
            verdict: Verdict {
                stories,
                cannot_tell,
                summary,
            },
            objects: observer.objects,
            links,
            scope_parents: state.scope_parents,
            merged: state.kernel.into_merged(),
            #[cfg(test)]
            drafts,
        };
        (judged, events)
    }
}
