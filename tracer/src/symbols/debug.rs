//! Where the debug information of a program lies: in itself, in a file apart, or split by unit.
//!
//! ```text
//! apart     DIR/.build-id/ab/cdef….debug     by the build-id, DIR being /usr/lib/debug and --debug-dir
//!           what .gnu_debuglink names        beside the program, in .debug/ there, and below DIR
//! by unit   PROGRAM.dwp                      one package for all units (split-debuginfo=packed)
//!           COMP_DIR/NAME.dwo                one file for each (split-debuginfo=unpacked)
//! ```
//!
//! Each is opened as an ordinary file only, and believed only if it is of the same build: a file apart by
//! its build-id, a unit by its own id. Nothing is mapped, and compressed sections are unpacked.

use std::cell::RefCell;
use std::collections::HashMap;
use std::convert::Infallible;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use addr2line::{LookupContinuation, LookupResult, SplitDwarfLoad};
use gimli::{DwarfPackage, EndianArcSlice, Reader as _, RunTimeEndian, SectionId};
use object::read::ReadCache;
use object::read::elf::ElfFile64;
use object::{Object, ObjectSection};

use crate::record::hex;

pub(crate) type Elf<'a> = ElfFile64<'a, object::Endianness, &'a ReadCache<File>>;
pub(crate) type Reader = EndianArcSlice<RunTimeEndian>;
type Dwarf = gimli::Dwarf<Reader>;

/// Bytes of all sections of a file that are read, unpacked: more than the largest programs have. The headers of several may
/// name the same bytes of a sparse file.
const SECTIONS_MAX: u64 = 4 << 30;

/// The debug information in a file; sections that are not there are empty, and those that are too large together with the
/// ones before them.
pub(crate) fn dwarf(elf: &Elf<'_>) -> Dwarf {
    let endian = endian(elf);
    let mut left = SECTIONS_MAX;
    let load = |id: SectionId| {
        let size = size(elf, id.name());
        let name = Some(id.name()).filter(|_| size <= left);
        left -= name.map_or(0, |_| size);
        Ok::<_, Infallible>(reader(elf, name, endian))
    };
    let Ok(dwarf) = gimli::Dwarf::load(load);
    dwarf
}

fn endian(elf: &Elf<'_>) -> RunTimeEndian {
    if elf.is_little_endian() {
        RunTimeEndian::Little
    } else {
        RunTimeEndian::Big
    }
}

/// What a section takes, packed or not, by its header.
fn size(elf: &Elf<'_>, name: &str) -> u64 {
    let range = elf
        .section_by_name(name)
        .and_then(|section| section.compressed_file_range().ok());
    range.map_or(0, |range| {
        range.compressed_size.max(range.uncompressed_size)
    })
}

/// A section's bytes, unpacked; none where there is none.
fn reader(elf: &Elf<'_>, name: Option<&str>, endian: RunTimeEndian) -> Reader {
    /// No section of a compiler's is packed that well: what says that it is would fill all memory.
    const PACKED_MAX: u64 = 256;
    let section = name.and_then(|name| elf.section_by_name(name));
    let packed = section.and_then(|section| section.compressed_data().ok());
    let packed = packed.filter(|it| it.uncompressed_size / PACKED_MAX <= it.data.len() as u64);
    let bytes = packed
        .and_then(|packed| packed.decompress().ok())
        .unwrap_or_default();
    EndianArcSlice::new(Arc::from(&*bytes), endian)
}

/// Whether a file says anything of its own lines.
pub(super) fn has_lines(elf: &Elf<'_>) -> bool {
    elf.section_by_name(".debug_info").is_some()
}

/// The file with the debug information of a program that has none itself, and what was found wrong on
/// the way. `dirs` are the places of debug information of the whole system.
pub(super) fn apart(
    program: &Path,
    elf: &Elf<'_>,
    build_id: &[u8],
    dirs: &[PathBuf],
) -> (Option<ReadCache<File>>, Vec<String>) {
    let mut notes = Vec::new();
    for path in places(program, elf, build_id, dirs) {
        let cache = match super::file::open(&path) {
            Ok(file) => ReadCache::new(file),
            Err(why) if why == super::file::NOT_THERE => continue,
            Err(why) => {
                notes.push(format!("{}: {why}", crate::safe::path(&path)));
                continue;
            }
        };
        let id = Elf::parse(&cache).ok().and_then(|elf| {
            let id = elf.build_id().ok().flatten();
            id.map(<[u8]>::to_vec)
        });
        if id.as_deref() == Some(build_id) {
            return (Some(cache), Vec::new());
        }
        notes.push(format!(
            "{}: is debug information of another build",
            crate::safe::path(&path)
        ));
    }
    (None, notes)
}

