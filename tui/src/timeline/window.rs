//! A stretch of time, and the columns that it is shown in.
//!
//! Invariants
//! - A window has at least one nanosecond a column, so that no column stands for nothing.
//! - Zooming keeps the column of the cursor: nothing moves under it.

/// Nanoseconds of time from `start_ns` on, `len_ns` long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The first nanosecond that is shown.
    pub start_ns: u64,
    /// How many are shown; never 0.
    pub len_ns: u64,
}

impl Window {
    /// The window from one time to another, both inside, with a little room around.
    pub fn around(first_ns: u64, last_ns: u64) -> Self {
        let len = last_ns.saturating_sub(first_ns).saturating_add(1);
        let margin = len / 20;
        let start_ns = first_ns.saturating_sub(margin);
        Self {
            start_ns,
            len_ns: last_ns
                .saturating_add(margin)
                .saturating_sub(start_ns)
                .saturating_add(1),
        }
    }

    /// The first nanosecond behind the window.
    pub fn end_ns(self) -> u64 {
        self.start_ns.saturating_add(self.len_ns)
    }

    /// Whether a time is shown.
    pub fn has(self, at_ns: u64) -> bool {
        at_ns >= self.start_ns && at_ns - self.start_ns < self.len_ns
    }

    /// The column that a time stands in, of so many; nothing where it is not shown.
    pub fn column(self, at_ns: u64, columns: u16) -> Option<u16> {
        if !self.has(at_ns) || columns == 0 {
            return None;
        }
        let into = u128::from(at_ns - self.start_ns);
        // Rounded as `time` rounds, so that a column's own first time stands in it.
        let column = ((into + 1) * u128::from(columns)).div_ceil(u128::from(self.len_ns)) - 1;
        Some(u16::try_from(column).unwrap_or(u16::MAX).min(columns - 1))
    }

    /// The first time that stands in a column; the window's end for the one behind the last.
    pub fn time(self, column: u16, columns: u16) -> u64 {
        let into = u128::from(self.len_ns) * u128::from(column) / u128::from(columns.max(1));
        self.start_ns
            .saturating_add(u64::try_from(into).unwrap_or(u64::MAX))
    }

    /// How long a column is, rounded up.
    pub fn column_ns(self, columns: u16) -> u64 {
        self.len_ns.div_ceil(u64::from(columns.max(1)))
    }

    /// Half or twice as much time, with the cursor in the column where it was.
    #[must_use]
    pub fn zoomed(self, closer: bool, cursor_ns: u64, columns: u16, whole_ns: u64) -> Self {
        let least = u64::from(columns.max(1));
        let most = whole_ns.saturating_mul(2).max(least);
        let len_ns = if closer {
            self.len_ns / 2
        } else {
            self.len_ns.saturating_mul(2)
        }
        .clamp(least, most);
        let cursor_ns = cursor_ns.clamp(self.start_ns, self.end_ns());
        let before =
            u128::from(cursor_ns - self.start_ns) * u128::from(len_ns) / u128::from(self.len_ns);
        Self {
            start_ns: cursor_ns.saturating_sub(u64::try_from(before).unwrap_or(u64::MAX)),
            len_ns,
        }
    }

    /// Moved by so many of its columns, within what was recorded.
    #[must_use]
    pub fn panned(self, by_columns: i32, columns: u16, whole_ns: u64) -> Self {
        let distance = self
            .column_ns(columns)
            .saturating_mul(by_columns.unsigned_abs().into());
        let start_ns = if by_columns < 0 {
            self.start_ns.saturating_sub(distance)
        } else {
            self.start_ns
                .saturating_add(distance)
                .min(whole_ns.max(self.start_ns))
        };
        Self { start_ns, ..self }
    }

    /// Moved just so far that a time is shown, in the middle where it had to move.
    #[must_use]
    pub fn showing(self, at_ns: u64) -> Self {
        if self.has(at_ns) {
            return self;
        }
        Self {
            start_ns: at_ns.saturating_sub(self.len_ns / 2),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_time_stands_in_the_column_that_holds_it(
            start in 0u64..1 << 62, len in 1u64..1 << 50, columns in 1u16..300, into in any::<u64>()
        ) {
            let window = Window { start_ns: start, len_ns: len.max(columns.into()) };
            let at = start + into % window.len_ns;
            let column = window.column(at, columns).expect("inside");
            prop_assert!(window.time(column, columns) <= at);
            prop_assert!(at < window.time(column + 1, columns));
        }

        #[test]
        fn the_cursor_stays_in_its_column_while_it_is_zoomed(
            start in 0u64..1 << 40, len in 1000u64..1 << 40, into in any::<u64>(), closer in any::<bool>()
        ) {
            let window = Window { start_ns: start, len_ns: len };
            let at = start + into % len;
            let zoomed = window.zoomed(closer, at, 100, 1 << 41);
            let (before, after) = (window.column(at, 100), zoomed.column(at, 100));
            // What would begin before the recording does cannot keep its place.
            if zoomed.start_ns > 0 {
                let (before, after) = (before.expect("inside"), after.expect("inside"));
                prop_assert!(before.abs_diff(after) <= 1, "{before} {after}");
            }
            prop_assert!(zoomed.has(at));
        }
    }

    #[test]
    fn a_window_never_gets_shorter_than_its_columns_or_much_longer_than_all() {
        let mut window = Window::around(0, 1000);
        for _ in 0..100 {
            window = window.zoomed(true, 500, 80, 1000);
        }
        assert_eq!(window.len_ns, 80);
        for _ in 0..100 {
            window = window.zoomed(false, 500, 80, 1000);
        }
        assert_eq!(window.len_ns, 2000);
        assert!(Window::around(u64::MAX, u64::MAX).len_ns > 0);
    }
}
