//! What is chosen of the timeline: the stretch of time, the row, pins and marks. Plain numbers.

use std::collections::BTreeSet;

use traces::event::EventId;

use super::index::{Index, Who};
use super::rows::{Row, rows};
use super::window::Window;

/// Earlier windows that are remembered.
const ZOOMS_MAX: usize = 64;

/// First causes, some of which are looked up already.
#[derive(Clone, Debug)]
pub struct Causes {
    /// All of them.
    pub ids: Vec<EventId>,
    /// With their times.
    pub found: Vec<(u64, EventId)>,
    /// Position of the next one.
    pub next: usize,
}

/// The timeline's state.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    /// What there is to show; being gathered since the timeline was first asked for.
    pub index: Option<Index>,
    /// Its rows.
    pub rows: Vec<Row>,
    /// How many of them stand above all others, whatever is scrolled.
    pub pinned_rows: usize,
    /// Position of the selected row.
    pub selected: usize,
    /// Position of the first visible row that is not pinned.
    pub top: usize,
    /// First visible line of the text about the cursor.
    pub text_top: usize,
    /// What is shown of the time; nothing before the first look.
    pub window: Option<Window>,
    /// Windows before the last zooms, nearest last.
    pub zooms: Vec<Window>,
    /// Lanes that stay on top, in the order they were pinned.
    pub pinned: Vec<Who>,
    /// Rings whose operations are shown the other way round than by default.
    pub turned: BTreeSet<Who>,
    /// Times that were marked, the older first.
    pub marks: Vec<u64>,
    /// Where a selection of time begins, while its end is not chosen.
    pub range_from: Option<u64>,
    /// Where the mouse was pressed, from the beginning of that column to its end, until it is let go.
    pub dragged_from: Option<(u64, u64)>,
    /// Where it was dragged to.
    pub dragged_to: Option<(u64, u64)>,
    /// What findings have as their first causes, in the order of time; nothing before somebody looked.
    pub causes: Option<Vec<(u64, EventId)>>,
    /// They, while they are looked up.
    pub seeking: Option<Causes>,
    /// The event and time that the window last followed.
    pub followed: Option<(Option<EventId>, u64)>,
}

impl Timeline {
    /// Whether all events are sorted in.
    pub fn is_ready(&self, events: usize) -> bool {
        self.index
            .as_ref()
            .is_some_and(|index| index.scanned() >= events)
    }

    /// Lists the rows anew; the selection stays with its lane.
    pub fn list_rows(&mut self) {
        let Some(index) = &self.index else { return };
        let chosen = self.rows.get(self.selected).copied();
        let (rows, pinned_rows) = rows(index, self);
        (self.rows, self.pinned_rows) = (rows, pinned_rows);
        let position = |wanted: Row| self.rows.iter().position(|row| *row == wanted);
        let found = chosen.and_then(|row| {
            position(row).or_else(|| {
                position(Row {
                    lane: row.lane,
                    track: None,
                })
            })
        });
        self.selected = found.unwrap_or(0);
    }

    /// Whose the selected row is.
    pub fn selected_who(&self) -> Option<Who> {
        let row = self.rows.get(self.selected)?;
        Some(self.index.as_ref()?.lanes.get(row.lane)?.who)
    }

    /// Positions of the rows that are visible in so many rows: pinned ones first.
    pub fn visible(&self, height: u16) -> Vec<usize> {
        let height = usize::from(height);
        let pinned = self.pinned_rows.min(height / 2);
        let rest = pinned + self.top..self.rows.len();
        (0..pinned).chain(rest).take(height).collect()
    }

    /// Shows another stretch of time; the one before can be gone back to.
    pub fn look_at(&mut self, window: Window) {
        if let Some(before) = self.window.replace(window)
            && before != window
        {
            if self.zooms.len() >= ZOOMS_MAX {
                self.zooms.remove(0);
            }
            self.zooms.push(before);
        }
    }

    /// Marks a time: two marks are kept, and the older one goes.
    pub fn mark(&mut self, at_ns: u64) {
        if let Some(there) = self.marks.iter().position(|mark| *mark == at_ns) {
            self.marks.remove(there);
            return;
        }
        if self.marks.len() >= 2 {
            self.marks.remove(0);
        }
        self.marks.push(at_ns);
    }
}
