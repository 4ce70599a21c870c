//! A drawn screen as text with its styles, for tests and for people who read them.
//!
//! First the rows as they stand, then one line for each stretch of cells whose style is not plain:
//! `row column-column what`. ratatui's own text form drops all styles.

use std::fmt::Write as _;

use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier};

/// Rows, then styles.
pub fn styled_snapshot(buffer: &Buffer) -> String {
    let mut out = plain_snapshot(buffer);
    out.push_str("----\n");
    for y in buffer.area.top()..buffer.area.bottom() {
        let mut x = buffer.area.left();
        while x < buffer.area.right() {
            let style = describe(buffer, x, y);
            let mut end = x;
            while end + 1 < buffer.area.right() && describe(buffer, end + 1, y) == style {
                end += 1;
            }
            if !style.is_empty() {
                let _ = writeln!(out, "{y} {x}-{end} {style}");
            }
            x = end + 1;
        }
    }
    out
}

/// Rows alone, without the blanks at their ends.
pub fn plain_snapshot(buffer: &Buffer) -> String {
    let mut out = String::new();
    for y in buffer.area.top()..buffer.area.bottom() {
        let mut row = String::new();
        let mut x = buffer.area.left();
        while x < buffer.area.right() {
            let symbol = buffer[(x, y)].symbol();
            row.push_str(symbol);
            // A wide character covers the cell after it.
            x += crate::text::width(symbol).max(1) as u16;
        }
        let _ = writeln!(out, "{}", row.trim_end());
    }
    out
}

fn describe(buffer: &Buffer, x: u16, y: u16) -> String {
    let cell = &buffer[(x, y)];
    let mut words: Vec<String> = Vec::new();
    for (modifier, word) in [
        (Modifier::BOLD, "bold"),
        (Modifier::DIM, "dim"),
        (Modifier::ITALIC, "italic"),
        (Modifier::UNDERLINED, "underlined"),
        (Modifier::REVERSED, "reversed"),
    ] {
        if cell.modifier.contains(modifier) {
            words.push(word.to_owned());
        }
    }
    if cell.fg != Color::Reset {
        words.push(format!("{:?}", cell.fg).to_lowercase());
    }
    if cell.bg != Color::Reset {
        words.push(format!("on {:?}", cell.bg).to_lowercase());
    }
    words.join(" ")
}
