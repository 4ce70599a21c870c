//! The filter while it is typed and while it searches.

use traces::event::EventId;

use super::focus::{focus_event, gather_life_on, set_focus};
use super::places::{place, remember, return_to, show};
use crate::hits::Hits;
use crate::layout::Pane;
use crate::model::{Model, Prompt, PromptKind};
use crate::msg::{Effect, Msg, View};

/// Opens the prompt over the events.
pub(super) fn begin(model: &mut Model) {
    let from = place(model);
    if model.view != View::Events {
        remember(model);
        show(model, View::Events);
    }
    model.pane = Pane::Events;
    model.prompt = Some(Prompt::new(PromptKind::Filter, from));
}

/// A key while something is typed.
pub(super) fn typed(model: &mut Model, msg: Msg) -> Effect {
    match model.prompt.as_ref().map(|prompt| prompt.kind) {
        Some(PromptKind::Command) => super::palette::typed(model, msg),
        Some(PromptKind::Note(_)) if msg == Msg::Accept => super::notes::accept(model),
        Some(PromptKind::Reason(_) | PromptKind::Until(_)) if msg == Msg::Accept => {
            super::suppressing::accept(model)
        }
        Some(
            PromptKind::Filter | PromptKind::Note(_) | PromptKind::Reason(_) | PromptKind::Until(_),
        ) => {
            prompt(model, msg);
            Effect::Draw
        }
        None => Effect::Draw,
    }
}

fn prompt(model: &mut Model, msg: Msg) {
    let Some(prompt) = &mut model.prompt else {
        return;
    };
    match msg {
        Msg::Type(c) => prompt.add(c),
        Msg::Erase if prompt.text.is_empty() => return cancel(model),
        Msg::Erase => prompt.erase(),
        Msg::EraseAll => prompt.clear(),
        // What cannot be read is not kept: its error stays below it.
        Msg::Accept if prompt.error.is_some() => return,
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
    if prompt.kind != PromptKind::Filter {
        return;
    }
    let from = prompt.from;
    let wanted = Some(from.focus.event.unwrap_or(EventId(0)));
    match Hits::of(&model.trace, &prompt.text, wanted) {
        Ok(hits) => model.events.filter = hits,
        // While a word is half typed, what the last whole one found stays.
        Err(error) => {
            prompt.error = Some(error.pointed());
            return;
        }
    }
    if model.events.filter.is_none() {
        set_focus(model, from.focus.event, from.focus.object);
    }
    model.events.top = 0;
    filter_work(model);
}

pub(super) fn cancel(model: &mut Model) {
    let kind = model.prompt.as_ref().map(|prompt| prompt.kind);
    if let Some(PromptKind::Note(_) | PromptKind::Reason(_) | PromptKind::Until(_)) = kind {
        model.prompt = None;
        return;
    }
    model.events.filter = None;
    if let Some(prompt) = model.prompt.take() {
        return_to(model, prompt.from);
    }
}

/// A slice of unfinished work.
pub(super) fn work(model: &mut Model) -> Effect {
    if model.walk.is_some() {
        super::walk::look_on(model);
    } else if model.is_filtering() {
        filter_work(model);
    } else if model.is_gathering_lanes() {
        super::timeline::gather(model);
    } else if model.timeline.seeking.is_some() {
        super::timeline::seek_causes(model);
    } else if !model.script.is_empty() {
        return super::palette::run_script(model);
    } else if model.owes_life() {
        gather_life_on(model);
    } else if model.owes_neighbours() {
        super::focus::gather_neighbours_on(model);
    }
    Effect::Draw
}

pub(super) fn filter_work(model: &mut Model) {
    let Some(mut filter) = model.events.filter.take() else {
        return;
    };
    filter.work(&model.trace);
    let wanted = filter
        .wanted
        .and_then(|event| filter.nearest(event))
        .and_then(|at| filter.found().get(at));
    let is_done = filter.scanned() >= model.trace.events().len();
    if is_done && model.prompt.is_none() {
        filter.wanted = None;
    }
    model.events.filter = Some(filter);
    if let Some(event) = wanted {
        focus_event(model, event);
    }
}
