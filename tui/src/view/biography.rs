//! The life of one object: a row an event, the lives before and after it in the same place around.

use traces::event::EventId;

use crate::layout::PaneArea;
use crate::model::{LifeRow, Model};
use crate::text::{Line, Tone, counted, difference, width};
use crate::words::{either, severity};

use super::bars::{WITH_PLACE, event_and_place, rows, sign_of, thread_of, time_width, timed};
use super::paint::Paint;

/// Draws the rows, and gives the title.
pub(super) fn draw(model: &Model, paint: &mut Paint<'_>, area: &PaneArea) -> String {
    if model.focus.object.is_none() {
        paint.line(
            area.list,
            &vec![("No object is selected.".into(), Tone::Plain)],
        );
        return "Biography".into();
    }
    if model.life.told.is_none() {
        paint.line(area.list, &vec![(looking(model), Tone::Faint)]);
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
    let left_out = model.life.told.as_ref().map_or(0, |told| told.left_out);
    let untold = match left_out {
        0 => String::new(),
        some => format!(", without {} in the middle", counted(some as u64, "event")),
    };
    let unreadable = if crate::losses::is_unreadable(model) {
        ", without what cannot be read back (see Loss)"
    } else {
        ""
    };
    format!(
        "Biography of {}{untold}{unreadable}",
        model.life.names.object
    )
}

fn looking(model: &Model) -> String {
    let gathering = model.life.gathering.as_ref();
    match gathering.map(|it| it.percent(&model.trace)) {
        None | Some(0) => "looking through all events...".into(),
        Some(percent) => format!("looking through all events... {percent}%"),
    }
}

/// The rule that was broken first at an event.
fn broken_rule(model: &Model, event: EventId) -> Option<(String, Tone)> {
    let mark = model.marks.get(&event)?.iter().find(|mark| mark.is_cause)?;
    let finding = model.finding(mark.finding)?;
    let tone = severity(finding.severity, model.look.characters).2;
    Some((format!("{} ", finding.rule), tone))
}

fn line(model: &Model, row: LifeRow, columns: usize) -> Line {
    let characters = model.look.characters;
    let neighbour = |sign: &str, word: &str, name: &str| {
        vec![
            (format!("{sign} {word} "), Tone::Faint),
            (name.to_owned(), Tone::Plain),
        ]
    };
    match row {
        LifeRow::Previous(_) => neighbour(
            either(characters, "↑", "^"),
            "before it, same place:",
            &model.life.names.previous,
        ),
        LifeRow::Next(_) => neighbour(
            either(characters, "↓", "v"),
            "after it, same place:",
            &model.life.names.next,
        ),
        LifeRow::Folded(fold) => {
            let text = model.life.folds.get(fold).map_or("", |steps| &steps.text);
            let sign = either(characters, "▸", "+");
            vec![(format!("{sign} {text}"), Tone::Faint)]
        }
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
            // What shares a time with the row before did not happen at once.
            let mark = model.time_mark(event);
            let since = format!("{mark}{}", difference(row.since_ns.into(), characters));
            let pad = " ".repeat(8usize.saturating_sub(width(&since)));
            let mut line = vec![sign_of(model, event.id)];
            if columns >= WITH_PLACE {
                line.push((timed(model, event, time_width(model)), Tone::Faint));
            }
            line.push((format!("{pad}{since} "), Tone::Faint));
            if columns >= WITH_PLACE {
                line.push(thread_of(model, event, columns));
            }
            line.extend(broken_rule(model, event.id));
            let used = line.iter().map(|(text, _)| width(text)).sum();
            line.extend(event_and_place(model, event, Tone::Plain, columns, used));
            line
        }
    }
}
