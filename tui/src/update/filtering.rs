//! The filter while it is typed and while it searches.

use traces::event::EventId;

use super::focus::{focus_event, gather_life, set_focus};
use super::places::{place, remember, return_to, show};
use crate::filter::Filter;
use crate::layout::Pane;
use crate::model::{Model, Prompt};
use crate::msg::{Msg, View};

/// Characters that a filter may have.
const FILTER_MAX: usize = 200;

/// Opens the prompt over the events.
pub(super) fn begin(model: &mut Model) {
    let from = place(model);
    if model.view != View::Events {
        remember(model);
        show(model, View::Events);
    }
    model.pane = Pane::Events;
    model.prompt = Some(Prompt {
        text: String::new(),
        from,
    });
}

pub(super) fn prompt(model: &mut Model, msg: Msg) {
    let Some(prompt) = &mut model.prompt else {
        return;
    };
    match msg {
        Msg::Type(c) if prompt.text.chars().count() < FILTER_MAX => prompt.text.push(c),
        Msg::Erase if prompt.text.is_empty() => return cancel(model),
        Msg::Erase => {
            prompt.text.pop();
        }
        Msg::EraseAll => prompt.text.clear(),
        Msg::Accept => {
            let is_empty = prompt.text.trim().is_empty();
            model.prompt = None;
            if is_empty {
                model.events.filter = None;
            }
            return;
        }
        Msg::Cancel => return cancel(model),
        _ => return,
    }
    let text = prompt.text.clone();
    let from = prompt.from;
    model.events.filter = (!text.trim().is_empty())
        .then(|| Filter::new(&text, Some(from.focus.event.unwrap_or(EventId(0)))));
    if model.events.filter.is_none() {
        set_focus(model, from.focus.event, from.focus.object);
    }
    model.events.top = 0;
    filter_work(model);
}

pub(super) fn cancel(model: &mut Model) {
    model.events.filter = None;
    if let Some(prompt) = model.prompt.take() {
        return_to(model, prompt.from);
    }
}

/// A slice of unfinished work.
pub(super) fn work(model: &mut Model) {
    if model.is_filtering() {
        filter_work(model);
    } else if model.is_gathering_lanes() {
        super::timeline::gather(model);
    } else if model.owes_life() {
        gather_life(model);
    } else if model.owes_neighbours() {
        super::focus::gather_neighbours(model);
    }
}

pub(super) fn filter_work(model: &mut Model) {
    let Some(mut filter) = model.events.filter.take() else {
        return;
    };
    filter.work(model.trace.events().len(), |id| model.filter_line(id));
    let wanted = filter
        .wanted
        .and_then(|event| filter.nearest(event))
        .map(|at| filter.hits()[at]);
    let is_done = filter.scanned() >= model.trace.events().len();
    if is_done && model.prompt.is_none() {
        filter.wanted = None;
    }
    model.events.filter = Some(filter);
    if let Some(event) = wanted {
        focus_event(model, event);
    }
}
