//! Bookmarks and notes: a row each.

use crate::layout::PaneArea;
use crate::model::Model;
use crate::msg::Msg;
use crate::text::{Line, Tone, counted, width, wrap};

use super::bars::{rows, sign_of, time_width, timed};
use super::paint::Paint;
use super::row_of;

/// Draws the rows, and gives the title.
pub(super) fn draw(model: &Model, paint: &mut Paint<'_>, area: &PaneArea) -> String {
    let list = &model.notes;
    if list.list.is_empty() {
        let [mark, write, export] =
            [Msg::Bookmark, Msg::Note, Msg::Export].map(|msg| model.key(msg));
        let text = format!(
            "Nothing is noted yet. In any list, {mark} bookmarks the selected event and {write} writes a note to \
             it; {export} writes all of them, and the findings, as Markdown."
        );
        let lines = wrap(&text, area.list.width.into()).into_iter();
        for (text, y) in lines.zip(area.list.top()..area.list.bottom()) {
            paint.line(row_of(area.list, y), &vec![(text, Tone::Plain)]);
        }
    }
    rows(model, paint, area, list.top, list.selected, |position| {
        line(model, position)
    });
    counted(list.list.len() as u64, "note")
}

fn line(model: &Model, position: usize) -> Option<Line> {
    let note = model.notes.list.get(position)?;
    let event = model.event(note.event)?;
    let text = traces::tty(note.text.as_bytes());
    let gap = if width(&text) > 0 { "  " } else { "" };
    Some(vec![
        sign_of(model, note.event),
        (timed(model, event, time_width(model)), Tone::Faint),
        (format!("{text}{gap}"), Tone::Strong),
        (model.trace.describe(event), Tone::Plain),
    ])
}
