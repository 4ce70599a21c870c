//! The help over everything else.

use ratatui::layout::Rect;

use crate::help::{area, lines};
use crate::model::Model;
use crate::msg::{Msg, Step};
use crate::text::Tone;
use crate::words::either;

use super::paint::{Paint, Selection};

/// Draws the help.
pub(super) fn draw(model: &Model, paint: &mut Paint<'_>) {
    let Some(text) = area(model.size) else { return };
    let frame = Rect::new(text.x - 2, text.y - 1, text.width + 4, text.height + 2);
    paint.clear(frame);
    let characters = paint.characters;
    let lines = lines(model);
    let help = model.help.clone().unwrap_or_default();
    let top = help.top;
    let height = usize::from(text.height);
    let dash = either(characters, "─", "-");
    let edge = |title: &str, start: &str, end: &str| {
        let free = usize::from(frame.width).saturating_sub(crate::text::width(title) + 2);
        vec![
            (format!("{start}{title}"), Tone::Strong),
            (format!("{}{end}", dash.repeat(free)), Tone::Faint),
        ]
    };
    let below = lines.len().saturating_sub(top + height);
    let more = if below > 0 {
        let key = model.key_for(Msg::Move(Step::Lines(1)), model.listener());
        match help.is_typing {
            true => format!(" {below} more below "),
            false => format!(" {below} more below ({key}) "),
        }
    } else {
        String::new()
    };
    let key = |msg| model.key_for(msg, model.listener());
    let title = match (help.is_typing, help.filter.is_empty()) {
        _ if help.rule.is_some() => format!(
            " What the rule looks for ({} scrolls, {} closes) ",
            key(Msg::Move(Step::Lines(1))),
            key(Msg::Up)
        ),
        (true, _) => {
            let typed = traces::tty(help.filter.as_bytes());
            format!(" Keys here with /{typed}{} ", either(characters, "▏", "_"))
        }
        (false, true) => format!(
            " Keys here ({} runs, {} searches, {} closes) ",
            key(Msg::Open),
            key(Msg::Prompt),
            key(Msg::Up)
        ),
        (false, false) => format!(" Keys here with {} ", traces::tty(help.filter.as_bytes())),
    };
    let title = crate::text::clip(
        &title,
        usize::from(frame.width).saturating_sub(2),
        characters,
    );
    let (first, last) = either(characters, "┌┐", "++").split_at(either(characters, "┌", "+").len());
    paint.line(Rect { height: 1, ..frame }, &edge(&title, first, last));
    let (first, last) = either(characters, "└┘", "++").split_at(either(characters, "└", "+").len());
    paint.line(
        Rect {
            y: frame.bottom() - 1,
            height: 1,
            ..frame
        },
        &edge(&more, first, last),
    );
    let side = either(characters, "│", "|");
    for y in text.top()..text.bottom() {
        paint.line(
            Rect::new(frame.x, y, 1, 1),
            &vec![(side.into(), Tone::Faint)],
        );
        paint.line(
            Rect::new(frame.right() - 1, y, 1, 1),
            &vec![(side.into(), Tone::Faint)],
        );
    }
    for ((line, action), y) in lines.iter().skip(top).zip(text.top()..text.bottom()) {
        let selection = match action {
            Some(action) if *action == help.chosen && help.rule.is_none() => Selection::Active,
            _ => Selection::None,
        };
        let row = Rect {
            y,
            height: 1,
            ..text
        };
        paint.row(row, line, selection);
    }
}
