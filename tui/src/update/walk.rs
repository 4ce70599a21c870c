//! Walking along an object's events, or from hit to hit.

use traces::event::EventId;

use super::focus::{focus_event, set_focus};
use super::places::{place, push, remember, show};
use crate::hits::Shown;
use crate::layout::Pane;
use crate::model::Model;
use crate::msg::{Toward, View};

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
        None => model.trace.event_of_beside(object, now, is_next),
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
    let Some(target) = target else {
        let word = match toward {
            Toward::Next => "later",
            Toward::Previous => "earlier",
        };
        model.notice = Some(format!("no {word} event of {}", model.life.names.object));
        return;
    };
    if !was_walking {
        remember(model);
    }
    model.is_walking = true;
    if model.pane == Pane::Findings && model.area(Pane::Biography).is_none() {
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
        model.notice = Some("no filter yet: / begins one".into());
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
