//! The source around an event: the line itself, and which other lines the same life passes through.

use crate::layout::PaneArea;
use crate::model::Model;
use crate::msg::{Msg, Toward};
use crate::source::{SourceRow, absence};
use crate::text::{Line, Tone, clip_front, count, width, wrap};
use crate::words::either;

use super::bars::{rows, sign_of};
use super::paint::Paint;
use super::row_of;

/// Draws the lines, or why there are none, and gives the title.
pub(super) fn draw(model: &Model, paint: &mut Paint<'_>, area: &PaneArea) -> String {
    let Some(place) = &model.source.place else {
        let [next, previous] =
            [Toward::Next, Toward::Previous].map(|toward| model.key(Msg::SameObject(toward)));
        let text = format!(
            "This event does not say where in the source it happened, nor does anything before it in the same \
             life. {next} and {previous} go to other events of it."
        );
        say(paint, area, &text);
        return "Source".into();
    };
    let name = model.trace.names().place(&place.file, place.line);
    let title = match place.is_earlier {
        false => name.clone(),
        true => format!("{name}, the last known place before this event"),
    };
    if let Some(why) = absence(model, place) {
        say(paint, area, &format!("{name} cannot be shown: {why}."));
        return title;
    }
    let last = model.source.rows.iter().rev().find_map(number);
    let digits = last.map_or(1, |number| count(number.into()).len());
    rows(
        model,
        paint,
        area,
        model.source.top,
        model.source.selected,
        |position| line(model, *model.source.rows.get(position)?, digits),
    );
    clip_front(&title, area.title.width.into(), paint.characters)
}

fn say(paint: &mut Paint<'_>, area: &PaneArea, text: &str) {
    let lines = wrap(text, area.list.width.into());
    for (text, y) in lines.into_iter().zip(area.list.top()..area.list.bottom()) {
        paint.line(row_of(area.list, y), &vec![(text, Tone::Plain)]);
    }
}

fn number(row: &SourceRow) -> Option<u32> {
    match row {
        SourceRow::Line(number) => Some(*number),
        SourceRow::Gap => None,
    }
}

/// `✖ 3×▶  44  let raw = ...`: what findings say, how often the life was here, the place itself.
fn line(model: &Model, row: SourceRow, digits: usize) -> Option<Line> {
    let characters = model.look.characters;
    let place = model.source.place.as_ref()?;
    let SourceRow::Line(number) = row else {
        let gap = either(characters, "⋯", "...");
        return Some(vec![(format!("{:>1$}", gap, digits + 8), Tone::Faint)]);
    };
    let text = match model.trace.sources().of(&place.file)? {
        traces::source::Found::Lines(lines) => lines.get(&number)?,
        traces::source::Found::Absent(_) => return None,
    };
    let is_here = number == place.line;
    let touched = model.source.touched.get(&number);
    let sign = touched.map_or_else(
        || ("  ".to_owned(), Tone::Plain),
        |(_, event)| sign_of(model, *event),
    );
    let times = match touched {
        Some((1, _)) => either(characters, "•", "*").to_owned(),
        Some((many, _)) => format!("{}{}", count(*many), either(characters, "×", "x")),
        None => String::new(),
    };
    let times = format!(
        "{}{times}",
        " ".repeat(4usize.saturating_sub(width(&times)))
    );
    let arrow = if is_here {
        either(characters, "▶", ">")
    } else {
        " "
    };
    let tone = if is_here { Tone::Strong } else { Tone::Plain };
    // A tab is no column; trimmed first, so that only indentation is spread.
    let raw = text.bytes();
    let indent = raw.iter().take_while(|byte| matches!(byte, b' ' | b'\t'));
    let indent: usize = indent.map(|byte| if *byte == b'\t' { 4 } else { 1 }).sum();
    let code = format!(
        "{}{}",
        " ".repeat(indent.min(60)),
        traces::tty(raw.trim_ascii())
    );
    Some(vec![
        sign,
        (format!("{times}{arrow}"), Tone::Note),
        (format!("{:>digits$}  ", count(number.into())), Tone::Faint),
        (code, tone),
    ])
}
