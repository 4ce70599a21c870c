//! The question what becomes of a program that still runs, above the status line.

use ratatui::layout::Rect;

use crate::keys::{Keymap, Listener, bindings_of, label};
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
    let lines = lines(paint, &model.look.keymap, status.width.into());
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

fn lines(paint: &Paint<'_>, keymap: &Keymap, columns: usize) -> Vec<Line> {
    let dash = either(paint.characters, "─", "-");
    let title = format!("{dash} The program still runs ");
    let rest = columns.saturating_sub(width(&title));
    let mut lines = vec![vec![
        (title, Tone::Strong),
        (dash.repeat(rest), Tone::Faint),
    ]];
    let answers = bindings_of(Listener::Question);
    for answer in answers.take(ANSWERS) {
        let keys = keymap.keys(answer).iter();
        let keys: Vec<String> = keys.map(|key| label(*key, paint.characters)).collect();
        let keys = keys.join(" ");
        let room = columns.saturating_sub(10);
        for (index, piece) in wrap(answer.help, room).into_iter().enumerate() {
            let keys = if index == 0 { keys.as_str() } else { "" };
            lines.push(vec![
                (format!(" {keys:<8} "), Tone::Strong),
                (piece, Tone::Plain),
            ]);
        }
    }
    lines
}
