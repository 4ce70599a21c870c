//! What is said to a person while a command runs: lines on stderr, never on stdout, which belongs to
//! data and, while recording, to the recorded program. While a viewer has the screen they wait.

use std::fmt::Display;
use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What waits; nothing while nobody has the screen.
static HELD: Mutex<Option<Vec<String>>> = Mutex::new(None);

/// Lines that wait; nobody reads more.
const HELD_MAX: usize = 1000;

fn held() -> MutexGuard<'static, Option<Vec<String>>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The screen is somebody's while this lives; then what was to be said is said.
#[must_use]
pub(crate) struct Quiet(());

/// Keeps back what is said.
pub(crate) fn hold() -> Quiet {
    held().get_or_insert_with(Vec::new);
    Quiet(())
}

impl Drop for Quiet {
    fn drop(&mut self) {
        for text in held().take().unwrap_or_default() {
            print(&text);
        }
    }
}

/// A closed stderr is nobody to talk to, not an error.
fn print(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

fn say(text: String) {
    let mut held = held();
    match &mut *held {
        // What is said at each look at a recording is said once.
        Some(held) if held.len() < HELD_MAX && !held.contains(&text) => held.push(text),
        Some(_) => {}
        None => print(&text),
    }
}

/// One line that starts with the program's name.
pub(crate) fn line(text: impl Display) {
    say(format!("tracer: {text}"));
}

/// A line under the previous one.
pub(crate) fn more(text: impl Display) {
    say(format!("        {text}"));
}

/// An error with its causes in one line.
pub(crate) fn error(error: &anyhow::Error) {
    line(format_args!("{error:#}"));
}
