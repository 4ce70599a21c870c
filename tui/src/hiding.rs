//! Stories that are not listed: suppressed with a reason, or known from before.
//!
//! What covers a story is given at the start, and grows by what the reader suppresses. Files are the
//! business of the program around the viewer: it is told of a [`Change`], and only what it has kept counts.

use std::collections::BTreeSet;

use traces::Trace;
use traces::filter::Filter;
use traces::finding::{Finding, Verdict};

/// Something that keeps stories from being listed.
#[derive(Clone, Debug)]
pub struct Cover {
    /// Which stories.
    pub covers: Covers,
    /// Why.
    pub why: Why,
}

/// Which stories are covered.
#[derive(Clone, Debug)]
pub enum Covers {
    /// Those that a filter asks for.
    Filter(Filter),
    /// Those with these fingerprints.
    Fingerprints(BTreeSet<u64>),
}

/// Why a story is not listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// Somebody gave a reason.
    Suppressed {
        /// Which one; any text.
        reason: String,
        /// The last day on which it counts.
        until: Option<String>,
    },
    /// The baseline has it.
    Known,
}

/// A suppression as the reader wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suppression {
    /// `T02`
    pub rule: String,
    /// The rule's name.
    pub name: &'static str,
    /// Of the finding.
    pub fingerprint: u64,
    /// The finding's sentence, safe for a terminal.
    pub message: String,
    /// Never blank.
    pub reason: String,
    /// The last day on which it counts, as `2027-01-31`.
    pub expires: Option<String>,
}

impl Suppression {
    /// What it covers, in the grammar of filters.
    pub fn filter(&self) -> String {
        filter_of(&self.rule, self.fingerprint)
    }
}

fn filter_of(rule: &str, fingerprint: u64) -> String {
    format!("rule:{rule} fingerprint:{fingerprint:#018x}")
}

/// What is to be changed in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// This is added.
    Add(Suppression),
    /// Suppressions with this filter go.
    Remove(String),
}

/// What is hidden, and why.
#[derive(Clone, Debug, Default)]
pub struct Hiding {
    covers: Vec<Cover>,
    /// Of each story its cover.
    by_story: Vec<Option<usize>>,
    /// Whether hidden stories are rows all the same.
    pub shown: bool,
    /// What was suppressed since the start, newest last.
    pub(crate) made: Vec<String>,
    /// The reason that was typed last and is not yet kept.
    pub(crate) reason: String,
    /// What the program around is to do.
    pub(crate) change: Option<Change>,
}

impl Hiding {
    /// Takes covers over.
    pub(crate) fn new(covers: Vec<Cover>) -> Self {
        Self {
            covers,
            ..Self::default()
        }
    }

    /// Finds out which stories are covered; to be called whenever the verdict is another one.
    pub(crate) fn look(&mut self, trace: &Trace, verdict: &Verdict) {
        self.by_story = vec![None; verdict.stories.len()];
        for (at, cover) in self.covers.iter().enumerate() {
            let prepared = match &cover.covers {
                Covers::Filter(filter) => Some(filter.prepare(trace)),
                Covers::Fingerprints(_) => None,
            };
            let is_covered = |finding: &Finding| match (&cover.covers, &prepared) {
                (Covers::Fingerprints(known), _) => known.contains(&finding.fingerprint),
                (_, Some(filter)) => filter.finding(trace, finding),
                (_, None) => false,
            };
            for (story, covered) in verdict.stories.iter().zip(&mut self.by_story) {
                if covered.is_none() && is_covered(&story.head) {
                    *covered = Some(at);
                }
            }
        }
    }

    /// Why a story is hidden, where it is.
    pub fn why(&self, story: usize) -> Option<&Why> {
        let cover = (*self.by_story.get(story)?)?;
        self.covers.get(cover).map(|cover| &cover.why)
    }

    /// Whether a story has no row.
    pub(crate) fn hides(&self, story: usize) -> bool {
        !self.shown && self.why(story).is_some()
    }

    /// How many stories are suppressed, and how many are in the baseline.
    pub fn counts(&self) -> (u64, u64) {
        let mut counts = (0, 0);
        for story in 0..self.by_story.len() {
            match self.why(story) {
                Some(Why::Suppressed { .. }) => counts.0 += 1,
                Some(Why::Known) => counts.1 += 1,
                None => {}
            }
        }
        counts
    }

    /// `2 suppressed, 1 in the baseline`; nothing where nothing is hidden.
    pub fn in_words(&self) -> Option<String> {
        let left_out = traces::selection::LeftOut {
            suppressed: self.counts().0,
            known: self.counts().1,
            ..Default::default()
        };
        left_out.in_words()
    }

    /// The filter of the suppression that covers a story, where it covers that finding alone.
    pub(crate) fn own_filter(&self, story: usize, head: &Finding) -> Option<String> {
        let cover = self.covers.get((*self.by_story.get(story)?)?)?;
        let wanted = filter_of(&head.rule.to_string(), head.fingerprint);
        match &cover.covers {
            Covers::Filter(filter) if filter.text() == wanted => Some(wanted),
            _ => None,
        }
    }

    /// Does in the list what was done in the file.
    pub(crate) fn carry_out(&mut self, change: Change) {
        match change {
            Change::Add(new) => {
                let filter = new.filter();
                if let Ok(covers) = Filter::parse(&filter) {
                    let why = Why::Suppressed {
                        reason: new.reason,
                        until: new.expires,
                    };
                    self.covers.push(Cover {
                        covers: Covers::Filter(covers),
                        why,
                    });
                    self.made.push(filter);
                }
                self.reason.clear();
            }
            Change::Remove(gone) => {
                let is_it = |cover: &Cover| matches!(&cover.covers, Covers::Filter(filter) if filter.text() == gone);
                self.covers.retain(|cover| !is_it(cover));
                self.made.retain(|filter| *filter != gone);
            }
        }
    }
}

/// Whether a text is a day: `2027-01-31`.
pub(crate) fn is_day(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let number = |text: &str, digits: usize| -> Option<u32> {
        let is_number = text.len() == digits && text.bytes().all(|c| c.is_ascii_digit());
        is_number.then(|| text.parse().ok()).flatten()
    };
    let [year, month, day] = parts[..] else {
        return false;
    };
    let (year, month, day) = (number(year, 4), number(month, 2), number(day, 2));
    let (Some(year), Some(month), Some(day)) = (year, month, day) else {
        return false;
    };
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    (1..=days).contains(&day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_days_of_a_calendar() {
        for day in ["2026-11-30", "2028-02-29", "2000-02-29"] {
            assert!(is_day(day), "{day}");
        }
        for none in [
            "2026-11-31",
            "2027-02-29",
            "1900-02-29",
            "2026-13-01",
            "2026-00-01",
            "26-1-1",
            "2026-1-01",
            "2026-01-+1",
            "soon",
            "",
            "2026-01-01-01",
            "２026-01-01",
        ] {
            assert!(!is_day(none), "{none}");
        }
    }
}
