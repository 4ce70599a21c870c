//! Text for the screen before it has a colour: widths, wrapping, clipping, times and counts.
//!
//! Everything here takes text that is already safe for a terminal.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::keys::Characters;

/// What a piece of text is, so that the view can give it a style.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tone {
    /// Ordinary text.
    Plain,
    /// Of less weight: times, labels, what repeats.
    Faint,
    /// Of more weight: names, headings.
    Strong,
    /// Belongs to an error.
    Error,
    /// Belongs to a warning.
    Warning,
    /// Belongs to a note.
    Note,
    /// Belongs to something that could not be told.
    Unsure,
    /// A place in the source.
    Place,
}

/// One line: pieces of text, each with its tone.
pub type Line = Vec<(String, Tone)>;

/// Columns that a text takes.
pub fn width(text: &str) -> usize {
    text.width()
}

/// Breaks a text into lines of at most `columns`, between words where that is possible.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let needed = width(word);
        if used > 0 && used + 1 + needed > columns {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        if used + needed <= columns {
            line.push_str(word);
            used += needed;
            continue;
        }
        // A word wider than a line is cut wherever the line ends.
        for character in word.chars() {
            let columns_of_it = character.width().unwrap_or(0);
            if used > 0 && used + columns_of_it > columns {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            line.push(character);
            used += columns_of_it;
        }
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

/// Wraps a text in a column of its own beside a label.
pub fn wrap_beside(label: &str, tone: Tone, text: &str, columns: usize) -> Vec<Line> {
    // In a narrow place a column as far in as the label is wide would leave no room for the text.
    let indent = width(label).min(columns / 2);
    let mut lines = Vec::new();
    let has_room = width(label) == indent;
    if !has_room {
        lines.push(vec![(clip(label, columns, Characters::Ascii), tone)]);
    }
    for (index, piece) in wrap(text, columns.saturating_sub(indent))
        .into_iter()
        .enumerate()
    {
        let is_first = index == 0 && has_room;
        let lead = if is_first {
            label.to_owned()
        } else {
            " ".repeat(indent)
        };
        lines.push(vec![(lead, tone), (piece, Tone::Plain)]);
    }
    lines
}

/// Wraps a text that goes on behind a label; all but the first line are indented.
pub fn wrap_after(label: &str, tone: Tone, text: &str, columns: usize) -> Vec<Line> {
    const INDENT: usize = 4;
    let Some(room) = columns.checked_sub(INDENT).filter(|room| *room > INDENT) else {
        return wrap(&format!("{label}{text}"), columns)
            .into_iter()
            .map(|line| vec![(line, Tone::Plain)])
            .collect();
    };
    let words = label.trim();
    let mut to_come = words.chars().count();
    let mut lines = Vec::new();
    // All lines are as wide as the indented ones, so that one wrapping serves label and text.
    for (index, piece) in wrap(&format!("{words} {text}"), room)
        .into_iter()
        .enumerate()
    {
        let lead = " ".repeat(if index == 0 { INDENT / 2 } else { INDENT });
        let split = piece
            .char_indices()
            .nth(to_come)
            .map_or(piece.len(), |(at, _)| at);
        let (of_label, of_text) = piece.split_at(split);
        // The blank at which the label was broken counts too.
        to_come = to_come.saturating_sub(of_label.chars().count() + 1);
        lines.push(vec![
            (format!("{lead}{of_label}"), tone),
            (of_text.to_owned(), Tone::Plain),
        ]);
    }
    lines
}

/// Cuts a text to `columns`, with a mark where something is missing.
pub fn clip(text: &str, columns: usize, characters: Characters) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mark = match characters {
        Characters::Unicode => "…",
        Characters::Ascii => "~",
    };
    if columns == 0 {
        return String::new();
    }
    let mut out = String::new();
    let mut used = 0;
    for character in text.chars() {
        let columns_of_it = character.width().unwrap_or(0);
        if used + columns_of_it > columns - 1 {
            break;
        }
        out.push(character);
        used += columns_of_it;
    }
    out.push_str(mark);
    out
}

/// Cuts a text to `columns` from its front: of a path, the end says more.
pub fn clip_front(text: &str, columns: usize, characters: Characters) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let reversed: String = text.chars().rev().collect();
    clip(&reversed, columns, characters).chars().rev().collect()
}

