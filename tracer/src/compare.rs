//! `tracer view --diff A B`: two traces in one viewer.

use std::cell::Cell;
use std::path::Path;
use std::process::Command;

use anyhow::Context;
use traces::{Trace, Untrusted};
use tui::diff::Side;
use tui::hiding::Suppression;
use tui::{Compared, Copied, Note, Options, Outside, Search};

use crate::args::{Color, View};
use crate::exit::{CLEAN, Exit, Failure};
use crate::view::{self, Around, NO_SCREEN};
use crate::{open, safe, symbols};

/// The command: the traces from before and from now.
pub(crate) fn run(before: &Path, after: &Path, args: &View, color: Color) -> Result<Exit, Failure> {
    let (before, around_before, _) = side(before, args, color)?;
    let (after, around_after, options) = side(after, args, color)?;
    let around = Both {
        before: around_before,
        after: around_after,
        shown: Cell::new(Side::After),
    };
    let mut model = tui::open_diff(before, after, options);
    let shown = tui::show(&mut model, tui::view::view, &around);
    match shown.context(NO_SCREEN)? {
        tui::Exit::Signal(signal) => Ok(Exit::Signal(signal)),
        _ => Ok(Exit::Code(CLEAN)),
    }
}

/// One of the two, with everything that it needs from outside.
fn side(file: &Path, args: &View, color: Color) -> Result<(Compared, Around, Options), Failure> {
    let start = view::start(args, file, color)?;
    let mut trace = open::read_to_view(file)?;
    symbols::name(&mut trace, &start.places);
    let (around, options) = view::prepare(start);
    // Before the first screen: what is found later would not know which of the two it belongs to.
    if let Some(search) = around.sources(&trace) {
        trace.add_sources(search());
    }
    let compared = Compared {
        notes: around.keeper.open(&trace),
        title: safe::path(file),
        verdict: trace.verdict().clone(),
        trace,
    };
    Ok((compared, around, options))
}

/// What is around both: of what is kept, the shown one decides.
struct Both {
    before: Around,
    after: Around,
    shown: Cell<Side>,
}

impl Both {
    fn shown(&self) -> &Around {
        match self.shown.get() {
            Side::Before => &self.before,
            Side::After => &self.after,
        }
    }
}

impl Outside for Both {
    fn sources(&self, _trace: &Trace) -> Option<Search> {
        None
    }

    fn editor(&self, file: &Untrusted, line: u32) -> Result<Command, String> {
        let shown = self.shown().editor(file, line);
        shown.or_else(|why| self.after.editor(file, line).map_err(|_| why))
    }

    fn copy(&self, text: &str, too_large: bool) -> Copied {
        self.after.copy(text, too_large)
    }

    fn shell(&self) -> Command {
        self.after.shell()
    }

    fn keep(&self, notes: &[Note]) -> Result<(), String> {
        self.shown().keep(notes)
    }

    fn shows(&self, side: Side) {
        self.shown.set(side);
    }

    fn suppress(&self, suppression: &Suppression) -> Result<String, String> {
        self.after.suppress(suppression)
    }

    fn unsuppress(&self, filter: &str) -> Result<String, String> {
        self.after.unsuppress(filter)
    }

    fn export(&self, markdown: &str) -> Result<String, String> {
        self.shown().export(markdown)
    }
}
