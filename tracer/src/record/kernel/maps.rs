//! Which files a process's code was loaded from, as the kernel tells of it: the way from an address of a call stack to
//! (file, address within it), which is what traces hold.
//!
//! The kernel says of each mapping of code where it lies and which part of which file it is. Where that part lies in the
//! file's own addresses only the file says; it is looked into when the first stack leads there, and only its program
//! headers and notes are, as far as they have a sane size: anybody may have made it, and whoever listens to the kernel may
//! be root. Where its build-id, or its inode where the kernel saw none, is not the one that the kernel saw, it is another
//! file by now, and the frame is left out.

use std::collections::hash_map::Entry;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use gimli::UnwindContext;
use object::Endianness;
use object::elf::{ELF_NOTE_GNU, FileHeader64, NT_GNU_BUILD_ID, PF_X, PT_LOAD, PT_NOTE};
use object::read::ReadCache;
use object::read::elf::{FileHeader as _, ProgramHeader as _};
use rustc_hash::{FxHashMap, FxHashSet};

use super::unwind::{Found, REGISTERS, Table, Walk};

/// Mappings of one process; a program that makes code at run time maps it all the time.
const MAPPINGS_MAX: usize = 4096;
/// Parts that a file may have, and bytes of a note: far more than any linker makes.
const PARTS_MAX: u16 = 1024;
const NOTES_MAX: u64 = 64 << 10;
/// Frames that are kept of a stack, the innermost ones.
pub(super) const FRAMES: usize = 64;
/// Words at the end of the address space that stand for no address: `PERF_CONTEXT_USER` and its kin.
const CONTEXT: u64 = -4095_i64 as u64;

/// Code of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Mapping {
    pub(super) start: u64,
    pub(super) len: u64,
    /// Where in the file it begins.
    pub(super) offset: u64,
    /// Empty where the kernel does not say.
    pub(super) build_id: Vec<u8>,
    /// Where it does not: the numbers of its device, and its own there.
    pub(super) inode: Option<Inode>,
    pub(super) path: Vec<u8>,
}

/// Major and minor number of a device, and number of a file.
pub(super) type Inode = (u32, u32, u64);

/// A file where it was loaded, as records describe it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Module {
    pub(super) path: Arc<[u8]>,
    pub(super) build_id: Arc<[u8]>,
    /// Its lowest address, in memory and in the file.
    pub(super) base: u64,
    pub(super) file_base: u64,
    pub(super) size: u64,
}

impl Module {
    /// An address in memory as one of the file's own.
    pub(super) fn within(&self, address: u64) -> u64 {
        address.wrapping_sub(self.base).wrapping_add(self.file_base)
    }
}

/// A mapping, and its file where that was looked into.
type Mapped = (Mapping, Option<Loaded>);

/// A file that is loaded, and what it says of its frames where that is asked for.
#[derive(Clone, Debug)]
struct Loaded {
    module: Arc<Module>,
    table: Option<Arc<Table>>,
}

/// Files by path, build-id and inode.
type Files = FxHashMap<(Vec<u8>, Vec<u8>, Option<Inode>), Option<Arc<Image>>>;

/// Code of all processes.
#[derive(Debug, Default)]
pub(super) struct Maps {
    by_pid: FxHashMap<u32, Vec<Mapped>>,
    /// Threads that live, of processes that were seen to begin.
    threads: FxHashMap<u32, FxHashSet<u32>>,
    files: Files,
    /// Whether stacks are followed by what files say of their frames.
    has_tables: bool,
    tables: Tables,
}

/// What files say of their frames, together.
#[derive(Debug, Default)]
struct Tables {
    /// Bytes that they take.
    bytes: u64,
    /// Stacks that took too much work to follow, and files that say too much.
    cut: (u64, u64),
}

/// What a file says of where its parts lie.
#[derive(Debug)]
struct Image {
    path: Arc<[u8]>,
    build_id: Arc<[u8]>,
    parts: Vec<Part>,
    table: Option<Arc<Table>>,
}

/// A part that is loaded.
#[derive(Clone, Copy, Debug)]
struct Part {
    /// Where it begins in the file, and its bytes there.
    offset: u64,
    in_file: u64,
    /// Its address, and its bytes in memory.
    address: u64,
    len: u64,
    is_code: bool,
}

