//! Screens one after the other as a cast (asciinema, version 2): a line of JSON for each.

use std::fmt::Write as _;

use anyhow::Result;
use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};

use crate::stage::Stage;

/// Columns and rows.
pub(crate) const SIZE: (u16, u16) = (80, 24);

/// The one-minute story: so many seconds of reading, then these keys.
const STORY: [(f64, &str); 9] = [
    // The verdict: which entry kept which word, and who was resumed by it.
    (6.0, "JJJJ"),
    // The life of the pointer: leaked, taken back, and used once more.
    (6.0, "<enter>"),
    (5.0, "x"),
    // Where the entry was pushed, among all events.
    (4.0, "<enter>"),
    (4.0, "O"),
    (3.0, "o"),
    // When: the timer is still in flight as its coroutine is resumed.
    (4.0, "4"),
    (5.0, "www"),
    (6.0, "1"),
];

/// Seconds between two keys.
const BETWEEN: f64 = 0.5;

/// The cast of the story.
pub(crate) fn story() -> Result<String> {
    let mut stage = Stage::open(SIZE.0, SIZE.1)?;
    let head = serde_json::json!({
        "version": 2,
        "width": SIZE.0,
        "height": SIZE.1,
        "title": "tracer view: the cause of a leftover cookie in a minute",
        "env": { "TERM": "xterm-256color" },
    });
    let mut out = format!("{head}\n");
    let mut now = 0.0;
    let mut frame = |now: f64, stage: &Stage| -> Result<()> {
        let line = serde_json::json!([now, "o", frame(&stage.draw()?)]);
        writeln!(out, "{line}")?;
        Ok(())
    };
    frame(now, &stage)?;
    for (seconds, keys) in STORY {
        now += seconds - BETWEEN;
        stage.press(keys, |stage| {
            now += BETWEEN;
            frame(now, stage)
        })?;
    }
    frame(now + 4.0, &stage)?;
    Ok(out)
}

/// A screen as what a terminal is sent for it.
fn frame(buffer: &Buffer) -> String {
    let mut out = String::from("\x1b[?25l\x1b[H");
    for y in 0..buffer.area.height {
        let _ = write!(out, "\x1b[{};1H", y + 1);
        let mut last = None;
        let mut x = 0;
        while x < buffer.area.width {
            let cell = &buffer[(x, y)];
            let style = (cell.fg, cell.bg, cell.modifier);
            if last != Some(style) {
                out.push_str(&graphics(cell));
                last = Some(style);
            }
            out.push_str(cell.symbol());
            x += (tui::text::width(cell.symbol()).max(1) as u16).min(buffer.area.width - x);
        }
    }
    out.push_str("\x1b[0m");
    out
}

fn graphics(cell: &Cell) -> String {
    let mut codes = String::from("0");
    for (modifier, code) in [
        (Modifier::BOLD, 1),
        (Modifier::DIM, 2),
        (Modifier::UNDERLINED, 4),
        (Modifier::REVERSED, 7),
    ] {
        if cell.modifier.contains(modifier) {
            let _ = write!(codes, ";{code}");
        }
    }
    for (colour, lead) in [(cell.fg, 38), (cell.bg, 48)] {
        if let Color::Indexed(number) = colour {
            let _ = write!(codes, ";{lead};5;{number}");
        }
    }
    format!("\x1b[{codes}m")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_player_sees_what_the_viewer_drew() {
        let cast = story().expect("the story can be told");
        let mut lines = cast.lines();
        let head: serde_json::Value = serde_json::from_str(lines.next().expect("a head")).unwrap();
        assert_eq!((&head["version"], &head["width"]), (&2.into(), &80.into()));
        let mut terminal = vt100::Parser::new(24.try_into().unwrap(), 80.try_into().unwrap(), 0);
        let (mut last, mut seen) = (0.0, String::new());
        for line in lines {
            let event: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
            let at = event[0].as_f64().expect("a time");
            assert!(at >= last && event[1] == "o", "{line}");
            last = at;
            terminal.process(event[2].as_str().expect("a text").as_bytes());
            seen.push_str(&terminal.screen().contents());
        }
        assert!((30.0..75.0).contains(&last), "{last}");
        for text in ["never set", "[2 Biography]", "[4 Timeline]", "[3 Events]"] {
            assert!(seen.contains(text), "{text} is not told");
        }
        // The last frame, cell by cell.
        let mut stage = Stage::open(SIZE.0, SIZE.1).unwrap();
        for (_, keys) in STORY {
            stage.press(keys, |_| Ok(())).unwrap();
        }
        let drawn = tui::snapshot::plain_snapshot(&stage.draw().unwrap());
        let shown: Vec<String> = terminal.screen().rows(0, 80).collect();
        let shown: String = shown
            .iter()
            .map(|row| format!("{}\n", row.trim_end()))
            .collect();
        assert_eq!(shown, drawn);
    }
}
