//! What changed from one trace to the other.

use crate::diff::{Became, Row, Side, by_how_much, value, word};
use crate::layout::PaneArea;
use crate::model::Model;
use crate::text::{Line, Tone, clip, width};
use crate::words::either;

use super::bars::rows;
use super::paint::Paint;

/// Draws the rows, and gives the title.
pub(super) fn draw(model: &Model, paint: &mut Paint<'_>, area: &PaneArea) -> String {
    let Some(pane) = &model.diff else {
        return String::new();
    };
    if pane.is_empty() {
        let text = "Neither has a finding, and no number moved.".to_owned();
        paint.line(area.list, &vec![(text, Tone::Plain)]);
    }
    let columns = usize::from(area.list.width);
    rows(model, paint, area, pane.top, pane.selected, |position| {
        pane.row(position).map(|row| line(model, row, columns))
    });
    let diff = &pane.diff;
    let arrow = either(paint.characters, "→", "->");
    let [before, after] = &pane.names;
    let shown = match pane.side {
        Side::Before => before,
        Side::After => after,
    };
    format!(
        "{} new, {} gone, {} same, {} numbers moved: {before} {arrow} {after}; shown is {shown}",
        diff.new.len(),
        diff.gone.len(),
        diff.same.len(),
        diff.moved.len()
    )
}

fn line(model: &Model, row: Row<'_>, columns: usize) -> Line {
    let characters = model.look.characters;
    let arrow = either(characters, "→", "->");
    match row {
        Row::Finding(became, entry) => {
            let (name, tone) = word(became);
            let sign = match became {
                Became::New => "+",
                Became::Gone => "-",
                Became::Same => "=",
            };
            let (before, after) = (entry.count_before, entry.count_after);
            let times = if before.max(after) > 1 {
                let times = either(characters, "×", "x");
                format!(" {times}{before} {arrow} {times}{after}")
            } else {
                String::new()
            };
            vec![
                (format!("{sign} {name:<5}"), tone),
                (format!("{} {}", entry.rule, entry.name), Tone::Strong),
                (times, Tone::Strong),
                (format!("  {}", entry.message), Tone::Faint),
            ]
        }
        Row::Moved(moved) => {
            let numbers = format!(
                "{} {arrow} {}",
                value(model, moved, moved.before),
                value(model, moved, moved.after)
            );
            let by = by_how_much(model, moved);
            let room = columns.saturating_sub(width(&numbers) + width(&by) + 12);
            let what = clip(&moved.what, room, characters);
            let gap = " ".repeat(room.saturating_sub(width(&what)) + 1);
            vec![
                ("  ".to_owned(), Tone::Plain),
                (what, Tone::Plain),
                (gap, Tone::Plain),
                (numbers, Tone::Strong),
                (format!("  {by}"), Tone::Faint),
            ]
        }
    }
}
