//! Where things stand on a screen of a given size. Arithmetic only: [`crate::update`] asks how many
//! rows a list has, [`crate::view`] draws into the same rectangles.
//!
//! ```text
//! tabs     1 row       which view
//! panes    the rest    one, or two beside or above each other
//! hints    0–2 rows    from 12 rows on
//! status   1 row
//! ```
//! A pane is a title row, a list, and a text about the selected row.

use ratatui::layout::Rect;

use crate::keys::{Characters, Keymap, Listener, hints};
use crate::msg::View;
use crate::text::width;

/// Columns and rows below which nothing sensible fits.
pub const SMALLEST: (u16, u16) = (40, 10);

/// Columns from which two panes stand beside each other.
const BESIDE_COLUMNS: u16 = 120;

/// In a hundred, what a pane has that has most of the screen.
const MOST: u16 = 75;

/// Size from which two panes stand above each other, where they do not fit beside.
const ABOVE: (u16, u16) = (80, 40);

/// Rows from which there is a hint bar.
const HINTS_ROWS: u16 = 12;

/// One of the parts of a view that can have the keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pane {
    /// What is wrong.
    #[default]
    Findings,
    /// The life of one object.
    Biography,
    /// Everything that happened.
    Events,
    /// Who did what when.
    Timeline,
    /// The lives before and after, in the same place.
    Neighbours,
    /// Where in the source it happened.
    Source,
    /// What rings did.
    Rings,
    /// What is held.
    Objects,
    /// What was lost.
    Losses,
    /// What the reader noted.
    Notes,
    /// What changed from another trace.
    Diff,
}

impl Pane {
    /// Every pane.
    pub const ALL: [Self; 11] = [
        Self::Findings,
        Self::Biography,
        Self::Events,
        Self::Timeline,
        Self::Neighbours,
        Self::Source,
        Self::Rings,
        Self::Objects,
        Self::Losses,
        Self::Notes,
        Self::Diff,
    ];
}

/// The panes of a view, main one first.
pub fn panes_of(view: View) -> &'static [Pane] {
    match view {
        View::Findings => &[Pane::Findings, Pane::Biography],
        View::Biography => &[Pane::Biography, Pane::Neighbours],
        View::Events => &[Pane::Events, Pane::Biography],
        View::Timeline => &[Pane::Timeline, Pane::Biography],
        View::Source => &[Pane::Source, Pane::Biography],
        View::Rings => &[Pane::Rings],
        View::Objects => &[Pane::Objects],
        View::Losses => &[Pane::Losses],
        View::Notes => &[Pane::Notes],
        View::Diff => &[Pane::Diff],
    }
}

/// The view whose main pane it is.
pub fn view_of(pane: Pane) -> View {
    match pane {
        Pane::Findings => View::Findings,
        Pane::Biography | Pane::Neighbours => View::Biography,
        Pane::Events => View::Events,
        Pane::Timeline => View::Timeline,
        Pane::Source => View::Source,
        Pane::Rings => View::Rings,
        Pane::Objects => View::Objects,
        Pane::Losses => View::Losses,
        Pane::Notes => View::Notes,
        Pane::Diff => View::Diff,
    }
}

/// Rectangles of one pane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaneArea {
    /// Which pane.
    pub pane: Pane,
    /// Its title.
    pub title: Rect,
    /// What its columns are called; no height where they are not.
    pub header: Rect,
    /// Its rows.
    pub list: Rect,
    /// The line between rows and text; no height where there is no room for it.
    pub rule: Rect,
    /// The text about the selected row.
    pub text: Rect,
}

impl PaneArea {
    /// Rows for a text of so many lines. Where no rule can say that there is more, the last row does.
    pub fn text_rows(&self, lines: usize) -> usize {
        let height = usize::from(self.text.height);
        if self.rule.height == 0 && lines > height {
            height.saturating_sub(1)
        } else {
            height
        }
    }
}

/// Rectangles of a whole screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The names of the views.
    pub tabs: Rect,
    /// One pane or two, main one first.
    pub panes: Vec<PaneArea>,
    /// The line between two panes beside each other.
    pub divider: Rect,
    /// The hint bar.
    pub hints: Rect,
    /// The status line.
    pub status: Rect,
}

/// What the layout depends on, besides the size.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The view to show.
    pub view: View,
    /// The pane that has the keys; the one to show where there is room for one only.
    pub pane: Pane,
    /// Whose hints are shown.
    pub listener: Listener,
    /// How keys are written.
    pub characters: Characters,
    /// Which keys there are.
    pub keymap: &'a Keymap,
    /// Rows that there are for the lists of the view's panes, main one first: what a short list leaves is its text's.
    pub rows: [usize; 2],
    /// How much of the screen the pane with the keys has.
    pub room: Room,
}

/// How much of the screen the pane with the keys has, where there is another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Room {
    /// What it has by itself.
    #[default]
    Shared,
    /// Most of it.
    Most,
    /// All of it.
    Alone,
}

