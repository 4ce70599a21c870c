//! The life of one object: a row an event, the lives before and after it in the same place around.

use traces::finding::Subject;

use crate::layout::PaneArea;
use crate::model::{LifeRow, Model};
use crate::text::{Line, Tone, clip, difference, width};
use crate::words::either;

use super::bars::{rows, sign_of, time_width, timed};
use super::paint::Paint;

/// Draws the rows, and gives the title.
pub(super) fn draw(model: &Model, paint: &mut Paint<'_>, area: &PaneArea) -> String {
    let Some(object) = model.focus.object else {
        paint.line(
            area.list,
            &vec![("No object is selected.".into(), Tone::Plain)],
        );
        return "Biography".into();
    };
    let name = model.trace.name_of(object);
    if model.life.told.is_none() {
        paint.line(
            area.list,
            &vec![("looking through all events...".into(), Tone::Faint)],
        );
    } else if model.life.is_empty() {
        paint.line(
            area.list,
            &vec![("No recorded event belongs to it.".into(), Tone::Plain)],
        );
    } else {
        let columns = usize::from(area.list.width);
        rows(
            model,
            paint,
            area,
            model.life.top,
            model.life.selected,
            |position| Some(line(model, model.life.row(position)?, columns)),
        );
    }
    format!("Biography of {name}")
}

fn line(model: &Model, row: LifeRow, columns: usize) -> Line {
    let characters = model.look.characters;
    let neighbour = |sign: &str, word: &str, subject: Subject| {
        vec![
            (format!("{sign} {word} "), Tone::Faint),
            (model.trace.name_of(subject), Tone::Plain),
        ]
    };
    match row {
        LifeRow::Previous(subject) => neighbour(
            either(characters, "↑", "^"),
            "before it, same place:",
            subject,
        ),
        LifeRow::Next(subject) => neighbour(
            either(characters, "↓", "v"),
            "after it, same place:",
            subject,
        ),
        LifeRow::Event(index) => {
            let rows = model
                .life
                .told
                .as_ref()
                .map(|told| &told.rows[..])
                .unwrap_or_default();
            let Some(row) = rows.get(index) else {
                return Line::new();
            };
            let Some(event) = model.event(row.event) else {
                return Line::new();
            };
            let since = difference(row.since_ns.into(), characters);
            let pad = " ".repeat(8usize.saturating_sub(width(&since)));
            let mut line = vec![sign_of(model, event.id)];
            if columns >= 60 {
                line.push((timed(event.at_ns, time_width(model)), Tone::Faint));
            }
            line.push((format!("{pad}{since} "), Tone::Faint));
            if columns >= 60 {
                line.push((
                    format!("{:<8} ", clip(&model.thread_of(event), 8, characters)),
                    Tone::Faint,
                ));
            }
            line.push((row.text.clone(), Tone::Plain));
            line
        }
    }
}
