//! What is held: groups, or the objects of one group.

use crate::layout::PaneArea;
use crate::model::Model;
use crate::objects::{Group, moment, title};
use crate::text::{Line, Tone, clip, count, difference, width};
use crate::words::either;

use super::bars::rows;
use super::paint::Paint;

/// Columns of the longest bar.
const BAR: usize = 20;

/// Draws the rows, and gives the title.
pub(super) fn draw(model: &Model, paint: &mut Paint<'_>, area: &PaneArea) -> String {
    let Some(groups) = &model.objects.groups else {
        return super::sorting(model, paint, area, "Objects");
    };
    if groups.is_empty() {
        let text = "Nothing was held then: every leaked pointer had been taken back.".to_owned();
        paint.line(area.list, &vec![(text, Tone::Plain)]);
    }
    let list = &model.objects;
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

fn group(model: &Model, group: &Group, all: &[Group], columns: usize) -> Line {
    let characters = model.look.characters;
    let number = count(group.objects.len() as u64);
    let most = all.first().map_or(1, |first| first.objects.len().max(1));
    let bar = (group.objects.len() * BAR).div_ceil(most);
    let bar = format!(
        "{}{}",
        either(characters, "█", "#").repeat(bar),
        " ".repeat(BAR - bar)
    );
    let oldest = group.objects.first().and_then(|at| held_for(model, *at));
    let oldest = oldest.map_or(String::new(), |age| format!("  oldest {age}"));
    let pad = " ".repeat(9usize.saturating_sub(width(&number)));
    let room = columns.saturating_sub(12 + BAR + width(&oldest));
    vec![
        (format!("{pad}{number} "), Tone::Strong),
        (format!("{bar} "), Tone::Note),
        (clip(&group.label, room, characters), Tone::Plain),
        (oldest, Tone::Faint),
    ]
}

/// How long an object had been held.
fn held_for(model: &Model, object: usize) -> Option<String> {
    let object = model.timeline.index.as_ref()?.objects.all.get(object)?;
    let ns = moment(model).saturating_sub(object.born_ns);
    let text = difference(i128::from(ns), model.look.characters);
    Some(text.trim_start_matches('+').to_owned())
}

fn object(model: &Model, at: usize, columns: usize) -> Option<Line> {
    let object = model.timeline.index.as_ref()?.objects.all.get(at)?;
    let age = held_for(model, at)?;
    let pad = " ".repeat(9usize.saturating_sub(width(&age)));
    let names = model.trace.names();
    let place = names.site(object.site);
    let name = model.trace.name_of(object.subject);
    let thread = model.thread_name(object.process, object.lane);
    let room = columns.saturating_sub(12 + width(&name) + width(&thread));
    let place = crate::text::clip_front(&place, room, model.look.characters);
    Some(vec![
        (format!("{pad}{age} "), Tone::Faint),
        (format!("{name} "), Tone::Plain),
        (format!("{thread} "), Tone::Faint),
        (place, Tone::Place),
    ])
}
