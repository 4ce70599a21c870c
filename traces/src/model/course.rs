//! A recording that is judged event by event, without having all events at once.
//!
//! A first pass finds out whether any rule says anything, and which events that rests on. If none does, that
//! was all. Else a second one fetches those events, and a third one judges as if all events were there, and
//! keeps the lives of what was found to be wrong.

use std::cell::{Cell, RefCell};

use super::links::{Links, Wanted};
use super::{Course, Facts, Foreseen, Judged, Losses};
use crate::event::{Event, EventId, What};
use crate::events::{Builder, Events, MakeAside, Pages};
use crate::finding::{RuleId, Subject};
use crate::read::Loose;
use crate::recording::{LocatedLoss, Recording};
use crate::stack::StackId;
use crate::watch::{Counter, Found, Stage, Watch};

/// Events that findings may rest on; where there are more, it is better to have all events at hand.
const ASKED_MAX: usize = 1 << 20;
/// Losses whose events are kept.
const LOSSES_MAX: usize = 1 << 16;

/// What rules said they would look back at.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    wanted: RefCell<Wanted>,
    /// How often each rule spoke.
    found: Cell<Found>,
}

impl Asked {
    /// A rule spoke.
    pub(crate) fn rule(&self, rule: RuleId) {
        let mut found = self.found.get();
        found.add(rule);
        self.found.set(found);
    }

    /// Somebody will look at this event.
    pub(crate) fn event(&self, id: EventId) {
        let mut wanted = self.wanted.borrow_mut();
        if wanted.events.len() <= ASKED_MAX {
            wanted.events.insert(id);
        }
    }

    /// Somebody will look at the life of a subject.
    pub(crate) fn subject(&self, subject: Subject) {
        let mut wanted = self.wanted.borrow_mut();
        if wanted.subjects.len() <= ASKED_MAX {
            wanted.subjects.insert(subject);
        }
    }
}

/// Events that can be gone through again and again.
pub(crate) trait Again {
    /// Goes through all events from the first on, each with its call stack; says where records are missing.
    fn pass(&self, witness: &mut impl Witness) -> Vec<LocatedLoss>;

    /// `CLOCK_MONOTONIC` of the first event in ns, once they were gone through.
    fn began_ns(&self) -> i64;
}

/// Who goes through them.
pub(crate) trait Witness {
    /// The next event; where its address was foreseen to be, if it was.
    fn event(&mut self, event: &Event, stack: StackId, foreseen: Foreseen);

    /// How often each rule spoke so far.
    fn found(&self) -> Found {
        Found::default()
    }

    /// These come soon, in about this order.
    fn soon(&mut self, _events: &mut [Loose]) {}
}

/// Who only looks at them.
struct Look<F>(F);

impl<F: FnMut(&Event, StackId)> Witness for Look<F> {
    #[inline]
    fn event(&mut self, event: &Event, stack: StackId, _: Foreseen) {
        (self.0)(event, stack);
    }
}

/// Judges; gives the events that the verdict rests on, and the lives of its subjects. Nothing where all
/// events have to be at hand.
pub(crate) fn judge(
    recording: &mut Recording,
    facts: &Facts,
    events: &impl Again,
) -> Option<(Judged, Vec<Event>)> {
    // Who used what is known after a look at all events, and where a batch ends, for each event.
    if recording
        .processes
        .iter()
        .any(|process| process.times_by_batch)
    {
        return None;
    }
    let First {
        clean,
        wanted,
        losses,
        ..
    } = first(recording, facts, events, Links::default());
    if is_too_much(&wanted) {
        return None;
    }
    recording.losses = losses;
    if wanted.events.is_empty() && !facts.is_lossy {
        return Some((clean, Vec::new()));
    }
    let (judged, events, stacks) = again(recording, facts, events, wanted, false);
    for (event, stack) in stacks {
        recording.tables.stacks.of_event(event, stack);
    }
    Some((judged, events))
}

/// The same, and keeps all events in pages. What is judged again is read from there; nothing where it cannot be: a
/// verdict on a part would be a false one.
pub(crate) fn judge_paged(
    recording: &mut Recording,
    facts: &Facts,
    events: &impl Again,
    make: MakeAside,
    watch: Watch<'_>,
) -> Option<(Judged, Events)> {
    let links = Links::paged(Builder::new(make));
    let found = first(recording, facts, events, links);
    recording.losses = found.losses;
    for (event, stack) in found.stacks {
        recording.tables.stacks.of_event(event, stack);
    }
    let began_ns = events.began_ns();
    let mut all = Events::paged(found.pages.unwrap_or_default());
    if is_too_much(&found.wanted) {
        // Findings beyond counting look back at more than a fetch is good for.
        let events = all.take()?;
        recording.began_ns = began_ns;
        let mut judged = super::judge(recording, facts, &events, watch);
        let links = std::mem::take(&mut judged.links);
        return Some((judged, Events::whole(events, links)));
    }
    if found.wanted.events.is_empty() && !facts.is_lossy {
        return Some((found.clean, all));
    }
    let (judged, _, _) = again(
        recording,
        facts,
        &Paged {
            events: &all,
            watch,
            found: if facts.is_lossy {
                Found::default()
            } else {
                found.found
            },
            began_ns: events.began_ns(),
        },
        found.wanted,
        // Who looks at any event may read the name of any coroutine.
        true,
    );
    (!all.is_unreadable()).then_some((judged, all))
}

