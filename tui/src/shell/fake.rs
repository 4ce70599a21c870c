//! Who is around the viewer in tests of the shell: it writes down what it was asked for.

use std::process::Command;
use std::sync::mpsc::Receiver;
use std::sync::{Mutex, MutexGuard};

use traces::source::Sources;
use traces::{Trace, Untrusted};

use crate::hiding::Suppression;
use crate::notes::Note;
use crate::outside::{Nobody, Outside, Search};

#[derive(Default)]
pub(super) struct Fake {
    /// When its searches answer, the next one last.
    pub(super) searches: Mutex<Vec<Receiver<()>>>,
    asked: Mutex<Vec<String>>,
}

impl Fake {
    /// What it was asked for since this was called last.
    pub(super) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.asked.lock().expect("nobody panicked with it")
    }
}

impl Outside for Fake {
    fn sources(&self, trace: &Trace) -> Option<Search> {
        let sites = trace.recording().sites().count();
        self.lock().push(format!("search for {sites}"));
        let mut searches = self.searches.lock().expect("nobody panicked with it");
        let answer = searches.pop()?;
        Some(Box::new(move || {
            answer.recv().expect("the test is there");
            Sources::default()
        }))
    }

    fn editor(&self, file: &Untrusted, line: u32) -> Result<Command, String> {
        Nobody.editor(file, line)
    }

    fn settle(&self, trace: &Trace) {
        let events = trace.events().len();
        self.lock().push(format!("settle with {events}"));
    }

    fn keep(&self, notes: &[Note]) -> Result<(), String> {
        let note = |note: &Note| format!("{} {}", note.event.0, note.text);
        let notes: Vec<String> = notes.iter().map(note).collect();
        self.lock().push(format!("keep {}", notes.join(", ")));
        Ok(())
    }

    fn suppress(&self, suppression: &Suppression) -> Result<String, String> {
        Nobody.suppress(suppression)
    }

    fn unsuppress(&self, filter: &str) -> Result<String, String> {
        Nobody.unsuppress(filter)
    }

    fn export(&self, markdown: &str) -> Result<String, String> {
        Nobody.export(markdown)
    }
}