impl Maps {
    /// A process maps code.
    pub(super) fn mapped(&mut self, pid: u32, mapping: Mapping) {
        let all = self.by_pid.entry(pid).or_default();
        let end = mapping.start.saturating_add(mapping.len);
        all.retain(|(old, _)| {
            old.start >= end || old.start.saturating_add(old.len) <= mapping.start
        });
        if is_of_a_file(&mapping.path) && all.len() < MAPPINGS_MAX {
            all.push((mapping, None));
        }
    }

    /// A process is its parent's image.
    pub(super) fn forked(&mut self, parent: u32, child: u32) {
        self.threads.insert(child, FxHashSet::from_iter([child]));
        match self.by_pid.get(&parent).cloned() {
            Some(all) => drop(self.by_pid.insert(child, all)),
            None => self.forget(child),
        }
    }

    /// A process is another image from here on: its other threads are gone.
    pub(super) fn executed(&mut self, pid: u32) {
        self.forget(pid);
        self.threads.insert(pid, FxHashSet::from_iter([pid]));
    }

    /// A process has one thread more.
    pub(super) fn thread_began(&mut self, pid: u32, tid: u32) {
        if let Some(threads) = self.threads.get_mut(&pid) {
            threads.insert(tid);
        }
    }

    /// A thread ended. Its process goes on as long as it has others, also without its first one.
    pub(super) fn thread_ended(&mut self, pid: u32, tid: u32) {
        let Some(threads) = self.threads.get_mut(&pid) else {
            return;
        };
        threads.remove(&tid);
        if threads.is_empty() {
            self.threads.remove(&pid);
            self.forget(pid);
        }
    }

    fn forget(&mut self, pid: u32) {
        self.by_pid.remove(&pid);
    }

    /// The frames of a stack as (module, address within its file), the innermost first. Ends where an address is no code.
    pub(super) fn frames(&mut self, pid: u32, stack: &[u64]) -> Vec<(Arc<Module>, u64)> {
        let addresses = stack.iter().filter(|address| **address < CONTEXT);
        let frames = addresses.map_while(|address| {
            // A return address lies behind its call, which may be the last instruction of its part.
            let module = self.loaded(pid, address.wrapping_sub(1))?.module;
            let within = module.within(*address);
            Some((module, within))
        });
        frames.take(FRAMES).collect()
    }

    /// From here on files are asked what they say of their frames.
    pub(super) fn read_tables(&mut self) {
        self.has_tables = true;
    }

    /// Who called, the innermost first, by registers and a copy of the stack: addresses in memory, and as frames.
    pub(super) fn unwound(
        &mut self,
        pid: u32,
        registers: [u64; REGISTERS],
        stack: &[u8],
    ) -> Vec<(u64, (Arc<Module>, u64))> {
        let mut walk = Walk::new(registers, stack);
        let mut context = UnwindContext::new();
        let mut frames = Vec::new();
        // The first address is that of an instruction; those of callers lie behind their calls.
        let mut inside = walk.address();
        while frames.len() < FRAMES {
            let Some(Loaded { module, table }) = self.loaded(pid, inside) else {
                break;
            };
            let within = module.within(inside);
            if inside != walk.address() {
                frames.push((walk.address(), (module, within.wrapping_add(1))));
            }
            let up = table.and_then(|table| walk.up(&table, &mut context, within));
            if up.is_none() {
                break;
            }
            inside = walk.address().wrapping_sub(1);
        }
        self.tables.cut.0 += u64::from(walk.is_cut());
        frames
    }

    /// Stacks that took more work to follow than any do, and files that say more of their frames than any do.
    pub(super) fn cut(&self) -> (u64, u64) {
        self.tables.cut
    }

    /// The file that the code at an address of a process comes from.
    fn loaded(&mut self, pid: u32, inside: u64) -> Option<Loaded> {
        let lies_in = |(it, _): &&mut Mapped| inside.wrapping_sub(it.start) < it.len;
        let (mapping, loaded) = self.by_pid.get_mut(&pid)?.iter_mut().find(lies_in)?;
        if loaded.is_none() {
            let tables = self.has_tables.then_some(&mut self.tables);
            *loaded = load(&mut self.files, mapping, tables);
        }
        loaded.clone()
    }
}

/// Whether a mapping has a name that a file may have, and not `//anon`, `[vdso]` or the like.
fn is_of_a_file(path: &[u8]) -> bool {
    path.starts_with(b"/") && !path.starts_with(b"//")
}

