//! Lines with tones into cells with styles.
//!
//! Colour never says anything alone: with colours off, weight, reversal and the words remain.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use crate::keys::Characters;
use crate::model::{Colour, Look};
use crate::text::{Line, Tone, clip, width};
use crate::theme::Theme;

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
    theme: Theme,
}

impl<'a> Paint<'a> {
    /// Cells on the ground of the theme.
    pub(super) fn new(buffer: &'a mut Buffer, look: &Look) -> Self {
        let theme = match look.colour {
            Colour::On => look.theme,
            Colour::Off => Theme::Mono,
        };
        let mut paint = Self {
            buffer,
            characters: look.characters,
            theme,
        };
        paint.lay_ground(paint.buffer.area);
        paint
    }

    fn lay_ground(&mut self, area: Rect) {
        if let Some((letters, ground)) = self.theme.ground() {
            let style = Style::new()
                .fg(Color::Indexed(letters))
                .bg(Color::Indexed(ground));
            self.buffer.set_style(area, style);
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
        self.lay_ground(area);
    }

    fn style(&self, tone: Tone) -> Style {
        let modifier = match tone {
            Tone::Strong | Tone::Error | Tone::Warning => Modifier::BOLD,
            // A colour that is dimmed may no longer be read; one that is known to be needs no dimming.
            Tone::Faint if self.theme.dims() => Modifier::DIM,
            _ => Modifier::empty(),
        };
        let style = Style::new().add_modifier(modifier);
        match self.theme.colour(tone) {
            Some(colour) => style.fg(ansi(colour)),
            None => style,
        }
    }
}

/// The terminal's own colours by their names, the others by their numbers.
fn ansi(number: u8) -> Color {
    match number {
        1 => Color::Red,
        2 => Color::Green,
        3 => Color::Yellow,
        5 => Color::Magenta,
        6 => Color::Cyan,
        number => Color::Indexed(number),
    }
}