fn places(program: &Path, elf: &Elf<'_>, build_id: &[u8], dirs: &[PathBuf]) -> Vec<PathBuf> {
    let mut places = Vec::new();
    if let Some((first, rest)) = build_id.split_first().filter(|(_, rest)| !rest.is_empty()) {
        let name = format!(".build-id/{}/{}.debug", hex(&[*first]), hex(rest));
        places.extend(dirs.iter().map(|dir| dir.join(&name)));
    }
    if let Ok(Some((link, _))) = elf.gnu_debuglink() {
        let link = Path::new(std::ffi::OsStr::from_bytes(link));
        // A name alone, as the linker writes it; a path would lead anywhere.
        if let (Some(folder), Some(name)) = (program.parent(), link.file_name()) {
            places.push(folder.join(name));
            places.push(folder.join(".debug").join(name));
            let below = folder.strip_prefix("/").unwrap_or(folder);
            places.extend(dirs.iter().map(|dir| dir.join(below).join(name)));
        }
    }
    places.retain(|place| place != program);
    places
}

/// Finds the units that a program's debug information was split into.
pub(super) struct Units<'a> {
    package: Option<DwarfPackage<Reader>>,
    maps: &'a [(PathBuf, PathBuf)],
    /// Units that could not be found, once each.
    loaded: RefCell<HashMap<PathBuf, Option<Arc<Dwarf>>>>,
    notes: RefCell<Vec<String>>,
}

/// Files of split units that are opened.
const UNITS_MAX: usize = 4096;

impl<'a> Units<'a> {
    /// For a program, beside which its package may lie.
    pub(super) fn of(program: &Path, maps: &'a [(PathBuf, PathBuf)]) -> Self {
        let mut path = program.as_os_str().to_owned();
        path.push(".dwp");
        let mut notes = Vec::new();
        let package = match super::file::open(Path::new(&path)) {
            Ok(file) => package(file).or_else(|| {
                let path = crate::safe::path(Path::new(&path));
                notes.push(format!("{path}: is no package of debug information"));
                None
            }),
            Err(_) => None,
        };
        Self {
            package,
            maps,
            loaded: RefCell::default(),
            notes: RefCell::new(notes),
        }
    }

    /// Answers what a lookup asks for until it has its result.
    pub(super) fn complete<L>(&self, mut lookup: LookupResult<L>) -> L::Output
    where
        L: LookupContinuation<Buf = Reader>,
    {
        loop {
            lookup = match lookup {
                LookupResult::Output(output) => return output,
                LookupResult::Load { load, continuation } => continuation.resume(self.find(&load)),
            };
        }
    }

    /// What was found wrong.
    pub(super) fn notes(self) -> Vec<String> {
        self.notes.into_inner()
    }

    fn find(&self, load: &SplitDwarfLoad<Reader>) -> Option<Arc<Dwarf>> {
        let packed = self.package.as_ref();
        if let Some(Ok(Some(unit))) = packed.map(|it| it.find_cu(load.dwo_id, &load.parent)) {
            return Some(Arc::new(unit));
        }
        let name = load.path.as_ref()?.to_slice().ok()?;
        let mut path = PathBuf::new();
        if let Some(folder) = &load.comp_dir {
            path.push(std::ffi::OsStr::from_bytes(&folder.to_slice().ok()?));
        }
        path.push(std::ffi::OsStr::from_bytes(&name));
        for (from, to) in self.maps {
            if let Ok(rest) = path.strip_prefix(from) {
                path = to.join(rest);
                break;
            }
        }
        let mut loaded = self.loaded.borrow_mut();
        if loaded.len() >= UNITS_MAX {
            return None;
        }
        let find = || self.open(&path, load).map(Arc::new);
        loaded.entry(path.clone()).or_insert_with(find).clone()
    }

