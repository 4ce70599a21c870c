//! `tracer view`: hands a trace to the viewer, and finds what it asks for: sources and an editor.

use std::collections::HashMap;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, anyhow};
use traces::{Trace, Untrusted};
use tui::hiding::Suppression;
use tui::{Characters, Colour, Goto, Note, Options, Outside, Search, Theme};

use crate::args::{Color, View};
use crate::check::suppress::{self, Hidden};
use crate::exit::{CLEAN, Exit, Failure};
use crate::sources::Question;
use crate::symbols::Places;
use crate::{color, editor, open, safe, session, symbols};

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
    /// Whether it takes the mouse.
    pub(crate) mouse: bool,
    /// In which colours.
    pub(crate) theme: Theme,
    /// Commands to run at the start.
    pub(crate) exec: Vec<String>,
    /// The file that is shown, beside which notes are exported; nothing where it will not stay.
    pub(crate) file: Option<PathBuf>,
    /// What is not listed, and where suppressions are written.
    pub(crate) hidden: Hidden,
    /// Where sources lie.
    pub(crate) places: Places,
}

/// Lines kept before and behind each place, so that one can look around.
const CONTEXT: u32 = 400;

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
    if let Some(before) = &args.diff {
        return crate::compare::run(before, &args, color);
    }
    let start = start(&args, &args.file, color)?;
    let mut trace = open::read(&args.file)?;
    symbols::name(&mut trace, &start.places);
    show(trace, start)
}

/// How the arguments want a file to be shown.
pub(crate) fn start(args: &View, file: &Path, color: Color) -> anyhow::Result<Start> {
    Ok(Start {
        title: safe::path(file),
        goto: args.goto,
        ascii: args.ascii,
        color,
        mouse: args.mouse,
        theme: args.theme,
        exec: args.exec.clone().map_or_else(Vec::new, |script| script.0),
        file: Some(file.to_owned()),
        hidden: suppress::hidden(args.suppressions.as_deref(), args.baseline.as_deref())?,
        places: args.names.places(),
    })
}

/// Whether there is somebody to look and to press keys.
pub(crate) fn has_terminal() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Shows a trace until the user or a signal ends the viewer.
pub(crate) fn show(trace: Trace, start: Start) -> Result<Exit, Failure> {
    let around = Around::of(&trace, &start);
    let options = options(&start, around.notes());
    match tui::run(trace, options, &around).context("the viewer could not use the terminal")? {
        tui::Exit::Quit => Ok(Exit::Code(CLEAN)),
        tui::Exit::Signal(signal) => Ok(Exit::Signal(signal)),
    }
}

/// The same for the viewer.
pub(crate) fn options(start: &Start, notes: Vec<Note>) -> Options {
    Options {
        title: start.title.clone(),
        theme: start.theme,
        mouse: start.mouse,
        exec: start.exec.clone(),
        notes,
        hidden: start.hidden.covers.clone(),
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
    }
}

/// What the viewer cannot do by itself.
pub(crate) struct Around {
    places: Places,
    /// Where the sources lie that were found, by the names that the trace has for them.
    files: Arc<Mutex<HashMap<Vec<u8>, PathBuf>>>,
    /// Where notes are kept.
    session: Option<PathBuf>,
    /// Where suppressions are written.
    suppressions: PathBuf,
    /// Where they are written for others.
    export: Option<PathBuf>,
}

impl Around {
    /// What is around a trace.
    pub(crate) fn of(trace: &Trace, start: &Start) -> Self {
        Self {
            places: start.places.clone(),
            files: Arc::default(),
            session: start.file.as_ref().and_then(|_| session::path(trace)),
            suppressions: start.hidden.file.clone(),
            export: start
                .file
                .as_ref()
                .map(|file| file.with_extension("notes.md")),
        }
    }

    /// Notes that were kept before.
    pub(crate) fn notes(&self) -> Vec<Note> {
        let session = self.session.as_deref();
        session.map(session::read).unwrap_or_default()
    }
}

impl Outside for Around {
    fn sources(&self, trace: &Trace) -> Option<Search> {
        // A packed trace has its lines inside, and nothing of this machine is opened for it.
        if trace.recording().is_packed {
            return None;
        }
        let question = Question::of(trace, &self.places, CONTEXT);
        let files = self.files.clone();
        Some(Box::new(move || {
            let answer = question.answer();
            *files.lock().unwrap_or_else(PoisonError::into_inner) = answer.files;
            answer.sources
        }))
    }

    fn editor(&self, file: &Untrusted, line: u32) -> Result<Command, String> {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        match files.get(file.bytes()) {
            Some(path) if path.is_file() => Ok(editor::command(&editor::wanted(), path, line)),
            Some(_) => Err(format!(
                "{} is not there; view --path-map FROM=TO says where it lies",
                file.tty()
            )),
            None => Err(format!(
                "{} is not opened: the recorded program's debug information does not name it, or was not found",
                file.tty()
            )),
        }
    }

    fn keep(&self, notes: &[Note]) -> Result<(), String> {
        let Some(path) = &self.session else {
            return Err("notes are not kept: this trace has no file, or HOME is not set".into());
        };
        session::write(path, notes)
            .map_err(|error| format!("notes are not kept: {}: {error}", safe::path(path)))
    }

    fn suppress(&self, suppression: &Suppression) -> Result<String, String> {
        let shown = safe::path(&self.suppressions);
        match suppress::add(&self.suppressions, suppression) {
            Ok(()) => Ok(format!(
                "suppressed in {shown}; U takes it back, z lists it"
            )),
            Err(error) => Err(told("not suppressed", &error)),
        }
    }

    fn unsuppress(&self, filter: &str) -> Result<String, String> {
        let shown = safe::path(&self.suppressions);
        match suppress::remove(&self.suppressions, filter) {
            Ok(()) => Ok(format!("told again; the suppression is out of {shown}")),
            Err(error) => Err(told("not taken back", &error)),
        }
    }

    fn export(&self, markdown: &str) -> Result<String, String> {
        let Some(path) = &self.export else {
            return Err(
                "this trace has no file to write beside; `record -o` and `view` give it one".into(),
            );
        };
        let shown = safe::path(path);
        match std::fs::write(path, markdown) {
            Ok(()) => Ok(format!("notes and findings are in {shown}")),
            Err(error) => Err(format!("cannot write {shown}: {error}")),
        }
    }
}

/// An error in one line for the viewer.
fn told(what: &str, error: &anyhow::Error) -> String {
    traces::tty(format!("{what}: {error:#}").replace('\n', " ").as_bytes())
}
