//! Selections and scroll offsets: plain numbers, kept inside their lists.

use super::findings::select_finding;
use super::focus::{focus_event, set_focus};
use crate::about;
use crate::layout::{Pane, panes_of};
use crate::model::{LifeRow, Model};
use crate::msg::Step;

pub(super) fn moved(position: usize, len: usize, height: usize, step: Step) -> usize {
    let last = len.saturating_sub(1);
    let by = |count: i32, rows: usize| {
        let distance = rows.max(1).saturating_mul(count.unsigned_abs() as usize);
        if count < 0 {
            position.saturating_sub(distance)
        } else {
            position.saturating_add(distance)
        }
    };
    match step {
        Step::Lines(count) => by(count, 1),
        Step::Halves(count) => by(count, height / 2),
        Step::Pages(count) => by(count, height.saturating_sub(1)),
        Step::First => 0,
        Step::Last => last,
    }
    .min(last)
}

pub(super) fn list_height(model: &Model, pane: Pane) -> usize {
    model
        .area(pane)
        .map_or(0, |area| usize::from(area.list.height))
}

pub(super) fn move_selection(model: &mut Model, step: Step) {
    let height = list_height(model, model.pane);
    match model.pane {
        Pane::Findings => {
            let to = moved(
                model.findings.selected,
                model.findings.rows.len(),
                height,
                step,
            );
            select_finding(model, to);
        }
        Pane::Biography => {
            let to = moved(model.life.selected, model.life.len(), height, step);
            select_life_row(model, to);
        }
        Pane::Timeline => {
            let rows = model.timeline.rows.len();
            model.timeline.selected = moved(model.timeline.selected, rows, height, step);
        }
        Pane::Neighbours => {
            let len = model.len_of(Pane::Neighbours);
            let to = moved(model.neighbours.selected, len, height, step);
            (model.neighbours.selected, model.neighbours.text_top) = (to, 0);
        }
        pane @ (Pane::Rings | Pane::Objects | Pane::Losses) => {
            let to = moved(model.selected_of(pane), model.len_of(pane), height, step);
            super::lists::select(model, pane, to);
        }
        Pane::Diff => {
            let (now, len) = (model.selected_of(Pane::Diff), model.len_of(Pane::Diff));
            if let Some(pane) = &mut model.diff {
                (pane.selected, pane.text_top) = (moved(now, len, height, step), 0);
            }
        }
        Pane::Notes => {
            let len = model.len_of(Pane::Notes);
            let to = moved(model.notes.selected, len, height, step);
            select_note(model, to);
        }
        Pane::Source => {
            let len = model.source.rows.len();
            model.source.selected = moved(model.source.selected, len, height, step);
        }
        Pane::Events => {
            let to = moved(model.events_selected(), model.events_len(), height, step);
            if let Some(filter) = &mut model.events.filter {
                filter.wanted = None;
            }
            if let Some(event) = model.event_at(to) {
                focus_event(model, event);
            }
        }
    }
}

pub(super) fn select_life_row(model: &mut Model, position: usize) {
    if position != model.life.selected {
        model.life.text_top = 0;
    }
    let row = model.life.row(position);
    let event = match row {
        // Where the focus is among the folded steps already, it stays.
        Some(LifeRow::Folded(fold))
            if model
                .focus
                .event
                .is_some_and(|event| model.life.is_folded_in(fold, event)) =>
        {
            None
        }
        Some(row) => model.life.event_of(row),
        None => None,
    };
    if let Some(event) = event {
        set_focus(model, Some(event), model.focus.object);
    }
    model.life.selected = position;
}

/// Selects a note, and puts its event into focus.
fn select_note(model: &mut Model, position: usize) {
    (model.notes.selected, model.notes.text_top) = (position, 0);
    if let Some(event) = model.notes.list.get(position).map(|note| note.event) {
        focus_event(model, event);
    }
}

pub(super) fn scroll_text(model: &mut Model, lines: i32) {
    let Some(area) = model.area(model.pane) else {
        return;
    };
    let len = about::lines(model, model.pane, area.text.width.into()).len();
    let most = len.saturating_sub(area.text_rows(len));
    let top = model.text_top_mut(model.pane);
    *top = top.saturating_add_signed(lines as isize).min(most);
}

pub(super) fn settle(model: &mut Model) {
    let panes = panes_of(model.view);
    if !panes.contains(&model.pane) {
        model.pane = panes[0];
    }
    model.findings.selected = model
        .findings
        .selected
        .min(model.findings.rows.len().saturating_sub(1));
    model.life.selected = model.life.selected.min(model.life.len().saturating_sub(1));
    super::timeline::settle(model);
    super::source::settle(model);
    super::lists::settle(model);
    super::notes::settle(model);
    super::focus::settle_neighbours(model);
    let Some(layout) = model.layout() else { return };
    for area in &layout.panes {
        let height = usize::from(area.list.height);
        // Rows that are pinned do not scroll: the timeline settled by itself.
        if area.pane != Pane::Timeline {
            let (selected, len) = (model.selected_of(area.pane), model.len_of(area.pane));
            let top = model.top_of(area.pane);
            *top = scrolled(*top, selected, len, height);
        }
        let len = about::lines(model, area.pane, area.text.width.into()).len();
        let most = len.saturating_sub(area.text_rows(len));
        let text_top = model.text_top_mut(area.pane);
        *text_top = (*text_top).min(most);
    }
    super::help::settle(model);
}

/// The first visible row, such that the selected one is visible with a row or two around it, and
/// the list fills its place.
pub(super) fn scrolled(top: usize, selected: usize, len: usize, height: usize) -> usize {
    if height == 0 {
        return selected;
    }
    let margin = (height.saturating_sub(1) / 2).min(2);
    let least = (selected + margin + 1).saturating_sub(height);
    let most = selected.saturating_sub(margin);
    let top = top.clamp(least.min(most), most.max(least.min(most)));
    top.min(len.saturating_sub(height))
}