/// Where the file of a mapping was loaded.
fn load(files: &mut Files, mapping: &Mapping, tables: Option<&mut Tables>) -> Option<Loaded> {
    let key = (
        mapping.path.clone(),
        mapping.build_id.clone(),
        mapping.inode,
    );
    let image = match files.entry(key) {
        Entry::Occupied(known) => known.get().clone(),
        Entry::Vacant(new) => new
            .insert(Image::read(mapping, tables).map(Arc::new))
            .clone(),
    }?;
    Some(Loaded {
        module: Arc::new(image.module(mapping)?),
        table: image.table.clone(),
    })
}

impl Image {
    fn read(mapping: &Mapping, tables: Option<&mut Tables>) -> Option<Self> {
        let path = Path::new(std::ffi::OsStr::from_bytes(&mapping.path));
        if !path.is_absolute() {
            return None;
        }
        let file = crate::symbols::file::open(path).ok()?;
        // The number of the file alone: those of devices are others to a process than to the kernel where file systems
        // lie over others, or in parts of one (overlayfs, btrfs).
        if let Some((_, _, number)) = mapping.inode
            && file.metadata().ok()?.ino() != number
        {
            return None;
        }
        let file = ReadCache::new(file);
        let (parts, build_id) = headers(&file)?;
        if !mapping.build_id.is_empty() && mapping.build_id != build_id {
            return None;
        }
        let table = tables.and_then(|tables| match Table::read(&file, &mut tables.bytes) {
            Found::Table(table) => Some(table),
            Found::None => None,
            Found::TooLarge => {
                tables.cut.1 += 1;
                None
            }
        });
        Some(Self {
            path: mapping.path.clone().into(),
            build_id: build_id.into(),
            parts,
            table,
        })
    }

    fn module(&self, mapping: &Mapping) -> Option<Module> {
        const PAGE: u64 = 4096;
        let begins = |at: u64| at / PAGE * PAGE;
        // Parts may share a page of the file, which is mapped once for each of them: this is one of code.
        let end = mapping.offset.saturating_add(mapping.len);
        let mut code = self.parts.iter().filter(|part| {
            let behind = part.offset.saturating_add(part.in_file);
            part.is_code && part.offset < end && mapping.offset < behind
        });
        let Part {
            offset, address, ..
        } = code
            .clone()
            .find(|part| begins(part.offset) == begins(mapping.offset))
            .or_else(|| code.next())?;
        let at = address.wrapping_sub(*offset).wrapping_add(mapping.offset);
        let distance = mapping.start.wrapping_sub(at);
        let file_base = begins(self.parts.iter().map(|part| part.address).min()?);
        let last = self
            .parts
            .iter()
            .map(|part| part.address.saturating_add(part.len))
            .max()?;
        Some(Module {
            path: self.path.clone(),
            build_id: self.build_id.clone(),
            base: file_base.wrapping_add(distance),
            file_base,
            size: last.saturating_sub(file_base),
        })
    }
}

