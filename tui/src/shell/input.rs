//! Bytes from the terminal become keys, and what the mouse did.
//!
//! Read here rather than by crossterm's event reader: that one spins for ever on a terminal that
//! hung up, leaves what exceeds its buffer unread until the next key, and swallows the terminal's
//! replies. Here the shell polls the descriptor itself and hands over what it read.
//!
//! Promise: any bytes are accepted, unknown sequences are skipped whole, nothing panics.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::screen::LATE_ANSWER;
use crate::msg::{Mouse, MouseAction, Toward};

/// What was understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// A key.
    Key(KeyEvent),
    /// The mouse, while it is ours.
    Mouse(Mouse),
    /// The terminal's background, which was asked for: whether it is dark.
    Ground(bool),
    /// What the terminal is: it has answered all that was asked before.
    Answered,
}

/// Bytes that were read and do not make a key yet.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    pending: Vec<u8>,
}

/// How much of the input was understood.
enum Step {
    /// So many bytes were a key.
    Key(usize, KeyEvent),
    /// So many bytes were the mouse.
    Mouse(usize, Mouse),
    /// So many bytes were an answer.
    Answer(usize, Typed),
    /// So many bytes mean nothing to us.
    Skip(usize),
    /// More bytes are needed.
    More,
}

/// How long an Esc may wait for the rest of a sequence that it begins.
const REST_OF_SEQUENCE: Duration = Duration::from_millis(30);

/// What no sequence of ours is longer than; a longer one is noise.
const LONGEST: usize = 4096;

impl Decoder {
    /// Takes bytes, gives keys. A sequence that may be unfinished is kept for the next call.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Vec<Typed> {
        self.pending.extend_from_slice(bytes);
        let mut keys = Vec::new();
        let mut at = 0;
        while at < self.pending.len() {
            match step(&self.pending[at..]) {
                Step::Key(len, key) => {
                    keys.push(Typed::Key(key));
                    at += len;
                }
                Step::Mouse(len, mouse) => {
                    keys.push(Typed::Mouse(mouse));
                    at += len;
                }
                Step::Answer(len, answer) => {
                    keys.push(answer);
                    at += len;
                }
                Step::Skip(len) => at += len,
                Step::More if self.pending.len() - at > LONGEST => at += 1,
                Step::More => break,
            }
        }
        self.pending.drain(..at);
        keys
    }

    /// Whether a key may be under way.
    pub(super) fn is_waiting(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Whether it is a part of an answer of the terminal's, which no key begins like.
    fn is_in_answer(&self) -> bool {
        let is_text = self.pending.starts_with(b"\x1b]") && self.pending.len() > 2;
        is_text || self.pending.starts_with(b"\x1b[?")
    }

    /// How long the rest of what is waiting may take. An answer of the terminal may come in pieces, and far apart. Cut
    /// behind its first byte it looks like Esc.
    pub(super) fn rest(&self, awaits_answer: bool) -> Duration {
        if self.is_in_answer() || awaits_answer {
            LATE_ANSWER
        } else {
            REST_OF_SEQUENCE
        }
    }

    /// Nothing came for so long: gives what is then a key.
    pub(super) fn rested(&mut self, time: Duration, awaits_answer: bool) -> Vec<Typed> {
        if self.is_waiting() && time >= self.rest(awaits_answer) {
            self.flush()
        } else {
            Vec::new()
        }
    }

    /// No more bytes came in time: an Esc that began nothing was the key itself.
    fn flush(&mut self) -> Vec<Typed> {
        let rest = std::mem::take(&mut self.pending);
        match rest.first() {
            Some(0x1b) => {
                let mut keys = vec![Typed::Key(plain(KeyCode::Esc))];
                // `ESC [` alone was Alt and a bracket, or noise; a longer rest is a broken sequence.
                if rest.len() > 1 {
                    keys.clear();
                }
                keys
            }
            _ => Vec::new(),
        }
    }
}

fn plain(code: KeyCode) -> KeyEvent {
    KeyEvent::new(code, KeyModifiers::NONE)
}

