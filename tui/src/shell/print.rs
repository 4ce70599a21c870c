//! A frame as text with the codes of its styles, for a terminal that goes on to scroll.

use std::fmt::Write as _;

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};

use crate::text::width;

/// The frame, row by row; what is blank at the end of a row is left away.
pub(super) fn printed(buffer: &Buffer) -> String {
    let mut text = String::new();
    let area = buffer.area;
    for y in area.top()..area.bottom() {
        let cells: Vec<&Cell> = (area.left()..area.right())
            .filter_map(|x| buffer.cell((x, y)))
            .collect();
        let is_blank = |cell: &&&Cell| cell.symbol() == " " && style(cell).is_empty();
        let len = cells.len() - cells.iter().rev().take_while(is_blank).count();
        let mut now = String::new();
        let mut covered = 0;
        for cell in &cells[..len] {
            // What stands behind a wide character is not there.
            if covered > 0 {
                covered -= 1;
                continue;
            }
            let wanted = style(cell);
            if wanted != now {
                let _ = write!(text, "\x1b[0{wanted}m");
                now = wanted;
            }
            text.push_str(cell.symbol());
            covered = width(cell.symbol()).saturating_sub(1);
        }
        text.push_str(if now.is_empty() { "\n" } else { "\x1b[0m\n" });
    }
    text
}

/// Parameters of "select graphic rendition" behind a reset; empty for the terminal's own.
fn style(cell: &Cell) -> String {
    let mut style = String::new();
    let weights = [
        (Modifier::BOLD, ";1"),
        (Modifier::DIM, ";2"),
        (Modifier::UNDERLINED, ";4"),
        (Modifier::REVERSED, ";7"),
    ];
    for (weight, code) in weights {
        if cell.modifier.contains(weight) {
            style.push_str(code);
        }
    }
    for (colour, code) in [(cell.fg, 38), (cell.bg, 48)] {
        if let Color::Indexed(number) = colour {
            let _ = write!(style, ";{code};5;{number}");
        }
    }
    style
}

#[cfg(test)]
mod tests {
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    use super::*;

    #[test]
    fn rows_end_where_their_text_does_and_styles_are_said_once() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 12, 3));
        buffer.set_string(0, 0, "ab", Style::new().fg(Color::Indexed(3)));
        buffer.set_string(2, 0, "漢c", Style::new().add_modifier(Modifier::BOLD));
        buffer.set_string(0, 2, " x", Style::new().bg(Color::Indexed(4)));
        assert_eq!(
            printed(&buffer),
            "\x1b[0;38;5;3mab\x1b[0;1m漢c\x1b[0m\n\n\x1b[0;48;5;4m x\x1b[0m\n"
        );
    }
}
