//! Commands of a GitHub workflow: each becomes an annotation at its line of the source.
//!
//! GitHub shows ten of a kind for a step and says nothing of the rest, so of more than ten the last one
//! says how many there are. The worst come first.

use std::io::{self, Write};

use super::document::{FindingEntry, Report};

/// Annotations of one kind that a step may make.
const OF_A_KIND_MAX: usize = 10;

/// Severities, and the commands for them.
const KINDS: [(&str, &str); 3] = [
    ("error", "error"),
    ("warning", "warning"),
    ("note", "notice"),
];

pub(super) fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let mut errors = report.unreadable.len();
    for trace in &report.unreadable {
        let text = format!("{}: {}", trace.file, trace.message);
        writeln!(out, "::error title=cannot be read::{}", data(&text))?;
    }
    for (severity, command) in KINDS {
        let stories = report.traces.iter().flat_map(|trace| &trace.findings);
        let findings: Vec<&FindingEntry> = stories
            .map(|story| &story.finding)
            .filter(|finding| finding.severity == severity)
            .collect();
        let room = OF_A_KIND_MAX.saturating_sub(std::mem::take(&mut errors));
        let told = if findings.len() > room {
            room.saturating_sub(1)
        } else {
            room
        };
        for finding in findings.iter().take(told) {
            annotate(command, finding, out)?;
        }
        let more = findings.len().saturating_sub(told);
        if more > 0 {
            writeln!(
                out,
                "::{command} title=tracer::and {more} more: see the step's summary"
            )?;
        }
    }
    Ok(())
}

fn annotate(command: &str, finding: &FindingEntry, out: &mut dyn Write) -> io::Result<()> {
    let mut properties = Vec::new();
    if let Some(site) = &finding.site {
        properties.push(format!("file={}", property(&site.file)));
        properties.push(format!("line={}", site.line));
        if let Some(column) = site.column {
            properties.push(format!("col={column}"));
        }
    }
    let title = format!("{} {} ({})", finding.rule, finding.name, finding.confidence);
    properties.push(format!("title={}", property(&title)));
    let text = format!("{}\ntry: {}", finding.message, finding.advice);
    writeln!(out, "::{command} {}::{}", properties.join(","), data(&text))
}

/// A line of text as it can be printed beside commands: a runner takes every line for a command that begins
/// with two colons, and older ones what follows two number signs.
pub fn harmless(line: &str) -> String {
    let begins = line.trim_start();
    let indent = line.len().saturating_sub(begins.len());
    let begins = match begins.strip_prefix("::") {
        Some(rest) => format!("\\::{rest}"),
        None => begins.to_owned(),
    };
    let begins = begins.replace("##[", "#\\#[").replace("##vso[", "#\\#vso[");
    format!("{}{begins}", line.get(..indent).unwrap_or_default())
}

/// What stands behind the last colons.
fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// What stands between commas.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_a_command_early() {
        assert_eq!(data("50%\n::set-env x"), "50%25%0A::set-env x");
        assert_eq!(property("a,b:c\r\n"), "a%2Cb%3Ac%0D%0A");
    }

    #[test]
    fn texts_beside_commands_are_none() {
        assert_eq!(harmless("  ::error::x"), "  \\::error::x");
        assert_eq!(harmless("a ::b ##[error]c"), "a ::b #\\#[error]c");
        assert_eq!(harmless("##vso[task]"), "#\\#vso[task]");
        assert_eq!(harmless("conn.rs:8 std::io"), "conn.rs:8 std::io");
    }
}
