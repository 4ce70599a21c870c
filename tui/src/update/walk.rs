//! Walking along an object's events, or from hit to hit.

use traces::Neighbour;
use traces::event::EventId;
use traces::finding::Subject;

use super::focus::{focus_event, set_focus};
use super::places::{place, push, remember, show};
use crate::hits::Shown;
use crate::layout::Pane;
use crate::model::{Model, Walk};
use crate::msg::{Msg, Toward, View};

/// Tells of the next object that the focused event touches: a pointer's after its operation's, for one.
pub(super) fn other_object(model: &mut Model) {
    let Some(event) = model.focus.event else {
        model.notice = Some("there is no event here whose objects could be told of".into());
        return;
    };
    let subjects = model.trace.subjects_of(event);
    let now = subjects
        .iter()
        .position(|subject| Some(*subject) == model.focus.object);
    let other = match now {
        Some(_) if subjects.len() == 1 => None,
        Some(now) => subjects.get((now + 1) % subjects.len()),
        None => subjects.first(),
    };
    let Some(other) = other.copied() else {
        model.notice = Some("this event touches nothing else".into());
        return;
    };
    remember(model);
    if model.pane == Pane::Findings && model.area(Pane::Biography).is_none() {
        let from = place(model);
        push(&mut model.crumbs, from);
        show(model, View::Biography);
    }
    set_focus(model, Some(event), Some(other));
    model.notice = Some(format!("now of {}", model.life.names.object));
}

pub(super) fn same_object(model: &mut Model, toward: Toward, was_walking: bool) {
    if model.focus.object.is_none() {
        let subject = model
            .focus
            .event
            .and_then(|event| model.trace.subject_of(event));
        set_focus(model, model.focus.event, subject);
    }
    let Some(object) = model.focus.object else {
        model.notice = Some("this event belongs to no object".into());
        return;
    };
    let now = model.focus.event.unwrap_or(EventId(0));
    let is_next = toward == Toward::Next;
    // Of a life that is not told whole, what is told has gaps.
    let told = model.life.told.as_ref().filter(|told| told.left_out == 0);
    let target = match told {
        None => {
            model.walk = Some(Walk {
                neighbour: Neighbour::of(&model.trace, object, now, is_next),
                object,
                toward,
                was_walking,
            });
            // What is near is there at once.
            return look_on(model);
        }
        Some(told) if is_next => {
            let at = told.rows.partition_point(|row| row.event <= now);
            told.rows.get(at).map(|row| row.event)
        }
        Some(told) => {
            let behind = told.rows.partition_point(|row| row.event < now);
            let at = behind.checked_sub(1);
            at.and_then(|at| told.rows.get(at)).map(|row| row.event)
        }
    };
    arrive_at(model, object, toward, was_walking, target);
}

/// Pages that are looked through in one slice. Most have nothing of the object, which their filters tell.
const PAGES_AT_ONCE: usize = if cfg!(test) { 2 } else { 512 };

/// A slice of looking for the event that a walk goes to.
pub(super) fn look_on(model: &mut Model) {
    let Some(mut walk) = model.walk.take() else {
        return;
    };
    let found = walk.neighbour.work(&model.trace, PAGES_AT_ONCE);
    model.trace.trim();
    match found {
        Some(target) => arrive_at(model, walk.object, walk.toward, walk.was_walking, target),
        None => {
            let word = word(walk.toward);
            model.notice = Some(format!(
                "looking for {word} events of {}: {}%, {} ends that",
                model.life.names.object,
                walk.neighbour.percent(),
                model.key(Msg::Up)
            ));
            model.walk = Some(walk);
        }
    }
}

fn word(toward: Toward) -> &'static str {
    match toward {
        Toward::Next => "later",
        Toward::Previous => "earlier",
    }
}

fn arrive_at(
    model: &mut Model,
    object: Subject,
    toward: Toward,
    was_walking: bool,
    target: Option<EventId>,
) {
    model.notice = None;
    let Some(target) = target else {
        let word = word(toward);
        model.notice = Some(format!("no {word} event of {}", model.life.names.object));
        return;
    };
    if !was_walking {
        remember(model);
    }
    model.is_walking = true;
    // Where events are no rows, nobody would see it go.
    let has_events = matches!(
        model.pane,
        Pane::Biography | Pane::Events | Pane::Timeline | Pane::Source
    );
    if !has_events && model.area(Pane::Biography).is_none() {
        let from = place(model);
        push(&mut model.crumbs, from);
        show(model, View::Biography);
    }
    if model.pane == Pane::Events {
        leave_hits_unless_hit(model, target);
    }
    set_focus(model, Some(target), Some(object));
}

/// Shows all events where the filter would hide the one that is gone to.
pub(super) fn leave_hits_unless_hit(model: &mut Model, event: EventId) {
    if let Some(filter) = &mut model.events.filter {
        filter.wanted = None;
        if !filter.found().has(event) {
            filter.shown = Shown::All;
        }
    }
}

pub(super) fn next_hit(model: &mut Model, toward: Toward, was_walking: bool) {
    let Some(filter) = &model.events.filter else {
        model.notice = Some(super::palette::no_filter(model));
        return;
    };
    let now = model.focus.event.unwrap_or(EventId(0));
    let found = filter.found();
    let before = found.before(now);
    let target = match toward {
        Toward::Next => found.get(before + usize::from(found.has(now))),
        Toward::Previous => before.checked_sub(1).and_then(|at| found.get(at)),
    };
    let Some(target) = target else {
        let text = filter.text();
        model.notice = Some(match toward {
            _ if model.is_filtering() => format!("still looking for {text}"),
            Toward::Next => format!("no later event with {text}"),
            Toward::Previous => format!("no earlier event with {text}"),
        });
        return;
    };
    if !was_walking {
        remember(model);
    }
    model.is_walking = true;
    if let Some(filter) = &mut model.events.filter {
        filter.wanted = None;
    }
    if model.area(Pane::Events).is_none() {
        show(model, View::Events);
    }
    model.pane = Pane::Events;
    focus_event(model, target);
}
