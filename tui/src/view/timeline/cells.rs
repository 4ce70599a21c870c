//! A row as cells: events of a thread, depth and operations of a ring, polls of a coroutine, and the flow between
//! them.

use traces::event::{EventId, What};

use crate::text::Tone;
use crate::timeline::index::{Lane, Poll};
use crate::timeline::{Many, Row, Span, Who};

use super::{BLANK, Cell, Scene};

impl Scene<'_> {
    pub(super) fn cells(&self, row: Row) -> Vec<Cell> {
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

    pub(super) fn stretch(&self, column: u16) -> (u64, u64) {
        let from = self.window.time(column, self.columns);
        (from, self.window.time(column + 1, self.columns))
    }

    /// A thread: one event by its sign, several by how many.
    pub(super) fn events(&self, lane: &Lane) -> Vec<Cell> {
        (0..self.columns)
            .map(|column| {
                let (from, until) = self.stretch(column);
                match self.index.many(lane, from, until) {
                    Many::Some(0) => BLANK,
                    Many::One(event) => self.event(event),
                    Many::Some(many) => (self.level(many.ilog2() as usize), Tone::Plain),
                }
            })
            .collect()
    }

    pub(super) fn event(&self, id: EventId) -> Cell {
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
    pub(super) fn level(&self, level: usize) -> &'static str {
        const UNICODE: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
        const ASCII: [&str; 8] = ["1", "2", "3", "4", "5", "6", "7", "8"];
        let all = if self.is_unicode() { UNICODE } else { ASCII };
        all[level.min(7)]
    }

    /// A ring: how many operations were in flight at most.
    pub(super) fn depth(&self, lane: &Lane) -> Vec<Cell> {
        let deepest = lane.deepest().max(1);
        (0..self.columns)
            .map(|column| {
                let (from, until) = self.stretch(column);
                match self.index.most_in_flight(lane, from, until) as usize {
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
    pub(super) fn operations(&self, lane: usize, spans: &[Span]) -> Vec<Cell> {
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

    pub(super) fn operation(&self, lane: usize, span: &Span, cells: &mut [Cell]) {
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
    pub(super) fn polls(&self, lane: &Lane) -> Vec<Cell> {
        (0..self.columns)
            .map(|column| {
                let (from, until) = self.stretch(column);
                if until <= lane.first_ns {
                    return BLANK;
                }
                if !self.index.is_time_close(from, until) {
                    return match self.index.many(lane, from, until) {
                        Many::Some(0) if from > lane.end_ns => BLANK,
                        Many::Some(0) => (self.sign("─", "-"), Tone::Faint),
                        _ => (self.sign("█", "#"), Tone::Place),
                    };
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
    pub(super) fn connect(&self, positions: &[usize], cells: &mut [Vec<Cell>]) {
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

/// A letter of an opcode's name as text.
fn letter(byte: u8) -> &'static str {
    const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
    match LETTERS.bytes().position(|letter| letter == byte) {
        Some(at) => &LETTERS[at..=at],
        None => "?",
    }
}
