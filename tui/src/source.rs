//! The source around the focused event, as rows: which lines there are, and which of them the life of
//! the focused object passes through.

use std::collections::BTreeMap;

use traces::Untrusted;
use traces::event::{EventId, SiteId};
use traces::source::{Absence, Found};

use crate::model::Model;

/// A place in the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, as the trace or the program's debug information names it.
    pub file: Untrusted,
    /// The line in it, from 1.
    pub line: u32,
    /// The event that is at it.
    pub event: EventId,
    /// Whether the focused event itself has no place, and this is the last one before it in its life.
    pub is_earlier: bool,
}

/// Whether lines of source were looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Search {
    /// Nobody looks for any.
    #[default]
    Never,
    /// They are being looked for.
    Now,
    /// What was found was handed in.
    Over,
}

/// A row: a line, or lines that are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceRow {
    /// The line of this number.
    Line(u32),
    /// Lines that are not here.
    Gap,
}

/// The source pane.
#[derive(Clone, Debug, Default)]
pub struct SourcePane {
    /// The place that is shown.
    pub place: Option<Place>,
    /// Its file's lines, as far as they are here.
    pub rows: Vec<SourceRow>,
    /// Lines that the life of the focused object passes through: how often, and one event of it that a
    /// finding rests on, else the first.
    pub touched: BTreeMap<u32, (u64, EventId)>,
    /// Whether lines are still to come.
    pub search: Search,
    /// Position of the selected row.
    pub selected: usize,
    /// Position of the first visible row.
    pub top: usize,
    /// First visible line of the text about the event.
    pub text_top: usize,
}

/// Where the focused event happened; where it does not say so, where the last thing before it in the
/// same life happened.
pub fn place_of(model: &Model) -> Option<Place> {
    let event = model.focus().event?;
    let at = |event: EventId, site: SiteId, is_earlier: bool| {
        let (file, line) = model.trace.place(event, site)?;
        Some(Place {
            file: file.clone(),
            line,
            event,
            is_earlier,
        })
    };
    if let Some(here) = at(event, model.event(event)?.site(), false) {
        return Some(here);
    }
    let told = model.life.told.as_ref()?;
    if !model.life.has(event) {
        return None;
    }
    let before = told.rows.partition_point(|row| row.event < event);
    let mut rows = told.rows.get(..before)?.iter().rev();
    rows.find_map(|row| at(row.event, row.site, true))
}

/// Why a place's lines cannot be shown, as the end of a sentence; nothing where they can.
pub fn absence(model: &Model, place: &Place) -> Option<String> {
    match model.trace.sources().of(&place.file) {
        Some(Found::Lines(lines)) if lines.contains_key(&place.line) => None,
        Some(Found::Lines(_)) => Some("the file has no such line here".into()),
        Some(Found::Absent(absence)) => {
            Some(format!("it is {}{}", absence.reason(), help(*absence)))
        }
        None => Some(
            match model.source.search {
                Search::Now => "it is being looked for",
                Search::Never => "nobody looked for it",
                Search::Over => "it was not found",
            }
            .into(),
        ),
    }
}

/// What to do about it.
fn help(absence: Absence) -> &'static str {
    match absence {
        Absence::Missing => "; view --path-map FROM=TO says where it lies here",
        Absence::NoProgram => {
            "; only the program that was recorded tells which sources are its own \
             (view --path-map FROM=TO says where it lies here)"
        }
        Absence::NotNamed => "; build it with debug information, and record again",
        Absence::Newer => "; build and record again to have both alike",
        Absence::Several => {
            ", each in a folder of its own, and more than one of them is here, or none (view --path-map FROM=TO \
             says where one lies here)"
        }
        Absence::Unreadable | Absence::Redacted => "",
    }
}

/// The rows of a place's file.
pub fn rows(model: &Model, place: &Place) -> Vec<SourceRow> {
    let Some(Found::Lines(lines)) = model.trace.sources().of(&place.file) else {
        return Vec::new();
    };
    let mut rows = Vec::with_capacity(lines.len());
    let mut expected = None;
    for number in lines.keys() {
        if expected.is_some_and(|expected| expected != *number) {
            rows.push(SourceRow::Gap);
        }
        rows.push(SourceRow::Line(*number));
        expected = number.checked_add(1);
    }
    rows
}

/// The lines of a place's file that the life of the focused object passes through.
pub fn touched(model: &Model, place: &Place) -> BTreeMap<u32, (u64, EventId)> {
    let mut touched = BTreeMap::new();
    for row in model.life.told.iter().flat_map(|told| &told.rows) {
        let Some((file, line)) = model.trace.place(row.event, row.site) else {
            continue;
        };
        if *file != place.file {
            continue;
        }
        let entry = touched.entry(line).or_insert((0, row.event));
        entry.0 += 1;
        if model.marks.contains_key(&row.event) && !model.marks.contains_key(&entry.1) {
            entry.1 = row.event;
        }
    }
    touched
}
