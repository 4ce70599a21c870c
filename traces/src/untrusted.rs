//! Text from a trace: anybody may have written it, so it has no `Display`.
//!
//! The one way to a terminal is [`Untrusted::tty`], which makes visible whatever could move the
//! cursor, hide text or turn its direction: control characters, bidirectional and zero-width marks,
//! tags, and code points without a meaning. Bytes that are not UTF-8 are shown as `\xNN`.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthChar;

/// Columns that one text may take on a screen.
const COLUMNS_MAX: usize = 512;
/// Marks that may be stacked on one character.
const MARKS_MAX: usize = 8;

/// A text out of a trace, as its bytes.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Untrusted(Box<[u8]>);

impl Untrusted {
    /// Takes the bytes as they are.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into().into_boxed_slice())
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes, for comparing, hashing and writing files. Never for a terminal.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text made safe for a terminal: at most 512 columns, the middle left out of longer ones.
    pub fn tty(&self) -> String {
        tty(&self.0)
    }
}

impl From<&str> for Untrusted {
    fn from(text: &str) -> Self {
        Self::new(text.as_bytes().to_vec())
    }
}

impl std::fmt::Debug for Untrusted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Untrusted({:?})", self.tty())
    }
}

/// Any bytes made safe for a terminal, as [`Untrusted::tty`] does.
pub fn tty(bytes: &[u8]) -> String {
    let mut pieces: Vec<(String, usize)> = Vec::new();
    let mut marks = 0;
    // One piece a character; a hostile text of megabytes is cut before it is worked through.
    let (head, tail) = (COLUMNS_MAX * 4, COLUMNS_MAX * 4);
    let shown: std::borrow::Cow<'_, [u8]> = if bytes.len() > head + tail {
        let mut cut = bytes.get(..head).unwrap_or_default().to_vec();
        cut.extend_from_slice(bytes.get(bytes.len() - tail..).unwrap_or_default());
        cut.into()
    } else {
        bytes.into()
    };
    for chunk in shown.utf8_chunks() {
        for character in chunk.valid().chars() {
            match shape(character) {
                Shape::Plain(width) => {
                    marks = 0;
                    pieces.push((character.to_string(), width));
                }
                Shape::Mark if !pieces.is_empty() && marks < MARKS_MAX => {
                    marks += 1;
                    if let Some(last) = pieces.last_mut() {
                        last.0.push(character);
                        // Some have a column of their own: the half-wide sound marks of Katakana.
                        last.1 += character.width().unwrap_or(0);
                    }
                }
                Shape::Mark | Shape::Hidden => {
                    marks = MARKS_MAX;
                    let escaped = format!("\\u{{{:x}}}", u32::from(character));
                    let width = escaped.len();
                    pieces.push((escaped, width));
                }
            }
        }
        for byte in chunk.invalid() {
            let mut escaped = String::new();
            // Writing to a String cannot fail.
            let _ = write!(escaped, "\\x{byte:02x}");
            pieces.push((escaped, 4));
        }
    }
    elide(&pieces)
}

fn elide(pieces: &[(String, usize)]) -> String {
    let total: usize = pieces.iter().map(|piece| piece.1).sum();
    if total <= COLUMNS_MAX {
        return pieces.iter().map(|piece| piece.0.as_str()).collect();
    }
    let half = (COLUMNS_MAX - 1) / 2;
    let fitting = |width: &mut usize, piece: &&(String, usize)| {
        *width += piece.1;
        (*width <= half).then_some(piece.0.clone())
    };
    let front: String = pieces
        .iter()
        .scan(0, |width, piece| fitting(width, &piece))
        .collect();
    let mut back: Vec<String> = pieces
        .iter()
        .rev()
        .scan(0, |width, piece| fitting(width, &piece))
        .collect();
    back.reverse();
    format!("{front}…{}", back.concat())
}

enum Shape {
    /// Shown as it is, in so many columns.
    Plain(usize),
    /// Stacked on the character before it.
    Mark,
    /// Must be made visible.
    Hidden,
}

fn shape(character: char) -> Shape {
    match character {
        ' '..='~' => return Shape::Plain(1),
        // Letters by their category, but drawn as nothing: Hangul fillers and the empty Braille cell.
        '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' | '\u{2800}' => return Shape::Hidden,
        _ => {}
    }
    // The standard library knows which code points are printable (assigned, no control, no format,
    // no separator) but says so only through its escapes: behind another character it leaves marks
    // as they are, alone it escapes them.
    let mut behind = String::from("a");
    behind.push(character);
    let printable = behind.escape_debug().nth(1) == Some(character);
    if !printable {
        return Shape::Hidden;
    }
    if character.escape_debug().count() > 1 {
        return Shape::Mark;
    }
    Shape::Plain(columns(character))
}

/// Columns of a printable character. None of them is taken for less than one: what a terminal draws as
/// nothing was made visible before.
fn columns(character: char) -> usize {
    character.width().unwrap_or(1).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_stays() {
        assert_eq!(
            Untrusted::from("conn.rs \"quoted\" 'x' \\ é 語").tty(),
            "conn.rs \"quoted\" 'x' \\ é 語"
        );
    }

    #[test]
    fn what_moves_or_hides_is_shown() {
        let hostile = "\x1b]52;c;x\x07 \u{9b}2J \r\n\t\x7f \u{202e} \u{200b}\u{200d}\u{feff} \u{e0041} \u{378} \u{e000}";
        let shown = Untrusted::from(hostile).tty();
        assert_eq!(
            shown,
            "\\u{1b}]52;c;x\\u{7} \\u{9b}2J \\u{d}\\u{a}\\u{9}\\u{7f} \\u{202e} \
             \\u{200b}\\u{200d}\\u{feff} \\u{e0041} \\u{378} \\u{e000}"
        );
    }

    #[test]
    fn broken_utf8_is_shown_as_bytes() {
        assert_eq!(Untrusted::new(*b"a\xff\xfeb").tty(), "a\\xff\\xfeb");
    }

    #[test]
    fn marks_are_limited() {
        let text = format!("e{}", "\u{301}".repeat(600));
        let shown = Untrusted::from(text.as_str()).tty();
        assert_eq!(shown.chars().filter(|&c| c == '\u{301}').count(), MARKS_MAX);
    }

    #[test]
    fn long_text_loses_its_middle() {
        let text = format!("start{}end", "x".repeat(100_000));
        let shown = Untrusted::from(text.as_str()).tty();
        assert!(shown.starts_with("startx") && shown.ends_with("xend") && shown.contains('…'));
        assert!(shown.chars().count() <= COLUMNS_MAX);
    }

    #[test]
    fn wide_characters_outside_the_east_asian_blocks_count_as_two_columns() {
        for character in ["\u{2651}", "\u{231a}", "\u{ff76}\u{ff9e}"] {
            let shown = Untrusted::from(character.repeat(400).as_str()).tty();
            let columns: usize = shown.chars().filter_map(UnicodeWidthChar::width).sum();
            assert!(columns <= COLUMNS_MAX, "{columns} columns of {character}");
        }
    }
}
