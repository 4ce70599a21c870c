//! The part of a verdict that somebody wants to hear: without what a filter, a suppression or a baseline
//! leaves out, which is counted.

use crate::filter::Prepared;
use crate::finding::{Story, Verdict};
use crate::trace::Trace;

/// A verdict, and how much was left out of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// What is left.
    pub verdict: Verdict,
    /// How many stories are not.
    pub left_out: LeftOut,
    /// Those of them that somebody decided about, with the reason: what is suppressed, or known.
    pub set_aside: Vec<SetAside>,
}

/// A story that is not told, because somebody said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// Why.
    pub why: Why,
    /// The reason that was given.
    pub reason: String,
    /// What is not told.
    pub story: Story,
}

/// Why a story is set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is suppressed, with a reason.
    Suppressed,
    /// It is in the baseline: it was known before.
    Known,
}

/// Stories that are not told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// By the filter.
    pub by_filter: u64,
    /// By suppressions.
    pub suppressed: u64,
    /// By the baseline.
    pub known: u64,
}

impl Selection {
    /// All of it.
    pub fn all(trace: &Trace) -> Self {
        Self {
            verdict: trace.verdict().clone(),
            ..Self::default()
        }
    }

    /// Leaves out the stories and the questions that a filter does not ask for.
    pub fn filter(&mut self, trace: &Trace, filter: &Prepared) {
        let stories = &mut self.verdict.stories;
        let before = stories.len();
        stories.retain(|story| filter.story(trace, story));
        let gone = before.saturating_sub(stories.len()) as u64;
        self.left_out.by_filter = self.left_out.by_filter.saturating_add(gone);
        let questions = &mut self.verdict.cannot_tell;
        let before = questions.len();
        questions.retain(|question| filter.question(trace, question));
        // Those beyond the listed ones are not known, so nothing says that they are not asked for.
        let gone = before.saturating_sub(questions.len()) as u64;
        let count = &mut self.verdict.summary.cannot_tell;
        *count = count.saturating_sub(gone);
    }

    /// Sets aside the stories for which `reason` gives one, and counts them.
    pub fn put_aside(&mut self, why: Why, mut reason: impl FnMut(&Story) -> Option<String>) {
        let count = match why {
            Why::Suppressed => &mut self.left_out.suppressed,
            Why::Known => &mut self.left_out.known,
        };
        for story in std::mem::take(&mut self.verdict.stories) {
            match reason(&story) {
                Some(reason) => {
                    *count = count.saturating_add(1);
                    self.set_aside.push(SetAside { why, reason, story });
                }
                None => self.verdict.stories.push(story),
            }
        }
    }
}

impl LeftOut {
    /// `2 by the filter, 1 suppressed`, or nothing.
    pub fn in_words(&self) -> Option<String> {
        let parts = [
            (self.by_filter, "by the filter"),
            (self.suppressed, "suppressed"),
            (self.known, "in the baseline"),
        ];
        let parts = parts.iter().filter(|part| part.0 > 0);
        let words: Vec<String> = parts.map(|(count, why)| format!("{count} {why}")).collect();
        (!words.is_empty()).then(|| words.join(", "))
    }
}
