//! The help: an action of it is chosen and run, and what is listed is narrowed by what is typed.

use super::selection::{moved, scrolled};
use super::update;
use crate::help::{Help, actions, area, lines};
use crate::model::Model;
use crate::msg::{Effect, Msg, Step};

/// Characters that a search may have.
const FILTER_MAX: usize = 60;

/// Shows it.
pub(super) fn begin(model: &mut Model) {
    model.help = Some(Help::default());
}

/// Shows what the rule of the finding looks for.
pub(super) fn explain(model: &mut Model) {
    let row = super::findings::meant_finding(model)
        .or_else(|| Some(model.selected_finding()).filter(|row| model.finding(*row).is_some()));
    let rule = match row {
        Some(row) => model.finding(row).map(|finding| finding.rule),
        None => model
            .question(model.selected_finding())
            .map(|question| question.rule),
    };
    match rule {
        Some(rule) => {
            model.help = Some(Help {
                rule: Some(rule),
                ..Help::default()
            });
        }
        None => {
            model.notice = Some("no finding is about this, so there is no rule to explain".into());
        }
    }
}

fn height(model: &Model) -> usize {
    area(model.size).map_or(0, |area| usize::from(area.height))
}

/// Chooses another action.
pub(super) fn choose(model: &mut Model, step: Step) {
    let (len, height) = (actions(model).len(), height(model));
    let lines = lines(model).len();
    if let Some(help) = &mut model.help {
        if help.rule.is_some() {
            // A page has no rows to choose: it scrolls.
            let last = lines.saturating_sub(height);
            help.top = moved(help.top.min(last), last + 1, height, step);
            return;
        }
        help.chosen = moved(help.chosen, len, height, step);
        // What stands below the last action is to be seen, too.
        if help.chosen + 1 == len {
            help.top = usize::MAX;
        }
    }
}

/// Runs the chosen action.
pub(super) fn run(model: &mut Model) -> Effect {
    let chosen = model.help.as_ref().map_or(0, |help| help.chosen);
    if model.help.as_ref().is_some_and(|help| help.rule.is_some()) {
        model.help = None;
        return Effect::Draw;
    }
    let action = actions(model).get(chosen).copied();
    match action {
        Some(action) => {
            model.help = None;
            update(model, action.msg)
        }
        None => Effect::Draw,
    }
}

/// Begins to type what is searched for.
pub(super) fn search(model: &mut Model) {
    if let Some(help) = &mut model.help
        && help.rule.is_none()
    {
        help.is_typing = true;
    }
}

/// Whether what is typed belongs to the help.
pub(super) fn is_typing(model: &Model) -> bool {
    model.help.as_ref().is_some_and(|help| help.is_typing)
}

/// A key while it is typed.
pub(super) fn typed(model: &mut Model, msg: Msg) {
    let Some(help) = &mut model.help else { return };
    match msg {
        Msg::Type(c) if help.filter.chars().count() < FILTER_MAX => help.filter.push(c),
        Msg::Erase if help.filter.is_empty() => help.is_typing = false,
        Msg::Erase => {
            help.filter.pop();
        }
        Msg::EraseAll => help.filter.clear(),
        Msg::Accept => help.is_typing = false,
        Msg::Cancel => {
            help.filter.clear();
            help.is_typing = false;
        }
        _ => return,
    }
    (help.chosen, help.top) = (0, 0);
}

/// One level up: without the search, then without the help.
pub(super) fn up(model: &mut Model) {
    match &mut model.help {
        Some(help) if !help.filter.is_empty() => *help = Help::default(),
        _ => model.help = None,
    }
}

/// Keeps the chosen action inside and visible.
pub(super) fn settle(model: &mut Model) {
    if model.help.is_none() {
        return;
    }
    let (len, height) = (actions(model).len(), height(model));
    let lines = lines(model);
    let Some(help) = &mut model.help else { return };
    if help.rule.is_some() {
        help.top = help.top.min(lines.len().saturating_sub(height));
        return;
    }
    help.chosen = help.chosen.min(len.saturating_sub(1));
    let is_chosen = |line: &(_, Option<usize>)| line.1 == Some(help.chosen);
    let first = lines.iter().position(is_chosen).unwrap_or(0);
    let last = lines.iter().rposition(is_chosen).unwrap_or(0);
    let top = help.top.min(lines.len().saturating_sub(height));
    let shown = scrolled(top, last, lines.len(), height).min(first);
    // At its end the list is shown to the end.
    let is_end = help.top == usize::MAX && last + height > lines.len();
    help.top = if is_end { top.min(first) } else { shown };
}
