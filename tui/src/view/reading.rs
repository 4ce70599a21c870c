//! What stands on the screen before there is a trace: how far it has come, and what was found so far.

use ratatui::layout::Rect;

use crate::live::State;
use crate::model::Model;
use crate::msg::Msg;
use crate::text::{Line, Tone, count, wrap};
use crate::words::{either, rule_name};

use super::paint::Paint;
use super::row_of;

/// Columns of the widest bar.
const BAR_MAX: u16 = 60;

/// Draws into a whole pane.
pub(super) fn draw(model: &Model, paint: &mut Paint<'_>, area: Rect) {
    let lines = lines(model, paint, area.width);
    for (line, y) in lines.iter().zip(area.top()..area.bottom()) {
        paint.line(row_of(area, y), line);
    }
}

fn lines(model: &Model, paint: &Paint<'_>, columns: u16) -> Vec<Line> {
    let Some(reading) = &model.live.reading else {
        return Vec::new();
    };
    let mut lines = vec![
        vec![(model.look.title.clone(), Tone::Strong)],
        vec![(reading.text(), Tone::Plain)],
    ];
    if let Some(percent) = reading.percent {
        let wide = usize::from(columns.saturating_sub(2).min(BAR_MAX));
        let done = wide * usize::from(percent.min(100)) / 100;
        let (full, empty) = (
            either(paint.characters, "█", "#"),
            either(paint.characters, "░", "."),
        );
        lines.push(vec![
            (full.repeat(done), Tone::Strong),
            (empty.repeat(wide - done), Tone::Faint),
        ]);
    }
    lines.push(Line::new());
    if !reading.found.is_empty() {
        lines.push(vec![(
            "found so far, to be folded into stories:".into(),
            Tone::Plain,
        )]);
        for (rule, times) in &reading.found {
            lines.push(vec![
                (format!("  {rule} {}", rule_name(*rule)), Tone::Strong),
                (
                    format!("  {}{}", either(paint.characters, "×", "x"), count(*times)),
                    Tone::Plain,
                ),
            ]);
        }
        lines.push(Line::new());
    }
    let watched = model.live.watched.as_ref();
    if let Some(output) = watched.and_then(|watched| watched.output.as_ref()) {
        let text = format!("what the program prints goes to {output}");
        let pieces = wrap(&text, columns.into());
        lines.extend(pieces.into_iter().map(|line| vec![(line, Tone::Plain)]));
    }
    let [up, leave, help] = [Msg::Up, Msg::Leave, Msg::Help].map(|msg| model.key(msg));
    let hint = match watched.map(|watched| &watched.state) {
        Some(State::Running) => format!("{leave} leaves, {help} shows all keys"),
        _ => format!("{up} or {leave} leaves, {help} shows all keys"),
    };
    lines.extend(
        wrap(&hint, columns.into())
            .into_iter()
            .map(|line| vec![(line, Tone::Faint)]),
    );
    lines
}
