//! `tracer view`: hands a trace to the viewer.

use std::io::{self, IsTerminal};

use anyhow::{Context, anyhow};
use traces::Trace;
use tui::{Characters, Colour, Goto, Options};

use crate::args::{Color, View};
use crate::exit::{CLEAN, Exit, Failure};
use crate::{color, open, symbols};

/// How the viewer starts.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    /// What it says it shows.
    pub(crate) title: String,
    /// Where it starts.
    pub(crate) goto: Option<Goto>,
    /// Whether it draws with ASCII characters only.
    pub(crate) ascii: bool,
    /// Whether it uses colour.
    pub(crate) color: Color,
}

/// The command.
pub(crate) fn run(args: View, color: Color) -> Result<Exit, Failure> {
    let file = crate::safe::path(&args.file);
    if !has_terminal() {
        return Err(anyhow!(
            "view needs a terminal for its keys and its screen; `tracer check {file}` prints the \
             verdict, `tracer dump {file}` the events"
        )
        .into());
    }
    let mut trace = open::read(&args.file)?;
    symbols::name(&mut trace, &args.names.places());
    show(
        trace,
        Start {
            title: file,
            goto: args.goto,
            ascii: args.ascii,
            color,
        },
    )
}

/// Whether there is somebody to look and to press keys.
pub(crate) fn has_terminal() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Shows a trace until the user or a signal ends the viewer.
pub(crate) fn show(trace: Trace, start: Start) -> Result<Exit, Failure> {
    let options = Options {
        title: start.title,
        goto: start.goto,
        characters: if start.ascii {
            Characters::Ascii
        } else {
            Characters::default()
        },
        colour: if color::wanted(start.color, true) {
            Colour::On
        } else {
            Colour::Off
        },
    };
    match tui::run(trace, options).context("the viewer could not use the terminal")? {
        tui::Exit::Quit => Ok(Exit::Code(CLEAN)),
        tui::Exit::Signal(signal) => Ok(Exit::Signal(signal)),
    }
}
