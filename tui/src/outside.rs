//! What the viewer asks of the program around it: it opens no file and reads no environment itself.

use std::process::Command;

use traces::source::Sources;
use traces::{Trace, Untrusted};

use crate::diff::Side;
use crate::hiding::Suppression;
use crate::notes::Note;

/// A search that takes its time; it is run on a thread of its own.
pub type Search = Box<dyn FnOnce() -> Sources + Send>;

/// Waits for the end of a program that keeps a copy; run on a thread of its own. Why it failed, if it did, as a sentence
/// that is safe for a terminal.
pub struct Waits(pub Box<dyn FnOnce() -> Option<String> + Send>);

impl std::fmt::Debug for Waits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waits").finish_non_exhaustive()
    }
}

/// What became of a text that was to be copied.
#[derive(Debug)]
pub enum Copied {
    /// It is for the terminal to keep.
    Terminal,
    /// It went elsewhere: as the rest of a sentence, safe for a terminal.
    Elsewhere(String),
    /// It was given to a program that still runs, and may yet fail: as the rest of a sentence, safe for a terminal.
    Given(String, Waits),
    /// It did not: why, as a sentence that is safe for a terminal.
    Failed(String),
}

/// The program around the viewer.
pub trait Outside {
    /// How lines of source around the places of a trace are to be looked for; nothing where nobody
    /// should look for any. What it finds must be the sources that were built.
    fn sources(&self, trace: &Trace) -> Option<Search>;

    /// The command that opens a file, named as the trace names it, at a line; or why there is none, as a
    /// sentence for the user that is safe for a terminal.
    fn editor(&self, file: &Untrusted, line: u32) -> Result<Command, String>;

    /// The command that the terminal is lent to where a shell is asked for.
    fn shell(&self) -> Command {
        Command::new("/bin/sh")
    }

    /// Copies a text where the user wants copies; `too_large` for a terminal is what most terminals would not take.
    fn copy(&self, _text: &str, too_large: bool) -> Copied {
        match too_large {
            true => Copied::Failed("this is more than terminals take as one copy".into()),
            false => Copied::Terminal,
        }
    }

    /// The viewer ends before the last look at its recording was shown: these notes are of the look that is given with
    /// them.
    fn left(&self, _shown: Trace, _notes: Vec<Note>) {}

    /// Whether what is given to [`left`](Self::left) is kept; or says why not, safe for a terminal.
    fn keeps_left(&self) -> Result<(), String> {
        Ok(())
    }

    /// What is shown from now on is the last look at its recording: notes that are kept next have its numbers.
    fn settle(&self, _trace: &Trace) {}

    /// Keeps the notes of the trace for the next time; or says why not.
    fn keep(&self, notes: &[Note]) -> Result<(), String>;

    /// Which of two traces is shown from now on: what is kept or exported next belongs to it.
    fn shows(&self, _side: Side) {}

    /// Adds a suppression to the user's file; says where, or why not. Safe for a terminal, both.
    fn suppress(&self, suppression: &Suppression) -> Result<String, String>;

    /// Takes the suppressions out of the file that have exactly this filter; says so, or why not.
    fn unsuppress(&self, filter: &str) -> Result<String, String>;

    /// Writes notes and findings for others; says where, or why not. Safe for a terminal, both.
    fn export(&self, markdown: &str) -> Result<String, String>;
}

/// Nobody to ask: for tests, and where only the screen is wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nobody;

impl Outside for Nobody {
    fn sources(&self, _trace: &Trace) -> Option<Search> {
        None
    }

    fn editor(&self, _file: &Untrusted, _line: u32) -> Result<Command, String> {
        Err("there is nobody here who could open an editor".into())
    }

    fn keep(&self, _notes: &[Note]) -> Result<(), String> {
        Ok(())
    }

    fn suppress(&self, _suppression: &Suppression) -> Result<String, String> {
        Err("there is nobody here who could write a file".into())
    }

    fn unsuppress(&self, _filter: &str) -> Result<String, String> {
        Err("there is nobody here who could write a file".into())
    }

    fn export(&self, _markdown: &str) -> Result<String, String> {
        Err("there is nobody here who could write a file".into())
    }
}
