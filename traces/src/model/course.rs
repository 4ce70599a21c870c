//! A recording that is judged event by event, without having all events at once.
//!
//! A first pass finds out whether any rule says anything, and which events that rests on. If none does, that
//! was all. Else a second one fetches those events, and a third one judges as if all events were there, and
//! keeps the lives of what was found to be wrong.

use std::cell::RefCell;

use super::links::{Links, Wanted};
use super::{Course, Facts, Judged, Losses};
use crate::event::{Event, EventId, What};
use crate::finding::Subject;
use crate::recording::{LocatedLoss, Recording};
use crate::stack::StackId;

/// Events that findings may rest on; where there are more, it is better to have all events at hand.
const ASKED_MAX: usize = 1 << 20;
/// Losses whose events are kept.
const LOSSES_MAX: usize = 1 << 16;

/// What rules said they would look back at.
#[derive(Debug, Default)]
pub(crate) struct Asked(RefCell<Wanted>);

impl Asked {
    /// Somebody will look at this event.
    pub(crate) fn event(&self, id: EventId) {
        let mut wanted = self.0.borrow_mut();
        if wanted.events.len() <= ASKED_MAX {
            wanted.events.insert(id);
        }
    }

    /// Somebody will look at the life of a subject.
    pub(crate) fn subject(&self, subject: Subject) {
        let mut wanted = self.0.borrow_mut();
        if wanted.subjects.len() <= ASKED_MAX {
            wanted.subjects.insert(subject);
        }
    }
}

/// Events that can be gone through again and again.
pub(crate) trait Again {
    /// Goes through all events from the first on, each with its call stack; says where records are missing.
    fn pass(&self, witness: &mut impl Witness) -> Vec<LocatedLoss>;
}

/// Who goes through them.
pub(crate) trait Witness {
    /// The next event.
    fn event(&mut self, event: &Event, stack: StackId);

    /// These may come soon, in about this order.
    fn soon<'e>(&mut self, _events: impl Iterator<Item = &'e Event>) {}
}

/// Who only looks at them.
struct Look<F>(F);

impl<F: FnMut(&Event, StackId)> Witness for Look<F> {
    #[inline]
    fn event(&mut self, event: &Event, stack: StackId) {
        (self.0)(event, stack);
    }
}

impl Witness for Course<'_> {
    #[inline]
    fn event(&mut self, event: &Event, _: StackId) {
        self.step(event);
    }

    #[inline]
    fn soon<'e>(&mut self, events: impl Iterator<Item = &'e Event>) {
        self.state.addresses.warm(events);
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
    let asked = Asked::default();
    let mut course = Course::new(recording, facts, Links::default());
    course.observer.asked = Some(&asked);
    let losses = events.pass(&mut course);
    let clean = course.finish();
    let mut wanted = asked.0.into_inner();
    if wanted.events.len().max(wanted.subjects.len()) > ASKED_MAX {
        return None;
    }
    let is_silent = wanted.events.is_empty();
    recording.losses = losses;
    if is_silent && !facts.is_lossy {
        return Some((clean, Vec::new()));
    }
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
    let mut course = Course::new(recording, facts, Links::some(wanted));
    course.observer.losses = survey.finish();
    course.observer.events = &fetched;
    let mut stacks: Vec<(EventId, StackId)> = Vec::new();
    events.pass(&mut Look(|event: &Event, stack| {
        course.step(event);
        if stack != StackId(0) && course.state.links.has(event.id) {
            stacks.push((event.id, stack));
        }
    }));
    let judged = course.finish_with_events();
    for (event, stack) in stacks {
        recording.tables.stacks.of_event(event, stack);
    }
    Some(judged)
}
