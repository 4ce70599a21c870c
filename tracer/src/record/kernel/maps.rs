//! Which files a process's code was loaded from, as the kernel tells of it: the way from an address of a call stack to
//! (file, address within it), which is what traces hold.
//!
//! The kernel says of each mapping of code where it lies and which part of which file it is. Where that part lies in the
//! file's own addresses only the file says; it is looked into when the first stack leads there, and only its headers
//! are. Where its build-id is not the one that the kernel saw, it is another file by now, and the frame is left out.

use std::collections::hash_map::Entry;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;

use object::Object as _;
use object::read::ReadCache;
use object::read::elf::ProgramHeader as _;
use rustc_hash::FxHashMap;

use crate::symbols::debug::Elf;

/// Mappings of one process; a program that makes code at run time maps it all the time.
const MAPPINGS_MAX: usize = 4096;
/// Frames that are kept of a stack, the innermost ones.
pub(super) const FRAMES: usize = 64;
/// Words at the end of the address space that stand for no address: `PERF_CONTEXT_USER` and its kin.
const CONTEXT: u64 = -4095_i64 as u64;

/// Code of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mapping {
    pub(super) start: u64,
    pub(super) len: u64,
    /// Where in the file it begins.
    pub(super) offset: u64,
    /// Empty where the kernel does not say.
    pub(super) build_id: Vec<u8>,
    pub(super) path: Vec<u8>,
}

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
type Mapped = (Mapping, Option<Arc<Module>>);
/// Files by path and build-id.
type Files = FxHashMap<(Vec<u8>, Vec<u8>), Option<Arc<Image>>>;

/// Code of all processes.
#[derive(Debug, Default)]
pub(super) struct Maps {
    by_pid: FxHashMap<u32, Vec<Mapped>>,
    files: Files,
}

/// What a file says of where its parts lie.
#[derive(Debug)]
struct Image {
    path: Arc<[u8]>,
    build_id: Arc<[u8]>,
    /// Of each part that is loaded: where it begins in the file, its address, and its bytes in memory.
    parts: Vec<[u64; 3]>,
}

impl Maps {
    /// A process maps code.
    pub(super) fn mapped(&mut self, pid: u32, mapping: Mapping) {
        let all = self.by_pid.entry(pid).or_default();
        let end = mapping.start.saturating_add(mapping.len);
        all.retain(|(old, _)| {
            old.start >= end || old.start.saturating_add(old.len) <= mapping.start
        });
        if all.len() < MAPPINGS_MAX {
            all.push((mapping, None));
        }
    }

    /// A process is its parent's image.
    pub(super) fn forked(&mut self, parent: u32, child: u32) {
        match self.by_pid.get(&parent).cloned() {
            Some(all) => drop(self.by_pid.insert(child, all)),
            None => self.forget(child),
        }
    }

    /// A process is another image from here on, or gone.
    pub(super) fn forget(&mut self, pid: u32) {
        self.by_pid.remove(&pid);
    }

    /// The frames of a stack as (module, address within its file), the innermost first. Ends where an address is no code.
    pub(super) fn frames(&mut self, pid: u32, stack: &[u64]) -> Vec<(Arc<Module>, u64)> {
        let Some(all) = self.by_pid.get_mut(&pid) else {
            return Vec::new();
        };
        let files = &mut self.files;
        let addresses = stack.iter().filter(|address| **address < CONTEXT);
        let frames = addresses.map_while(|address| {
            // A return address lies behind its call, which may be the last instruction of its part.
            let inside = address.wrapping_sub(1);
            let lies_in = |(it, _): &&mut (Mapping, _)| inside.wrapping_sub(it.start) < it.len;
            let (mapping, module) = all.iter_mut().find(lies_in)?;
            if module.is_none() {
                *module = load(files, mapping);
            }
            let module = module.clone()?;
            let within = module.within(*address);
            Some((module, within))
        });
        frames.take(FRAMES).collect()
    }
}

/// Where the file of a mapping was loaded.
fn load(files: &mut Files, mapping: &Mapping) -> Option<Arc<Module>> {
    let key = (mapping.path.clone(), mapping.build_id.clone());
    let image = match files.entry(key) {
        Entry::Occupied(known) => known.get().clone(),
        Entry::Vacant(new) => new.insert(Image::read(mapping).map(Arc::new)).clone(),
    }?;
    image.module(mapping).map(Arc::new)
}

impl Image {
    fn read(mapping: &Mapping) -> Option<Self> {
        let path = Path::new(std::ffi::OsStr::from_bytes(&mapping.path));
        if !path.is_absolute() {
            return None;
        }
        let file = crate::symbols::file::open(path).ok()?;
        let cache = ReadCache::new(file);
        let elf = Elf::parse(&cache).ok()?;
        let build_id = elf.build_id().ok().flatten().unwrap_or_default();
        if !mapping.build_id.is_empty() && mapping.build_id != build_id {
            return None;
        }
        let endian = elf.endian();
        let loaded = elf.elf_program_headers().iter();
        let loaded = loaded.filter(|header| header.p_type(endian) == object::elf::PT_LOAD);
        let parts = loaded.map(|header| {
            [
                header.p_offset(endian),
                header.p_vaddr(endian),
                header.p_memsz(endian),
            ]
        });
        Some(Self {
            path: mapping.path.clone().into(),
            build_id: build_id.into(),
            parts: parts.collect(),
        })
    }

    fn module(&self, mapping: &Mapping) -> Option<Module> {
        const PAGE: u64 = 4096;
        let begins = |at: u64| at / PAGE * PAGE;
        // Parts may share a page of the file: the last one that begins there or before is the one that is mapped so.
        let behind = self.parts.iter().rev();
        let [offset, address, _] = behind
            .clone()
            .find(|part| begins(part[0]) == begins(mapping.offset))
            .or_else(|| behind.clone().find(|part| part[0] <= mapping.offset))?;
        let at = address.wrapping_sub(*offset).wrapping_add(mapping.offset);
        let distance = mapping.start.wrapping_sub(at);
        let file_base = begins(self.parts.iter().map(|part| part[1]).min()?);
        let end = self
            .parts
            .iter()
            .map(|part| part[1].saturating_add(part[2]))
            .max()?;
        Some(Module {
            path: self.path.clone(),
            build_id: self.build_id.clone(),
            base: file_base.wrapping_add(distance),
            file_base,
            size: end.saturating_sub(file_base),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Image {
        Image {
            path: (*b"/x").into(),
            build_id: (*b"id").into(),
            parts: vec![
                [0, 0x400000, 0x500],
                [0x1234, 0x402234, 0x900],
                [0x2000, 0x404000, 0x10],
            ],
        }
    }

    fn mapping(start: u64, offset: u64) -> Mapping {
        Mapping {
            start,
            len: 0x1000,
            offset,
            build_id: b"id".to_vec(),
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
        maps.forget(1);
        assert_eq!((starts(&maps, 1).len(), starts(&maps, 2).len()), (0, 2));
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
            path: fields[5].as_bytes().to_vec(),
        };
        let mut all = Maps::default();
        all.mapped(7, mapping);
        let frames = all.frames(7, &[CONTEXT + 1, here + 1]);
        let [(module, within)] = &frames[..] else {
            panic!("{frames:?}");
        };
        let file = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let elf = object::File::parse(&*file).unwrap();
        use object::ObjectSymbol as _;
        let symbol = elf.symbols().find(|symbol| symbol.address() == within - 1);
        assert!(
            symbol
                .unwrap()
                .name()
                .unwrap()
                .contains("own_code_is_found")
        );
        assert!(!module.build_id.is_empty());
    }
}
