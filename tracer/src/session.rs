//! What `view` keeps of a trace for the next time: bookmarks and notes, in a file of the user's.
//!
//! It lies in `$XDG_STATE_HOME/tracer/notes` (`~/.local/state/tracer/notes`), under a name made of what
//! was recorded, so that a trace that was moved or packed finds it again. One line a note: the event's
//! number, a blank, the text.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use traces::Trace;
use traces::event::EventId;
use tui::Note;

use crate::kept;

/// The first line of the file: what it is, and its form.
const HEAD: &str = "tracer notes 1";

/// Bytes of a file that are read.
const FILE_MAX: u64 = 4 << 20;

/// Where the notes of a trace lie; nothing where the environment names no place for a user's files.
pub(crate) fn path(trace: &Trace) -> Option<PathBuf> {
    Some(kept::folder()?.join(format!("notes/{:016x}", identity(trace))))
}

/// A number made of what was recorded: the same for the same recording, wherever it lies.
fn identity(trace: &Trace) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    let mut number = OFFSET;
    let mut add = |bytes: &[u8]| {
        for byte in bytes {
            number = (number ^ u64::from(*byte)).wrapping_mul(PRIME);
        }
    };
    for process in &trace.recording().processes {
        add(&process.pid.to_le_bytes());
        add(&process.start_time.to_le_bytes());
        add(&process.build_id);
    }
    add(&(trace.events().len() as u64).to_le_bytes());
    number
}

/// The notes in a file; none where it is not there or is no such file.
pub(crate) fn read(path: &Path) -> Vec<Note> {
    let is_small = fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() <= FILE_MAX);
    let text = is_small.then(|| fs::read_to_string(path).ok()).flatten();
    let text = text.unwrap_or_default();
    let mut lines = text.lines();
    if lines.next() != Some(HEAD) {
        return Vec::new();
    }
    let note = |line: &str| {
        let (event, text) = line.split_once(' ').unwrap_or((line, ""));
        Some(Note {
            event: EventId(event.parse().ok()?),
            text: text.to_owned(),
        })
    };
    lines.filter_map(note).collect()
}

/// Writes the notes, whole or not at all; without any, the file goes.
pub(crate) fn write(path: &Path, notes: &[Note]) -> io::Result<()> {
    if notes.is_empty() {
        return match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
    }
    let mut text = format!("{HEAD}\n");
    for note in notes {
        let line: String = note.text.chars().filter(|c| !c.is_control()).collect();
        let _ = writeln!(text, "{} {line}", note.event.0);
    }
    kept::write(path, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_read_as_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/notes/one");
        let note = |event, text: &str| Note {
            event: EventId(event),
            text: text.into(),
        };
        let notes = [note(3, ""), note(40, "the slot is  taken\u{202e}")];
        write(&path, &notes).unwrap();
        assert_eq!(read(&path), notes);
        write(&path, &[]).unwrap();
        assert!(!path.exists());
        write(&path, &[]).unwrap();
        assert_eq!(read(&path), []);
        fs::write(&path, "something else\n1 x\n").unwrap();
        assert_eq!(read(&path), []);
    }

    #[test]
    fn the_same_recording_has_the_same_name_and_another_one_has_not() {
        let of = |text: &str| identity(&Trace::parse_text(text).unwrap());
        let one = "process 0 pid=7\n10 main done 1\n";
        assert_eq!(of(one), of(one));
        assert_ne!(of(one), of("process 0 pid=8\n10 main done 1\n"));
    }
}
