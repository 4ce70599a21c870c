//! What `check` leaves out of a verdict, and what of the rest makes it fail: filter, suppressions and
//! baseline, in this order, and `--fail-on`.

use std::path::Path;
use std::str::FromStr;

use anyhow::Result;
use traces::Trace;
use traces::filter::Filter;
use traces::selection::{Selection, Why};

use super::baseline::{self, Baseline};
use super::suppressions::{self, Suppressions};
use crate::args::Check;
use crate::exit::{CANNOT_TELL, CLEAN, FINDINGS};

/// What makes `check` fail.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FailOn(Filter);

impl FromStr for FailOn {
    type Err = String;

    /// A rule, or the least severity or confidence that matters.
    fn from_str(text: &str) -> Result<Self, String> {
        let word = text.to_lowercase();
        let filter = match word.as_str() {
            "note" | "warning" | "error" => format!("severity>={word}"),
            "suspected" | "observed" | "proved" => format!("confidence>={word}"),
            _ => format!("rule:\"{word}\""),
        };
        let failed = |error: traces::filter::FilterError| {
            format!(
                "{}; or a severity (error) or a confidence (proved)",
                error.message
            )
        };
        Filter::parse(&filter).map(Self).map_err(failed)
    }
}

/// All of it, for all traces of one call.
pub(super) struct Sieve<'a> {
    args: &'a Check,
    suppressions: Suppressions,
    baseline: Baseline,
    /// What goes into a new baseline, and into new suppressions.
    known: Baseline,
    unsuppressed: Baseline,
}

impl<'a> Sieve<'a> {
    /// Reads the files.
    pub(super) fn new(args: &'a Check) -> Result<Self> {
        let suppressions = match &args.suppressions {
            Some(path) => Suppressions::read(path)?,
            None => Suppressions::default(),
        };
        let baseline = match &args.baseline {
            Some(path) => baseline::read(path)?,
            None => Baseline::default(),
        };
        Ok(Self {
            args,
            suppressions,
            baseline,
            known: Baseline::default(),
            unsuppressed: Baseline::default(),
        })
    }

    /// What is left of a verdict.
    pub(super) fn select(&mut self, trace: &Trace) -> Selection {
        let mut selection = Selection::all(trace);
        if !self.args.filter.is_empty() {
            selection.filter(trace, &self.args.filter.prepare(trace));
        }
        let suppressed = self.suppressions.prepare(trace);
        selection.put_aside(Why::Suppressed, |story| {
            let reason = self.suppressions.covers(&suppressed, trace, &story.head);
            reason.map(str::to_owned)
        });
        self.known.add(&selection.verdict);
        let file = self.args.baseline.as_deref().map_or(String::new(), shown);
        selection.put_aside(Why::Known, |story| {
            self.baseline.has(&story.head).then(|| file.clone())
        });
        self.unsuppressed.add(&selection.verdict);
        selection
    }

    /// The exit code for what is left of a verdict.
    pub(super) fn code(&self, trace: &Trace, selection: &Selection) -> u8 {
        let verdict = &selection.verdict;
        if self.args.fail_on.is_empty() {
            return verdict.exit_code();
        }
        let fails = self.args.fail_on.iter().map(|fail| fail.0.prepare(trace));
        let fails: Vec<_> = fails.collect();
        let counts = |story| fails.iter().any(|fail| fail.finding(trace, story));
        if verdict.stories.iter().any(|story| counts(&story.head)) {
            FINDINGS
        } else if verdict.cannot_tell.is_empty() && !verdict.summary.losses_hide {
            CLEAN
        } else {
            CANNOT_TELL
        }
    }

    /// Writes what was asked for, and says what had no use. `is_whole` says whether all traces were looked
    /// at: of those that were not, nobody knows what they would have used.
    pub(super) fn finish(&self, is_whole: bool) -> Result<()> {
        if let Some(path) = &self.args.write_baseline {
            baseline::write(&self.known, path)?;
        }
        if let Some(path) = &self.args.gen_suppressions {
            suppressions::generate(&self.unsuppressed, path)?;
        }
        if is_whole {
            self.suppressions.tell_unused();
        }
        Ok(())
    }
}

/// The name of a file for messages.
pub(super) fn shown(path: &Path) -> String {
    crate::safe::path(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_rules_severities_or_confidences() {
        let text = |text: &str| text.parse::<FailOn>().map(|fail| fail.0.text().to_owned());
        assert_eq!(text("Error").unwrap(), "severity>=error");
        assert_eq!(text("observed").unwrap(), "confidence>=observed");
        assert_eq!(text("T02").unwrap(), "rule:\"t02\"");
        assert!(
            text("leftovr-cookie")
                .unwrap_err()
                .contains("did you mean `leftover-cookie`?")
        );
    }
}