/// Events in pages, gone through as if they were read.
struct Paged<'a> {
    events: &'a Events,
    watch: Watch<'a>,
    /// What is known to be told.
    found: Found,
    began_ns: i64,
}

impl Again for Paged<'_> {
    fn pass(&self, witness: &mut impl Witness) -> Vec<LocatedLoss> {
        let all = self.events.len();
        let mut counter = Counter::new(self.watch, Stage::Fetching, all as u64);
        self.events.each(0..all, |event| {
            counter.more(1, || self.found);
            witness.event(event, StackId(0), Foreseen::default());
        });
        Vec::new()
    }

    fn began_ns(&self) -> i64 {
        self.began_ns
    }
}

/// What one pass finds out.
struct First {
    /// The verdict, if there is nothing to tell.
    clean: Judged,
    wanted: Wanted,
    losses: Vec<LocatedLoss>,
    pages: Option<Pages>,
    /// Where all events are kept.
    stacks: Vec<(EventId, StackId)>,
    found: Found,
}

/// One pass without rules: how many generations there were.
pub(crate) fn follow(recording: &Recording, facts: &Facts, events: &impl Again) -> u64 {
    let mut course = Course::new(recording, facts, Links::default());
    course.observer.is_blind = true;
    let mut course = Noted {
        course,
        is_lossy: facts.is_lossy,
        stacks: Vec::new(),
    };
    events.pass(&mut course);
    course.course.state.summary.generations
}

/// One pass, to find out whether any rule says anything.
fn first(recording: &Recording, facts: &Facts, events: &impl Again, links: Links) -> First {
    let asked = Asked::default();
    let mut course = Course::new(recording, facts, links);
    course.observer.asked = Some(&asked);
    let mut course = Noted {
        course,
        is_lossy: facts.is_lossy,
        stacks: Vec::new(),
    };
    let losses = events.pass(&mut course);
    let Noted {
        mut course, stacks, ..
    } = course;
    course.state.began_ns = events.began_ns();
    let (clean, pages) = course.finish_with_pages();
    First {
        clean,
        found: asked.found.get(),
        wanted: asked.wanted.into_inner(),
        losses,
        pages,
        stacks,
    }
}

/// A course that notes who has call stacks, where all events are kept.
struct Noted<'a> {
    course: Course<'a>,
    is_lossy: bool,
    stacks: Vec<(EventId, StackId)>,
}

impl Witness for Noted<'_> {
    #[inline]
    fn event(&mut self, event: &Event, stack: StackId, foreseen: Foreseen) {
        self.course.state.addresses.foreseen = foreseen;
        self.course.step(event);
        if stack != StackId(0) && self.course.state.links.is_paged() {
            self.stacks.push((event.id, stack));
        }
    }

    fn found(&self) -> Found {
        // Where records are missing, not all of it may be told.
        match self.course.observer.asked {
            Some(asked) if !self.is_lossy => asked.found.get(),
            _ => Found::default(),
        }
    }

    #[inline]
    fn soon(&mut self, events: &mut [Loose]) {
        self.course.state.addresses.foresee(events);
    }
}

/// A course that keeps some events, and notes who of them has call stacks.
struct Kept<'a> {
    course: Course<'a>,
    stacks: Vec<(EventId, StackId)>,
}

impl Witness for Kept<'_> {
    #[inline]
    fn event(&mut self, event: &Event, stack: StackId, foreseen: Foreseen) {
        self.course.state.addresses.foreseen = foreseen;
        self.course.step(event);
        if stack != StackId(0) && self.course.state.links.has(event.id) {
            self.stacks.push((event.id, stack));
        }
    }

    #[inline]
    fn soon(&mut self, events: &mut [Loose]) {
        self.course.state.addresses.foresee(events);
    }
}

/// Whether it is better to have all events at hand.
fn is_too_much(wanted: &Wanted) -> bool {
    wanted.events.len().max(wanted.subjects.len()) > ASKED_MAX
}

/// Two passes more: what the verdict rests on is fetched, and it is given with what was kept of the events.
fn again(
    recording: &Recording,
    facts: &Facts,
    events: &impl Again,
    mut wanted: Wanted,
    names_all: bool,
) -> (Judged, Vec<Event>, Vec<(EventId, StackId)>) {
    let losses = recording.losses.iter().take(LOSSES_MAX);
    wanted.events.extend(losses.map(|located| located.event));
    let mut survey = Losses::survey();
    let mut fetched: Vec<Event> = Vec::new();
    events.pass(&mut Look(|event: &Event, _| {
        survey.learn(event, |id| id);
        // A loss belongs to nothing, and the rest is fetched anew with what it belongs to.
        if wanted.events.contains(&event.id) || matches!(event.what, What::Lost(_)) {
            fetched.push(event.clone());
        }
    }));
    let mut course = Course::new(recording, facts, Links::some(wanted, names_all));
    course.observer.losses = survey.finish();
    course.observer.events = &fetched;
    let mut kept = Kept {
        course,
        stacks: Vec::new(),
    };
    events.pass(&mut kept);
    let Kept { mut course, stacks } = kept;
    course.state.began_ns = events.began_ns();
    let (judged, events) = course.finish_with_events();
    (judged, events, stacks)
}
