//! Why a text is no filter, and where.

use std::ops::Range;

use unicode_width::UnicodeWidthStr;

/// Columns of the text that are shown around the place.
const SHOWN_MAX: usize = 72;

/// A filter that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FilterError {
    /// The text.
    pub text: String,
    /// The bytes of it that are wrong.
    pub at: Range<usize>,
    /// What is wrong with them, and what was perhaps meant.
    pub message: String,
}

impl FilterError {
    pub(super) fn new(text: &str, at: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            text: text.to_owned(),
            at,
            message: message.into(),
        }
    }

    /// Three lines, safe for a terminal: the text, a caret below the place, and what is wrong.
    ///
    /// ```text
    /// kind:sumbit op:recv
    ///      ^^^^^^ no event is called `sumbit`; did you mean `submit`?
    /// ```
    pub fn pointed(&self) -> String {
        let part =
            |range: Range<usize>| crate::tty(self.text.get(range).unwrap_or_default().as_bytes());
        let before = part(0..self.at.start);
        // The end of a long text is what was typed last, and where the fault is likely to be.
        let skipped = before.chars().count().saturating_sub(SHOWN_MAX);
        let before: String = before.chars().skip(skipped).collect();
        let wrong = part(self.at.clone());
        let behind: String = part(self.at.end..self.text.len())
            .chars()
            .take(SHOWN_MAX)
            .collect();
        format!(
            "{before}{wrong}{behind}\n{}{} {}",
            " ".repeat(before.width()),
            "^".repeat(wrong.width().max(1)),
            self.message
        )
    }
}
