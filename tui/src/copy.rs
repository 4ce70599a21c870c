//! What is copied to the clipboard: a row with all there is to say about it, or a finding as Markdown.
//!
//! All of it comes out of `traces` safe for a terminal, so it is also safe to paste into one.

use std::fmt::Write as _;

use traces::event::What;
use traces::finding::Subject;

use traces::markdown::{code, escaped};

use crate::about;
use crate::model::{FindingRow, Model};
use crate::text::sentence;
use crate::words::{confidence, rule_name, severity};

/// Bytes that terminals take as one copy: 74 kB once they are encoded.
pub const BYTES_MAX: usize = 56_000;

/// Columns that no text is wrapped at.
const WIDE: usize = 100_000;

/// What the selected row of the pane with the keys says.
pub fn row(model: &Model) -> String {
    let lines = about::lines(model, model.pane, WIDE);
    let texts = lines.iter().map(|line| {
        let pieces: String = line.iter().map(|(text, _)| text.as_str()).collect();
        pieces.trim_end().to_owned()
    });
    texts.collect::<Vec<_>>().join("\n")
}

/// The word that the focus is about: the address of a pointer, the cookie of an operation.
pub fn word(model: &Model) -> Option<u64> {
    let focus = model.focus();
    let of = |subject| match subject {
        Subject::Generation { address, .. } => Some(address),
        Subject::Cookie { cookie, .. } => Some(cookie),
        _ => None,
    };
    let touched = || focus.event.map(|event| model.trace.subjects_of(event));
    focus
        .object
        .and_then(of)
        .or_else(|| touched()?.into_iter().find_map(of))
        .or_else(|| match &model.event(focus.event?)?.what {
            What::Submit(submission) => Some(submission.entry.cookie),
            What::Complete(completion) => Some(completion.cookie),
            _ => None,
        })
}

/// A finding with its evidence and what followed, for a bug report.
pub fn finding(model: &Model, row: FindingRow) -> Option<String> {
    let finding = model.finding(row)?;
    let (_, word, _) = severity(finding.severity, model.look.characters);
    let mut out = format!(
        "### {} {} ({word}, {})\n\n{}\n",
        finding.rule,
        rule_name(finding.rule),
        confidence(finding.confidence),
        escaped(&sentence(&finding.message))
    );
    if !finding.evidence.is_empty() {
        out.push_str("\nIt rests on\n\n");
    }
    for evidence in &finding.evidence {
        if let Some(event) = model.event(evidence.event) {
            let _ = writeln!(
                out,
                "- {}: {} (event {}, {} s, {})",
                evidence.role,
                code(&model.trace.describe(event)),
                event.id.0,
                model.time_of(event),
                escaped(&model.thread_of(event)),
            );
        }
    }
    if let FindingRow::Story(story) = row
        && let Some(story) = model.verdict.stories.get(story)
        && !story.folded.is_empty()
    {
        out.push_str("\nWhat followed\n\n");
        for folded in &story.folded {
            let _ = writeln!(
                out,
                "- {} {}: {}",
                folded.rule,
                rule_name(folded.rule),
                escaped(&sentence(&folded.message))
            );
        }
    }
    Some(out)
}
