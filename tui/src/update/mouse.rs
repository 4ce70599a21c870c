//! What the mouse does: rows, tabs and commands are chosen by clicks, a stretch of time by dragging.

use super::selection::{move_selection, scroll_text};
use super::timeline;
use super::{go, lists, palette};
use crate::layout::{Pane, timeline_columns};
use crate::model::Model;
use crate::mouse::{Spot, spot};
use crate::msg::{Effect, Mouse, MouseAction, Msg, Step, Toward};

/// Rows that one turn of the wheel goes.
const WHEEL_ROWS: i32 = 3;

/// Takes the mouse from the terminal, or gives it back.
pub(super) fn turn(model: &mut Model) -> Effect {
    model.has_mouse = !model.has_mouse;
    let word = if model.has_mouse {
        "the mouse is the viewer's now; with Shift, most terminals still select text"
    } else {
        "the mouse is the terminal's again"
    };
    model.notice = Some(word.into());
    Effect::Mouse
}

/// Does what the mouse asks for.
pub(super) fn act(model: &mut Model, mouse: Mouse) -> Effect {
    let spot = spot(model, mouse.column, mouse.row);
    match mouse.action {
        MouseAction::Press => return press(model, spot),
        MouseAction::Drag => drag(model, mouse.column),
        MouseAction::Release => timeline::let_go(model),
        MouseAction::Wheel(toward) => wheel(model, toward, mouse.ctrl, spot),
    }
    Effect::Draw
}

fn press(model: &mut Model, spot: Spot) -> Effect {
    model.timeline.dragged_from = None;
    match spot {
        Spot::Tab(view) => go(model, Msg::Show(view), false),
        Spot::Row(pane, row) => {
            let was_chosen = model.pane == pane && model.selected_of(pane) == row;
            choose(model, pane, row);
            if was_chosen && pane != Pane::Timeline {
                go(model, Msg::Open, false);
            }
        }
        Spot::Time(row, column) => {
            model.pane = Pane::Timeline;
            if let Some(row) = row {
                choose(model, Pane::Timeline, row);
            }
            timeline::take_hold(model, column);
        }
        Spot::Pane(pane) | Spot::Text(pane) => model.pane = pane,
        Spot::Header(pane, by) => {
            model.pane = pane;
            lists::sort(model, pane, by);
        }
        Spot::Offer(position) => {
            if let Some(prompt) = &mut model.prompt {
                prompt.chosen = position;
            }
            return palette::accept(model);
        }
        Spot::Nothing => {}
    }
    Effect::Draw
}

/// Selects a row; the pane gets the keys.
fn choose(model: &mut Model, pane: Pane, row: usize) {
    model.pane = pane;
    let by = row as i64 - model.selected_of(pane) as i64;
    let most = i64::from(i32::MAX);
    move_selection(model, Step::Lines(by.clamp(-most, most) as i32));
}

/// The column of time that the mouse is in, or the nearest one.
fn drag(model: &mut Model, column: u16) {
    let Some(area) = model.area(Pane::Timeline) else {
        return;
    };
    let (names, columns) = timeline_columns(area.list.width);
    let column = column
        .saturating_sub(area.list.x + names)
        .min(columns.saturating_sub(1));
    timeline::drag(model, column);
}

fn wheel(model: &mut Model, toward: Toward, ctrl: bool, spot: Spot) {
    let rows = match toward {
        Toward::Next => WHEEL_ROWS,
        Toward::Previous => -WHEEL_ROWS,
    };
    if model.help.is_some() {
        return super::help::choose(model, Step::Lines(rows));
    }
    match spot {
        Spot::Time(_, column) if ctrl => {
            timeline::zoom_about(model, toward == Toward::Previous, column);
        }
        Spot::Text(pane) => {
            model.pane = pane;
            scroll_text(model, rows);
        }
        Spot::Row(pane, _) | Spot::Pane(pane) => {
            model.pane = pane;
            move_selection(model, Step::Lines(rows));
        }
        Spot::Time(..) => {
            model.pane = Pane::Timeline;
            move_selection(model, Step::Lines(rows));
        }
        Spot::Tab(_) | Spot::Header(..) | Spot::Offer(_) | Spot::Nothing => {}
    }
}
