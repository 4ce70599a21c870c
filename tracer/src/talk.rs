//! What is said to a person while a command runs: lines on stderr, never on stdout, which belongs to
//! data and, while recording, to the recorded program.

use std::fmt::Display;
use std::io::Write;

/// One line that starts with the program's name. A closed stderr is nobody to talk to, not an error.
pub(crate) fn line(text: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "tracer: {text}");
}

/// A line under the previous one.
pub(crate) fn more(text: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "        {text}");
}

/// An error with its causes in one line.
pub(crate) fn error(error: &anyhow::Error) {
    line(format_args!("{error:#}"));
}
