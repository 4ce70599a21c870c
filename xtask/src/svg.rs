//! A screen as SVG: cells as text with their colours. Nothing in it but rectangles and text.

use std::fmt::Write as _;

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};

/// Size of a cell, and where in it letters stand.
const CELL: (f64, f64) = (8.4, 18.0);
const BASELINE: f64 = 13.5;

/// Around the screen.
const MARGIN: f64 = 10.0;

/// Letters and ground where a cell does not say.
const DEFAULT: (&str, &str) = ("#d0d0d0", "#1c1c1c");

/// How a cell looks.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Look {
    letters: String,
    ground: String,
    is_bold: bool,
    is_dim: bool,
    is_underlined: bool,
}

/// The picture. `title` says to those who cannot see it what it shows.
pub(crate) fn svg(buffer: &Buffer, title: &str) -> String {
    let (columns, rows) = (buffer.area.width, buffer.area.height);
    let (wide, high) = (
        f64::from(columns) * CELL.0 + 2.0 * MARGIN,
        f64::from(rows) * CELL.1 + 2.0 * MARGIN,
    );
    let (letters, ground) = DEFAULT;
    let mut out = String::new();
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {wide:.1} {high:.1}\" \
         font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace\" font-size=\"14\" role=\"img\">"
    );
    let _ = writeln!(out, "<title>{}</title>", escaped(title));
    let _ = writeln!(
        out,
        "<rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"{ground}\"/>"
    );
    let _ = writeln!(out, "<g fill=\"{letters}\" xml:space=\"preserve\">");
    for y in 0..rows {
        let mut x = 0;
        while x < columns {
            let look = look(&buffer[(x, y)]);
            let mut text = String::new();
            let start = x;
            while x < columns && self::look(&buffer[(x, y)]) == look {
                let symbol = buffer[(x, y)].symbol();
                text.push_str(symbol);
                // A wide character covers the cell behind it.
                x += (tui::text::width(symbol).max(1) as u16).min(columns - x);
            }
            run(&mut out, &look, &text, (start, x - start, y));
        }
    }
    out.push_str("</g>\n</svg>\n");
    out
}

/// Cells that look the same: their ground, and what stands on it.
fn run(out: &mut String, look: &Look, text: &str, (x, cells, y): (u16, u16, u16)) {
    let left = MARGIN + f64::from(x) * CELL.0;
    let top = MARGIN + f64::from(y) * CELL.1;
    let wide = |cells: usize| cells as f64 * CELL.0;
    if look.ground != DEFAULT.1 {
        let _ = writeln!(
            out,
            "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{}\"/>",
            wide(cells.into()),
            CELL.1,
            look.ground
        );
    }
    // Blanks at either end need no letters.
    let shown = text.trim_start_matches(' ');
    let before = text.len() - shown.len();
    let shown = if look.is_underlined {
        text
    } else {
        shown.trim_end_matches(' ')
    };
    if shown.trim().is_empty() && !look.is_underlined {
        return;
    }
    let left = if look.is_underlined {
        left
    } else {
        left + wide(before)
    };
    let mut attributes = String::new();
    if look.letters != DEFAULT.0 {
        let _ = write!(attributes, " fill=\"{}\"", look.letters);
    }
    for (is_so, attribute) in [
        (look.is_bold, " font-weight=\"bold\""),
        (look.is_dim, " opacity=\"0.7\""),
        (look.is_underlined, " text-decoration=\"underline\""),
    ] {
        if is_so {
            attributes.push_str(attribute);
        }
    }
    // The length holds the columns together in whatever font the reader has.
    let _ = writeln!(
        out,
        "<text x=\"{left:.1}\" y=\"{:.1}\" textLength=\"{:.1}\" lengthAdjust=\"spacingAndGlyphs\"{attributes}>{}</text>",
        top + BASELINE,
        wide(tui::text::width(shown)),
        escaped(shown)
    );
}

fn look(cell: &Cell) -> Look {
    let mut letters = colour(cell.fg).unwrap_or_else(|| DEFAULT.0.to_owned());
    let mut ground = colour(cell.bg).unwrap_or_else(|| DEFAULT.1.to_owned());
    if cell.modifier.contains(Modifier::REVERSED) {
        std::mem::swap(&mut letters, &mut ground);
    }
    Look {
        letters,
        ground,
        is_bold: cell.modifier.contains(Modifier::BOLD),
        is_dim: cell.modifier.contains(Modifier::DIM),
        is_underlined: cell.modifier.contains(Modifier::UNDERLINED),
    }
}

/// A colour as SVG has it; nothing for the terminal's own.
fn colour(colour: Color) -> Option<String> {
    let [r, g, b] = match colour {
        Color::Rgb(r, g, b) => [r, g, b],
        Color::Indexed(number @ 16..=231) => {
            let level = |step: u8| if step == 0 { 0 } else { 55 + 40 * step };
            let cube = number - 16;
            [level(cube / 36), level(cube / 6 % 6), level(cube % 6)]
        }
        Color::Indexed(number @ 232..) => [8 + 10 * (number - 232); 3],
        _ => return None,
    };
    Some(format!("#{r:02x}{g:02x}{b:02x}"))
}

/// Text as XML takes it. Characters that XML has no place for do not get here: what a trace says is made safe
/// for terminals first.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use quick_xml::events::Event;
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    /// What an XML reader finds: text, and colours of letters and grounds.
    fn read(svg: &str) -> (String, Vec<String>) {
        let mut reader = quick_xml::Reader::from_str(svg);
        reader.config_mut().check_end_names = true;
        let (mut text, mut fills) = (String::new(), Vec::new());
        loop {
            match reader.read_event().expect("well-formed XML") {
                Event::Eof => return (text, fills),
                Event::Text(part) => text.push_str(&part.decode().expect("UTF-8")),
                Event::GeneralRef(part) => {
                    text.push_str(&format!("&{};", part.decode().expect("UTF-8")));
                }
                Event::Start(tag) | Event::Empty(tag) => {
                    for attribute in tag.attributes() {
                        let attribute = attribute.expect("an attribute");
                        if attribute.key.as_ref() == b"fill" {
                            fills.push(String::from_utf8_lossy(&attribute.value).into_owned());
                        }
                    }
                }
                _ => {}
            }
        }
    }

    #[test]
    fn what_a_cell_says_is_never_taken_for_xml() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 30, 2));
        let style = Style::new()
            .fg(Color::Indexed(210))
            .bg(Color::Indexed(16))
            .add_modifier(Modifier::REVERSED);
        buffer.set_string(0, 0, "Rc<&'a str> \"]]>漢\u{7}", style);
        let svg = svg(&buffer, "a <title> & more");
        let (text, fills) = read(&svg);
        assert!(
            text.contains("Rc&lt;&amp;'a str&gt; &quot;]]&gt;漢"),
            "{text}"
        );
        assert!(text.contains("a &lt;title&gt; &amp; more"));
        // Reversed: the letters' colour is the ground.
        let ground = fills
            .iter()
            .position(|fill| fill == "#ff8787")
            .expect("a ground");
        assert_eq!(fills.get(ground + 1).map(String::as_str), Some("#000000"));
    }
}
