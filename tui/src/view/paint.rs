//! Lines with tones into cells with styles.
//!
//! Colour never says anything alone: with colours off, weight, reversal and the words remain.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use crate::keys::Characters;
use crate::model::Colour;
use crate::text::{Line, Tone, clip, width};

/// Whether a row is the selected one, and whether its pane has the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Selection {
    /// It is not.
    None,
    /// It is; the keys go elsewhere.
    Resting,
    /// It is, and keys move it.
    Active,
}

/// Cells, and how to fill them.
pub(super) struct Paint<'a> {
    buffer: &'a mut Buffer,
    pub(super) characters: Characters,
    colour: Colour,
}

impl<'a> Paint<'a> {
    pub(super) fn new(buffer: &'a mut Buffer, characters: Characters, colour: Colour) -> Self {
        Self {
            buffer,
            characters,
            colour,
        }
    }

    /// Writes a line into a row; what is too long is cut, with a mark.
    pub(super) fn line(&mut self, row: Rect, line: &Line) {
        let row = row.intersection(self.buffer.area);
        if row.is_empty() {
            return;
        }
        let mut x = row.x;
        let mut left = usize::from(row.width);
        let mut pieces = line.iter().filter(|(text, _)| !text.is_empty()).peekable();
        while let Some((text, tone)) = pieces.next() {
            let needed = width(text);
            // The last column is kept for the mark while something follows.
            if needed < left || (needed == left && pieces.peek().is_none()) {
                self.write(x, row, text, *tone);
                x += needed as u16;
                left -= needed;
            } else {
                let cut = clip(&format!("{text}  "), left, self.characters);
                self.write(x, row, &cut, *tone);
                break;
            }
        }
    }

    fn write(&mut self, x: u16, row: Rect, text: &str, tone: Tone) {
        let style = self.style(tone);
        self.buffer
            .set_stringn(x, row.y, text, (row.right() - x).into(), style);
    }

    /// Writes a line that may be selected.
    pub(super) fn row(&mut self, row: Rect, line: &Line, selection: Selection) {
        self.line(row, line);
        self.select(row, selection);
    }

    /// Shows cells as selected.
    pub(super) fn select(&mut self, area: Rect, selection: Selection) {
        let modifier = match selection {
            Selection::None => return,
            Selection::Resting => Modifier::UNDERLINED,
            Selection::Active => Modifier::REVERSED,
        };
        self.buffer.set_style(
            area.intersection(self.buffer.area),
            Style::new().add_modifier(modifier),
        );
    }

    /// Empties an area.
    pub(super) fn clear(&mut self, area: Rect) {
        let area = area.intersection(self.buffer.area);
        for y in area.top()..area.bottom() {
            for x in area.left()..area.right() {
                self.buffer[(x, y)].reset();
            }
        }
    }

    fn style(&self, tone: Tone) -> Style {
        let (colour, modifier) = match tone {
            Tone::Plain => (Color::Reset, Modifier::empty()),
            Tone::Faint => (Color::Reset, Modifier::DIM),
            Tone::Strong => (Color::Reset, Modifier::BOLD),
            Tone::Error => (Color::Red, Modifier::BOLD),
            Tone::Warning => (Color::Yellow, Modifier::BOLD),
            Tone::Note => (Color::Cyan, Modifier::empty()),
            Tone::Unsure => (Color::Magenta, Modifier::empty()),
            Tone::Place => (Color::Green, Modifier::empty()),
        };
        let style = Style::new().add_modifier(modifier);
        match self.colour {
            Colour::On => style.fg(colour),
            Colour::Off => style,
        }
    }
}
