//! Where the parts of a file lie in its own addresses, and its build-id.

use std::fmt::Write as _;

use object::Endianness;
use object::elf::{ELF_NOTE_GNU, FileHeader64, NT_GNU_BUILD_ID, PF_X, PT_LOAD, PT_NOTE};
use object::read::ReadCache;
use object::read::elf::{FileHeader as _, ProgramHeader as _};

use super::words::Words;
use super::{Look, Patience};
use crate::record::hex;

/// Parts that a file may have, and bytes of a note: far more than any linker makes.
const PARTS_MAX: u16 = 1024;
const NOTES_MAX: u64 = 64 << 10;

/// The file's parts that are loaded, and its build-id; empty where it has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Image {
    pub(in super::super) parts: Vec<Part>,
    pub(in super::super) build_id: Vec<u8>,
}

/// A part that is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Part {
    /// Where it begins in the file, and its bytes there.
    pub(in super::super) offset: u64,
    pub(in super::super) in_file: u64,
    /// Its address, and its bytes in memory.
    pub(in super::super) address: u64,
    pub(in super::super) len: u64,
    pub(in super::super) is_code: bool,
}

impl Look {
    /// Nothing where it is no file that is loaded.
    pub(in super::super) fn image(&mut self, patience: &mut Patience) -> Option<Image> {
        Image::understood(&self.ask("image", patience).ok()?)
    }
}

pub(super) fn read(file: &ReadCache<std::fs::File>) -> Option<Image> {
    let header = FileHeader64::<Endianness>::parse(file).ok()?;
    let endian = header.endian().ok()?;
    // Before they are read: more than that are counted elsewhere, in a word that says any number.
    if header.e_phnum(endian) > PARTS_MAX {
        return None;
    }
    let headers = header.program_headers(endian, file).ok()?;
    let loaded = headers
        .iter()
        .filter(|header| header.p_type(endian) == PT_LOAD);
    let parts = loaded.map(|header| Part {
        offset: header.p_offset(endian),
        in_file: header.p_filesz(endian),
        address: header.p_vaddr(endian),
        len: header.p_memsz(endian),
        is_code: header.p_flags(endian).contains(PF_X),
    });
    let notes = headers
        .iter()
        .filter(|header| header.p_type(endian) == PT_NOTE && header.p_filesz(endian) <= NOTES_MAX);
    let mut build_id = notes.filter_map(|header| {
        let mut notes = header.notes(endian, file).ok()??;
        while let Ok(Some(note)) = notes.next() {
            if note.name() == ELF_NOTE_GNU && note.n_type(endian) == NT_GNU_BUILD_ID {
                return Some(note.desc().to_vec());
            }
        }
        None
    });
    Some(Image {
        parts: parts.collect(),
        build_id: build_id.next().unwrap_or_default(),
    })
}

impl Image {
    pub(super) fn written(&self) -> String {
        let mut out = format!("b {}\n", hex(&self.build_id));
        for part in &self.parts {
            let Part {
                offset,
                in_file,
                address,
                len,
                is_code,
            } = part;
            let is_code = u8::from(*is_code);
            let _ = writeln!(
                out,
                "p {offset:x} {in_file:x} {address:x} {len:x} {is_code}"
            );
        }
        out
    }

    fn understood(answer: &str) -> Option<Self> {
        let mut image = None;
        for line in answer.lines() {
            let (what, mut words) = Words::of(line);
            let image: &mut Self = image.get_or_insert_default();
            match what {
                "b" => image.build_id = words.bytes()?,
                "p" if image.parts.len() < usize::from(PARTS_MAX) => image.parts.push(Part {
                    offset: words.number()?,
                    in_file: words.number()?,
                    address: words.number()?,
                    len: words.number()?,
                    is_code: words.number()? == 1,
                }),
                _ => return None,
            }
        }
        image
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_arrives_as_it_was_found_or_not_at_all() {
        let file = std::fs::File::open(std::env::current_exe().unwrap()).unwrap();
        let found = read(&ReadCache::new(file)).unwrap();
        assert!(found.parts.iter().any(|part| part.is_code) && !found.build_id.is_empty());
        assert_eq!(Image::understood(&found.written()), Some(found));
        for broken in ["", "b 0", "b 00\np 1 2 3 4", "b 00\nx"] {
            assert_eq!(Image::understood(broken), None, "{broken}");
        }
    }
}
