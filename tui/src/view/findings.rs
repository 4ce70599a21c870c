//! What is wrong: stories, their consequences, what could not be told, and what was there at all.

use crate::hiding::Why;
use crate::layout::PaneArea;
use crate::model::{FindingRow, Model};
use crate::sorting::By;
use crate::text::{Line, Tone, count, counted};
use crate::words::{CANNOT_TELL, confidence, either, rule_name, severity};

use super::bars::rows;
use super::paint::Paint;

/// Draws the rows, and gives the title.
pub(super) fn draw(model: &Model, paint: &mut Paint<'_>, area: &PaneArea) -> String {
    rows(
        model,
        paint,
        area,
        model.findings.top,
        model.findings.selected,
        |position| {
            model
                .findings
                .rows
                .get(position)
                .map(|row| line(model, *row))
        },
    );
    let verdict = &model.verdict;
    let (suppressed, known) = model.hiding.counts();
    let told = (verdict.stories.len() as u64).saturating_sub(suppressed + known);
    let mut title = match told {
        0 if model.live.is_running() => "No finding so far".to_owned(),
        0 => "No finding".to_owned(),
        stories => counted(stories, "finding"),
    };
    if model.range.is_some() {
        let is_story = |row: &&FindingRow| matches!(row, FindingRow::Story(_));
        let shown = model.findings.rows.iter().filter(is_story).count();
        title.push_str(&format!(", {} in the selected time", count(shown as u64)));
    }
    if let Some(hidden) = model.hiding.in_words() {
        title.push_str(&format!(", {hidden}"));
    }
    let open = verdict
        .summary
        .cannot_tell
        .max(verdict.cannot_tell.len() as u64);
    if open > 0 {
        title.push_str(&format!(", {} cannot tell", count(open)));
    }
    if model.findings.sort.by != By::Told {
        title.push_str(&format!(", {}", model.findings.sort.in_words()));
    }
    title
}

fn line(model: &Model, row: FindingRow) -> Line {
    let characters = model.look.characters;
    if let Some(finding) = model.finding(row) {
        let (sign, word, tone) = severity(finding.severity, characters);
        let (indent, fold) = match row {
            FindingRow::Story(story) => {
                let folded = model
                    .verdict
                    .stories
                    .get(story)
                    .map_or(0, |story| story.folded.len());
                let sign = match (folded, model.findings.unfolded.contains(&story)) {
                    (0, _) => " ",
                    (_, false) => either(characters, "▸", "+"),
                    (_, true) => either(characters, "▾", "-"),
                };
                ("", sign)
            }
            _ => (either(characters, " └ ", " ` "), ""),
        };
        let mut line = vec![
            (format!("{fold}{indent}"), Tone::Faint),
            (format!("{sign} {word} "), tone),
            (
                format!("{} {}", finding.rule, rule_name(finding.rule)),
                Tone::Strong,
            ),
            (format!(" {}", confidence(finding.confidence)), Tone::Plain),
        ];
        if finding.count > 1 {
            let times = either(characters, "×", "x");
            line.push((format!(" {times}{}", count(finding.count)), Tone::Strong));
        }
        let why = match row {
            FindingRow::Story(story) => model.hiding.why(story),
            _ => None,
        };
        let word = match why {
            Some(Why::Suppressed { .. }) => "  suppressed:",
            Some(Why::Known) => "  in the baseline:",
            None => " ",
        };
        line.push((format!("{word} {}", finding.message), Tone::Faint));
        return line;
    }
    if let Some(question) = model.question(row) {
        let (sign, word, tone) = CANNOT_TELL;
        return vec![
            (format!(" {sign} {word} "), tone),
            (
                format!("{} {}", question.rule, rule_name(question.rule)),
                Tone::Strong,
            ),
            (format!("  {}", question.message), Tone::Faint),
        ];
    }
    if row == FindingRow::Hidden {
        let sign = match model.hiding.shown {
            false => either(characters, "▸", "+"),
            true => either(characters, "▾", "-"),
        };
        let words = model.hiding.in_words().unwrap_or_default();
        return vec![(format!("{sign} {words}"), Tone::Faint)];
    }
    let sign = either(characters, "≡", "=");
    vec![
        (format!(" {sign} summary"), Tone::Strong),
        (
            format!(
                "  {} seen",
                counted(model.trace.events().len() as u64, "event")
            ),
            Tone::Faint,
        ),
    ]
}
