//! JSON: the whole report as one document, or a line for each finding.

use std::io::{self, Write};

use serde::Serialize;

use super::document::{Report, SCHEMA_VERSION, StoryEntry};

/// The document, indented.
pub(super) fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, report)?;
    writeln!(out)
}

/// A finding that stands alone.
#[derive(Serialize)]
struct Line<'a> {
    schema_version: u32,
    file: &'a str,
    #[serde(flatten)]
    story: &'a StoryEntry,
}

/// A line for each finding of all traces.
pub(super) fn write_lines(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    for trace in &report.traces {
        for story in &trace.findings {
            let line = Line {
                schema_version: SCHEMA_VERSION,
                file: &trace.file,
                story,
            };
            serde_json::to_writer(&mut *out, &line)?;
            writeln!(out)?;
        }
    }
    Ok(())
}
