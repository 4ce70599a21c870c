//! `tracer view`: hands a trace to the viewer, and finds what it asks for: sources and an editor.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use traces::same::Same;
use traces::{Trace, Untrusted};
use tui::hiding::Suppression;
use tui::live::Reading;
use tui::{Characters, Colour, Feed, Goto, Keymap, Note, Options, Outside, Reports, Search, Theme};

use crate::args::{Color, Display, View, WantedTheme};
use crate::check::suppress::{self, Hidden};
use crate::clipboard::Clipboard;
use crate::exit::{CLEAN, Exit, Failure};
use crate::open::Opened;
use crate::sources::Question;
use crate::symbols::Places;
use crate::{color, editor, keymap, open, safe, session, symbols, talk};

/// How the viewer starts.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    /// What it says it shows.
    pub(crate) title: String,
    /// Where it starts.
    pub(crate) goto: Option<Goto>,
    /// Whether it uses colour.
    pub(crate) color: Color,
    /// Whether it takes the mouse.
    pub(crate) mouse: bool,
    /// Whether it draws with ASCII characters only.
    pub(crate) ascii: bool,
    /// In which colours.
    pub(crate) theme: WantedTheme,
    /// What its keys are.
    pub(crate) keymap: Keymap,
    /// Who keeps what is copied.
    pub(crate) clipboard: Clipboard,
    /// What opens sources, where that was said.
    pub(crate) editor: Option<String>,
    /// Commands to run at the start.
    pub(crate) exec: Vec<String>,
    /// The file that is shown, beside which notes are exported; nothing where it will not stay.
    pub(crate) file: Option<PathBuf>,
    /// Whether notes are kept for the next time.
    pub(crate) keeps_notes: bool,
    /// What is not listed, and where suppressions are written.
    pub(crate) hidden: Hidden,
    /// Where sources lie.
    pub(crate) places: Places,
}

impl Start {
    /// As who shows it wants it to look.
    pub(crate) fn of(
        display: &Display,
        title: String,
        file: Option<PathBuf>,
        color: Color,
    ) -> anyhow::Result<Self> {
        let suppressions = display.suppressions.as_deref();
        Ok(Self {
            title,
            goto: None,
            color,
            mouse: display.mouse,
            ascii: display.ascii,
            theme: display.theme,
            keymap: keymap::of(display.keymap.as_deref())?,
            clipboard: display.clipboard.clone(),
            editor: display.editor.clone(),
            exec: display
                .exec
                .clone()
                .map_or_else(Vec::new, |script| script.0),
            file,
            keeps_notes: !display.no_session,
            hidden: suppress::hidden(suppressions, display.baseline.as_deref())?,
            places: display.names.places(),
        })
    }

    /// As it looks where nobody says anything.
    pub(crate) fn plain(title: String, color: Color) -> anyhow::Result<Self> {
        Self::of(&Display::default(), title, None, color)
    }
}

/// Lines kept before and behind each place, so that one can look around.
const CONTEXT: u32 = 400;

/// The command.
pub(crate) fn run(args: View, color: Color) -> Result<Exit, Failure> {
    let path = match &args.file {
        Some(path) => path.clone(),
        None => crate::watch::running()?,
    };
    let file = crate::safe::path(&path);
    if !has_terminal() {
        return Err(anyhow!(
            "view needs a terminal for its keys and its screen; `tracer check {file}` prints the \
             verdict, `tracer dump {file}` the events"
        )
        .into());
    }
    if let Some(before) = &args.diff {
        return crate::compare::run(before, &path, &args, color);
    }
    let start = start(&args, &path, color)?;
    if args.follow {
        return crate::watch::follow(&path, start);
    }
    // What cannot even be opened is said before the screen is taken.
    let opened = open::open(&path)?;
    let (around, options) = prepare(start);
    let failed = Arc::new(Mutex::new(None));
    let (tells, keeper, places) = (failed.clone(), around.keeper.clone(), around.places.clone());
    let feed = Feed::new(move |reports| match read(&opened, &places, reports) {
        Ok(trace) => deliver(reports, trace, &keeper),
        Err(error) => {
            *tells.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            reports.give_up();
        }
    });
    let quiet = talk::hold();
    let exit = tui::run_feed(feed, options, &around).context(NO_SCREEN)?;
    drop(quiet);
    match exit {
        tui::Exit::Quit | tui::Exit::EndProgram => Ok(Exit::Code(CLEAN)),
        tui::Exit::Signal(signal) => Ok(Exit::Signal(signal)),
        tui::Exit::GaveUp => {
            let failed = failed.lock().unwrap_or_else(PoisonError::into_inner).take();
            Err(failed
                .unwrap_or_else(|| anyhow!("nothing could be read"))
                .into())
        }
    }
}

