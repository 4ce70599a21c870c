//! The help: all keys that hold in the pane it was asked from, out of the key table.

use ratatui::layout::Rect;

use crate::keys::help;
use crate::layout::Pane;
use crate::model::Model;
use crate::text::{Line, Tone, wrap_beside};
use crate::words::either;

/// Where the text of the help stands; nothing where the terminal is too small. Around it is a frame.
pub fn area(size: (u16, u16)) -> Option<Rect> {
    let (columns, rows) = size;
    if (columns, rows) < (1, 1)
        || columns < crate::layout::SMALLEST.0
        || rows < crate::layout::SMALLEST.1
    {
        return None;
    }
    let width = (columns - 4).min(76);
    let height = rows - 4;
    Some(Rect::new((columns - width) / 2, 2, width, height))
}

/// The lines of the help.
pub fn lines(model: &Model) -> Vec<Line> {
    let Some(area) = area(model.size) else {
        return Vec::new();
    };
    let keys = help(model.pane_listener(), model.look.characters);
    let widest = keys
        .iter()
        .map(|(keys, _)| crate::text::width(keys))
        .max()
        .unwrap_or(0);
    let mut lines: Vec<Line> = keys
        .iter()
        .flat_map(|(keys, text)| {
            let pad = widest - crate::text::width(keys) + 2;
            let label = format!("{keys}{}", " ".repeat(pad));
            wrap_beside(&label, Tone::Strong, text, area.width.into())
        })
        .collect();
    if model.pane == Pane::Timeline {
        let signs = crate::view::SIGNS.map(|(unicode, ascii, word)| {
            let sign = either(model.look.characters, unicode, ascii);
            format!("{sign} {word}")
        });
        let text = format!(
            "{}; several events in one column are a height. Coroutines: {} running, {} waiting.",
            signs.join(", "),
            either(model.look.characters, "█", "#"),
            either(model.look.characters, "─", "-"),
        );
        let label = format!("signs{}", " ".repeat(widest.saturating_sub(3)));
        lines.extend(wrap_beside(&label, Tone::Strong, &text, area.width.into()));
    }
    lines
}
