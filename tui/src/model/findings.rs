//! Findings as rows, and what they say of events.

use std::collections::{BTreeSet, HashMap};

use traces::event::EventId;
use traces::finding::{Finding, Verdict};

use super::{FindingRow, Mark, Range};
use crate::hiding::Hiding;

/// The rows of the findings list: of a selected time, those that rest on something in it.
pub(crate) fn finding_rows(
    verdict: &Verdict,
    unfolded: &BTreeSet<usize>,
    range: Option<Range>,
    hiding: &Hiding,
) -> Vec<FindingRow> {
    let is_in = |event: EventId| range.is_none_or(|range| range.has(event));
    let touches = |finding: &Finding| {
        is_in(finding.first_cause) || finding.evidence.iter().any(|e| is_in(e.event))
    };
    let mut rows = Vec::new();
    let mut hidden = Vec::new();
    for (index, story) in verdict.stories.iter().enumerate() {
        if !touches(&story.head) && !story.folded.iter().any(touches) {
            continue;
        }
        let list = match hiding.why(index) {
            Some(_) => &mut hidden,
            None => &mut rows,
        };
        list.push(FindingRow::Story(index));
        if unfolded.contains(&index) {
            list.extend((0..story.folded.len()).map(|n| FindingRow::Consequence(index, n)));
        }
    }
    let questions = verdict.cannot_tell.iter().enumerate();
    rows.extend(
        questions
            .filter(|(_, question)| is_in(question.at))
            .map(|(index, _)| FindingRow::CannotTell(index)),
    );
    if !hidden.is_empty() {
        rows.push(FindingRow::Hidden);
    }
    if hiding.shown {
        rows.extend(hidden);
    }
    rows.push(FindingRow::Summary);
    rows
}

/// What findings say about events; those that are hidden say nothing.
pub(crate) fn marks(verdict: &Verdict, hiding: &Hiding) -> HashMap<EventId, Vec<Mark>> {
    let mut marks: HashMap<EventId, Vec<Mark>> = HashMap::new();
    for (index, story) in verdict.stories.iter().enumerate() {
        if hiding.hides(index) {
            continue;
        }
        let consequences = story
            .folded
            .iter()
            .enumerate()
            .map(|(n, f)| (FindingRow::Consequence(index, n), f));
        for (row, finding) in
            std::iter::once((FindingRow::Story(index), &story.head)).chain(consequences)
        {
            let mut add = |event: EventId, role: &'static str| {
                let is_cause = event == finding.first_cause;
                marks.entry(event).or_default().push(Mark {
                    finding: row,
                    role,
                    is_cause,
                });
            };
            for evidence in &finding.evidence {
                add(evidence.event, evidence.role);
            }
            if finding
                .evidence
                .iter()
                .all(|evidence| evidence.event != finding.first_cause)
            {
                add(finding.first_cause, "first cause");
            }
        }
    }
    marks
}
