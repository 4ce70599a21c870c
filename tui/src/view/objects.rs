//! What is held: groups, or the objects of one group.

use crate::keys::Characters;
use crate::layout::PaneArea;
use crate::model::Model;
use crate::objects::{BAR, Group, columns, moment, title};
use crate::text::{Line, Tone, clip, clip_front, count, difference, width};
use crate::words::either;

use super::bars::rows;
use super::paint::Paint;

/// Draws the rows, and gives the title.
pub(super) fn draw(model: &Model, paint: &mut Paint<'_>, area: &PaneArea) -> String {
    let Some(groups) = &model.objects.groups else {
        return super::sorting(model, paint, area, "Objects");
    };
    if groups.is_empty() {
        // Of a program that does not link the probe nobody sees who gives pointers away.
        let text = match model.verdict.summary.generations {
            0 => {
                "No pointer was seen to be given away: a program that links the probe tells of them."
            }
            _ => "Nothing was held then: every leaked pointer had been taken back.",
        };
        paint.line(area.list, &vec![(text.to_owned(), Tone::Plain)]);
    }
    let list = &model.objects;
    header(model, paint, area);
    let columns = usize::from(area.list.width);
    rows(
        model,
        paint,
        area,
        list.top,
        list.selected,
        |position| match list.opened {
            None => groups
                .get(position)
                .map(|g| group(model, g, groups, columns)),
            Some(_) => object(model, list.object(position)?, columns),
        },
    );
    title(model)
}

/// What the columns are called; that by which the rows are sorted has a sign.
fn header(model: &Model, paint: &mut Paint<'_>, area: &PaneArea) {
    let characters = model.look.characters;
    let sort = model.objects.sort();
    let mut line = Line::new();
    let heads = columns(model, area.header.width.into());
    for (at, (name, by, wide)) in heads.iter().enumerate() {
        let (sign, tone) = match (sort.by == *by, sort.is_reversed) {
            (false, _) => ("", Tone::Faint),
            (true, false) => (either(characters, "▾", "v"), Tone::Strong),
            (true, true) => (either(characters, "▴", "^"), Tone::Strong),
        };
        let text = clip(&format!("{name}{sign}"), *wide, characters);
        // Numbers stand at the right of their column.
        let pad = wide.saturating_sub(width(&text));
        let text = match at {
            0 if pad > 0 => format!("{text:>9}{}", " ".repeat(wide.saturating_sub(9))),
            _ => format!("{text}{}", " ".repeat(pad)),
        };
        line.push((text, tone));
    }
    paint.line(area.header, &line);
}

fn group(model: &Model, group: &Group, all: &[Group], width_of_row: usize) -> Line {
    let characters = model.look.characters;
    let heads = columns(model, width_of_row);
    let [(_, _, of_count), (_, _, of_label), ..] = heads[..] else {
        return Line::new();
    };
    let number = count(group.objects.len() as u64);
    let most = all.iter().map(|group| group.objects.len()).max();
    let bar = (group.objects.len() * BAR).div_ceil(most.unwrap_or(1).max(1));
    let bar = match of_count > BAR {
        true => format!(
            "{}{} ",
            either(characters, "█", "#").repeat(bar),
            " ".repeat(BAR.saturating_sub(bar))
        ),
        false => String::new(),
    };
    let oldest = group.objects.iter().min();
    let oldest = oldest
        .and_then(|at| held_for(model, *at))
        .unwrap_or_default();
    vec![
        (format!("{} ", right(&number, 9)), Tone::Strong),
        (bar, Tone::Note),
        (left(&group.label, of_label, characters), Tone::Plain),
        (oldest, Tone::Faint),
    ]
}

/// At the right of so many columns.
fn right(text: &str, wide: usize) -> String {
    format!("{}{text}", " ".repeat(wide.saturating_sub(width(text))))
}

/// At the left of so many columns, with a blank behind it.
fn left(text: &str, wide: usize, characters: Characters) -> String {
    let text = clip(text, wide.saturating_sub(1), characters);
    let pad = wide.saturating_sub(width(&text));
    format!("{text}{}", " ".repeat(pad))
}

/// How long an object had been held.
fn held_for(model: &Model, object: usize) -> Option<String> {
    let object = model.timeline.index.as_ref()?.objects.all.get(object)?;
    let ns = moment(model).saturating_sub(object.born_ns);
    let text = difference(i128::from(ns), model.look.characters);
    Some(text.trim_start_matches('+').to_owned())
}

fn object(model: &Model, at: usize, width_of_row: usize) -> Option<Line> {
    let object = model.timeline.index.as_ref()?.objects.all.get(at)?;
    let characters = model.look.characters;
    let heads = columns(model, width_of_row);
    let [_, (_, _, of_name), (_, _, of_thread), (_, _, of_place)] = heads[..] else {
        return None;
    };
    let age = held_for(model, at)?;
    let name = model.trace.name_of(object.subject);
    let thread = model.thread_name(object.process, object.lane);
    let place = model.trace.names().site(object.site);
    Some(vec![
        (format!("{} ", right(&age, 9)), Tone::Faint),
        (left(&name, of_name, characters), Tone::Plain),
        (left(&thread, of_thread, characters), Tone::Faint),
        (clip_front(&place, of_place, characters), Tone::Place),
    ])
}
