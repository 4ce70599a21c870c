//! Going from finding to finding, and to the first cause.

use std::collections::BTreeSet;

use traces::finding::{Finding, Severity};

use super::focus::set_focus;
use super::places::{place, push, remember, show, show_all_events};
use crate::keys::Characters;
use crate::layout::Pane;
use crate::model::{FindingRow, Model, finding_rows};
use crate::msg::{Fold, Toward, View};
use crate::words::severity;

/// Selects a row of the findings and puts what it is about into focus.
pub(super) fn select_finding(model: &mut Model, position: usize) {
    let position = position.min(model.findings.rows.len().saturating_sub(1));
    if position != model.findings.selected {
        model.findings.text_top = 0;
    }
    model.findings.selected = position;
    let row = model.selected_finding();
    let about = match (model.finding(row), model.question(row)) {
        (Some(finding), _) => Some((finding.first_cause, finding.subject)),
        (_, Some(question)) => Some((question.at, question.subject)),
        (None, None) => None,
    };
    match about {
        Some((event, subject)) => set_focus(model, Some(event), Some(subject)),
        None => {
            let event = model
                .focus
                .event
                .or(model.trace.events().first().map(|event| event.id));
            set_focus(model, event, None);
        }
    }
}

/// Selects a finding, unfolding its story where that is needed.
pub(super) fn reveal(model: &mut Model, row: FindingRow) {
    if let FindingRow::Story(story) | FindingRow::Consequence(story, _) = row
        && model.hiding.hides(story)
    {
        super::suppressing::turn(model);
    }
    if let FindingRow::Consequence(story, _) = row
        && model.findings.unfolded.insert(story)
    {
        list_findings(model);
    }
    if let Some(position) = model.findings.rows.iter().position(|other| *other == row) {
        select_finding(model, position);
    }
}

/// Lists the findings anew, and keeps the selected one.
pub(super) fn list_findings(model: &mut Model) {
    let selected = model.selected_finding();
    model.findings.rows = finding_rows(
        &model.verdict,
        &model.findings.unfolded,
        model.range,
        &model.hiding,
        model.findings.sort,
    );
    let rows = &model.findings.rows;
    if let Some(position) = rows.iter().position(|row| *row == selected) {
        model.findings.selected = position;
    }
}

/// Every finding, consequences after their causes.
pub(super) fn all_findings(model: &Model) -> impl Iterator<Item = FindingRow> {
    let all: BTreeSet<usize> = (0..model.verdict.stories.len()).collect();
    finding_rows(
        &model.verdict,
        &all,
        model.range,
        &model.hiding,
        model.findings.sort,
    )
    .into_iter()
}

/// Goes to another finding: of that severity, where one is named.
pub(super) fn next_finding(model: &mut Model, toward: Toward, only: Option<Severity>) {
    let is_wanted = |finding: &Finding| only.is_none_or(|only| finding.severity == only);
    let findings: Vec<usize> = (0..model.findings.rows.len())
        .filter(|position| {
            let finding = model.finding(model.findings.rows[*position]);
            finding.is_some_and(is_wanted)
        })
        .collect();
    // By the word that stands with it on the screen.
    let what = only.map_or("finding", |only| severity(only, Characters::Ascii).1);
    if findings.is_empty() {
        model.notice = Some(format!("there is no {what} in this trace"));
        return;
    }
    // Among events the next one is what comes later; elsewhere it is what stands below.
    let target = if model.pane == Pane::Events {
        let now = model.focus.event;
        let cause = |position: &usize| {
            model
                .finding(model.findings.rows[*position])
                .map(|finding| finding.first_cause)
        };
        match toward {
            Toward::Next => findings
                .into_iter()
                .filter(|p| cause(p) > now)
                .min_by_key(|p| (cause(p), *p)),
            Toward::Previous => findings
                .into_iter()
                .filter(|p| cause(p) < now)
                .max_by_key(|p| (cause(p), *p)),
        }
    } else {
        let now = model.findings.selected;
        match toward {
            Toward::Next => findings.into_iter().find(|position| *position > now),
            Toward::Previous => findings.into_iter().rfind(|position| *position < now),
        }
    };
    match target {
        Some(position) => {
            remember(model);
            if model.pane == Pane::Events {
                show_all_events(model);
            }
            select_finding(model, position);
        }
        None => {
            model.notice = Some(match toward {
                Toward::Next => format!("no {what} after this one"),
                Toward::Previous => format!("no {what} before this one"),
            });
        }
    }
}

/// The finding that the reader most likely means: the selected one if the focus is about it, else
/// one about the focused object, else one that rests on the focused event.
pub(super) fn meant_finding(model: &Model) -> Option<FindingRow> {
    let selected = model.selected_finding();
    let is_about = |row: &FindingRow| {
        model
            .finding(*row)
            .is_some_and(|finding| Some(finding.subject) == model.focus.object)
    };
    if is_about(&selected) || (model.pane == Pane::Findings && model.finding(selected).is_some()) {
        return Some(selected);
    }
    all_findings(model).find(is_about).or_else(|| {
        let marks = model.marks.get(&model.focus.event?)?;
        marks.first().map(|mark| mark.finding)
    })
}

pub(super) fn first_cause(model: &mut Model) {
    let meant = meant_finding(model)
        .or_else(|| Some(model.selected_finding()).filter(|row| model.finding(*row).is_some()));
    let story = match meant {
        Some(FindingRow::Story(story) | FindingRow::Consequence(story, _)) => story,
        _ => {
            model.notice = Some("no finding, so there is no first cause".into());
            return;
        }
    };
    let head = &model.verdict.stories[story].head;
    let (event, subject) = (head.first_cause, head.subject);
    if model.pane != Pane::Findings
        && model.focus.event == Some(event)
        && model.focus.object == Some(subject)
    {
        model.notice = Some(format!("this is the first cause of {}", head.rule));
    }
    remember(model);
    if model.pane == Pane::Findings {
        let from = place(model);
        push(&mut model.crumbs, from);
    }
    reveal(model, FindingRow::Story(story));
    set_focus(model, Some(event), Some(subject));
    let is_in_life = model.life.told.is_none() || model.life.has(event);
    match model.pane {
        Pane::Events => show_all_events(model),
        _ if is_in_life && model.view == View::Biography => {}
        _ if is_in_life => show(model, View::Biography),
        _ => {
            show(model, View::Events);
            show_all_events(model);
        }
    }
}

pub(super) fn set_fold(model: &mut Model, fold: Fold) {
    let row = model.selected_finding();
    if row == FindingRow::Hidden {
        if model.hiding.shown != (fold == Fold::Open) {
            super::suppressing::turn(model);
        }
        return;
    }
    let (FindingRow::Story(story) | FindingRow::Consequence(story, _)) = row else {
        return;
    };
    match fold {
        Fold::Open => {
            if model.verdict.stories[story].folded.is_empty() {
                model.notice = Some("nothing followed from this finding".into());
                return;
            }
            model.findings.unfolded.insert(story);
        }
        Fold::Shut => {
            model.findings.unfolded.remove(&story);
        }
    }
    list_findings(model);
    let head = match fold {
        Fold::Open => row,
        Fold::Shut => FindingRow::Story(story),
    };
    if let Some(position) = model.findings.rows.iter().position(|other| *other == head) {
        if head == row {
            model.findings.selected = position;
        } else {
            select_finding(model, position);
        }
    }
}
