//! What was lost: where, how much, why, and which questions it leaves open.

use traces::finding::{CannotTell, Doubt};

use crate::model::Model;
use crate::text::{Line, Tone, count, counted, sentence, wrap};
use crate::words::{loss_help, loss_word, rule_name};

/// Questions that are listed one by one; beyond, they are counted.
const LISTED_MAX: usize = 50;

/// A row of the loss page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossRow {
    /// Records that are missing: a position in the recording's losses.
    Loss(usize),
    /// Something wrong with the file: a position in its problems.
    Problem(usize),
    /// Events that were put aside and cannot be read back.
    Unreadable,
}

/// What stands where an event would, if it could be read back.
pub const UNREADABLE: &str = "this event cannot be read back: see Loss";

/// How many rows there are.
pub fn len(model: &Model) -> usize {
    let recording = model.trace.recording();
    recording.losses.len() + recording.problems.len() + usize::from(is_unreadable(model))
}

/// Whether events that were put aside could not be read back so far.
pub fn is_unreadable(model: &Model) -> bool {
    model.trace.events().is_unreadable()
}

/// The row at a position: losses in the order they happened, then problems of the file.
pub fn row(model: &Model, position: usize) -> Option<LossRow> {
    let recording = model.trace.recording();
    match position.checked_sub(recording.losses.len()) {
        None => Some(LossRow::Loss(position)),
        Some(at) if at < recording.problems.len() => Some(LossRow::Problem(at)),
        Some(at) if at == recording.problems.len() && is_unreadable(model) => {
            Some(LossRow::Unreadable)
        }
        Some(_) => None,
    }
}

/// The title of the pane.
pub fn title(model: &Model) -> String {
    let summary = &model.verdict.summary;
    let unreadable = if is_unreadable(model) {
        "; some events cannot be read back"
    } else {
        ""
    };
    if summary.losses == 0 && summary.records_lost == 0 {
        return format!("Nothing lost{unreadable}");
    }
    format!(
        "At least {} lost, in {}; {} open because of it{unreadable}",
        counted(summary.records_lost, "record"),
        counted(summary.losses, "place"),
        counted(open_questions(model).count() as u64, "question"),
    )
}

/// Questions that lost records leave open.
fn open_questions(model: &Model) -> impl Iterator<Item = &CannotTell> {
    let all = model.verdict.cannot_tell.iter();
    all.filter(|question| matches!(question.reason, Doubt::Lost(_)))
}

/// The text about a row.
pub fn about(model: &Model, row: LossRow, columns: usize) -> Vec<Line> {
    let plain = |text: &str, tone: Tone| -> Vec<Line> {
        wrap(text, columns)
            .into_iter()
            .map(|line| vec![(line, tone)])
            .collect()
    };
    let recording = model.trace.recording();
    if row == LossRow::Unreadable {
        return plain(
            "Of a long trace most events lie in a file without a name, in the folder for temporary files: it could \
             not be read, or somebody else wrote to it. The findings were judged before that and stand. Lists, \
             biographies and the timeline lack these events. Open the trace again; TMPDIR names another folder.",
            Tone::Plain,
        );
    }
    let LossRow::Loss(at) = row else {
        return plain(
            "What could be read of the file was read; this could not be.",
            Tone::Plain,
        );
    };
    let Some(found) = recording.losses.get(at) else {
        return Vec::new();
    };
    let reason = found.loss.reason;
    let records = found
        .loss
        .records
        .map_or("An unknown number of records".to_owned(), |n| {
            counted(n, "record")
        });
    let mut lines = plain(
        &format!(
            "{records} of {} {}. {}",
            model.thread_name(found.process, found.lane),
            loss_word(reason),
            loss_help(reason)
        ),
        Tone::Plain,
    );
    let questions: Vec<&CannotTell> = open_questions(model)
        .filter(|question| question.reason == Doubt::Lost(reason))
        .collect();
    if questions.is_empty() {
        lines.extend(plain(
            "No question was left open by losses like this one.",
            Tone::Faint,
        ));
        return lines;
    }
    lines.extend(plain(
        "What cannot be told because of such losses:",
        Tone::Strong,
    ));
    for question in questions.iter().take(LISTED_MAX) {
        let text = format!(
            "? {} {}: {}",
            question.rule,
            rule_name(question.rule),
            sentence(&question.message)
        );
        lines.extend(plain(&text, Tone::Unsure));
    }
    if let Some(more @ 1..) = questions.len().checked_sub(LISTED_MAX) {
        lines.extend(plain(
            &format!("and {} more", count(more as u64)),
            Tone::Faint,
        ));
    }
    lines
}