/// The parts of an ELF file that are loaded, and its build-id; empty where it has none.
fn headers(file: &ReadCache<std::fs::File>) -> Option<(Vec<Part>, Vec<u8>)> {
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
    let build_id = notes.filter_map(|header| {
        let mut notes = header.notes(endian, file).ok()??;
        while let Ok(Some(note)) = notes.next() {
            if note.name() == ELF_NOTE_GNU && note.n_type(endian) == NT_GNU_BUILD_ID {
                return Some(note.desc().to_vec());
            }
        }
        None
    });
    let build_id = build_id.into_iter().next().unwrap_or_default();
    Some((parts.collect(), build_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(offset: u64, address: u64, len: u64, is_code: bool) -> Part {
        Part {
            offset,
            in_file: len,
            address,
            len,
            is_code,
        }
    }

    fn image() -> Image {
        Image {
            path: (*b"/x").into(),
            build_id: (*b"id").into(),
            parts: vec![
                part(0, 0x400000, 0x500, false),
                part(0x1234, 0x402234, 0x900, true),
                // Begins in the page in which the code ends.
                part(0x1b34, 0x403b34, 0x400, false),
                part(0x2000, 0x404000, 0x10, false),
            ],
            table: None,
        }
    }

    fn mapping(start: u64, offset: u64) -> Mapping {
        Mapping {
            start,
            len: 0x1000,
            offset,
            build_id: b"id".to_vec(),
            inode: None,
            path: b"/x".to_vec(),
        }
    }

    #[test]
    fn an_address_of_memory_is_one_of_the_file() {
        // Loaded elsewhere than it says; the part's bytes begin within a page.
        let module = image().module(&mapping(0x7f00_0000_2000, 0x1000)).unwrap();
        assert_eq!(module.within(0x7f00_0000_2234), 0x402234);
        assert_eq!(
            (module.base, module.file_base),
            (0x7f00_0000_0000, 0x400000)
        );
        assert_eq!(module.size, 0x4010);
        // So small a file that headers and code share a page.
        let small = Image {
            parts: vec![
                part(0, 0x200000, 0x500, false),
                part(0x500, 0x201500, 0x80, true),
                part(0x580, 0x202580, 0x80, false),
            ],
            ..image()
        };
        let module = small.module(&mapping(0x7f00_0000_1000, 0)).unwrap();
        assert_eq!(module.within(0x7f00_0000_1500), 0x201500);
        assert_eq!(module.base, 0x7f00_0000_0000);
        assert!(small.module(&mapping(0x7f00_0000_1000, 0x1000)).is_none());
    }

    #[test]
    fn newer_code_lies_over_older_and_forked_children_have_it_too() {
        let mut maps = Maps::default();
        let of = |start| mapping(start, 0);
        maps.mapped(1, of(0x1000));
        maps.mapped(1, of(0x3000));
        maps.mapped(1, of(0x1800));
        let starts = |maps: &Maps, pid| -> Vec<u64> {
            maps.by_pid
                .get(&pid)
                .into_iter()
                .flatten()
                .map(|(it, _)| it.start)
                .collect()
        };
        assert_eq!(starts(&maps, 1), [0x3000, 0x1800]);
        maps.forked(1, 2);
        maps.executed(1);
        assert_eq!((starts(&maps, 1).len(), starts(&maps, 2).len()), (0, 2));
        // Code of no file takes the place of older code, and none itself.
        let anonymous = |path: &[u8]| Mapping {
            path: path.to_vec(),
            ..of(0x3800)
        };
        for path in [&b"//anon"[..], b"[vdso]", b""] {
            maps.mapped(2, anonymous(path));
            assert_eq!(starts(&maps, 2), [0x1800]);
        }
        // It goes on without its first thread, and ends with its last.
        maps.thread_began(2, 3);
        maps.thread_ended(2, 2);
        assert_eq!(starts(&maps, 2).len(), 1);
        maps.thread_began(2, 4);
        maps.thread_ended(2, 3);
        assert_eq!(starts(&maps, 2).len(), 1);
        let mut gone = Maps::default();
        gone.forked(1, 2);
        gone.mapped(2, of(0x1800));
        gone.thread_ended(2, 2);
        assert_eq!(starts(&gone, 2).len(), 0);
        // Its file is not there: no frame, and no failure.
        assert_eq!(maps.frames(2, &[CONTEXT + 1, 0x1900]), []);
    }

    #[test]
    fn own_code_is_found_in_its_file() {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let here = own_code_is_found_in_its_file as fn() as usize as u64;
        let line = maps.lines().find(|line| {
            let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
            let number = |text| u64::from_str_radix(text, 16).unwrap();
            (number(start)..number(end)).contains(&here)
        });
        let fields: Vec<&str> = line.unwrap().split_ascii_whitespace().collect();
        let (start, end) = fields[0].split_once('-').unwrap();
        let number = |text| u64::from_str_radix(text, 16).unwrap();
        let mapping = Mapping {
            start: number(start),
            len: number(end) - number(start),
            offset: number(fields[2]),
            build_id: Vec::new(),
            inode: Some((0, 0, fields[4].parse().unwrap())),
            path: fields[5].as_bytes().to_vec(),
        };
        // Another file of that name.
        let mut others = Maps::default();
        let inode = mapping
            .inode
            .map(|(major, minor, number)| (major, minor, number + 1));
        others.mapped(
            7,
            Mapping {
                inode,
                ..mapping.clone()
            },
        );
        assert_eq!(others.frames(7, &[here + 1]), []);
        let mut all = Maps::default();
        all.mapped(7, mapping);
        let frames = all.frames(7, &[CONTEXT + 1, here + 1]);
        let [(module, within)] = &frames[..] else {
            panic!("{frames:?}");
        };
        let file = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let elf = object::File::parse(&*file).unwrap();
        use object::{Object as _, ObjectSymbol as _};
        let symbol = elf.symbols().find(|symbol| symbol.address() == within - 1);
        assert!(
            symbol
                .unwrap()
                .name()
                .unwrap()
                .contains("own_code_is_found")
        );
        assert_eq!(elf.build_id().unwrap().unwrap(), &*module.build_id);
    }
}