impl Wanted<'_> {
    fn rows_of(&self, pane: Pane) -> usize {
        let at = panes_of(self.view).iter().position(|other| *other == pane);
        at.and_then(|at| self.rows.get(at)).copied().unwrap_or(0)
    }
}

impl Layout {
    /// The layout for a size; nothing where the terminal is too small.
    pub fn of(columns: u16, rows: u16, wanted: Wanted<'_>) -> Option<Self> {
        if columns < SMALLEST.0 || rows < SMALLEST.1 {
            return None;
        }
        let hint_rows = if rows < HINTS_ROWS {
            0
        } else {
            hint_lines(wanted.listener, wanted.characters, wanted.keymap, columns).len() as u16
        };
        let body = Rect::new(0, 1, columns, rows - 2 - hint_rows);
        let (panes, divider) = match panes_of(wanted.view) {
            // Time needs all the columns there are.
            _ if wanted.room == Room::Alone => (
                vec![pane_area(wanted.pane, body, wanted.rows_of(wanted.pane))],
                Rect::default(),
            ),
            [main, other] if columns >= BESIDE_COLUMNS && wanted.view != View::Timeline => {
                beside(*main, *other, body, wanted)
            }
            [main, other] if columns >= ABOVE.0 && rows >= ABOVE.1 => {
                (above(*main, *other, body, wanted), Rect::default())
            }
            _ => (
                vec![pane_area(wanted.pane, body, wanted.rows_of(wanted.pane))],
                Rect::default(),
            ),
        };
        Some(Self {
            tabs: Rect::new(0, 0, columns, 1),
            panes,
            divider,
            hints: Rect::new(0, rows - 1 - hint_rows, columns, hint_rows),
            status: Rect::new(0, rows - 1, columns, 1),
        })
    }

    /// The rectangles of a pane, where it is shown.
    pub fn area(&self, pane: Pane) -> Option<&PaneArea> {
        self.panes.iter().find(|area| area.pane == pane)
    }
}

fn beside(main: Pane, other: Pane, body: Rect, wanted: Wanted<'_>) -> (Vec<PaneArea>, Rect) {
    // Findings are sentences and do with less; of a biography every column counts.
    let share = match wanted.room {
        Room::Most if wanted.pane == main => MOST,
        Room::Most => 100 - MOST,
        _ if wanted.view == View::Findings => 42,
        _ => 58,
    };
    let wide = body.width * share / 100;
    let left = Rect {
        width: wide,
        ..body
    };
    let right = Rect::new(wide + 1, body.y, body.width - wide - 1, body.height);
    let divider = Rect::new(wide, body.y, 1, body.height);
    let panes = vec![
        pane_area(main, left, wanted.rows_of(main)),
        pane_area(other, right, wanted.rows_of(other)),
    ];
    (panes, divider)
}

fn above(main: Pane, other: Pane, body: Rect, wanted: Wanted<'_>) -> Vec<PaneArea> {
    let upper = match wanted.room {
        Room::Most if wanted.pane == main => body.height * MOST / 100,
        Room::Most => body.height - body.height * MOST / 100,
        _ => body.height / 2,
    };
    let first = Rect {
        height: upper,
        ..body
    };
    let second = Rect {
        y: body.y + upper,
        height: body.height - upper,
        ..body
    };
    vec![
        pane_area(main, first, wanted.rows_of(main)),
        pane_area(other, second, wanted.rows_of(other)),
    ]
}

/// Commands that the palette shows at once.
const OFFERS_MAX: u16 = 12;

/// Where the palette stands above the status line, its title on the first row, and which command is on the
/// second; nothing where none fits.
pub fn palette_area(status: Rect, offers: usize, chosen: usize) -> Option<(Rect, usize)> {
    let room = status.y.saturating_sub(3).min(OFFERS_MAX);
    let height = room.min(u16::try_from(offers).unwrap_or(u16::MAX));
    if height == 0 {
        return None;
    }
    let frame = Rect {
        y: status.y - height - 1,
        height: height + 1,
        ..status
    };
    Some((frame, chosen.saturating_sub(usize::from(height) - 1)))
}

/// Columns for the names of lanes and for time, of so many.
pub fn timeline_columns(width: u16) -> (u16, u16) {
    let names = (width / 4).clamp(8, 22).min(width);
    (names, width - names)
}

