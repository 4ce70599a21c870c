//! Lanes over time: a row a thread, ring, operation track or coroutine.
//!
//! A cell stands for a stretch of time. One event in it is a sign, several are a density; only the
//! cells that are visible are asked for, each by binary search.

mod cells;
mod ruler;

pub(crate) use cells::SIGNS;

use ratatui::layout::Rect;
use traces::event::EventId;
use traces::finding::Severity;

use crate::layout::{PaneArea, timeline_columns};
use crate::model::Model;
use crate::text::{Line, Tone, clip, count, difference, time};
use crate::timeline::{Index, Row, Span, Timeline, Who, Window, name_of};
use crate::words::{either, severity};

use super::paint::{Paint, Selection};
use super::row_of;

/// One cell: its sign and what it is.
type Cell = (&'static str, Tone);

const BLANK: Cell = (" ", Tone::Plain);

/// Marked events of one window that are looked for in the lanes.
const MARKS_MAX: usize = 4096;

/// What a frame is drawn from.
struct Scene<'a> {
    model: &'a Model,
    timeline: &'a Timeline,
    index: &'a Index,
    window: Window,
    columns: u16,
    /// Marked events in the window: which, in which column, and how they look.
    marks: Vec<(EventId, u16, Cell)>,
    /// The operation in focus: its lane, its track and itself.
    flow: Option<(usize, usize, Span)>,
}

/// Draws the lanes, and gives the title.
pub(super) fn draw(model: &Model, paint: &mut Paint<'_>, area: &PaneArea) -> String {
    let timeline = &model.timeline;
    let (Some(index), Some(window)) = (&timeline.index, timeline.window) else {
        return super::sorting(model, paint, area, "Timeline");
    };
    let (names, columns) = timeline_columns(area.list.width);
    let mut scene = Scene {
        model,
        timeline,
        index,
        window,
        columns,
        marks: Vec::new(),
        flow: model
            .focus
            .event
            .and_then(|event| index.operation_of(&model.trace, event))
            .map(|(lane, track, span)| (lane, track, *span)),
    };
    scene.marks = scene.marks_in_window();
    let times = |y: u16| Rect::new(area.list.x + names, y, columns, 1);
    paint.line(times(area.list.y), &scene.ruler());
    let positions = timeline.visible(area.list.height.saturating_sub(1));
    let mut cells: Vec<Vec<Cell>> = Vec::new();
    for position in &positions {
        cells.push(
            timeline
                .rows
                .get(*position)
                .map_or_else(Vec::new, |row| scene.cells(*row)),
        );
    }
    scene.connect(&positions, &mut cells);
    scene.add_cursor(&mut cells);
    for ((position, cells), y) in positions.iter().zip(&cells).zip(area.list.y + 1..) {
        let is_selected = *position == timeline.selected;
        let selection = match (is_selected, model.pane == area.pane) {
            (false, _) => Selection::None,
            (true, false) => Selection::Resting,
            (true, true) => Selection::Active,
        };
        let Some(row) = timeline.rows.get(*position) else {
            continue;
        };
        let name = Rect {
            width: names.saturating_sub(1),
            ..row_of(area.list, y)
        };
        let is_pinned = *position < timeline.pinned_rows;
        paint.row(name, &scene.name(*row, is_pinned, name.width), selection);
        paint.line(times(y), &pieces(cells));
        if is_selected && let Some(column) = window.column(model.focus.at_ns, columns) {
            paint.select(Rect::new(times(y).x + column, y, 1, 1), selection);
        }
    }
    scene.title(paint)
}

/// Cells of one tone together.
fn pieces(cells: &[Cell]) -> Line {
    let mut line = Line::new();
    for (sign, tone) in cells {
        match line.last_mut() {
            Some((text, last)) if last == tone => text.push_str(sign),
            _ => line.push(((*sign).to_owned(), *tone)),
        }
    }
    line
}

