//! What everything on the screen is about: one focus for all panes.

use traces::biography::Gathering;
use traces::event::EventId;
use traces::finding::Subject;

use crate::life::{Around, GatheringAround};
use crate::model::{Focus, Life, LifeRow, Model, Scroll};
use crate::msg::Fold;

/// Up to so many events a life is gathered at once; above, when no key waits.
const AT_ONCE: usize = 100_000;

/// Events that are looked at in one slice: a few milliseconds.
const SLICE: usize = 65_536;

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
        model.neighbours = Scroll::default();
        if let Some(object) = object {
            model.life.names.object = model.trace.name_of_near(object, model.focus.event);
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
    while model.owes_life() {
        gather_life_on(model);
    }
}

/// A slice of gathering a life.
pub(super) fn gather_life_on(model: &mut Model) {
    let Some(object) = model.focus.object else {
        return;
    };
    let gathering = &mut model.life.gathering;
    let trace = &model.trace;
    let gathering = gathering.get_or_insert_with(|| Box::new(Gathering::of(trace, object)));
    let is_done = !gathering.work(&model.trace, SLICE);
    model.trace.trim();
    if !is_done {
        return;
    }
    let Some(gathering) = model.life.gathering.take() else {
        return;
    };
    let told = gathering.finish(&model.trace);
    let part = told.rows.first().map(|row| row.event);
    let name = |subject: Option<Subject>| {
        subject.map_or(String::new(), |subject| {
            model.trace.name_of_near(subject, part)
        })
    };
    model.life.names.previous = name(told.previous);
    model.life.names.next = name(told.next);
    model.life.told = Some(told);
    list_life(model);
    super::source::relist(model);
}

/// Lists the life anew: it is another one, or a fold or the selected time has changed.
pub(super) fn list_life(model: &mut Model) {
    let marks = &model.marks;
    let is_marked = |event: EventId| marks.contains_key(&event);
    model.life.list(model.range, is_marked);
    select_in_life(model);
}

/// Gathers the lives around, where they are shown and the trace is small enough to do it at once.
pub(super) fn settle_neighbours(model: &mut Model) {
    if model.owes_neighbours() && model.trace.events().len() <= AT_ONCE {
        gather_neighbours(model);
    }
    let last = model.life.around.as_ref().map_or(0, Around::len);
    model.neighbours.selected = model.neighbours.selected.min(last.saturating_sub(1));
}

fn gather_neighbours(model: &mut Model) {
    while model.owes_neighbours() {
        gather_neighbours_on(model);
    }
}

/// A slice of gathering the lives around.
pub(super) fn gather_neighbours_on(model: &mut Model) {
    let Some(told) = &model.life.told else { return };
    let around = &mut model.life.gathering_around;
    let gathering = around.get_or_insert_with(|| {
        Box::new(GatheringAround::of(&model.trace, told.previous, told.next))
    });
    let is_done = !gathering.work(&model.trace, SLICE);
    model.trace.trim();
    if is_done && let Some(gathering) = model.life.gathering_around.take() {
        model.life.around = Some(gathering.finish(&model.trace));
    }
}

/// Opens or shuts the fold that is selected, or that the selected step was in.
pub(super) fn set_fold(model: &mut Model, fold: Fold) {
    match (fold, model.life.row(model.life.selected)) {
        (Fold::Open, Some(LifeRow::Folded(at))) => {
            if let Some(steps) = model.life.folds.get(at) {
                model.life.opened.insert(steps.from);
            }
        }
        (Fold::Shut, Some(LifeRow::Event(index))) => {
            let Some(from) = model.life.opened.range(..=index).next_back().copied() else {
                return;
            };
            model.life.opened.remove(&from);
        }
        _ => return,
    }
    list_life(model);
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
