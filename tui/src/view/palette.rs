//! The palette: commands that fit what is typed, above the line where it is typed.

use ratatui::layout::Rect;

use crate::commands::matches;
use crate::layout::palette_area;
use crate::model::{Model, PromptKind};
use crate::text::{Tone, width};
use crate::words::either;

use super::paint::{Paint, Selection};

/// Draws the commands over the rows above the status line.
pub(super) fn draw(model: &Model, paint: &mut Paint<'_>, status: Rect) {
    let Some(prompt) = &model.prompt else { return };
    if prompt.kind != PromptKind::Command || prompt.text.trim().contains(char::is_whitespace) {
        return;
    }
    let offers = matches(&prompt.text, paint.characters, &model.look.keymap);
    let Some((frame, top)) = palette_area(status, offers.len(), prompt.chosen) else {
        return;
    };
    let height = frame.height - 1;
    paint.clear(frame);
    let dash = either(paint.characters, "─", "-");
    let title = format!("{dash} Commands ");
    let rest = usize::from(frame.width).saturating_sub(width(&title));
    paint.line(
        Rect { height: 1, ..frame },
        &vec![(title, Tone::Strong), (dash.repeat(rest), Tone::Faint)],
    );
    let widest = offers
        .iter()
        .map(|offer| offer.name.len() + 1 + offer.takes.len())
        .max()
        .unwrap_or(0);
    let visible = offers.iter().enumerate().skip(top).take(height.into());
    for ((position, offer), y) in visible.zip(frame.y + 1..) {
        let name = format!("{} {}", offer.name, offer.takes);
        let pad = " ".repeat((widest + 1).saturating_sub(width(&name)));
        let keys = format!("{:>5} ", offer.keys);
        let selection = if position == prompt.chosen {
            Selection::Active
        } else {
            Selection::None
        };
        let row = Rect {
            y,
            height: 1,
            ..frame
        };
        paint.row(
            row,
            &vec![
                (name, Tone::Plain),
                (pad, Tone::Plain),
                (keys, Tone::Strong),
                (offer.help.to_owned(), Tone::Faint),
            ],
            selection,
        );
    }
}
