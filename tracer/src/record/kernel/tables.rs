//! What files say of their frames, as far as it was asked: each file is asked once about an address, and its answers stay.

use rustc_hash::FxHashMap;

use super::cut::Cut;
use super::look::frames::{Row, Size, Up};
use super::look::{Look, Patience};
use crate::confined::Why;

/// Files that are asked, each of them a process; bytes of their tables, which stay with those; answers of one that stay
/// here.
const FILES_MAX: usize = 64;
const BYTES_MAX: u64 = 256 << 20;
const ANSWERS_MAX: usize = 1 << 16;

/// Why a file's frames are not read where they are made to waste that.
const TOO_MUCH: &str = "says more of frames (.eh_frame) than anything that a compiler wrote, as \
                        `readelf --debug-dump=frames FILE` shows";

#[derive(Debug, Default)]
pub(super) struct Tables {
    files: Vec<File>,
    bytes: u64,
    /// What was left because it was not read to its end.
    pub(super) cut: Cut,
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
        if self.files.len() >= FILES_MAX {
            let why = format!("comes after {FILES_MAX} others, and no more are looked into");
            self.cut.file(path, &why);
            return None;
        }
        let bytes = match look.table(BYTES_MAX.saturating_sub(self.bytes), patience) {
            Ok(Size::Bytes(bytes)) => bytes,
            Ok(Size::None) => return None,
            Ok(Size::TooLarge) => {
                self.cut.file(path, TOO_MUCH);
                return None;
            }
            Ok(Size::NoRoom) => {
                let mib = BYTES_MAX >> 20;
                let why =
                    format!("comes after others, with which it would take more than {mib} MiB");
                self.cut.file(path, &why);
                return None;
            }
            Err(why) => {
                self.cut.file(path, &why.to_string());
                return None;
            }
        };
        self.bytes += bytes;
        self.files.push(File {
            look,
            answers: FxHashMap::default(),
        });
        Some(self.files.len() - 1)
    }

    /// How to go up from an address, of a file's own; nothing where there is no caller, or it cannot be told.
    pub(super) fn up(
        &mut self,
        file: usize,
        within: u64,
        patience: &mut Patience,
    ) -> Result<Option<Row>, String> {
        let Some(file) = self.files.get_mut(file) else {
            return Ok(None);
        };
        match file.up(within, patience)? {
            Up::Row(row) => Ok(Some(row)),
            Up::None => Ok(None),
            Up::TooMuch => Err(TOO_MUCH.to_owned()),
        }
    }
}

impl File {
    fn up(&mut self, within: u64, patience: &mut Patience) -> Result<Up, Why> {
        if let Some(known) = self.answers.get(&within) {
            return Ok(*known);
        }
        if self.answers.len() >= ANSWERS_MAX {
            self.answers.clear();
        }
        let up = self.look.row(within, patience)?;
        self.answers.insert(within, up);
        Ok(up)
    }
}

#[cfg(test)]
mod tests {
    use super::super::look::ONE_FILE;
    use super::*;

    #[test]
    fn a_file_that_is_one_too_many_is_not_told_to_be_wrong() {
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        let look = || Look::at(&file, ONE_FILE);
        let mut tables = Tables::default();
        for _ in 0..FILES_MAX {
            tables.files.push(File {
                look: look(),
                answers: FxHashMap::default(),
            });
        }
        let patience = &mut Patience::default();
        assert_eq!(tables.add(look(), b"/x", patience), None);
        let mut full = Tables {
            bytes: BYTES_MAX,
            ..Tables::default()
        };
        assert_eq!(full.add(look(), b"/y", patience), None);
        for (tables, why) in [
            (tables, "/x, because it comes after 64 others, and no more "),
            (
                full,
                "/y, because it comes after others, with which it would",
            ),
        ] {
            let remarks = tables.cut.remarks();
            assert!(remarks[0].contains(why), "{remarks:?}");
        }
    }
}
