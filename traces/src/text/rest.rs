//! The words of one line, taken one after the other: by place, by key, or by what they look like.

use super::token::Word;
use super::{Words, value_of};

/// The words of one line that were not used yet.
pub(super) struct Rest<'a>(pub(super) Vec<&'a Word>);

impl<'a> Rest<'a> {
    /// The next word without a key.
    pub(super) fn next(&mut self, what: &str) -> Result<&'a Word, String> {
        self.optional().ok_or_else(|| format!("{what} is missing"))
    }

    pub(super) fn optional(&mut self) -> Option<&'a Word> {
        let at = self.0.iter().position(|word| word.key.is_none())?;
        Some(self.0.remove(at))
    }

    /// The next word without a key, if `wanted` takes it.
    pub(super) fn optional_if<T>(&mut self, wanted: impl Fn(&str) -> Option<T>) -> Option<T> {
        let at = self.0.iter().position(|word| word.key.is_none())?;
        let value = wanted(self.0.get(at)?.text())?;
        self.0.remove(at);
        Some(value)
    }

    pub(super) fn number<T: TryFrom<u64>>(&mut self, what: &str) -> Result<T, String> {
        unsigned(self.next(what)?.text(), what)
    }

    pub(super) fn signed(&mut self, what: &str) -> Result<i32, String> {
        let text = self.next(what)?.text();
        text.parse()
            .map_err(|_| format!("{what} is no number: {text}"))
    }

    pub(super) fn key(&mut self, key: &str) -> Option<&'a Word> {
        let at = self
            .0
            .iter()
            .position(|word| word.key.as_deref() == Some(key))?;
        Some(self.0.remove(at))
    }

    pub(super) fn key_number<T: TryFrom<u64>>(&mut self, key: &str) -> Result<Option<T>, String> {
        self.key(key)
            .map(|word| unsigned(word.text(), key))
            .transpose()
    }

    pub(super) fn key_signed(&mut self, key: &str) -> Result<Option<i32>, String> {
        let parse = |word: &Word| {
            let text = word.text();
            text.parse()
                .map_err(|_| format!("{key} is no number: {text}"))
        };
        self.key(key).map(parse).transpose()
    }

    /// All remaining words that are in `table`, and `key=bits` for bits without a word.
    pub(super) fn flags(&mut self, table: Words, key: &str) -> Result<u32, String> {
        let mut bits = self.key_number::<u32>(key)?.unwrap_or(0);
        self.0.retain(|word| match value_of(table, word.text()) {
            Some(bit) if word.key.is_none() => {
                bits |= bit;
                false
            }
            _ => true,
        });
        Ok(bits)
    }

    pub(super) fn end(self) -> Result<(), String> {
        match self.0.first() {
            None => Ok(()),
            Some(word) => Err(match &word.key {
                Some(key) => format!("{key}= does not belong here"),
                None => format!("'{}' does not belong here", word.text()),
            }),
        }
    }
}

pub(super) fn unsigned<T: TryFrom<u64>>(text: &str, what: &str) -> Result<T, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    let value = parsed.map_err(|_| format!("{what} is no number: {text}"))?;
    T::try_from(value).map_err(|_| format!("{what} is too large: {text}"))
}

pub(super) fn hex(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

/// `file:line` or `file:line:column`.
pub(super) fn site(text: &str) -> Option<(&str, u32, u32)> {
    let (head, last) = text.rsplit_once(':')?;
    let last = last.parse().ok()?;
    if let Some((file, line)) = head.rsplit_once(':')
        && let Ok(line) = line.parse()
        && !file.is_empty()
    {
        return Some((file, line, last));
    }
    (!head.is_empty() && !head.ends_with(':')).then_some((head, last, 0))
}
