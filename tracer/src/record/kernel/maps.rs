//! Which files a process's code was loaded from, as the kernel tells of it: the way from an address of a call stack to
//! (file, address within it), which is what traces hold.
//!
//! The kernel says of each mapping of code where it lies and which part of which file it is. Where that part lies in the
//! file's own addresses only the file says; it is asked when the first stack leads there ([`mod@super::look`]): anybody may have
//! made it, and whoever listens to the kernel may be root. Where its build-id, or its inode where the kernel saw none, is not the one that the kernel saw, it is another
//! file by now, and the frame is left out.

use std::collections::hash_map::Entry;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::cut::Cut;
use super::look::frames::REGISTERS;
use super::look::image::Part;
use super::look::{self, Look, Patience};
use super::tables::Tables;
use super::unwind::Walk;

/// Mappings of one process; a program that makes code at run time maps it all the time.
const MAPPINGS_MAX: usize = 4096;
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

/// A file that is loaded, and the number of its table where that is asked for.
#[derive(Clone, Debug)]
struct Loaded {
    module: Arc<Module>,
    table: Option<usize>,
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
    patience: Patience,
}

/// What a file says of where its parts lie.
#[derive(Debug)]
struct Image {
    path: Arc<[u8]>,
    build_id: Arc<[u8]>,
    parts: Vec<Part>,
    table: Option<usize>,
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
        let mut frames = Vec::new();
        // The first address is that of an instruction; those of callers lie behind their calls.
        let mut inside = walk.address();
        while frames.len() < FRAMES {
            let Some(Loaded { module, table }) = self.loaded(pid, inside) else {
                break;
            };
            let within = module.within(inside);
            if inside != walk.address() {
                let frame = (module.clone(), within.wrapping_add(1));
                frames.push((walk.address(), frame));
            }
            let up = table.map(|table| self.tables.up(table, within, &mut self.patience));
            if let Some(Err(why)) = &up {
                self.tables.cut.stack(&module.path, why);
            }
            let Some(Ok(Some(row))) = up else {
                break;
            };
            if walk.up(&row).is_none() {
                break;
            }
            inside = walk.address().wrapping_sub(1);
        }
        frames
    }

    /// Stacks that end in files which were not read to their end.
    pub(super) fn cut(&self) -> Cut {
        self.tables.cut.clone()
    }

    /// The file that the code at an address of a process comes from.
    fn loaded(&mut self, pid: u32, inside: u64) -> Option<Loaded> {
        let lies_in = |(it, _): &&mut Mapped| inside.wrapping_sub(it.start) < it.len;
        let (mapping, loaded) = self.by_pid.get_mut(&pid)?.iter_mut().find(lies_in)?;
        if loaded.is_none() {
            let asked = (&mut self.tables, &mut self.patience);
            *loaded = load(&mut self.files, mapping, self.has_tables, asked);
        }
        loaded.clone()
    }
}

/// Whether a mapping has a name that a file may have, and not `//anon`, `[vdso]` or the like.
fn is_of_a_file(path: &[u8]) -> bool {
    path.starts_with(b"/") && !path.starts_with(b"//")
}

/// Where the file of a mapping was loaded.
fn load(
    files: &mut Files,
    mapping: &Mapping,
    has_tables: bool,
    asked: (&mut Tables, &mut Patience),
) -> Option<Loaded> {
    let key = (
        mapping.path.clone(),
        mapping.build_id.clone(),
        mapping.inode,
    );
    let image = match files.entry(key) {
        Entry::Occupied(known) => known.get().clone(),
        Entry::Vacant(new) => new
            .insert(Image::read(mapping, has_tables, asked).map(Arc::new))
            .clone(),
    }?;
    Some(Loaded {
        module: Arc::new(image.module(mapping)?),
        table: image.table,
    })
}

impl Image {
    fn read(
        mapping: &Mapping,
        has_tables: bool,
        (tables, patience): (&mut Tables, &mut Patience),
    ) -> Option<Self> {
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
        let mut look = Look::at(&file, look::ONE_FILE);
        let image = look.image(patience);
        if let Some(why) = look.failed() {
            tables.cut.file(&mapping.path, &why.to_string());
        }
        let image = image?;
        if !mapping.build_id.is_empty() && mapping.build_id != image.build_id {
            return None;
        }
        let table = has_tables.then(|| tables.add(look, &mapping.path, patience));
        Some(Self {
            path: mapping.path.clone().into(),
            build_id: image.build_id.into(),
            parts: image.parts,
            table: table.flatten(),
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
