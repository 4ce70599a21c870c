//! What stands in a cell of the screen, for clicks: the same rectangles and rows that were drawn.

use ratatui::layout::{Position, Rect};

use crate::commands::matches;
use crate::layout::{Pane, PaneArea, palette_area, timeline_columns};
use crate::model::{Model, PromptKind};
use crate::msg::View;
use crate::sorting::By;
use crate::tabs::tabs;
use crate::text::width;

/// What a cell belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spot {
    /// The name of a view.
    Tab(View),
    /// A row of a pane's list, by its position there.
    Row(Pane, usize),
    /// What a column of a pane's list is called.
    Header(Pane, By),
    /// A column of time, in a row of the timeline or above all of them.
    Time(Option<usize>, u16),
    /// A pane, but none of its rows.
    Pane(Pane),
    /// The text below a pane's list.
    Text(Pane),
    /// A command that the palette offers, by its position.
    Offer(usize),
    /// Help, prompt, bars: nothing that a click would mean.
    Nothing,
}

/// What stands in a cell.
pub fn spot(model: &Model, column: u16, row: u16) -> Spot {
    let at = Position::new(column, row);
    let Some(layout) = model.layout().filter(|_| model.help.is_none()) else {
        return Spot::Nothing;
    };
    if let Some(prompt) = &model.prompt {
        let is_palette = prompt.kind == PromptKind::Command;
        let typed = prompt.text.trim();
        if !is_palette || typed.contains(char::is_whitespace) {
            return Spot::Nothing;
        }
        let offers = matches(&prompt.text, model.look.characters, &model.look.keymap).len();
        return match palette_area(layout.status, offers, prompt.chosen) {
            Some((frame, top)) if frame.contains(at) && row > frame.y => {
                Spot::Offer(top + usize::from(row - frame.y - 1))
            }
            _ => Spot::Nothing,
        };
    }
    if layout.tabs.contains(at) {
        return tab(model, layout.tabs, column);
    }
    for area in &layout.panes {
        if area.text.contains(at) || area.rule.contains(at) {
            return Spot::Text(area.pane);
        }
        if area.header.contains(at) {
            return in_header(model, area, at);
        }
        if area.list.contains(at) {
            return in_list(model, area, at);
        }
        if area.title.contains(at) {
            return Spot::Pane(area.pane);
        }
    }
    Spot::Nothing
}

fn tab(model: &Model, area: Rect, column: u16) -> Spot {
    let mut end = usize::from(area.x);
    for tab in tabs(model, area.width) {
        end += width(&tab.text);
        if usize::from(column) < end {
            return Spot::Tab(tab.view);
        }
    }
    Spot::Nothing
}

fn in_header(model: &Model, area: &PaneArea, at: Position) -> Spot {
    let mut end = usize::from(area.header.x);
    for (_, by, wide) in crate::objects::columns(model, area.header.width.into()) {
        end += wide;
        if usize::from(at.x) < end {
            return Spot::Header(area.pane, by);
        }
    }
    Spot::Pane(area.pane)
}

fn in_list(model: &Model, area: &PaneArea, at: Position) -> Spot {
    let line = at.y - area.list.y;
    if area.pane == Pane::Timeline {
        let (names, _) = timeline_columns(area.list.width);
        // The first line is the ruler.
        let visible = model.timeline.visible(area.list.height.saturating_sub(1));
        let row = line
            .checked_sub(1)
            .and_then(|line| visible.get(usize::from(line)).copied());
        return match (at.x.checked_sub(area.list.x + names), row) {
            (Some(column), _) if model.timeline.window.is_some() => Spot::Time(row, column),
            (_, Some(row)) => Spot::Row(Pane::Timeline, row),
            (_, None) => Spot::Pane(Pane::Timeline),
        };
    }
    let position = model.first_row_of(area.pane) + usize::from(line);
    if position < model.len_of(area.pane) {
        Spot::Row(area.pane, position)
    } else {
        Spot::Pane(area.pane)
    }
}
