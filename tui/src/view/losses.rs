//! What was lost, where, and what cannot be told because of it.

use crate::layout::PaneArea;
use crate::losses::{LossRow, row, title};
use crate::model::Model;
use crate::text::{Line, Tone, counted, time};
use crate::words::{either, loss_word};

use super::bars::{rows, time_width};
use super::paint::Paint;

/// Draws the rows, and gives the title.
pub(super) fn draw(model: &Model, paint: &mut Paint<'_>, area: &PaneArea) -> String {
    if model.len_of(area.pane) == 0 {
        let text = if model.verdict.summary.losses == 0 {
            format!(
                "{} No record is missing.",
                either(model.look.characters, "✔", "+")
            )
        } else {
            "Where they are missing is not known.".to_owned()
        };
        paint.line(area.list, &vec![(text, Tone::Strong)]);
    }
    let list = &model.losses;
    rows(model, paint, area, list.top, list.selected, |position| {
        line(model, row(model, position)?)
    });
    title(model)
}

fn line(model: &Model, row: LossRow) -> Option<Line> {
    let recording = model.trace.recording();
    match row {
        LossRow::Loss(at) => {
            let found = recording.losses.get(at)?;
            let when = model.event(found.event).map_or(0, |event| event.at_ns);
            let wide = time_width(model);
            let records = found
                .loss
                .records
                .map_or("records".to_owned(), |n| counted(n, "record"));
            Some(vec![
                (format!("? {:>wide$} ", time(when)), Tone::Unsure),
                (
                    format!("{} ", model.thread_name(found.process, found.lane)),
                    Tone::Faint,
                ),
                (
                    format!("{records} {}", loss_word(found.loss.reason)),
                    Tone::Plain,
                ),
            ])
        }
        LossRow::Unreadable => Some(vec![(
            "! events that were put aside cannot be read back".to_owned(),
            Tone::Warning,
        )]),
        LossRow::Problem(at) => {
            let problem = recording.problems.get(at)?;
            let text = traces::tty(problem.to_string().as_bytes());
            Some(vec![(format!("! {text}"), Tone::Warning)])
        }
    }
}
