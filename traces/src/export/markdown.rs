//! Markdown for people: a table of the findings, then a section for each. Also the summary of a step of a
//! GitHub workflow, which has a limit.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::document::{EventEntry, Report, StoryEntry, TraceEntry};
use crate::markdown::escaped;

/// Bytes that the summary of a step may have, with room for what others write.
pub const SUMMARY_MAX: usize = 900_000;

/// Of the room, what is kept for the line that says how much is left out.
const RESERVE: usize = 200;

pub(super) fn write(report: &Report, bytes_max: usize, out: &mut dyn Write) -> io::Result<()> {
    let mut text = head(report);
    let mut left_out = 0;
    let sections = report.traces.iter().flat_map(sections);
    for section in sections.chain(report.unreadable.iter().map(|trace| {
        format!(
            "\n## {}\n\nCannot be read: {}\n",
            escaped(&trace.file),
            escaped(&trace.message)
        )
    })) {
        if left_out > 0 || text.len() + section.len() + RESERVE > bytes_max {
            left_out += 1;
        } else {
            text.push_str(&section);
        }
    }
    if left_out > 0 {
        let _ = writeln!(
            text,
            "\nAnd {left_out} more sections that found no room here."
        );
    }
    out.write_all(text.as_bytes())
}

fn head(report: &Report) -> String {
    let count: usize = report.traces.iter().map(|trace| trace.findings.len()).sum();
    let mut text = match count {
        0 => "# tracer: no findings\n".to_owned(),
        1 => "# tracer: 1 finding\n".to_owned(),
        _ => format!("# tracer: {count} findings\n"),
    };
    text.push_str(
        "\n| trace | findings | cannot tell | events | records lost |\n|---|---|---|---|---|\n",
    );
    for trace in &report.traces {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} |",
            escaped(&trace.file),
            trace.findings.len(),
            trace.summary.cannot_tell,
            trace.summary.events,
            trace.summary.records_lost
        );
    }
    for trace in &report.unreadable {
        let _ = writeln!(text, "| {} | cannot be read | | | |", escaped(&trace.file));
    }
    for trace in &report.traces {
        if let Some(words) = trace.summary.left_out.in_words() {
            let _ = writeln!(text, "\nLeft out of {}: {words}.", escaped(&trace.file));
        }
    }
    text
}

/// What is said of a trace, in parts that can be left out.
fn sections(trace: &TraceEntry) -> Vec<String> {
    let mut parts: Vec<String> = trace
        .findings
        .iter()
        .map(|story| section(trace, story))
        .collect();
    if !trace.cannot_tell.is_empty() {
        let mut text = format!("\n## Cannot tell: {}\n\n", escaped(&trace.file));
        for question in &trace.cannot_tell {
            let _ = writeln!(
                text,
                "- **{} {}** {}",
                question.rule,
                question.name,
                escaped(&question.message)
            );
        }
        parts.push(text);
    }
    parts
}

fn section(trace: &TraceEntry, story: &StoryEntry) -> String {
    let finding = &story.finding;
    let mut text = format!(
        "\n## {} {} ({})\n\n",
        finding.rule, finding.name, finding.confidence
    );
    let _ = writeln!(text, "{}.\n", escaped(&finding.message));
    let place = finding.site.as_ref().map_or(String::new(), |site| {
        format!("{}:{} · ", escaped(&site.file), site.line)
    });
    let times = match finding.count {
        1 => String::new(),
        count => format!(" · {count} times"),
    };
    let _ = writeln!(
        text,
        "{place}{} · {}{times} · `{}`\n",
        finding.severity,
        escaped(&trace.file),
        finding.fingerprint
    );
    // Four: no line of ours begins with as many.
    text.push_str("````text\n");
    for event in &finding.evidence {
        let _ = writeln!(text, "{}", evidence_line(event));
    }
    text.push_str("````\n");
    if !story.consequences.is_empty() {
        text.push('\n');
    }
    for consequence in &story.consequences {
        let _ = writeln!(
            text,
            "- so **{}**: {}",
            consequence.rule,
            escaped(&consequence.message)
        );
    }
    let _ = writeln!(text, "\nTry: {}", escaped(finding.advice));
    text
}

/// `12.000 us main: leaked here: leak Conn#1 …`
pub(super) fn evidence_line(event: &EventEntry) -> String {
    format!(
        "{:>14} {}: {}: {}",
        crate::report::time(event.at_ns),
        event.thread,
        event.role.unwrap_or(event.kind),
        event.text
    )
}