fn pane_area(pane: Pane, area: Rect, rows: usize) -> PaneArea {
    let inside = area.height.saturating_sub(1);
    let header = u16::from(pane == Pane::Objects && inside >= 7);
    let inside = inside - header;
    let (list, rule, text) = match pane {
        // The list is short, its text is what people read.
        Pane::Findings | Pane::Rings => {
            let rule = u16::from(inside >= 10);
            let most = if inside < 10 { 2 } else { inside / 2 };
            let list = most.min(rows.try_into().unwrap_or(u16::MAX).max(1));
            (list, rule, inside.saturating_sub(list + rule))
        }
        _ => {
            let text = match inside {
                0..7 => 0,
                7..14 => 3,
                14..30 => 4,
                _ => 6,
            };
            let rule = u16::from(inside >= 10);
            let list = inside.saturating_sub(text + rule);
            // Of what is long, and changes while one looks at it, the list stays as high as it is.
            let is_long = matches!(pane, Pane::Events | Pane::Timeline | Pane::Source);
            let rows = rows.try_into().unwrap_or(u16::MAX);
            let list = match inside {
                14.. if !is_long => list.min(rows.max((inside - rule) / 2)),
                _ => list,
            };
            (list, rule, inside.saturating_sub(list + rule))
        }
    };
    let row = |y: u16, height: u16| Rect {
        y: area.y + y,
        height,
        ..area
    };
    PaneArea {
        pane,
        title: row(0, area.height.min(1)),
        header: row(1, header),
        list: row(1 + header, list),
        rule: row(1 + header + list, rule),
        text: row(1 + header + list + rule, text),
    }
}

/// The hint bar as lines of keys and words: what does not fit on two lines is left out.
pub fn hint_lines(
    listener: Listener,
    characters: Characters,
    keymap: &Keymap,
    columns: u16,
) -> Vec<Vec<(String, &'static str)>> {
    let mut lines: Vec<Vec<(String, &'static str)>> = vec![Vec::new()];
    let mut used = 0;
    for (keys, word) in hints(listener, characters, keymap) {
        let needed = width(&keys) + 1 + width(word) + 2;
        if used + needed > usize::from(columns) && used > 0 {
            if lines.len() == 2 {
                break;
            }
            lines.push(Vec::new());
            used = 0;
        }
        used += needed;
        if let Some(line) = lines.last_mut() {
            line.push((keys, word));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    static KEYS: std::sync::LazyLock<Keymap> = std::sync::LazyLock::new(Keymap::default);

    fn wanted(view: View) -> Wanted<'static> {
        Wanted {
            view,
            pane: panes_of(view)[0],
            listener: Listener::Pane(Pane::Findings),
            characters: Characters::Unicode,
            keymap: &KEYS,
            rows: [3; 2],
            room: Room::Shared,
        }
    }

    #[test]
    fn panes_stand_beside_each_other_only_where_there_is_room() {
        let panes = |columns, rows| {
            Layout::of(columns, rows, wanted(View::Findings)).map(|layout| layout.panes.len())
        };
        assert_eq!(panes(39, 10), None);
        assert_eq!(panes(40, 9), None);
        assert_eq!(panes(40, 10), Some(1));
        assert_eq!(panes(80, 24), Some(1));
        assert_eq!(panes(80, 40), Some(2));
        assert_eq!(panes(120, 24), Some(2));
    }

    #[test]
    fn the_hint_bar_is_gone_below_twelve_rows_and_never_takes_more_than_two() {
        let rows = |columns, rows| {
            Layout::of(columns, rows, wanted(View::Findings))
                .expect("large enough")
                .hints
                .height
        };
        assert_eq!(rows(80, 11), 0);
        assert_eq!(rows(40, 12), 2);
        assert!(rows(200, 60) == 1);
    }

    #[test]
    fn the_way_to_all_keys_is_on_every_pane_at_every_width() {
        for pane in Pane::ALL {
            for columns in [40, 80, 120] {
                let lines = hint_lines(
                    Listener::Pane(pane),
                    Characters::Ascii,
                    &Keymap::default(),
                    columns,
                );
                let mut hints = lines.iter().flatten();
                assert!(hints.any(|hint| hint.0 == "?"), "{pane:?} {columns}");
            }
        }
    }

    proptest! {
        #[test]
        fn everything_lies_inside_and_nothing_overlaps(
            columns in 0u16..300, rows in 0u16..100, view in 0usize..View::ALL.len(), list in 0usize..100,
            room in 0usize..3
        ) {
            let mut wanted = wanted(View::ALL[view]);
            wanted.room = [Room::Shared, Room::Most, Room::Alone][room];
            wanted.rows = [list; 2];
            let Some(layout) = Layout::of(columns, rows, wanted) else {
                prop_assert!(columns < 40 || rows < 10);
                return Ok(());
            };
            let mut all = vec![layout.tabs, layout.hints, layout.status, layout.divider];
            for pane in &layout.panes {
                prop_assert!(pane.list.height > 0);
                all.extend([pane.title, pane.header, pane.list, pane.rule, pane.text]);
            }
            let screen = Rect::new(0, 0, columns, rows);
            for (index, one) in all.iter().enumerate() {
                prop_assert!(one.is_empty() || screen.intersection(*one) == *one, "{one:?}");
                for other in &all[index + 1..] {
                    prop_assert!(one.intersection(*other).is_empty(), "{one:?} {other:?}");
                }
            }
        }
    }
}