/// How the arguments want a file to be shown.
pub(crate) fn start(args: &View, file: &Path, color: Color) -> anyhow::Result<Start> {
    let start = Start::of(
        &args.display,
        safe::path(file),
        Some(file.to_owned()),
        color,
    )?;
    Ok(Start {
        goto: args.goto,
        ..start
    })
}

/// What is said where there is a terminal that cannot be used.
pub(crate) const NO_SCREEN: &str = "the viewer could not use the terminal";

/// Time that reading has to take before anything is said about how long it will still take.
const ESTIMATE_AFTER: Duration = Duration::from_millis(700);

/// Reads and judges, and tells how far that has come.
pub(crate) fn read(opened: &Opened, places: &Places, reports: &Reports) -> anyhow::Result<Trace> {
    let began = Instant::now();
    let mut trace = open::read_paged(opened, &|far| {
        let taken = began.elapsed();
        let is_known = taken >= ESTIMATE_AFTER && far.part > 0.05;
        reports.reading(Reading {
            doing: far.doing.into(),
            percent: Some((far.part * 100.0) as u8),
            left: is_known.then(|| taken.mul_f64((1.0 - far.part) / far.part)),
            found: far.found.iter().collect(),
        });
    })?;
    symbols::name(&mut trace, places);
    Ok(trace)
}

/// Hands a whole trace to the viewer, with the notes that it has.
pub(crate) fn deliver(reports: &Reports, trace: Trace, keeper: &Keeper) {
    let notes = keeper.open(&trace);
    let verdict = trace.verdict().clone();
    reports.trace(trace, verdict, Some(notes));
}

/// Where notes are kept.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keeper(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
enum Kept {
    /// Nowhere: the trace has no file, or the environment no place.
    #[default]
    Nowhere,
    /// Nowhere, because nobody wants them kept.
    Unwanted,
    /// In no file yet: the trace is still written, and its events may get other numbers.
    Later,
    /// In this file.
    At(PathBuf),
}

impl Keeper {
    fn new(keeps: bool) -> Self {
        let kept = if keeps { Kept::Nowhere } else { Kept::Unwanted };
        Self(Arc::new(Mutex::new(kept)))
    }

    /// From now on they are kept there, unless nobody wants that.
    fn set(&self, kept: Kept) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(*now, Kept::Unwanted) {
            *now = kept;
        }
    }

    fn is_wanted(&self) -> bool {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        !matches!(*kept, Kept::Unwanted)
    }

    /// The trace is not whole yet.
    pub(crate) fn wait(&self) {
        self.set(Kept::Later);
    }

    /// From now on notes are those of this trace; what it has already.
    pub(crate) fn open(&self, trace: &Trace) -> Vec<Note> {
        let path = session::path(trace).filter(|_| self.is_wanted());
        let notes = path.as_deref().map(session::read).unwrap_or_default();
        self.set(path.map_or(Kept::Nowhere, Kept::At));
        notes
    }

    /// From now on notes are kept as those of this trace, of which the viewer has them already.
    fn settle(&self, trace: &Trace) {
        self.set(session::path(trace).map_or(Kept::Nowhere, Kept::At));
    }
}

/// Whether there is somebody to look and to press keys.
pub(crate) fn has_terminal() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Shows a trace until the user or a signal ends the viewer.
pub(crate) fn show(trace: Trace, start: Start) -> Result<Exit, Failure> {
    let has_file = start.file.is_some();
    let (around, mut options) = prepare(start);
    if has_file {
        options.notes = around.keeper.open(&trace);
    }
    match tui::run(trace, options, &around).context(NO_SCREEN)? {
        tui::Exit::Quit | tui::Exit::EndProgram | tui::Exit::GaveUp => Ok(Exit::Code(CLEAN)),
        tui::Exit::Signal(signal) => Ok(Exit::Signal(signal)),
    }
}

