//! What files say of their frames, as far as it was asked: each file is asked once about an address, and its answers stay.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

use super::look::frames::{Size, Up};
use super::look::{Look, Patience};

/// Files that are asked, each of them a process; bytes of their tables, which stay with those; answers of one that stay
/// here.
const FILES_MAX: usize = 64;
const BYTES_MAX: u64 = 256 << 20;
const ANSWERS_MAX: usize = 1 << 16;

#[derive(Debug, Default)]
pub(super) struct Tables {
    files: Vec<File>,
    bytes: u64,
    /// What was left because it took too much to read.
    pub(super) cut: Cut,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Cut {
    /// Call stacks that end in the middle of what a file says.
    pub(super) stacks: u64,
    /// The files, by what they are shown as.
    pub(super) files: BTreeSet<String>,
}

impl Cut {
    /// A file took too much to read.
    pub(super) fn of(&mut self, path: &[u8]) {
        if self.files.len() < FILES_MAX {
            self.files.insert(traces::tty(path));
        }
    }
}

#[derive(Debug)]
struct File {
    look: Look,
    answers: FxHashMap<u64, Up>,
}

impl Tables {
    /// Has a file's table read, and says its number here; nothing where it has none, or none that can be read.
    pub(super) fn add(
        &mut self,
        mut look: Look,
        path: &[u8],
        patience: &mut Patience,
    ) -> Option<usize> {
        let size = if self.files.len() < FILES_MAX {
            look.table(BYTES_MAX.saturating_sub(self.bytes), patience)
        } else {
            Size::TooLarge
        };
        match size {
            Size::Bytes(bytes) => {
                self.bytes += bytes;
                self.files.push(File {
                    look,
                    answers: FxHashMap::default(),
                });
                Some(self.files.len() - 1)
            }
            Size::TooLarge => {
                self.cut.of(path);
                None
            }
            Size::None => None,
        }
    }

    /// How to go up from an address, of a file's own.
    pub(super) fn up(&mut self, file: usize, within: u64, patience: &mut Patience) -> Up {
        let Some(File { look, answers }) = self.files.get_mut(file) else {
            return Up::None;
        };
        if let Some(known) = answers.get(&within) {
            return *known;
        }
        if answers.len() >= ANSWERS_MAX {
            answers.clear();
        }
        let up = look.row(within, patience);
        answers.insert(within, up);
        up
    }
}
