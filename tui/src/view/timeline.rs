//! Lanes over time: a row a thread, ring, operation track or coroutine.
//!
//! A cell stands for a stretch of time. One event in it is a sign, several are a density; only the
//! cells that are visible are asked for, each by binary search.

use ratatui::layout::Rect;
use traces::event::{EventId, What};
use traces::finding::Severity;

use crate::layout::{PaneArea, timeline_columns};
use crate::model::Model;
use crate::text::{Line, Tone, clip, count, difference, time, width};
use crate::timeline::index::{Lane, Poll};
use crate::timeline::{Index, Row, Span, Timeline, Who, Window};
use crate::words::{either, severity};

use super::paint::{Paint, Selection};
use super::row_of;

/// One cell: its sign and what it is.
type Cell = (&'static str, Tone);

const BLANK: Cell = (" ", Tone::Plain);

/// Marked events of one window that are looked for in the lanes.
const MARKS_MAX: usize = 4096;

/// Columns between two times on the ruler.
const TICK_COLUMNS: u64 = 14;

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

    /// How far from the left edge the ticks are, the cursor and marks.
    fn ruler(&self) -> Line {
        let mut cells: Vec<(String, Tone)> = vec![(" ".into(), Tone::Faint); self.columns.into()];
        let mut put = |at: u16, text: &str, tone: Tone| {
            for (offset, c) in text.chars().enumerate() {
                if let Some(cell) = cells.get_mut(usize::from(at) + offset) {
                    *cell = (c.to_string(), tone);
                }
            }
        };
        let step = nice(
            self.window
                .column_ns(self.columns)
                .saturating_mul(TICK_COLUMNS),
        );
        let mut free = 0;
        for tick in 1..u64::from(self.columns) {
            let Some(at_ns) = tick
                .checked_mul(step)
                .and_then(|since| self.window.start_ns.checked_add(since))
            else {
                break;
            };
            let Some(column) = self.window.column(at_ns, self.columns) else {
                break;
            };
            let text = difference(
                i128::from(at_ns - self.window.start_ns),
                self.model.look.characters,
            );
            let text = format!("{}{text}", self.sign("╷", "'"));
            if column >= free && usize::from(column) + width(&text) <= self.columns.into() {
                put(column, &text, Tone::Faint);
                free = column + width(&text) as u16 + 1;
            }
        }
        for (name, at_ns) in ["A", "B"].into_iter().zip(&self.timeline.marks) {
            if let Some(column) = self.window.column(*at_ns, self.columns) {
                put(column, name, Tone::Strong);
            }
        }
        let edges = match (self.model.range, self.timeline.range_from) {
            (Some(range), _) => [Some(range.from_ns), Some(range.to_ns)],
            (None, from) => [from, None],
        };
        for (edge, sign) in edges.into_iter().zip(["[", "]"]) {
            if let Some(column) = edge.and_then(|at| self.window.column(at, self.columns)) {
                put(column, sign, Tone::Note);
            }
        }
        if let Some(column) = self.window.column(self.model.focus.at_ns, self.columns) {
            put(column, self.sign("▾", "V"), Tone::Strong);
        }
        cells
    }

    fn marks_in_window(&self) -> Vec<(EventId, u16, Cell)> {
        let characters = self.model.look.characters;
        let mut marks: Vec<(EventId, u16, Cell)> = Vec::new();
        for (id, found) in &self.model.marks {
            if marks.len() >= MARKS_MAX {
                break;
            }
            let Some(column) = self
                .model
                .event(*id)
                .and_then(|event| self.window.column(event.at_ns, self.columns))
            else {
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
        let names = self.model.trace.names();
        let many = self.model.trace.recording().processes.len() > 1;
        let of = |process: u32| {
            let process = self.model.trace.recording().process(process);
            process.map_or(String::new(), |process| format!("{}/", process.pid))
        };
        let before = |process: u32| if many { of(process) } else { String::new() };
        let pin = if is_pinned { self.sign("▪", "*") } else { "" };
        if let Some(track) = row.track {
            return vec![(
                format!("{pin}  operations {}", count(track as u64 + 1)),
                Tone::Faint,
            )];
        }
        let (name, tone) = match lane.who {
            Who::Thread { process, lane } => (
                format!("{}{}", before(process), names.thread(lane)),
                Tone::Strong,
            ),
            Who::Ring { process, ring } => {
                (format!("{}ring {ring}", before(process)), Tone::Strong)
            }
            Who::Coroutine { process, coroutine } => (
                format!(
                    "{}{}",
                    before(process),
                    short(&names.coroutine(process, coroutine))
                ),
                Tone::Plain,
            ),
        };
        let text = format!("{pin}{name}");
        vec![(
            clip(&text, columns.into(), self.model.look.characters),
            tone,
        )]
    }

    fn cells(&self, row: Row) -> Vec<Cell> {
        let Some(lane) = self.index.lanes.get(row.lane) else {
            return vec![BLANK; self.columns.into()];
        };
        let mut cells = match (lane.who, row.track) {
            (_, Some(track)) => match lane.tracks.get(track) {
                Some(spans) => self.operations(row.lane, spans),
                None => vec![BLANK; self.columns.into()],
            },
            (Who::Ring { .. }, None) => self.depth(lane),
            (Who::Thread { .. }, None) => self.events(lane),
            (Who::Coroutine { .. }, None) => self.polls(lane),
        };
        if row.track.is_none() {
            for (event, column, cell) in &self.marks {
                if lane.find(*event).is_some()
                    && let Some(place) = cells.get_mut(usize::from(*column))
                {
                    *place = *cell;
                }
            }
        }
        cells
    }

    fn stretch(&self, column: u16) -> (u64, u64) {
        let from = self.window.time(column, self.columns);
        (from, self.window.time(column + 1, self.columns))
    }

    /// A thread: one event by its sign, several by how many.
    fn events(&self, lane: &Lane) -> Vec<Cell> {
        (0..self.columns)
            .map(|column| {
                let (from, until) = self.stretch(column);
                match lane.between(from, until) {
                    [] => BLANK,
                    [one] => self.event(one.event),
                    many => (self.level(many.len().ilog2() as usize), Tone::Plain),
                }
            })
            .collect()
    }

    fn event(&self, id: EventId) -> Cell {
        let Some(event) = self.model.event(id) else {
            return BLANK;
        };
        let (unicode, ascii) = sign_of(&event.what);
        let tone = if self.model.life.has(id) {
            Tone::Strong
        } else {
            Tone::Plain
        };
        (self.sign(unicode, ascii), tone)
    }

    /// One of eight heights.
    fn level(&self, level: usize) -> &'static str {
        const UNICODE: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
        const ASCII: [&str; 8] = ["1", "2", "3", "4", "5", "6", "7", "8"];
        let all = if self.is_unicode() { UNICODE } else { ASCII };
        all[level.min(7)]
    }

    /// A ring: how many operations were in flight at most.
    fn depth(&self, lane: &Lane) -> Vec<Cell> {
        let deepest = lane.tracks.len().max(1);
        (0..self.columns)
            .map(|column| {
                let (from, until) = self.stretch(column);
                match lane.most_in_flight(from, until) as usize {
                    0 => BLANK,
                    depth => (
                        self.level((depth * 8).div_ceil(deepest).saturating_sub(1)),
                        Tone::Note,
                    ),
                }
            })
            .collect()
    }

    /// Operations one after the other, from their submission to their last completion.
    fn operations(&self, lane: usize, spans: &[Span]) -> Vec<Cell> {
        let mut cells = vec![BLANK; self.columns.into()];
        let end_ns = self.window.end_ns();
        let first = spans.partition_point(|span| span.end_ns < self.window.start_ns);
        let mut at = first;
        while let Some(span) = spans.get(at).filter(|span| span.start_ns < end_ns) {
            self.operation(lane, span, &mut cells);
            let column = self.window.column(span.start_ns, self.columns).unwrap_or(0);
            let (_, until) = self.stretch(column);
            let next = at + spans[at..].partition_point(|span| span.start_ns < until);
            // Several that begin in one cell are a density; only the last can reach beyond it.
            if next > at + 1 {
                self.operation(lane, &spans[next - 1], &mut cells);
                cells[usize::from(column)] = (self.sign("▒", "="), Tone::Plain);
            }
            at = next.max(at + 1);
        }
        cells
    }

    fn operation(&self, lane: usize, span: &Span, cells: &mut [Cell]) {
        let is_focused = self
            .flow
            .as_ref()
            .is_some_and(|(of, _, focused)| *of == lane && focused.start == span.start);
        let tone = match (is_focused, span.failed) {
            (true, _) => Tone::Strong,
            (false, true) => Tone::Unsure,
            (false, false) => Tone::Plain,
        };
        let last = self.columns.saturating_sub(1);
        let start = self.window.column(span.start_ns, self.columns);
        let end = if span.end_ns < self.window.end_ns() {
            self.window.column(span.end_ns, self.columns)
        } else {
            None
        };
        let (from, to) = (start.unwrap_or(0), end.unwrap_or(last));
        for column in from..=to {
            if let Some(cell) = cells.get_mut(usize::from(column)) {
                *cell = (self.sign("─", "-"), tone);
            }
        }
        if let Some(cell) = end.and_then(|end| cells.get_mut(usize::from(end))) {
            *cell = (self.sign("┤", "]"), tone);
        }
        if let Some(cell) = start.and_then(|start| cells.get_mut(usize::from(start))) {
            *cell = if start == end {
                (self.sign("╪", "="), tone)
            } else {
                (self.sign("├", "["), tone)
            };
        }
        let name = traces::names::opcode(span.opcode);
        let room = usize::from(to.saturating_sub(from));
        if room > name.len() + 1 {
            for (offset, byte) in name.bytes().enumerate() {
                if let Some(cell) = cells.get_mut(usize::from(from) + 1 + offset) {
                    *cell = (letter(byte), tone);
                }
            }
        }
    }

    /// A coroutine: running, waiting, or not there.
    fn polls(&self, lane: &Lane) -> Vec<Cell> {
        let born = lane.points.first().map_or(u64::MAX, |point| point.at_ns);
        (0..self.columns)
            .map(|column| {
                let (from, until) = self.stretch(column);
                if until <= born {
                    return BLANK;
                }
                let behind = lane.polls.partition_point(|poll| poll.start_ns < until);
                let Some(last) = behind.checked_sub(1).and_then(|at| lane.polls.get(at)) else {
                    return (self.sign("┄", "."), Tone::Faint);
                };
                let is_running = |poll: &Poll| poll.end_ns >= from && poll.start_ns < until;
                if is_running(last) {
                    (self.sign("█", "#"), Tone::Place)
                } else if last.is_last {
                    BLANK
                } else {
                    (self.sign("─", "-"), Tone::Faint)
                }
            })
            .collect()
    }

    /// Lines from the focused operation's submission down to it, and on to the resume.
    fn connect(&self, positions: &[usize], cells: &mut [Vec<Cell>]) {
        let Some((lane, track, span)) = &self.flow else {
            return;
        };
        let row_where = |is_it: &dyn Fn(&Row) -> bool| {
            positions
                .iter()
                .position(|position| self.timeline.rows.get(*position).is_some_and(is_it))
        };
        let holds = |event: EventId, row: &Row, coroutines: bool| {
            row.track.is_none()
                && self.index.lanes.get(row.lane).is_some_and(|lane| {
                    matches!(lane.who, Who::Coroutine { .. }) == coroutines
                        && !matches!(lane.who, Who::Ring { .. })
                        && lane.find(event).is_some()
                })
        };
        let own = row_where(&|row| row.lane == *lane && row.track == Some(*track))
            .or_else(|| row_where(&|row| row.lane == *lane && row.track.is_none()));
        let Some(own) = own else { return };
        let ends = [
            (Some(span.start), false),
            (span.end, false),
            (span.resume, true),
        ];
        for (event, coroutines) in ends {
            let Some(event) = event else { continue };
            let column = self
                .model
                .event(event)
                .and_then(|event| self.window.column(event.at_ns, self.columns));
            let other = row_where(&|row| holds(event, row, coroutines));
            let (Some(column), Some(other)) = (column, other) else {
                continue;
            };
            for row in own.min(other) + 1..own.max(other) {
                if let Some(cell) = cells
                    .get_mut(row)
                    .and_then(|cells| cells.get_mut(usize::from(column)))
                    && cell.0 == " "
                {
                    *cell = (self.sign("┊", ":"), Tone::Note);
                }
            }
        }
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

/// The signs of events, and what the help says of them.
pub(crate) const SIGNS: [(&str, &str, &str); 8] = [
    ("▼", "v", "submit"),
    ("▲", "^", "complete"),
    ("▶", ">", "resume"),
    ("◀", "<", "suspend"),
    ("■", "x", "done or dropped"),
    ("◆", "+", "leak"),
    ("◇", "-", "reclaim"),
    ("•", ".", "anything else"),
];

fn sign_of(what: &What) -> (&'static str, &'static str) {
    let at = match what {
        What::Submit(_) => 0,
        What::Complete(_) => 1,
        What::Resume { .. } => 2,
        What::Suspend { .. } => 3,
        What::Done { .. } | What::CoroutineDrop { .. } => 4,
        What::Leak(_) | What::Retain(_) | What::LeakForever(_) => 5,
        What::Reclaim(_) | What::Release(_) => 6,
        _ => 7,
    };
    (SIGNS[at].0, SIGNS[at].1)
}

/// The next number of the form 1, 2 or 5 times a power of ten.
fn nice(least: u64) -> u64 {
    let mut power = 1u64;
    loop {
        for factor in [1, 2, 5] {
            let number = power.saturating_mul(factor);
            if number >= least {
                return number;
            }
        }
        power = power.saturating_mul(10);
    }
}

/// `coroutine 7 (timer C)` as `co 7 timer C`: rows are short of room.
fn short(name: &str) -> String {
    match name.strip_prefix("coroutine ") {
        Some(rest) => format!("co {}", rest.replace(" (", " ").trim_end_matches(')')),
        None => name.to_owned(),
    }
}

/// A letter of an opcode's name as text.
fn letter(byte: u8) -> &'static str {
    const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
    match LETTERS.bytes().position(|letter| letter == byte) {
        Some(at) => &LETTERS[at..=at],
        None => "?",
    }
}