    fn open(&self, path: &Path, load: &SplitDwarfLoad<Reader>) -> Option<Dwarf> {
        let note = |why: &str| {
            let shown = crate::safe::path(path);
            self.notes.borrow_mut().push(format!("{shown}: {why}"));
        };
        let file = super::file::open(path).map_err(|why| note(&why)).ok()?;
        let cache = ReadCache::new(file);
        let Ok(elf) = Elf::parse(&cache) else {
            note("is no debug information");
            return None;
        };
        let endian = endian(&elf);
        let load_section = |id: SectionId| Ok::<_, Infallible>(reader(&elf, id.dwo_name(), endian));
        let Ok(mut dwarf) = gimli::Dwarf::load(load_section);
        dwarf.make_dwo(&load.parent);
        let mut units = dwarf.units();
        while let Ok(Some(header)) = units.next() {
            let unit = dwarf.unit(header).ok();
            if unit.is_some_and(|unit| unit.dwo_id == Some(load.dwo_id)) {
                return Some(dwarf);
            }
        }
        note("is debug information of another build");
        None
    }
}

fn package(file: File) -> Option<DwarfPackage<Reader>> {
    let cache = ReadCache::new(file);
    let elf = Elf::parse(&cache).ok()?;
    let endian = endian(&elf);
    let load = |id: SectionId| Ok::<_, gimli::Error>(reader(&elf, id.dwo_name(), endian));
    DwarfPackage::load(load, EndianArcSlice::new(Arc::from(&[][..]), endian)).ok()
}

/// Paths that are told of one source.
const NAMED_MAX: usize = 8;

/// The sources that debug information names, of those asked for: each with its path on the machine where it was
/// compiled, and with several where units name it differently.
///
/// A compiler that was handed `src/lib.rs` says `src/lib.rs` of places in it, and one that was handed a whole path
/// says that one: so cargo builds what lies outside of the workspace, which has a `src/lib.rs` of its own in nearly
/// each folder. What such units name counts for a relative name only where no other unit names it (a header in C, say).
pub(super) fn sources(dwarf: &Dwarf, asked: &[Vec<u8>]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut found: HashMap<&[u8], (bool, Vec<Vec<u8>>)> = HashMap::new();
    let mut units = dwarf.units();
    while let Ok(Some(header)) = units.next() {
        let Ok(unit) = dwarf.unit(header) else {
            continue;
        };
        let (Some(program), Some(folder)) = (&unit.line_program, &unit.comp_dir) else {
            continue;
        };
        let folder: Vec<u8> = match folder.to_slice() {
            Ok(folder) => folder.into_owned(),
            Err(_) => continue,
        };
        let given = unit.name.as_ref().and_then(|name| name.to_slice().ok());
        let was_given_relative = given.is_none_or(|name| name.first() != Some(&b'/'));
        let names: std::collections::HashSet<Vec<u8>> = program
            .header()
            .file_names()
            .iter()
            .filter_map(|entry| full_name(dwarf, &unit, &folder, program.header(), entry))
            .collect();
        for name in asked {
            let full = joined(&folder, name);
            if !names.contains(&full) {
                continue;
            }
            let says_so = was_given_relative || name.first() == Some(&b'/');
            let (is_said, places) = found.entry(name).or_default();
            if says_so && !*is_said {
                *is_said = true;
                places.clear();
            }
            if says_so == *is_said && places.len() < NAMED_MAX && !places.contains(&full) {
                places.push(full);
            }
        }
    }
    let mut pairs = Vec::new();
    for (name, (_, places)) in found {
        pairs.extend(places.into_iter().map(|full| (name.to_vec(), full)));
    }
    pairs
}

fn full_name(
    dwarf: &Dwarf,
    unit: &gimli::Unit<Reader>,
    comp_dir: &[u8],
    header: &gimli::LineProgramHeader<Reader>,
    entry: &gimli::FileEntry<Reader>,
) -> Option<Vec<u8>> {
    let text = |value| -> Option<Vec<u8>> {
        let text = dwarf.attr_string(unit, value).ok()?;
        Some(text.to_slice().ok()?.into_owned())
    };
    let folder = match entry.directory(header) {
        Some(folder) => joined(comp_dir, &text(folder)?),
        None => comp_dir.to_vec(),
    };
    Some(joined(&folder, &text(entry.path_name())?))
}

fn joined(folder: &[u8], name: &[u8]) -> Vec<u8> {
    if name.first() == Some(&b'/') || folder.is_empty() {
        return name.to_vec();
    }
    if name.is_empty() {
        return folder.to_vec();
    }
    let mut path = folder.to_vec();
    if path.last() != Some(&b'/') {
        path.push(b'/');
    }
    path.extend(name);
    path
}
