//! What `record` says at its end, on stderr.

use std::ffi::OsString;
use std::path::Path;

use traces::Trace;

use super::Sealed;
use crate::{safe, talk};

/// The line after a recording.
pub(super) fn sealed(sealed: &Sealed, output: &Path) {
    let file = safe::path(output);
    let mut line = match crate::open::read(&sealed.path) {
        Ok(trace) => format!("{file}: {}", contents(&trace)),
        Err(error) => format!("{file} was written, but cannot be read: {error:#}"),
    };
    if sealed.still_running > 0 {
        line += &format!(
            "; {} still running and in the file as far as it had come",
            counted(sealed.still_running as u64, "process", "processes")
        );
    }
    talk::line(format_args!(
        "{line}; next: `tracer check {file}` or `tracer view {file}`"
    ));
}

/// `2 processes, 4812 events, nothing lost`
fn contents(trace: &Trace) -> String {
    let summary = &trace.verdict().summary;
    let processes = trace.recording().processes.len() as u64;
    let losses = match (summary.losses, summary.records_lost) {
        (0, _) => "nothing lost".to_owned(),
        (places, 0) => format!("records lost in {}", counted(places, "place", "places")),
        (_, records) => format!("{} lost", counted(records, "record", "records")),
    };
    format!(
        "{}, {}, {losses}",
        counted(processes, "process", "processes"),
        counted(summary.events, "event", "events")
    )
}

/// What to say when no process wrote anything.
pub(super) fn nothing(command: &[OsString], output: &Path) {
    let program = command
        .first()
        .map_or_else(String::new, |word| safe::os(word));
    talk::line(format_args!(
        "nothing was recorded: `{program}` never used the probe"
    ));
    talk::more(
        "`tracer` sees a program that links the `tracer-probe` crate and makes its calls: README.md, \
         \"Adopting the probe\".",
    );
    talk::more(
        "Recording a program as it is (preload shim, kernel tracepoints, uprobes) is not there yet.",
    );
    talk::more(
        "If it does link the probe: did it say above why it does not record, was it built without \
         the `record` feature, or did it clear its environment?",
    );
    if output.exists() {
        talk::more(format_args!(
            "{} is from an earlier recording and was left as it was.",
            safe::path(output)
        ));
    }
}

/// A number with its noun.
fn counted(count: u64, one: &str, many: &str) -> String {
    if count == 1 {
        format!("1 {one}")
    } else {
        format!("{count} {many}")
    }
}
