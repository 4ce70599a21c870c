//! Looks at a recording that is still written, one after the other: what `record --view`, `view --follow` and
//! `record --until-finding` have in common.
//!
//! A look ends where it began: what threads record while their files are read one after the other is left to the next
//! one. A finding counts when two looks in a row have it, because a thread may have been stopped just before it
//! finished a record of an earlier time. Each look judges all that the recording keeps, from the start: what rules know
//! of a pointer may be as old as the program. So none is taken while nothing was written ([`changes`]), and what a look
//! costs decides how long the next one waits ([`Pace`]).

mod changes;

use std::path::Path;
use std::time::{Duration, Instant};

use traces::Trace;
use traces::finding::{Finding, Subject, Verdict};

use crate::open;
use changes::Changes;

/// What stays of a finding from one look to the next: generations count anew when the oldest are overwritten.
pub(crate) type Key = (u64, Subject);

/// By what a finding is known again at the next look.
pub(crate) fn key(finding: &Finding) -> Key {
    (finding.fingerprint, lasting(finding.subject))
}

fn lasting(subject: Subject) -> Subject {
    match subject {
        Subject::Generation {
            process, address, ..
        } => Subject::Generation {
            process,
            address,
            generation: 0,
        },
        other => other,
    }
}

/// How much of a recording a look wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The verdict alone.
    Verdict,
    /// All events, to look around in.
    Events,
}

/// What a look found.
#[derive(Debug)]
pub(crate) enum Look {
    /// Nothing was written since the last one.
    Same,
    /// There is nothing that could be read.
    Nothing,
    /// This, and what two looks in a row have found of it.
    New(Box<(Trace, Verdict)>),
}

/// One look after the other.
#[derive(Debug)]
pub(crate) struct Looks {
    wanted: Wanted,
    changes: Changes,
    /// What the last look found.
    before: Vec<Key>,
    /// Whether it found anything that the one before had not: then another look has to say whether it stands.
    is_unsure: bool,
}

impl Looks {
    pub(crate) fn new(wanted: Wanted) -> Self {
        Self {
            wanted,
            changes: Changes::default(),
            before: Vec::new(),
            is_unsure: false,
        }
    }

    /// Looks.
    pub(crate) fn look(&mut self, folder: &Path) -> Look {
        // Before it is read: what is written meanwhile is seen as a change by the next look.
        let has_changed = self.changes.are_there(folder);
        if !has_changed && !self.is_unsure {
            return Look::Same;
        }
        let read = match self.wanted {
            Wanted::Verdict => open::check_running(folder),
            Wanted::Events => open::read_running(folder),
        };
        let Ok(trace) = read else {
            // What changed was not seen.
            self.is_unsure = true;
            return Look::Nothing;
        };
        let verdict = self.confirmed(trace.verdict().clone());
        Look::New(Box::new((trace, verdict)))
    }

    /// Without findings that the look before did not have.
    fn confirmed(&mut self, mut verdict: Verdict) -> Verdict {
        let stories = verdict.stories.iter();
        let now: Vec<Key> = stories.map(|story| key(&story.head)).collect();
        let before = std::mem::replace(&mut self.before, now);
        let all = verdict.stories.len();
        verdict
            .stories
            .retain(|story| before.contains(&key(&story.head)));
        self.is_unsure = verdict.stories.len() < all;
        verdict
    }
}

/// When to look again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// The shortest pause.
    pub(crate) least: Duration,
    /// The longest one where there was nothing new: each such look doubles it.
    pub(crate) most: Duration,
    /// A pause is at least so many times as long as the look before it took: the program needs the machine, too.
    pub(crate) factor: u32,
    idle: Duration,
}

impl Pace {
    pub(crate) fn new(least: Duration, most: Duration, factor: u32) -> Self {
        Self {
            least,
            most,
            factor,
            idle: least,
        }
    }

    /// How long to wait after a look that began then.
    pub(crate) fn pause(&mut self, began: Instant, was_new: bool) -> Duration {
        self.idle = if was_new {
            self.least
        } else {
            (self.idle * 2).min(self.most)
        };
        self.idle.max(began.elapsed() * self.factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reclaimed twice: a finding.
    const TWICE: &str = "
0 main leak 0x10 Conn src/a.rs:1 owner=Box
1 main reclaim 0x10 Conn src/a.rs:2 owner=Box
2 main reclaim 0x10 Conn src/a.rs:3 owner=Box
";

    #[test]
    fn finding_counts_when_two_looks_in_a_row_have_it() {
        let verdict = |text| Trace::parse_text(text).unwrap().verdict().clone();
        let (none, twice) = (verdict("0 main done 1\n"), verdict(TWICE));
        assert_eq!(twice.stories.len(), 1, "{twice:?}");
        let mut looks = Looks::new(Wanted::Events);
        let mut shown = |verdict: &Verdict| {
            let shown = looks.confirmed(verdict.clone()).stories.len();
            // As long as it has to be confirmed another look is taken, whether anything was written or not.
            (shown, looks.is_unsure)
        };
        let seen = [&twice, &twice, &none, &twice, &twice].map(&mut shown);
        let wanted = [(0, true), (1, false), (0, false), (0, true), (1, false)];
        assert_eq!(seen, wanted);
    }

    #[test]
    fn looks_without_news_become_rare_and_news_bring_them_back() {
        let (least, most) = (Duration::from_millis(500), Duration::from_secs(4));
        let mut pace = Pace::new(least, most, 2);
        let now = Instant::now();
        let pauses = [false, false, false, false, true]
            .map(|was_new| pace.pause(now, was_new).as_millis() / 500);
        assert_eq!(pauses, [2, 4, 8, 8, 1]);
        let late = now.checked_sub(Duration::from_secs(3)).unwrap();
        assert!(pace.pause(late, true) >= Duration::from_secs(6));
    }
}
