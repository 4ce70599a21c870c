//! The ruler above the lanes: times, marks, the edges of a selected stretch, and the cursor.

use crate::text::{Line, Tone, difference, width};

use super::Scene;

/// Columns between two times on the ruler.
const TICK_COLUMNS: u64 = 14;

impl Scene<'_> {
    /// How far from the left edge the ticks are, the cursor and marks.
    pub(super) fn ruler(&self) -> Line {
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
