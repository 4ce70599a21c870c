//! How answers are written: a line each, of words with one blank between them; numbers in hex, texts as hex digits, so that
//! nothing in a file can be taken for something else. Whoever reads takes a line that makes no sense for none.

use crate::confined::unhex;

/// The words of a line that are left.
pub(super) struct Words<'a>(std::str::Split<'a, char>);

impl<'a> Words<'a> {
    /// Of a line, behind its first word, which says what it is about.
    pub(super) fn of(line: &'a str) -> (&'a str, Self) {
        let mut words = line.split(' ');
        (words.next().unwrap_or_default(), Self(words))
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        u64::from_str_radix(self.0.next()?, 16).ok()
    }

    pub(super) fn small<T: TryFrom<u64>>(&mut self) -> Option<T> {
        T::try_from(self.number()?).ok()
    }

    pub(super) fn bytes(&mut self) -> Option<Vec<u8>> {
        unhex(self.0.next()?)
    }

    pub(super) fn text(&mut self) -> Option<String> {
        Some(String::from_utf8_lossy(&self.bytes()?).into_owned())
    }
}