fn step(bytes: &[u8]) -> Step {
    let one = |code| Step::Key(1, plain(code));
    let ctrl = |c: u8| {
        Step::Key(
            1,
            KeyEvent::new(KeyCode::Char(c as char), KeyModifiers::CONTROL),
        )
    };
    match bytes[0] {
        0x1b => escape(bytes),
        b'\r' | b'\n' => one(KeyCode::Enter),
        b'\t' => one(KeyCode::Tab),
        0x7f | 0x08 => one(KeyCode::Backspace),
        0 => ctrl(b' '),
        c @ 1..=26 => ctrl(c - 1 + b'a'),
        c @ 28..=31 => ctrl(c - 28 + b'4'),
        _ => character(bytes),
    }
}

fn character(bytes: &[u8]) -> Step {
    let len = match bytes[0] {
        0..=0x7f => 1,
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return Step::Skip(1),
    };
    let have = &bytes[..len.min(bytes.len())];
    match std::str::from_utf8(have) {
        Ok(text) => match text.chars().next() {
            Some(c) => Step::Key(len, plain(KeyCode::Char(c))),
            None => Step::Skip(1),
        },
        Err(error) if error.error_len().is_none() => Step::More,
        Err(_) => Step::Skip(1),
    }
}

fn escape(bytes: &[u8]) -> Step {
    match bytes.get(1) {
        None => Step::More,
        Some(b'[') => control_sequence(bytes),
        Some(b'O') => match bytes.get(2) {
            None => Step::More,
            Some(last) => match letter_key(*last) {
                Some(code) => Step::Key(3, plain(code)),
                None => Step::Skip(3),
            },
        },
        // A text of the terminal's begins with a number and `;`; this is Alt and a bracket, and then keys.
        Some(b']') if !is_numbered(&bytes[2..]) => {
            Step::Key(2, KeyEvent::new(KeyCode::Char(']'), KeyModifiers::ALT))
        }
        // Texts of the terminal (OSC, DCS, APC, PM, SOS): its replies, of which we asked for one.
        Some(b']' | b'P' | b'_' | b'^' | b'X') => {
            for (index, byte) in bytes.iter().enumerate().skip(2) {
                let text = match byte {
                    0x07 => &bytes[2..index],
                    b'\\' if bytes[index - 1] == 0x1b => &bytes[2..(index - 1).max(2)],
                    _ => continue,
                };
                return match is_dark(text).filter(|_| bytes[1] == b']') {
                    Some(is_dark) => Step::Answer(index + 1, Typed::Ground(is_dark)),
                    None => Step::Skip(index + 1),
                };
            }
            Step::More
        }
        // Two escapes: the first one stands alone.
        Some(0x1b) => Step::Key(1, plain(KeyCode::Esc)),
        Some(_) => match step(&bytes[1..]) {
            Step::Key(len, key) => Step::Key(
                len + 1,
                KeyEvent::new(key.code, key.modifiers | KeyModifiers::ALT),
            ),
            Step::Skip(len) | Step::Mouse(len, _) | Step::Answer(len, _) => Step::Skip(len + 1),
            Step::More => Step::More,
        },
    }
}

/// Whether this can be what follows `ESC ]` in a text of the terminal's, or the beginning of that.
fn is_numbered(text: &[u8]) -> bool {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    match text.get(digits) {
        Some(next) => digits > 0 && *next == b';',
        None => true,
    }
}

/// Whether a colour is dark, out of `11;rgb:1e1e/1e1e/2e2e`: the answer about the background.
fn is_dark(text: &[u8]) -> Option<bool> {
    let text = std::str::from_utf8(text).ok()?.strip_prefix("11;")?;
    let (_, parts) = text.split_once(':')?;
    let mut parts = parts.split('/').map(|part| {
        // One to four digits for the whole range.
        let digits = part.get(..part.len().min(4))?;
        let most = 16_u32.pow(u32::try_from(digits.len()).ok()?) - 1;
        let value = u32::from_str_radix(digits, 16).ok()?;
        Some(f64::from(value) / f64::from(most.max(1)))
    });
    let (red, green, blue) = (parts.next()??, parts.next()??, parts.next()??);
    Some(0.299 * red + 0.587 * green + 0.114 * blue < 0.5)
}

