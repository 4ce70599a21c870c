//! The viewer: findings, biographies and events of a trace in a terminal.
//!
//! A key becomes a message, a message changes the model, the model is drawn; nothing goes another
//! way. Terminal, signals and clock belong to the shell; drawing cannot change the model. Text of a
//! trace gets here only as `traces` made it safe for a terminal.
//!
//! Reading order: [`run`], [`keys`] (the key table), [`msg`] (what can happen), [`model`] (what is
//! known), [`update`](mod@update) (what follows), [`layout`] (what stands where), [`about`] and
//! [`text`] (what is said), [`view`](mod@view) (how it looks), `shell` (terminal and clock).

#![deny(unsafe_code)]

pub mod keys;
pub mod msg;

pub mod commands;
pub mod copy;
pub mod diff;
pub mod hiding;
pub mod hits;
pub mod life;
pub mod live;
pub mod losses;
pub mod model;
pub mod mouse;
pub mod notes;
pub mod objects;
pub mod prompt;
pub mod range;
pub mod rings;
pub mod sorting;
pub mod source;
pub mod timeline;
pub mod update;

pub mod about;
pub mod help;
pub mod layout;
pub mod tabs;
pub mod text;
pub mod theme;
pub mod words;

pub mod snapshot;
pub mod view;

mod feed;
mod goto;
mod outside;
mod shell;

#[cfg(test)]
#[path = "../tests/fixture/mod.rs"]
mod fixture;

use std::io;

pub use feed::{Arrived, Feed, Reports};
pub use goto::{Goto, GotoError};
pub use keys::{Characters, Keymap};
pub use model::Colour;
pub use notes::Note;
pub use outside::{Copied, Nobody, Outside, Search, Waits};
pub use theme::Theme;

use model::{Look, Model};
use ratatui::Frame;
use traces::Trace;
use traces::finding::Verdict;

/// How to show a trace. The environment is the caller's to read: `NO_COLOR` becomes [`Colour::Off`].
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The name of what is shown, above all the file's path. Any text: it is made safe here.
    pub title: String,
    /// Where to start; at the first finding if nothing is said.
    pub goto: Option<Goto>,
    /// The characters to draw with.
    pub characters: Characters,
    /// Whether there are colours.
    pub colour: Colour,
    /// Which ones.
    pub theme: Theme,
    /// Whether these give way to the theme that fits the terminal's background, once it says what that is.
    pub adapts: bool,
    /// What the keys are.
    pub keymap: Keymap,
    /// Whether the mouse is the viewer's from the start; the key `F2` turns that.
    pub mouse: bool,
    /// Commands to run at the start, as [`commands::script`] reads them.
    pub exec: Vec<String>,
    /// Bookmarks and notes that the trace has already, by event.
    pub notes: Vec<Note>,
    /// What is not to be listed: suppressions, a baseline.
    pub hidden: Vec<hiding::Cover>,
}

/// Why the viewer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The user left it.
    Quit,
    /// The user left it, and wants the recorded program to end.
    EndProgram,
    /// Who was to read the trace gave up: see [`Reports::give_up`].
    GaveUp,
    /// This signal ended it. The terminal is given back; what the signal does to the process is the
    /// caller's to decide.
    Signal(i32),
}

/// Shows a trace and its verdict until the user leaves. Needs a terminal.
pub fn run(trace: Trace, options: Options, outside: &dyn Outside) -> io::Result<Exit> {
    let verdict = trace.verdict().clone();
    run_with(trace, verdict, options, outside)
}

/// As [`run`], with a verdict from elsewhere: one with suppressions applied, for example.
pub fn run_with(
    trace: Trace,
    verdict: Verdict,
    options: Options,
    outside: &dyn Outside,
) -> io::Result<Exit> {
    show(&mut open(trace, verdict, options), view::view, outside)
}

/// Shows what a reader has, from before it has anything until the user leaves. Needs a terminal.
pub fn run_feed(feed: Feed, options: Options, outside: &dyn Outside) -> io::Result<Exit> {
    shell::run(&mut expect(options), view::view, outside, Some(feed))
}

/// The model that [`run_feed`] begins with: a trace is still to come.
pub fn expect(options: Options) -> Model {
    let nothing = Options {
        goto: None,
        exec: Vec::new(),
        ..options.clone()
    };
    let mut model = open(Trace::empty(), Verdict::default(), nothing);
    model.live.reading = Some(live::Reading {
        doing: "reading".into(),
        ..live::Reading::default()
    });
    model.live.goto = options.goto;
    model.live.script = options.exec;
    model
}

/// Shows a model, drawn by `view`, until the user leaves. Needs a terminal.
pub fn show(
    model: &mut Model,
    view: impl FnMut(&Model, &mut Frame<'_>),
    outside: &dyn Outside,
) -> io::Result<Exit> {
    shell::run(model, view, outside, None)
}

/// One of two traces that are compared.
#[derive(Debug)]
pub struct Compared {
    /// The trace.
    pub trace: Trace,
    /// What is wrong with it.
    pub verdict: Verdict,
    /// The name of its file. Any text.
    pub title: String,
    /// Its bookmarks and notes.
    pub notes: Vec<Note>,
}

/// The model over two traces: what changed from the one before to the one after. Of `options` title, notes and
/// place come from elsewhere.
pub fn open_diff(before: Compared, after: Compared, options: Options) -> Model {
    let stats = [&before, &after].map(|side| traces::stats::Stats::of(&side.trace));
    let changes = traces::diff::diff((&before.verdict, &stats[0]), (&after.verdict, &stats[1]));
    let names = [&before, &after].map(|side| {
        let name = traces::tty(side.title.as_bytes());
        text::clip_front(&name, diff::NAME_COLUMNS, options.characters)
    });
    let exec = options.exec.clone();
    let viewer = |side: Compared, which, word: &str, other| {
        let options = Options {
            title: format!("{word}: {}", side.title),
            notes: side.notes,
            goto: None,
            exec: Vec::new(),
            ..options.clone()
        };
        let mut model = open(side.trace, side.verdict, options);
        model.diff = Some(diff::DiffPane {
            diff: changes.clone(),
            names: names.clone(),
            side: which,
            other,
            selected: 0,
            top: 0,
            text_top: 0,
        });
        model
    };
    let waiting = viewer(before, diff::Side::Before, "before", None);
    let waiting = Some(Box::new(waiting));
    let mut model = viewer(after, diff::Side::After, "after", waiting);
    update::update(&mut model, msg::Msg::Show(msg::View::Diff));
    model.back.clear();
    model.script = exec.into();
    model
}

/// The model that [`run_with`] begins with: for tests and for drawing screens without a terminal.
pub fn open(trace: Trace, verdict: Verdict, options: Options) -> Model {
    let look = Look {
        title: traces::tty(options.title.as_bytes()),
        characters: options.characters,
        colour: options.colour,
        theme: options.theme,
        adapts: options.adapts,
        keymap: options.keymap,
    };
    let mut model = Model::new(trace, verdict, look);
    model.hiding = hiding::Hiding::new(options.hidden);
    update::look_for_hidden(&mut model);
    update::start(&mut model);
    if let Some(target) = options.goto {
        update::go_to(&mut model, target);
    }
    model.has_mouse = options.mouse;
    model.script = options.exec.into();
    model.notes.list = options.notes;
    model.notes.list.sort_by_key(|note| note.event);
    model.notes.list.dedup_by_key(|note| note.event);
    model
}
