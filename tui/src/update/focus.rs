//! What everything on the screen is about: one focus for all panes.

use traces::event::EventId;
use traces::finding::Subject;

use crate::model::{Focus, Life, Model};

/// Up to so many events a life is gathered at once; above, when no key waits.
const AT_ONCE: usize = 100_000;

pub(super) fn set_focus(model: &mut Model, event: Option<EventId>, object: Option<Subject>) {
    let known = event
        .and_then(|id| model.event(id))
        .map(|e| (e.id, e.at_ns, e.lane));
    let old = model.focus;
    model.focus = Focus {
        event: known.map(|known| known.0),
        at_ns: known.map_or(old.at_ns, |known| known.1),
        lane: known.map(|known| known.2),
        object,
    };
    if old.event != model.focus.event {
        model.events.text_top = 0;
        model.life.text_top = 0;
    }
    if old.object != object {
        model.life = Life::default();
        if let Some(object) = object {
            model.life.names.object = model.trace.name_of(object);
        }
    }
    if model.owes_life() && model.trace.events().len() <= AT_ONCE {
        gather_life(model);
    } else {
        select_in_life(model);
    }
}

/// Puts an event into focus; the object stays while the event belongs to its life.
pub(super) fn focus_event(model: &mut Model, event: EventId) {
    let keep = model.life.has(event);
    let object = match model.trace.subject_of(event) {
        _ if keep => model.focus.object,
        Some(subject) => Some(subject),
        None => model.focus.object,
    };
    set_focus(model, Some(event), object);
}

pub(super) fn gather_life(model: &mut Model) {
    if let Some(object) = model.focus.object {
        let told = model.trace.biography(object);
        let name = |subject: Option<Subject>| {
            subject.map_or(String::new(), |subject| model.trace.name_of(subject))
        };
        model.life.names.previous = name(told.previous);
        model.life.names.next = name(told.next);
        model.life.told = Some(told);
        select_in_life(model);
    }
}

pub(super) fn select_in_life(model: &mut Model) {
    if let Some(event) = model.focus.event {
        let position = model.life.position_of(event);
        if position != model.life.selected {
            model.life.selected = position;
            model.life.text_top = 0;
        }
    }
}
