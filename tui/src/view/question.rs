//! The question what becomes of a program that still runs, above the status line.

use ratatui::layout::Rect;

use crate::keys::{Listener, help};
use crate::model::Model;
use crate::text::{Line, Tone, width, wrap};
use crate::words::either;

use super::paint::Paint;
use super::row_of;

/// Keys of the question, without those that hold everywhere.
const ANSWERS: usize = 3;

/// Draws it over the rows above the status line.
pub(super) fn draw(model: &Model, paint: &mut Paint<'_>, status: Rect) {
    if !model.live.asks {
        return;
    }
    let lines = lines(paint, status.width.into());
    let height = u16::try_from(lines.len()).unwrap_or(u16::MAX).min(status.y);
    let frame = Rect {
        y: status.y - height,
        height,
        ..status
    };
    paint.clear(frame);
    for (line, y) in lines.iter().zip(frame.top()..frame.bottom()) {
        paint.line(row_of(frame, y), line);
    }
}

fn lines(paint: &Paint<'_>, columns: usize) -> Vec<Line> {
    let dash = either(paint.characters, "─", "-");
    let title = format!("{dash} The program still runs ");
    let rest = columns.saturating_sub(width(&title));
    let mut lines = vec![vec![
        (title, Tone::Strong),
        (dash.repeat(rest), Tone::Faint),
    ]];
    for (keys, text) in help(Listener::Question, paint.characters)
        .iter()
        .take(ANSWERS)
    {
        let room = columns.saturating_sub(10);
        for (index, piece) in wrap(text, room).into_iter().enumerate() {
            let keys = if index == 0 { keys.as_str() } else { "" };
            lines.push(vec![
                (format!(" {keys:<8} "), Tone::Strong),
                (piece, Tone::Plain),
            ]);
        }
    }
    lines
}
