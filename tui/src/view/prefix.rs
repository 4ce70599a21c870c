//! What may follow the first key of a pair, above the status line, for who hesitates.

use ratatui::layout::Rect;

use crate::keys::pairs;
use crate::model::Model;
use crate::text::{Line, Tone, width};
use crate::words::either;

use super::paint::Paint;
use super::row_of;

/// Draws it over the rows above the status line.
pub(super) fn draw(model: &Model, paint: &mut Paint<'_>, status: Rect) {
    let Some(first) = model.prefix.filter(|_| model.hesitates) else {
        return;
    };
    let pairs: Vec<_> = pairs(first, model.listener(), &model.look.keymap).collect();
    let room = status.y.saturating_sub(3);
    let height = room.min(u16::try_from(pairs.len() + 1).unwrap_or(u16::MAX));
    let frame = Rect {
        y: status.y - height,
        height,
        ..status
    };
    paint.clear(frame);
    let dash = either(paint.characters, "─", "-");
    let title = format!("{dash} {first} and ");
    let rest = usize::from(frame.width).saturating_sub(width(&title));
    let title: Line = vec![(title, Tone::Strong), (dash.repeat(rest), Tone::Faint)];
    let rows = pairs.iter().map(|(second, binding)| {
        vec![
            (format!(" {second}  "), Tone::Strong),
            (binding.help.to_owned(), Tone::Plain),
        ]
    });
    for (line, y) in std::iter::once(title)
        .chain(rows)
        .zip(frame.top()..frame.bottom())
    {
        paint.line(row_of(frame, y), &line);
    }
}
