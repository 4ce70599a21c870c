//! Functions and lines of addresses in one ELF file, from its debug information, else from its symbols.
//!
//! Only ordinary files are opened, and nothing is mapped. Without the recorded build-id nothing but that
//! id is read. Other files are followed to as [`super::debug`] says.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use object::read::ReadCache;
use object::{Object, ObjectSymbol};
use rustix::fs::OFlags;

use super::child::Line;
use super::debug::{self, Elf, Reader, Units};

const FILE_MAX: u64 = 4 << 30;
/// Functions that are listed for one address.
const INLINED_MAX: usize = 64;

/// Why [`open`] fails where there is nothing.
pub(super) const NOT_THERE: &str = "is not there any more";

/// What is asked of a file.
#[derive(Debug, Default)]
pub(super) struct Question {
    /// Addresses in it whose functions are wanted.
    pub(super) addresses: Vec<u64>,
    /// Sources that it may have been made of.
    pub(super) sources: Vec<Vec<u8>>,
    /// Where the system keeps debug information.
    pub(super) debug_dirs: Vec<PathBuf>,
    /// Where paths in debug information lie here.
    pub(super) maps: Vec<(PathBuf, PathBuf)>,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// Functions, the innermost of an address first.
    pub(super) lines: Vec<Line>,
    /// Of the sources asked for, those that are named: with each whole path of theirs.
    pub(super) sources: Vec<(Vec<u8>, Vec<u8>)>,
    /// What was wrong with other files.
    pub(super) notes: Vec<String>,
}

/// Opens a file that is ordinary before and after.
pub(crate) fn open(path: &Path) -> Result<File, String> {
    let cannot = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => NOT_THERE.to_owned(),
        _ => format!("cannot be opened: {error}"),
    };
    let refuse = || "is not an ordinary file".to_owned();
    if !std::fs::metadata(path).map_err(cannot)?.is_file() {
        return Err(refuse());
    }
    let file = OpenOptions::new()
        .read(true)
        .custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed())
        .open(path)
        .map_err(cannot)?;
    let found = file.metadata().map_err(cannot)?;
    if !found.is_file() {
        return Err(refuse());
    }
    if found.len() > FILE_MAX {
        return Err("is larger than 4 GiB".to_owned());
    }
    Ok(file)
}

/// What is asked for, if the file is the one that was recorded.
pub(super) fn look_up(path: &Path, build_id: &[u8], asked: &Question) -> Result<Answer, String> {
    let cache = ReadCache::new(open(path)?);
    let elf =
        Elf::parse(&cache).map_err(|_| "is no 64-bit ELF file, so it was replaced".to_owned())?;
    match elf.build_id() {
        Ok(Some(found)) if found == build_id => {}
        _ => {
            let why = "was rebuilt or replaced since the recording (its build-id is another one)";
            return Err(why.to_owned());
        }
    }
    let (apart, mut notes) = if debug::has_lines(&elf) {
        (None, Vec::new())
    } else {
        debug::apart(path, &elf, build_id, &asked.debug_dirs)
    };
    let apart = apart.as_ref().and_then(|cache| Elf::parse(cache).ok());
    let dwarf = debug::dwarf(apart.as_ref().unwrap_or(&elf));
    let sources = debug::sources(&dwarf, &asked.sources);
    let units = Units::of(path, &asked.maps);
    let symbols = Table::new(std::iter::once(&elf).chain(&apart));
    let context = addr2line::Context::from_dwarf(dwarf).ok();
    let mut lines = Vec::new();
    for address in &asked.addresses {
        let before = lines.len();
        if let Some(context) = &context {
            inlined(context, &units, *address, &symbols, &mut lines);
        }
        if lines.len() == before
            && let Some(name) = symbols.name(*address)
        {
            lines.push(Line {
                address: *address,
                line: 0,
                name: demangled(name),
                file: Vec::new(),
            });
        }
    }
    notes.extend(units.notes());
    Ok(Answer {
        lines,
        sources,
        notes,
    })
}