/// The viewer's options, and who does what it cannot do by itself.
pub(crate) fn prepare(start: Start) -> (Around, Options) {
    let options = Options {
        title: start.title,
        theme: match start.theme {
            WantedTheme::One(theme) => theme,
            WantedTheme::Auto => color::theme_of_environment().unwrap_or(Theme::Terminal),
        },
        adapts: start.theme == WantedTheme::Auto,
        keymap: start.keymap,
        mouse: start.mouse,
        exec: start.exec,
        notes: Vec::new(),
        hidden: start.hidden.covers,
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
    let around = Around {
        places: start.places,
        files: Arc::default(),
        keeper: Keeper::new(start.keeps_notes),
        suppressions: start.hidden.file,
        clipboard: start.clipboard,
        editor: start.editor.map_or_else(editor::wanted, OsString::from),
        export: start.file.map(|file| file.with_extension("notes.md")),
        left: Left::wanted(),
    };
    (around, options)
}

/// What the viewer cannot do by itself.
pub(crate) struct Around {
    pub(crate) places: Places,
    /// Where the sources lie that were found, by the names that the trace has for them.
    files: Arc<Mutex<HashMap<Vec<u8>, PathBuf>>>,
    /// Where notes are kept.
    pub(crate) keeper: Keeper,
    /// Where suppressions are written.
    suppressions: PathBuf,
    /// Who keeps what is copied.
    clipboard: Clipboard,
    /// What opens sources.
    editor: OsString,
    /// Where they are written for others.
    export: Option<PathBuf>,
    /// Notes of a recording that was not whole when the viewer ended.
    pub(crate) left: Left,
}

/// Notes with the look at a recording that they are of, until the recording is whole; why not, where nobody will know
/// of that.
#[derive(Clone, Debug)]
pub(crate) struct Left(Arc<Mutex<Leaving>>);

/// What was left, if anything was; or why nobody takes it.
type Leaving = Result<Option<(Trace, Vec<Note>)>, &'static str>;

impl Left {
    fn wanted() -> Self {
        Self(Arc::new(Mutex::new(Ok(None))))
    }

    /// Nobody takes them.
    pub(crate) fn refuse(&self, why: &'static str) {
        *self.lock() = Err(why);
    }

    fn lock(&self) -> MutexGuard<'_, Leaving> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps them as those of the trace in this file, which the same recording became.
    pub(crate) fn settle(&self, path: &Path) -> anyhow::Result<()> {
        let Ok(left) = &mut *self.lock() else {
            return Ok(());
        };
        let Some((shown, notes)) = left.take() else {
            return Ok(());
        };
        let trace = open::read_paged(&open::open(path)?, &|_| {})?;
        let same = Same::between(&shown, &trace);
        let all = notes.len();
        let kept: Vec<Note> = notes
            .into_iter()
            .filter_map(|note| {
                let event = same.event(note.event)?;
                Some(Note { event, ..note })
            })
            .collect();
        let place = session::path(&trace).context("HOME is not set")?;
        session::write(&place, &kept)?;
        if kept.len() < all {
            talk::line(format_args!(
                "{} of {all} notes and bookmarks are gone with their events, which were overwritten",
                all - kept.len()
            ));
        }
        Ok(())
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
            Some(path) if path.is_file() => Ok(editor::command(&self.editor, path, line)),
            Some(_) => Err(format!(
                "{} is not there; view --path-map FROM=TO says where it lies",
                file.tty()
            )),
            None => Err(format!(
                "{} is not opened: the recorded program's debug information does not name it, \
                 names several files so, or was not found",
                file.tty()
            )),
        }
    }

    fn copy(&self, text: &str, too_large: bool) -> tui::Copied {
        self.clipboard.copy(text, too_large)
    }

    fn shell(&self) -> Command {
        let set = std::env::var_os("SHELL").filter(|shell| !shell.is_empty());
        Command::new(set.unwrap_or_else(|| "/bin/sh".into()))
    }

    fn left(&self, shown: Trace, notes: Vec<Note>) {
        if let Ok(left) = &mut *self.left.lock()
            && self.keeper.is_wanted()
        {
            *left = Some((shown, notes));
        }
    }

    fn keeps_left(&self) -> Result<(), String> {
        match &*self.left.lock() {
            Err(why) if self.keeper.is_wanted() => Err((*why).to_owned()),
            _ => Ok(()),
        }
    }

    fn settle(&self, trace: &Trace) {
        self.keeper.settle(trace);
    }

    fn keep(&self, notes: &[Note]) -> Result<(), String> {
        let kept = self.keeper.0.lock().unwrap_or_else(PoisonError::into_inner);
        let path = match &*kept {
            Kept::At(path) => path,
            Kept::Later | Kept::Unwanted => return Ok(()),
            Kept::Nowhere => {
                return Err(
                    "notes are not kept: this trace has no file, or HOME is not set".into(),
                );
            }
        };
        session::write(path, notes)
            .map_err(|error| format!("notes are not kept: {}: {error}", safe::path(path)))
    }

    fn suppress(&self, suppression: &Suppression) -> Result<String, String> {
        let shown = safe::path(&self.suppressions);
        match suppress::add(&self.suppressions, suppression) {
            Ok(()) => Ok(format!("suppressed in {shown}")),
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
