//! By what the rows of a list stand in their order, and which way round: findings, and what is held.
//!
//! Events are not sorted by anything: their order is what happened.

/// What rows are compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// As they were told.
    Told,
    /// How bad it is.
    Severity,
    /// The rule that says so.
    Rule,
    /// How many there are.
    Count,
    /// When it happened.
    Time,
    /// What it is called.
    Name,
    /// How long it has been held.
    Age,
    /// Who did it.
    Thread,
    /// Where in the source.
    Place,
}

impl By {
    /// As a title has it: `by severity`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Told => "as told",
            Self::Severity => "by severity",
            Self::Rule => "by rule",
            Self::Count => "by count",
            Self::Time => "by time",
            Self::Name => "by name",
            Self::Age => "by age",
            Self::Thread => "by thread",
            Self::Place => "by place",
        }
    }
}

/// An order of rows: the worst, most, oldest and first ones come first, or last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sort {
    /// By what.
    pub by: By,
    /// The other way round.
    pub is_reversed: bool,
}

impl Sort {
    /// The usual way round.
    pub const fn new(by: By) -> Self {
        Self {
            by,
            is_reversed: false,
        }
    }

    /// Asked for again, it is turned round.
    #[must_use]
    pub fn asked(self, by: By) -> Self {
        Self {
            by,
            is_reversed: self.by == by && !self.is_reversed,
        }
    }

    /// `by count`, or `by count, reversed`.
    pub fn in_words(self) -> String {
        let turned = if self.is_reversed { ", reversed" } else { "" };
        format!("{}{turned}", self.by.name())
    }

    /// Puts rows into this order; those that compare as equal keep theirs.
    pub(crate) fn sort<T, K: Ord>(self, rows: &mut [T], mut key: impl FnMut(&T) -> K) {
        if self.is_reversed {
            rows.sort_by_cached_key(|row| std::cmp::Reverse(key(row)));
        } else {
            rows.sort_by_cached_key(|row| key(row));
        }
    }
}