/// `ESC [ parameters intermediates final`
fn control_sequence(bytes: &[u8]) -> Step {
    let Some(end) = bytes
        .iter()
        .skip(2)
        .position(|b| !(0x20..=0x3f).contains(b))
    else {
        return Step::More;
    };
    let end = end + 2;
    let last = bytes[end];
    if last < 0x40 {
        // Not a sequence after all: a control character broke it off.
        return Step::Skip(end);
    }
    if bytes[2] == b'?' && last == b'c' {
        return Step::Answer(end + 1, Typed::Answered);
    }
    if bytes[2] == b'<' && matches!(last, b'M' | b'm') {
        return match mouse(&bytes[3..end], last == b'M') {
            Some(mouse) => Step::Mouse(end + 1, mouse),
            None => Step::Skip(end + 1),
        };
    }
    let mut numbers = bytes[2..end].split(|b| *b == b';').map(|part| {
        part.iter()
            .take_while(|b| b.is_ascii_digit())
            .fold(0u32, |value, digit| {
                value
                    .saturating_mul(10)
                    .saturating_add(u32::from(digit - b'0'))
            })
    });
    let first = numbers.next().unwrap_or(0);
    let modifiers = modifiers(numbers.next().unwrap_or(1));
    let code = match last {
        b'~' => match first {
            1 | 7 => Some(KeyCode::Home),
            2 => Some(KeyCode::Insert),
            3 => Some(KeyCode::Delete),
            4 | 8 => Some(KeyCode::End),
            5 => Some(KeyCode::PageUp),
            6 => Some(KeyCode::PageDown),
            11..=15 => Some(KeyCode::F(first as u8 - 10)),
            17..=21 => Some(KeyCode::F(first as u8 - 11)),
            23 | 24 => Some(KeyCode::F(first as u8 - 12)),
            _ => None,
        },
        b'Z' => Some(KeyCode::BackTab),
        // A mouse report of the oldest kind, which nobody asked for, has three more bytes.
        b'M' if end == 2 => return Step::Skip((end + 4).min(bytes.len())),
        // With another number these are reports: of the cursor's place, for one.
        b'P'..=b'S' if first > 1 => None,
        last => letter_key(last),
    };
    match code {
        Some(code) => Step::Key(end + 1, KeyEvent::new(code, modifiers)),
        None => Step::Skip(end + 1),
    }
}

/// `button;column;row` of a mouse report, counted from 1; of other buttons and movements nothing.
fn mouse(report: &[u8], is_down: bool) -> Option<Mouse> {
    let mut numbers = report.split(|b| *b == b';').map(|part| {
        let text = std::str::from_utf8(part).ok()?;
        text.parse::<u16>().ok()
    });
    let (button, column, row) = (numbers.next()??, numbers.next()??, numbers.next()??);
    // Bits: 4, 8 and 16 are Shift, Alt and Ctrl; 32 is a movement; 64 are the wheel's.
    let action = match (button & !(4 | 8 | 16), is_down) {
        (0, true) => MouseAction::Press,
        (0, false) => MouseAction::Release,
        (32, _) => MouseAction::Drag,
        (64, true) => MouseAction::Wheel(Toward::Previous),
        (65, true) => MouseAction::Wheel(Toward::Next),
        _ => return None,
    };
    Some(Mouse {
        action,
        column: column.checked_sub(1)?,
        row: row.checked_sub(1)?,
        ctrl: button & 16 != 0,
    })
}

fn letter_key(last: u8) -> Option<KeyCode> {
    Some(match last {
        b'A' => KeyCode::Up,
        b'B' => KeyCode::Down,
        b'C' => KeyCode::Right,
        b'D' => KeyCode::Left,
        b'F' => KeyCode::End,
        b'H' => KeyCode::Home,
        b'P'..=b'S' => KeyCode::F(last - b'P' + 1),
        _ => return None,
    })
}

