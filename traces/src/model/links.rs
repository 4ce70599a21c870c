//! What each event belongs to, for all events or for those that somebody wants.

use std::collections::BTreeMap;

use rustc_hash::{FxHashMap, FxHashSet};

use super::Link;
use super::wanted::Wanted;
use crate::event::{Event, EventId, What};
use crate::events::{Builder, Pages};
use crate::stack::StackId;

/// Events of subjects that are kept besides those that were asked for by their ids.
const KEPT_MAX: usize = 1 << 17;

/// The links of events.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// One for each event, or none where nobody asks for them.
    all: Vec<Link>,
    /// Instead of all of them.
    kept: Option<Box<Kept>>,
    /// Instead of all of them: they go with their events.
    paged: Option<Box<Builder>>,
    /// For links that nobody asks for.
    spare: Link,
    /// Any event may be looked at later, though few are kept here.
    names_all: bool,
}

/// Events that are kept, with their links.
#[derive(Debug, Default)]
struct Kept {
    wanted: Wanted,
    now: (EventId, Link),
    events: FxHashMap<EventId, (Event, Link)>,
    /// The latest claims of slots, by process, ring and slot, each with its call stack.
    claims: FxHashMap<(u32, u32, u32), (Event, StackId)>,
    /// The call stack of the event at hand.
    stack: StackId,
    /// Those of events that are kept.
    stacks: BTreeMap<EventId, StackId>,
    /// Coroutines that those are of.
    coroutines: FxHashSet<(u32, u32)>,
    /// One that is kept was linked to the event at hand.
    is_named: bool,
    spare: Link,
}

impl Links {
    /// Those of so many events.
    pub(super) fn all(events: usize) -> Self {
        Self {
            all: vec![Link::default(); events],
            ..Self::default()
        }
    }

    /// Those of some events, and the events themselves.
    pub(super) fn some(wanted: Wanted) -> Self {
        let kept = Kept {
            wanted,
            ..Kept::default()
        };
        Self {
            kept: Some(Box::new(kept)),
            ..Self::default()
        }
    }

    /// None: they are known already. Any event may be looked at later all the same.
    pub(super) fn known() -> Self {
        Self {
            names_all: true,
            ..Self::default()
        }
    }

    /// Those of all events, and the events themselves, in pages.
    pub(super) fn paged(builder: Builder) -> Self {
        Self {
            paged: Some(Box::new(builder)),
            names_all: true,
            ..Self::default()
        }
    }

    /// Neither some of them are kept, nor all of them go elsewhere.
    #[inline]
    fn are_all(&self) -> bool {
        self.kept.is_none() & self.paged.is_none()
    }

    /// Whether nobody asks for any.
    pub(super) fn are_for_nobody(&self) -> bool {
        self.are_all() && self.all.is_empty()
    }

    /// An event begins.
    #[inline]
    pub(super) fn begin(&mut self, id: EventId) {
        if self.are_all() {
            return;
        }
        if let Some(paged) = &mut self.paged {
            paged.begin();
        }
        if let Some(kept) = &mut self.kept {
            kept.now = (id, Link::default());
            kept.is_named = false;
        }
    }

    /// The call stack of the event that comes next, where some events are kept.
    #[inline]
    pub(super) fn stands_on(&mut self, stack: StackId) {
        if let Some(kept) = &mut self.kept {
            kept.stack = stack;
        }
    }

    /// The call stacks of the events that are kept.
    pub(super) fn take_stacks(&mut self) -> BTreeMap<EventId, StackId> {
        let kept = self.kept.as_mut();
        kept.map(|kept| std::mem::take(&mut kept.stacks))
            .unwrap_or_default()
    }

    /// The link of an event, to be filled in.
    #[inline]
    pub(super) fn of(&mut self, id: EventId) -> &mut Link {
        if self.are_all() {
            // Ids are the positions of events.
            let index = usize::try_from(id.0).unwrap_or(usize::MAX);
            return self.all.get_mut(index).unwrap_or(&mut self.spare);
        }
        if let Some(paged) = &mut self.paged {
            return paged.link(id);
        }
        match &mut self.kept {
            Some(kept) => kept.of(id),
            None => &mut self.spare,
        }
    }

    /// A submission was taken by an enter.
    #[inline]
    pub(super) fn entered(&mut self, submission: EventId, enter: EventId) {
        match &mut self.paged {
            Some(paged) => paged.entered(submission, enter),
            None => self.of(submission).enter = Some(enter),
        }
    }

    /// An event is over, and its link is what it will be but for the enter that takes a submission.
    #[inline]
    pub(super) fn end(&mut self, event: &Event) {
        if self.are_all() {
            return;
        }
        if let Some(kept) = &mut self.kept {
            kept.end(event);
        }
        if let Some(paged) = &mut self.paged {
            paged.end(event);
        }
    }

    /// Whether they go into pages.
    pub(super) fn is_paged(&self) -> bool {
        self.paged.is_some()
    }

    /// All events with their links, where they went into pages.
    pub(super) fn take_pages(&mut self) -> Option<Pages> {
        Some(self.paged.take()?.finish())
    }

    /// Whether an event that is kept may be of this coroutine, by process and number.
    pub(super) fn names_coroutine(&self, coroutine: (u32, u32)) -> bool {
        if self.names_all {
            return true;
        }
        match &self.kept {
            Some(kept) => kept.coroutines.contains(&coroutine),
            None => !self.all.is_empty(),
        }
    }

    /// The links of all events; or some events in their order, and theirs.
    pub(super) fn into_parts(self) -> (Vec<Event>, Vec<Link>) {
        let Some(kept) = self.kept else {
            return (Vec::new(), self.all);
        };
        let mut parts: Vec<(Event, Link)> = kept.events.into_values().collect();
        parts.sort_by_key(|(event, _)| event.id);
        parts.into_iter().unzip()
    }
}

impl Kept {
    fn of(&mut self, id: EventId) -> &mut Link {
        if id == self.now.0 {
            return &mut self.now.1;
        }
        match self.events.get_mut(&id) {
            Some((_, link)) => {
                self.is_named = true;
                link
            }
            None => &mut self.spare,
        }
    }

    fn end(&mut self, event: &Event) {
        let link = self.now.1;
        if let What::Claim { ring, slot } = event.what {
            self.claims
                .insert((event.process, ring, slot), (event.clone(), self.stack));
        }
        let has_room = self.events.len() < KEPT_MAX;
        let is_of_life = has_room && (self.is_named || self.is_of_subject(event, &link));
        if !is_of_life && !self.wanted.events.contains(event.id) {
            return;
        }
        if let What::Submit(submission) = &event.what {
            let entry = &submission.entry;
            let place = (event.process, entry.ring.into(), entry.slot.into());
            // Its life has the latest one, whichever submission that was for.
            if let Some((claim, stack)) = self.claims.get(&place).cloned() {
                self.stacks.insert(claim.id, stack);
                self.events.insert(claim.id, (claim, Link::default()));
            }
        }
        let coroutine = link.coroutine;
        self.coroutines
            .extend(coroutine.map(|coroutine| (event.process, coroutine)));
        self.stacks.insert(event.id, self.stack);
        self.events.insert(event.id, (event.clone(), link));
    }

    fn is_of_subject(&self, event: &Event, link: &Link) -> bool {
        let subjects = crate::lives::concerned(event.process, link, &event.what);
        let is_wanted = |subject| self.wanted.subjects.contains(&subject);
        subjects.into_iter().flatten().any(is_wanted)
    }
}
