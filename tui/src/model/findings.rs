//! Findings as rows, and what they say of events.

use std::collections::{BTreeSet, HashMap};

use traces::event::EventId;
use traces::finding::{Finding, Verdict};

use super::{FindingRow, Mark, Range};
use crate::hiding::Hiding;
use crate::sorting::{By, Sort};

/// Stories in an order: all of them, by their numbers.
fn stories_in(verdict: &Verdict, sort: Sort) -> Vec<usize> {
    let mut order: Vec<usize> = (0..verdict.stories.len()).collect();
    let head = |at: &usize| verdict.stories.get(*at).map(|story| &story.head);
    match sort.by {
        By::Severity => sort.sort(&mut order, |at| {
            std::cmp::Reverse(head(at).map(|it| it.severity))
        }),
        By::Rule => sort.sort(&mut order, |at| head(at).map(|it| it.rule.0)),
        By::Count => sort.sort(&mut order, |at| {
            std::cmp::Reverse(head(at).map(|it| it.count))
        }),
        By::Time => sort.sort(&mut order, |at| head(at).map(|it| it.first_cause)),
        _ => sort.sort(&mut order, |at| *at),
    }
    order
}

/// The rows of the findings list: of a selected time, those that rest on something in it.
pub(crate) fn finding_rows(
    verdict: &Verdict,
    unfolded: &BTreeSet<usize>,
    range: Option<Range>,
    hiding: &Hiding,
    sort: Sort,
) -> Vec<FindingRow> {
    let is_in = |event: EventId| range.is_none_or(|range| range.has(event));
    let touches = |finding: &Finding| {
        is_in(finding.first_cause) || finding.evidence.iter().any(|e| is_in(e.event))
    };
    let mut rows = Vec::new();
    let mut hidden = Vec::new();
    for index in stories_in(verdict, sort) {
        let Some(story) = verdict.stories.get(index) else {
            continue;
        };
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