impl Scene<'_> {
    fn is_unicode(&self) -> bool {
        either(self.model.look.characters, "u", "a") == "u"
    }

    fn sign(&self, unicode: &'static str, ascii: &'static str) -> &'static str {
        either(self.model.look.characters, unicode, ascii)
    }

    /// Which time is shown, how long a column is, and what the marks say.
    fn title(&self, paint: &Paint<'_>) -> String {
        let long = |ns: u64| {
            let text = difference(i128::from(ns), paint.characters);
            text.trim_start_matches('+').to_owned()
        };
        let mut title = format!(
            "Timeline from {} s, {} long, a column is {}",
            time(self.window.start_ns),
            long(self.window.len_ns),
            long(self.window.column_ns(self.columns))
        );
        if let Some(close) = self.index.close() {
            let (first, last) = (close.start as u64 + 1, close.end as u64);
            let doing = if self.index.is_at_work(&self.model.trace) {
                ", looking"
            } else {
                ""
            };
            title.push_str(&format!(
                "; closely events {} to {}{doing}",
                count(first),
                count(last)
            ));
        }
        let without = self.index.without_lane();
        if without > 0 {
            title.push_str(&format!(
                "; {} more coroutines have lanes only there",
                count(without)
            ));
        }
        match self.timeline.marks[..] {
            [a, b] => {
                let between = i128::from(b) - i128::from(a);
                let delta = self.sign("Δ", "difference ");
                title.push_str(&format!(
                    "; A to B {delta}{}",
                    difference(between, paint.characters)
                ));
            }
            [a] => {
                let since = i128::from(self.model.focus.at_ns) - i128::from(a);
                title.push_str(&format!(
                    "; cursor {} from A",
                    difference(since, paint.characters)
                ));
            }
            _ => {}
        }
        title
    }

    fn marks_in_window(&self) -> Vec<(EventId, u16, Cell)> {
        let characters = self.model.look.characters;
        let mut marks: Vec<(EventId, u16, Cell)> = Vec::new();
        let causes = self.timeline.causes.as_deref().unwrap_or_default();
        let first = causes.partition_point(|cause| cause.0 < self.window.start_ns);
        for (at_ns, id) in causes.get(first..).unwrap_or_default() {
            let Some(column) = self.window.column(*at_ns, self.columns) else {
                break;
            };
            if marks.len() >= MARKS_MAX {
                break;
            }
            let Some(found) = self.model.marks.get(id) else {
                continue;
            };
            let worst = found
                .iter()
                .filter(|mark| mark.is_cause)
                .filter_map(|mark| Some(self.model.finding(mark.finding)?.severity))
                .max();
            if let Some(worst) = worst {
                let (sign, _, tone) = severity(worst, characters);
                marks.push((*id, column, (sign, tone)));
            }
        }
        // What is drawn last is seen.
        let error = severity(Severity::Error, characters).2;
        marks.sort_by_key(|(id, _, cell)| (cell.1 == error, *id));
        marks
    }

    /// Whose row it is.
    fn name(&self, row: Row, is_pinned: bool, columns: u16) -> Line {
        let Some(lane) = self.index.lanes.get(row.lane) else {
            return Line::new();
        };
        let pin = if is_pinned { self.sign("▪", "*") } else { "" };
        if let Some(track) = row.track {
            return vec![(
                format!("{pin}  operations {}", count(track as u64 + 1)),
                Tone::Faint,
            )];
        }
        let name = short(&name_of(&self.model.trace, lane.who));
        let tone = match lane.who {
            Who::Thread { .. } | Who::Ring { .. } => Tone::Strong,
            Who::Coroutine { .. } => Tone::Plain,
        };
        let text = format!("{pin}{name}");
        vec![(
            clip(&text, columns.into(), self.model.look.characters),
            tone,
        )]
    }

    /// A faint line down the column of the cursor.
    fn add_cursor(&self, cells: &mut [Vec<Cell>]) {
        let Some(column) = self.window.column(self.model.focus.at_ns, self.columns) else {
            return;
        };
        for row in cells {
            if let Some(cell) = row.get_mut(usize::from(column))
                && cell.0 == " "
            {
                *cell = (self.sign("│", "|"), Tone::Faint);
            }
        }
    }
}

/// `coroutine 7 (timer C)` as `co 7 timer C`: rows are short of room.
fn short(name: &str) -> String {
    match name.split_once("coroutine ") {
        Some((process, rest)) if process.is_empty() || process.ends_with('/') => {
            let rest = rest.replace(" (", " ");
            format!("{process}co {}", rest.trim_end_matches(')'))
        }
        _ => name.to_owned(),
    }
}