/// Seconds since the first event, to the nanosecond.
pub fn time(at_ns: u64) -> String {
    format!("{}.{:09}", at_ns / 1_000_000_000, at_ns % 1_000_000_000)
}

/// A difference of times in three digits and a unit.
pub fn difference(ns: i128, characters: Characters) -> String {
    let sign = if ns < 0 { '-' } else { '+' };
    let ns = ns.unsigned_abs();
    let micro = match characters {
        Characters::Unicode => "µs",
        Characters::Ascii => "us",
    };
    let (unit, scale) = match ns {
        0..1_000 => return format!("{sign}{ns}ns"),
        1_000..1_000_000 => (micro, 1_000),
        1_000_000..1_000_000_000 => ("ms", 1_000_000),
        _ => ("s", 1_000_000_000),
    };
    let whole = ns / scale;
    let hundredths = ns % scale * 100 / scale;
    match whole {
        0..10 => format!("{sign}{whole}.{hundredths:02}{unit}"),
        10..100 => format!("{sign}{whole}.{}{unit}", hundredths / 10),
        _ => format!("{sign}{whole}{unit}"),
    }
}

/// A text as a sentence: with a full stop at its end. Its first word stays as it is: it may be a name.
pub fn sentence(text: &str) -> String {
    let mut out = text.to_owned();
    if !out.is_empty() && !out.ends_with(['.', '!', '?']) {
        out.push('.');
    }
    out
}

/// A count with its thousands apart.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A count and the word for it, which gets an `s` unless there is exactly one.
pub fn counted(number: u64, word: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {word}{plural}", count(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_stay_whole_where_they_fit() {
        assert_eq!(
            wrap("the slot still held it", 10),
            ["the slot", "still held", "it"]
        );
        assert_eq!(wrap("0x55d0c2e0@3", 5), ["0x55d", "0c2e0", "@3"]);
        assert_eq!(wrap("", 5), [""]);
    }

    #[test]
    fn a_text_goes_on_behind_its_label() {
        let lines = wrap_after(
            "  leaked here: ",
            Tone::Faint,
            "leak Conn at conn.rs:88",
            24,
        );
        let texts: Vec<String> = lines
            .iter()
            .map(|line| line.iter().map(|piece| piece.0.as_str()).collect())
            .collect();
        assert_eq!(texts, ["  leaked here: leak", "    Conn at conn.rs:88"]);
        assert_eq!(lines[0][0].0, "  leaked here:");
        assert_eq!(lines[1][1].0, "Conn at conn.rs:88");
    }

    #[test]
    fn a_cut_is_marked() {
        assert_eq!(clip("leftover", 5, Characters::Unicode), "left…");
        assert_eq!(clip("leftover", 5, Characters::Ascii), "left~");
        assert_eq!(clip("漢字漢字", 5, Characters::Unicode), "漢字…");
        assert_eq!(
            clip_front("a/long/path.trc", 9, Characters::Unicode),
            "…path.trc"
        );
        assert_eq!(clip("x", 0, Characters::Unicode), "");
    }

    #[test]
    fn times_have_a_unit_that_fits() {
        let of = |ns| difference(ns, Characters::Ascii);
        assert_eq!(of(0), "+0ns");
        assert_eq!(of(1_230), "+1.23us");
        assert_eq!(of(12_340), "+12.3us");
        assert_eq!(of(-123_400_000), "-123ms");
        assert_eq!(of(2_000_000_000), "+2.00s");
        assert_eq!(time(1_000_000_042), "1.000000042");
    }

    #[test]
    fn counts_are_readable() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(2_700_000), "2,700,000");
        assert_eq!(counted(1, "event"), "1 event");
        assert_eq!(counted(0, "event"), "0 events");
    }

    proptest! {
        #[test]
        fn no_line_is_too_wide_and_no_letter_gets_lost(text in "[a-z漢 ]{0,60}", columns in 2usize..20) {
            let lines = wrap(&text, columns);
            prop_assert!(lines.iter().all(|line| width(line) <= columns));
            let letters = |s: &str| s.chars().filter(|c| *c != ' ').collect::<String>();
            prop_assert_eq!(letters(&lines.concat()), letters(&text));
        }

        #[test]
        fn a_clipped_text_fits(text in "\\PC{0,30}", columns in 0usize..20) {
            prop_assert!(width(&clip(&text, columns, Characters::Unicode)) <= columns);
        }
    }
}