/// xterm's number: one more than shift 1, alt 2, control 4.
fn modifiers(number: u32) -> KeyModifiers {
    let bits = number.saturating_sub(1);
    let mut modifiers = KeyModifiers::NONE;
    for (bit, modifier) in [
        (1, KeyModifiers::SHIFT),
        (2, KeyModifiers::ALT),
        (4, KeyModifiers::CONTROL),
    ] {
        if bits & bit != 0 {
            modifiers |= modifier;
        }
    }
    modifiers
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(typed: Typed) -> KeyEvent {
        match typed {
            Typed::Key(key) => key,
            other => panic!("{other:?} is no key"),
        }
    }

    fn codes(bytes: &[u8]) -> Vec<KeyCode> {
        let typed = Decoder::default().feed(bytes).into_iter();
        typed.map(|typed| key(typed).code).collect()
    }

    #[test]
    fn what_the_terminal_answers_is_no_key() {
        let read = |bytes: &[u8]| Decoder::default().feed(bytes);
        let dark = b"\x1b]11;rgb:1e1e/1e1e/2e2e\x1b\\\x1b[?62;22cj";
        let typed = read(dark);
        assert_eq!(typed[..2], [Typed::Ground(true), Typed::Answered]);
        assert_eq!(key(typed[2]).code, KeyCode::Char('j'));
        assert_eq!(read(b"\x1b]11;rgb:ff/fa/f0\x07"), [Typed::Ground(false)]);
        assert_eq!(read(b"\x1b]11;rgba:0/0/0/ff\x07"), [Typed::Ground(true)]);
        for other in [
            "11;?",
            "11;rgb:",
            "11;rgb:x/y/z",
            "10;rgb:0/0/0",
            "11;rgb:\u{e9}/0/0",
        ] {
            assert_eq!(read(format!("\x1b]{other}\x07").as_bytes()), [], "{other}");
        }
    }

    #[test]
    fn the_mouse_is_told_from_keys() {
        use MouseAction::{Drag, Press, Release, Wheel};
        let bytes = b"\x1b[<0;1;2M\x1b[<32;300;40M\x1b[<0;3;4m\x1b[<80;5;6M\x1b[<65;5;6M";
        let typed = Decoder::default().feed(bytes);
        let seen = |action, column, row, ctrl| {
            Typed::Mouse(Mouse {
                action,
                column,
                row,
                ctrl,
            })
        };
        assert_eq!(
            typed,
            [
                seen(Press, 0, 1, false),
                seen(Drag, 299, 39, false),
                seen(Release, 2, 3, false),
                seen(Wheel(Toward::Previous), 4, 5, true),
                seen(Wheel(Toward::Next), 4, 5, false),
            ]
        );
        // Other buttons, movements without one, and nonsense are skipped whole.
        let noise = b"\x1b[<2;1;1M\x1b[<35;1;1M\x1b[<0;0;1M\x1b[<0;1M\x1b[<;;M\x1b[<9999999;1;1Mj";
        assert_eq!(codes(noise), [KeyCode::Char('j')]);
    }

    #[test]
    fn keys_of_both_cursor_modes_are_known() {
        use KeyCode::{BackTab, Char, Down, End, F, Home, PageDown, PageUp, Up};
        assert_eq!(codes(b"\x1b[A\x1bOB"), [Up, Down]);
        assert_eq!(codes(b"\x1b[H\x1b[4~\x1b[1~\x1bOF"), [Home, End, Home, End]);
        assert_eq!(
            codes(b"\x1b[5~\x1b[6~\x1b[Z\x1bOP\x1b[11~"),
            [PageUp, PageDown, BackTab, F(1), F(1)]
        );
        assert_eq!(codes("jé漢".as_bytes()), [Char('j'), Char('é'), Char('漢')]);
    }

    #[test]
    fn control_and_alt_are_told_apart() {
        let typed = Decoder::default().feed(b"\x03\x1bx\x1b[1;5A");
        let keys: Vec<KeyEvent> = typed.into_iter().map(key).collect();
        assert_eq!(
            keys[0],
            KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)
        );
        assert_eq!(
            keys[1],
            KeyEvent::new(KeyCode::Char('x'), KeyModifiers::ALT)
        );
        assert_eq!(keys[2], KeyEvent::new(KeyCode::Up, KeyModifiers::CONTROL));
    }

    #[test]
    fn an_escape_waits_for_what_may_follow() {
        let mut decoder = Decoder::default();
        assert!(decoder.feed(b"\x1b").is_empty());
        assert!(decoder.is_waiting());
        assert_eq!(decoder.feed(b"[A"), [Typed::Key(plain(KeyCode::Up))]);
        assert!(decoder.feed(b"\x1b").is_empty());
        assert_eq!(decoder.flush(), [Typed::Key(plain(KeyCode::Esc))]);
        assert!(!decoder.is_waiting());
    }

    /// The pieces lie further apart than the bytes of a key may.
    #[test]
    fn an_answer_that_comes_in_pieces_is_not_typed_as_keys() {
        const ANSWER: &[u8] = b"\x1b]11;rgb:ffff/ffff/ffff\x1b\\\x1b[?62;22c";
        let longer = REST_OF_SEQUENCE * 2;
        // Behind Esc; in the number; among the colours, whose `f` and `/` are keys; in the end; in the second answer.
        for cuts in [&[1][..], &[3], &[14], &[24], &[27], &[1, 14, 29]] {
            let mut decoder = Decoder::default();
            let mut typed = Vec::new();
            let mut from = 0;
            for cut in cuts.iter().copied().chain([ANSWER.len()]) {
                typed.extend(decoder.feed(&ANSWER[from..cut]));
                typed.extend(decoder.rested(longer, true));
                from = cut;
            }
            assert_eq!(typed, [Typed::Ground(false), Typed::Answered], "{cuts:?}");
        }
        // Esc is a key when nothing follows: soon where no answer is awaited, and late where one is.
        let esc = [Typed::Key(plain(KeyCode::Esc))];
        for (awaits, early, late) in [(false, Duration::ZERO, longer), (true, longer, LATE_ANSWER)]
        {
            let mut decoder = Decoder::default();
            assert_eq!(decoder.feed(b"\x1b"), []);
            assert_eq!(decoder.rested(early, awaits), []);
            assert_eq!(decoder.rested(late, awaits), esc);
            assert_eq!(decoder.rested(late, awaits), []);
        }
        // What has begun as an answer is none of the keys, awaited or not.
        let mut decoder = Decoder::default();
        assert_eq!(decoder.feed(&ANSWER[..14]), []);
        assert_eq!(decoder.rested(longer, false), []);
        assert_eq!(decoder.rested(LATE_ANSWER, false), []);
        assert!(!decoder.is_waiting());
    }

    #[test]
    fn a_part_of_an_answer_is_told_from_keys() {
        let begins = |bytes: &[u8]| {
            let mut decoder = Decoder::default();
            decoder.feed(bytes);
            decoder.is_in_answer()
        };
        for part in [
            &b"\x1b]1"[..],
            b"\x1b]11;rgb:2e2e/",
            b"\x1b]11;rgb:0/0/0\x1b",
            b"\x1b[?62;",
        ] {
            assert!(begins(part), "{part:?}");
        }
        for keys in [
            &b"\x1b"[..],
            b"\x1b[",
            b"\x1b]",
            b"\x1b[1;",
            b"j",
            b"\x1b]11;rgb:0/0/0\x07",
        ] {
            assert!(!begins(keys), "{keys:?}");
        }
        // Alt and a bracket, with keys behind it: none of them waits for an end that never comes.
        for (typed, keys) in [(&b"\x1b]jj"[..], 3), (b"\x1b]1j", 3), (b"\x1b];", 2)] {
            assert_eq!(Decoder::default().feed(typed).len(), keys, "{typed:?}");
        }
    }

    #[test]
    fn replies_of_the_terminal_are_skipped_whole() {
        let text = b"\x1b]10;rgb:0000/0000/0000\x1b\\\x1bP>|tmux\x1b\\\x1b[>62;4cj\x1b[12;40R";
        assert_eq!(codes(text), [KeyCode::Char('j')]);
    }

    #[test]
    fn a_long_paste_is_read_to_its_end() {
        let keys = codes(&[b'j'; 5000]);
        assert_eq!(keys.len(), 5000);
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_are_accepted(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..20)
        ) {
            let mut decoder = Decoder::default();
            for piece in &pieces {
                decoder.feed(piece);
            }
            decoder.flush();
            prop_assert!(!decoder.is_waiting());
        }

        #[test]
        fn cutting_the_input_changes_no_key(cut in 0usize..30) {
            let text = "\x1b[A\x1b[1;5B\x1b[<0;1;2Mjé\x1bOP\x1b[5~".as_bytes();
            let cut = cut.min(text.len());
            let whole = Decoder::default().feed(text);
            let mut decoder = Decoder::default();
            let mut pieces = decoder.feed(&text[..cut]);
            pieces.extend(decoder.feed(&text[cut..]));
            prop_assert_eq!(pieces, whole);
        }
    }
}
