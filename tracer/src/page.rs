//! Text for stdout: how wide a line may be, and which colours its kind has.

use std::io::{self, IsTerminal, Write};

use traces::finding::Severity;
use traces::report::{Class, Line};

use crate::args::Color;
use crate::color;

/// Lines longer than this are hard to read, however wide the terminal is.
const WIDTH_MAX: usize = 100;
const WIDTH_MIN: usize = 40;

/// Columns of the terminal within reason; where stdout is none, the widest, so that files and logs
/// look the same everywhere.
pub(crate) fn width() -> usize {
    match rustix::termios::tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_col > 0 => usize::from(size.ws_col).clamp(WIDTH_MIN, WIDTH_MAX),
        _ => WIDTH_MAX,
    }
}

/// Whether a workflow of GitHub reads what is printed, and would take lines of it for commands.
pub(crate) fn is_in_workflow() -> bool {
    std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true")
}

/// Prints lines, with colours where they are wanted.
pub(crate) fn print(lines: &[Line], asked: Color) -> io::Result<()> {
    print_beside(lines, asked, is_in_workflow())
}

/// As [`print()`]; beside commands of a workflow no line may look like one.
pub(crate) fn print_beside(lines: &[Line], asked: Color, commands: bool) -> io::Result<()> {
    let with_color = color::wanted(asked, io::stdout().is_terminal());
    let mut text = String::new();
    for line in lines {
        let mut said = line.text.clone();
        if commands {
            said = traces::export::harmless(&said);
        }
        match style(line.class).filter(|_| with_color) {
            Some(style) => text += &format!("\x1b[{style}m{said}\x1b[0m\n"),
            None => text += &format!("{said}\n"),
        }
    }
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Parameters of "select graphic rendition". The sixteen colours only: the terminal's owner chose them.
fn style(class: Class) -> Option<&'static str> {
    match class {
        Class::Headline(Severity::Error) => Some("1;31"),
        Class::Headline(Severity::Warning) => Some("1;33"),
        Class::Headline(Severity::Note) => Some("1;36"),
        Class::Sentence => Some("1"),
        Class::Evidence => Some("36"),
        Class::Folded | Class::Warning => Some("33"),
        Class::Advice | Class::Good => Some("32"),
        Class::Event | Class::Summary | Class::Empty => None,
    }
}
