//! Bookmarks and notes: events that the reader wants to find again, each with a word to it or none.
//!
//! They belong to one trace and are kept by the program around the viewer; here they are a sorted list.
//! What is typed is the user's own text, and is shown safe for a terminal all the same.

use std::fmt::Write as _;

use traces::event::EventId;
use traces::markdown::{code, escaped};

use crate::copy;
use crate::model::{FindingRow, Model};

/// An event to find again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Which.
    pub event: EventId,
    /// What the reader says of it; empty for a bookmark.
    pub text: String,
}

/// Notes that one trace may have.
pub const NOTES_MAX: usize = 10_000;

/// Bookmarks an event, or takes its bookmark away; false where it has a note, which is kept.
pub fn toggle(notes: &mut Vec<Note>, event: EventId) -> bool {
    match notes.binary_search_by_key(&event, |note| note.event) {
        Ok(at) if !notes[at].text.is_empty() => false,
        Ok(at) => {
            notes.remove(at);
            true
        }
        Err(at) if notes.len() < NOTES_MAX => {
            let text = String::new();
            notes.insert(at, Note { event, text });
            true
        }
        Err(_) => false,
    }
}

/// Writes a note to an event; an empty one takes note and bookmark away.
pub fn write(notes: &mut Vec<Note>, event: EventId, text: &str) {
    let found = notes.binary_search_by_key(&event, |note| note.event);
    let text = text.trim().to_owned();
    match (found, text.is_empty()) {
        (Ok(at), true) => {
            notes.remove(at);
        }
        (Ok(at), false) => notes[at].text = text,
        (Err(at), false) if notes.len() < NOTES_MAX => notes.insert(at, Note { event, text }),
        (Err(_), _) => {}
    }
}

/// The note of an event.
pub fn of(notes: &[Note], event: EventId) -> Option<&Note> {
    let at = notes.binary_search_by_key(&event, |note| note.event).ok()?;
    notes.get(at)
}

/// A trace's notes and findings for a bug report: notes in the order of their events, then stories.
pub fn markdown(model: &Model) -> String {
    let mut out = format!("# {}\n\n## Notes\n\n", escaped(&model.look.title));
    if model.notes.list.is_empty() {
        out.push_str("None.\n");
    }
    for note in &model.notes.list {
        let Some(event) = model.event(note.event) else {
            continue;
        };
        let text = traces::tty(note.text.as_bytes());
        let lead = if text.is_empty() {
            String::new()
        } else {
            format!("{}: ", escaped(&text))
        };
        let _ = writeln!(
            out,
            "- {lead}{} (event {}, {} s, {})",
            code(&model.trace.describe(event)),
            event.id.0,
            model.time_of(event),
            escaped(&model.thread_of(event)),
        );
    }
    out.push_str("\n## Findings\n\n");
    if model.verdict.stories.is_empty() {
        out.push_str("None.\n");
    }
    let stories = (0..model.verdict.stories.len()).map(FindingRow::Story);
    let texts: Vec<String> = stories
        .filter_map(|row| copy::finding(model, row))
        .collect();
    out.push_str(&texts.join("\n"));
    out
}

/// The notes pane.
#[derive(Clone, Debug, Default)]
pub struct NotesPane {
    /// All notes, by event.
    pub list: Vec<Note>,
    /// Position of the selected row.
    pub selected: usize,
    /// Position of the first visible row.
    pub top: usize,
    /// First visible line of the text about the event.
    pub text_top: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bookmark_comes_and_goes_and_a_note_stays() {
        let mut notes = Vec::new();
        assert!(toggle(&mut notes, EventId(5)) && toggle(&mut notes, EventId(3)));
        let events: Vec<u64> = notes.iter().map(|note| note.event.0).collect();
        assert_eq!(events, [3, 5]);
        assert!(toggle(&mut notes, EventId(3)));
        write(&mut notes, EventId(5), " here ");
        assert_eq!(
            of(&notes, EventId(5)).map(|note| note.text.as_str()),
            Some("here")
        );
        assert!(!toggle(&mut notes, EventId(5)));
        write(&mut notes, EventId(5), "");
        assert!(notes.is_empty());
    }
}
