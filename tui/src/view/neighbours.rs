//! The lives before and after the focused one, in the same place.

use traces::biography::Row;

use crate::layout::PaneArea;
use crate::life::{NeighbourRow, Side};
use crate::model::Model;
use crate::text::{Line, Tone, difference, width, wrap};
use crate::words::either;

use super::bars::{event_and_place, rows, sign_of};
use super::paint::Paint;
use super::row_of;

/// Draws the rows, and gives the title.
pub(super) fn draw(model: &Model, paint: &mut Paint<'_>, area: &PaneArea) -> String {
    let text = match &model.life.around {
        _ if model.focus.object.is_none() => "No object is selected.",
        Some(around) if around.is_empty() => {
            "Nothing else was seen at this address, or in this slot, before or after."
        }
        Some(_) => "",
        None => "looking through all events...",
    };
    let lines = wrap(text, area.list.width.into()).into_iter();
    for (text, y) in lines.zip(area.list.top()..area.list.bottom()) {
        paint.line(row_of(area.list, y), &vec![(text, Tone::Faint)]);
    }
    let columns = usize::from(area.list.width);
    let list = &model.neighbours;
    rows(model, paint, area, list.top, list.selected, |position| {
        line(model, position, columns)
    });
    "Before and after it, in the same place".into()
}

fn line(model: &Model, position: usize, columns: usize) -> Option<Line> {
    let around = model.life.around.as_ref()?;
    match around.row(position)? {
        NeighbourRow::Head(side) => Some(head(model, side)),
        NeighbourRow::Event(side, index) => {
            event(model, around.side(side)?.rows.get(index)?, columns)
        }
    }
}

fn head(model: &Model, side: Side) -> Line {
    let characters = model.look.characters;
    let (sign, word, name) = match side {
        Side::Before => (
            either(characters, "↑", "^"),
            "before",
            &model.life.names.previous,
        ),
        Side::After => (
            either(characters, "↓", "v"),
            "after",
            &model.life.names.next,
        ),
    };
    vec![
        (format!("{sign} {word} "), Tone::Faint),
        (name.clone(), Tone::Strong),
    ]
}

fn event(model: &Model, row: &Row, columns: usize) -> Option<Line> {
    let event = model.event(row.event)?;
    let since = difference(row.since_ns.into(), model.look.characters);
    let pad = " ".repeat(8usize.saturating_sub(width(&since)));
    let mut line = vec![
        sign_of(model, event.id),
        (format!("{pad}{since} "), Tone::Faint),
    ];
    let used = line.iter().map(|(text, _)| width(text)).sum();
    line.extend(event_and_place(model, event, Tone::Plain, columns, used));
    Some(line)
}
