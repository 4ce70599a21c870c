//! How a program says that it links the probe: a note in its file, so that the shim for programs that do
//! not steps aside, and one process never has two recorders.
//!
//! A symbol would not do: executables export none, `strip` takes them away, and a static library has
//! them where its user's linker wants. A note is loaded with the program, stays through `strip`, and is found
//! by the loader's own list of segments.
//!
//! Holds `unsafe`: the section's name.

#[cfg(feature = "preload")]
use crate::recorder::{notes, sys};

/// Name of the note's owner, with its NUL.
const OWNER: [u8; 8] = *b"tracer\0\0";
/// A recorder is linked in.
const RECORDER: u32 = 1;

/// An ELF note: lengths of name and content, kind, name, content.
#[repr(C)]
struct Note {
    name_len: u32,
    content_len: u32,
    kind: u32,
    name: [u8; 8],
    content: u32,
}

#[used]
#[cfg_attr(not(miri), unsafe(link_section = ".note.tracer"))]
static ANNOUNCEMENT: Note = Note {
    name_len: 7,
    content_len: 4,
    kind: RECORDER,
    name: OWNER,
    content: 1,
};

/// Keeps the note in whatever links the code that opens recordings.
pub(super) fn keep() {
    core::hint::black_box(&ANNOUNCEMENT);
}

/// Whether a loaded file other than the one that holds this code announces a recorder. Takes the loader's lock.
#[cfg(feature = "preload")]
pub(crate) fn another_recorder() -> bool {
    let own = core::ptr::from_ref(&ANNOUNCEMENT) as u64;
    let mut found = false;
    sys::each_loaded(|loaded| {
        let is_own = loaded.headers.iter().any(|header| {
            let start = loaded.bias.wrapping_add(header.address);
            header.kind == sys::LOAD && own.wrapping_sub(start) < header.memory_bytes
        });
        let mut notes = loaded.headers.iter().filter(|one| one.kind == sys::NOTE);
        found = !is_own
            && notes.any(|header| {
                let mut buffer = [0; notes::BYTES];
                let notes = loaded.segment(header, &mut buffer).unwrap_or(&[]);
                notes::note_in(notes, header.align, (b"tracer\0", RECORDER)).is_some()
            });
        !found
    });
    found
}