/// Adds the functions that debug information knows at an address.
fn inlined(
    debug: &addr2line::Context<Reader>,
    units: &Units<'_>,
    address: u64,
    symbols: &Table<'_>,
    lines: &mut Vec<Line>,
) {
    let Ok(mut frames) = units.complete(debug.find_frames(address)) else {
        return;
    };
    let most = lines.len() + INLINED_MAX;
    while let Ok(Some(frame)) = frames.next() {
        let by_debug = frame
            .function
            .as_ref()
            .and_then(|function| function.demangle().ok())
            .map(|name| name.as_bytes().to_vec());
        let Some(name) = by_debug.or_else(|| symbols.name(address).map(demangled)) else {
            continue;
        };
        let location = frame.location.as_ref();
        let file = location.and_then(|location| location.file);
        lines.push(Line {
            address,
            line: location.and_then(|location| location.line).unwrap_or(0),
            name,
            file: file.unwrap_or_default().as_bytes().to_vec(),
        });
        if lines.len() >= most {
            return;
        }
    }
}

fn demangled(name: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(name);
    addr2line::demangle_auto(text, None).as_bytes().to_vec()
}

/// The functions of the symbol tables, by address.
struct Table<'a>(Vec<(u64, u64, &'a [u8])>);

impl<'a> Table<'a> {
    fn new<'e>(elfs: impl Iterator<Item = &'e Elf<'a>>) -> Self
    where
        'a: 'e,
    {
        let mut functions: Vec<_> = elfs
            .flat_map(|elf| elf.symbols().chain(elf.dynamic_symbols()))
            .filter(|symbol| symbol.is_definition() && symbol.kind() == object::SymbolKind::Text)
            .filter_map(|symbol| Some((symbol.address(), symbol.size(), symbol.name_bytes().ok()?)))
            .collect();
        functions.sort_unstable();
        Self(functions)
    }

    /// The function that an address is in; a size of 0 reaches to the next one.
    fn name(&self, address: u64) -> Option<&'a [u8]> {
        let after = self.0.partition_point(|function| function.0 <= address);
        let (start, size, name) = *self.0.get(after.checked_sub(1)?)?;
        (size == 0 || address - start < size).then_some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> (std::path::PathBuf, Vec<u8>) {
        let path = std::env::current_exe().unwrap();
        let cache = ReadCache::new(open(&path).unwrap());
        let id = Elf::parse(&cache).unwrap().build_id().unwrap().unwrap();
        (path, id.to_vec())
    }

    #[inline(never)]
    fn here() -> u64 {
        here as fn() -> u64 as usize as u64
    }

    #[test]
    fn own_function_is_found_with_its_line() {
        let (path, id) = own();
        // Where this program lies: its first mapping begins with the file's first byte.
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let base = u64::from_str_radix(maps.split('-').next().unwrap(), 16).unwrap();
        let address = here() - base;
        let asked = Question {
            addresses: vec![address],
            sources: vec![file!().into(), b"no/such.rs".to_vec()],
            ..Question::default()
        };
        let answer = look_up(&path, &id, &asked).unwrap();
        let lines = answer.lines;
        let name = String::from_utf8(lines[0].name.clone()).unwrap();
        assert!(name.ends_with("symbols::file::tests::here"), "{name}");
        let file = String::from_utf8(lines[0].file.clone()).unwrap();
        assert!(file.ends_with("symbols/file.rs"), "{file}");
        assert!(lines[0].line > 0);
        // By the name that a place in it has, to the path that it was compiled from.
        assert_eq!(answer.sources.len(), 1);
        assert_eq!(answer.sources[0].0, file!().as_bytes());
        assert!(Path::new(std::str::from_utf8(&answer.sources[0].1).unwrap()).is_file());
    }

    #[test]
    fn another_build_is_not_parsed() {
        let (path, mut id) = own();
        id[0] ^= 1;
        let why = look_up(&path, &id, &Question::default()).unwrap_err();
        assert!(why.contains("rebuilt"), "{why}");
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("text");
        std::fs::write(&text, "no program").unwrap();
        let why = look_up(&text, &id, &Question::default()).unwrap_err();
        assert!(why.contains("no 64-bit ELF"), "{why}");
    }

    #[test]
    fn only_ordinary_files_are_opened() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RUSR).unwrap();
        for path in [&fifo, Path::new("/dev/zero"), folder.path()] {
            assert!(open(path).unwrap_err().contains("not an ordinary file"));
        }
        let missing = open(&folder.path().join("missing")).unwrap_err();
        assert!(missing.contains("not there"), "{missing}");
        let large = folder.path().join("large");
        File::create(&large).unwrap().set_len(FILE_MAX + 1).unwrap();
        assert!(open(&large).unwrap_err().contains("4 GiB"));
    }
}
