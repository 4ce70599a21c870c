//! Which files the code of this process was loaded from, and the way from an address to (module,
//! offset).
//!
//! The loader is asked once in the life of an image, when its first recording is opened: its lock must
//! not be taken by a signal handler that may have interrupted it, nor by a forked child whose parent's
//! other threads may have held it. So the answer is kept where a forked child still has it.
//!
//! What is loaded later ([`late_word`]) is found by its address, without that lock ([`loader`]), when a call
//! stack leads there. It may be unloaded again and something else lie in its place, so it is looked at anew
//! each time, and only its number is kept. Where the C library has no such call, stacks end there.
//!
//! Invariants
//! - The first `count` modules and their paths are whole and never change again.
//! - Behind them writes only who holds the recording's `adding_module`; nobody waits for it. It lies in memory
//!   that a forked child finds wiped, so that nobody holds it there, and that a child of `vfork`, which writes the
//!   very same table, shares.
//!
//! Holds `unsafe`: one table that only grows.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU32, Ordering};

use wire::payload::pair;
use wire::record::Kind;

use crate::recorder::loader;
use crate::recorder::process::{self, Process};
use crate::recorder::sys::{self, Loaded};

/// Modules that are kept; further ones are left out.
const MODULES: usize = 256;
/// Bytes of all their paths; what does not fit is kept without its path.
const PATHS: usize = 32 * 1024;
/// Bytes of a build-id that are kept: all of a SHA-1.
const BUILD_ID: usize = 20;

/// A file that code was loaded from.
#[derive(Clone, Copy)]
pub(crate) struct Module {
    /// Where address 0 of the file would be.
    bias: u64,
    /// Its lowest address.
    base: u64,
    size: u64,
    /// First and last address of its code.
    code: (u64, u64),
    build_id: [u8; BUILD_ID],
    build_id_len: u8,
    /// Start and length in the table's paths.
    path: (u16, u16),
}

/// What the table's cell holds.
struct Inner {
    modules: [Module; MODULES],
    paths_len: usize,
    paths: [u8; PATHS],
}

/// The table, and how far it is: [`EMPTY`], [`FILLING`], [`FILLED`].
struct Table {
    state: AtomicU32,
    /// Modules that were there when the loader was asked.
    first: AtomicU32,
    /// Modules that can be read.
    count: AtomicU32,
    inner: UnsafeCell<Inner>,
}

const EMPTY: u32 = 0;
const FILLING: u32 = 1;
const FILLED: u32 = 2;

// SAFETY: the invariants above: what others read is never written again, and one thread alone, which
// took `state` from EMPTY to FILLING or `adding_module` from false, writes the rest.
unsafe impl Sync for Table {}

static TABLE: Table = Table {
    state: AtomicU32::new(EMPTY),
    first: AtomicU32::new(0),
    count: AtomicU32::new(0),
    inner: UnsafeCell::new(Inner {
        modules: [Module {
            bias: 0,
            base: 0,
            size: 0,
            code: (0, 0),
            build_id: [0; BUILD_ID],
            build_id_len: 0,
            path: (0, 0),
        }; MODULES],
        paths_len: 0,
        paths: [0; PATHS],
    }),
};

impl Module {
    pub(crate) fn build_id(&self) -> &[u8] {
        self.build_id
            .get(..usize::from(self.build_id_len))
            .unwrap_or(&[])
    }
}

/// The modules, the executable first; asks the loader where nobody did yet.
pub(crate) fn collected() -> &'static [Module] {
    if TABLE
        .state
        .compare_exchange(EMPTY, FILLING, Ordering::Acquire, Ordering::Relaxed)
        .is_ok()
    {
        sys::each_loaded(|loaded| {
            // SAFETY: this thread alone took the state to FILLING, and that happens once.
            let kept = unsafe { TABLE.put(loaded) };
            kept.map(|index| TABLE.publish(index)).is_some()
        });
        TABLE
            .first
            .store(TABLE.count.load(Ordering::Relaxed), Ordering::Relaxed);
        // Release pairs with the Acquire in `known`.
        TABLE.state.store(FILLED, Ordering::Release);
    }
    known()
}

fn known() -> &'static [Module] {
    if TABLE.state.load(Ordering::Acquire) != FILLED {
        return &[];
    }
    // Acquire pairs with the Release in `publish`: that many modules are whole.
    let count = TABLE.count.load(Ordering::Acquire) as usize;
    // SAFETY: a static's field, of which the first `count` elements never change again.
    unsafe {
        let inner = TABLE.inner.get();
        core::slice::from_raw_parts((&raw const (*inner).modules).cast(), count.min(MODULES))
    }
}

fn path_of(module: &Module) -> &'static [u8] {
    let (start, len) = (usize::from(module.path.0), usize::from(module.path.1));
    if start + len > PATHS {
        return &[];
    }
    // SAFETY: within the static's field, and the path of a published module never changes again.
    unsafe {
        let inner = TABLE.inner.get();
        core::slice::from_raw_parts((&raw const (*inner).paths).cast::<u8>().add(start), len)
    }
}

/// A code address as module << 48 | address within the module's file; nothing where none of the modules
/// that were there from the beginning has code there.
pub(crate) fn word(address: u64) -> Option<u64> {
    /// Where the latest address was found: most frames of a stack are in one module.
    static LATEST: AtomicU32 = AtomicU32::new(0);
    let first = TABLE.first.load(Ordering::Relaxed) as usize;
    let modules = known().get(..first)?;
    let within = |module: &Module| (module.code.0..module.code.1).contains(&address);
    let latest = LATEST.load(Ordering::Relaxed) as usize;
    let index = match modules.get(latest) {
        Some(module) if within(module) => latest,
        _ => {
            let index = modules.iter().position(within)?;
            LATEST.store(index as u32, Ordering::Relaxed);
            index
        }
    };
    Some(word_in(index, modules.get(index)?, address))
}

fn word_in(index: usize, module: &Module, address: u64) -> u64 {
    (index as u64 + 1) << 48 | address.wrapping_sub(module.bias) & 0xFFFF_FFFF_FFFF
}

/// As [`word`], for what was loaded since. `write` puts a module into the trace; only then others see it.
pub(crate) fn late_word(
    address: u64,
    write: impl FnOnce(usize, &Module, &[u8]) -> bool,
) -> Option<u64> {
    let found = loader::object_at(address)?;
    let loaded = found.loaded();
    let module = describe(&loaded);
    if !(module.code.0..module.code.1).contains(&address) {
        return None;
    }
    let is_it = |known: &Module| {
        (known.bias, known.base, known.size) == (module.bias, module.base, module.size)
            && known.build_id() == module.build_id()
    };
    if let Some(index) = known().iter().position(is_it) {
        return Some(word_in(index, &module, address));
    }
    let adding = &process::current()?.adding_module;
    // Somebody else adds one, or this is a handler that interrupted it: the next stack will know.
    if adding.swap(true, Ordering::Acquire) {
        return None;
    }
    // SAFETY: `adding_module` is ours.
    let index = unsafe { TABLE.put(&loaded) };
    let written = index.filter(|index| {
        // SAFETY: just written, and seen by this thread alone.
        let kept = unsafe { TABLE.unpublished(*index) };
        write(*index, &kept, path_of(&kept))
    });
    if let Some(index) = written {
        TABLE.publish(index);
    }
    // Release pairs with the Acquire of whoever adds the next one.
    adding.store(false, Ordering::Release);
    Some(word_in(written?, &module, address))
}

/// Writes all modules into the trace.
pub(crate) fn write(process: &Process) {
    for (index, module) in known().iter().enumerate() {
        if !write_one(process, (index, module, path_of(module))) {
            return;
        }
    }
}

/// Writes a module into the trace; false where there was no room for it.
pub(crate) fn write_one(process: &Process, (index, module, path): (usize, &Module, &[u8])) -> bool {
    let path = process.table.text(process, path);
    let mut words = [
        pair(index as u32 + 1, path),
        module.base,
        module.size,
        module.base.wrapping_sub(module.bias),
        u64::from(module.build_id_len),
        0,
        0,
        0,
    ];
    let mut rest = module.build_id();
    for word in words.iter_mut().skip(5) {
        let (bytes, behind) = rest.split_at_checked(8).unwrap_or((rest, &[]));
        let mut value = [0u8; 8];
        for (place, byte) in value.iter_mut().zip(bytes) {
            *place = *byte;
        }
        *word = u64::from_le_bytes(value);
        rest = behind;
    }
    process.write_name(Kind::Module, &words)
}

impl Table {
    /// Puts a module behind the ones that can be read; nothing where there is no room.
    ///
    /// # Safety
    ///
    /// Until this returns no other thread writes the table.
    unsafe fn put(&self, loaded: &Loaded<'_>) -> Option<usize> {
        let index = self.count.load(Ordering::Relaxed) as usize;
        if index >= MODULES {
            return None;
        }
        let mut buffer = [0u8; 1024];
        let path = if loaded.name.is_empty() && index == 0 {
            sys::link_target(c"/proc/self/exe", &mut buffer)
        } else {
            loaded.name
        };
        let mut module = describe(loaded);
        let inner = self.inner.get();
        // SAFETY: the caller's promise, and what others read lies before `index` and `paths_len`.
        unsafe {
            let start = (*inner).paths_len;
            if path.len() <= PATHS.saturating_sub(start) {
                let place = (&raw mut (*inner).paths).cast::<u8>().add(start);
                core::ptr::copy_nonoverlapping(path.as_ptr(), place, path.len());
                module.path = (start as u16, path.len() as u16);
                (*inner).paths_len = start + path.len();
            }
            let modules = (&raw mut (*inner).modules).cast::<Module>();
            modules.add(index).write(module);
        }
        Some(index)
    }

    /// A module that was put and not published.
    ///
    /// # Safety
    ///
    /// This thread put it, and no other writes the table.
    unsafe fn unpublished(&self, index: usize) -> Module {
        // SAFETY: `put` gives indices within the table; the caller's promise.
        unsafe {
            let modules = (&raw const (*self.inner.get()).modules).cast::<Module>();
            *modules.add(index)
        }
    }

    /// Lets others read a module that was put.
    fn publish(&self, index: usize) {
        // Release pairs with the Acquire in `known`: who sees the count also sees the module.
        self.count.store(index as u32 + 1, Ordering::Release);
    }
}

/// What is kept of a file, without its path.
fn describe(loaded: &Loaded<'_>) -> Module {
    let mut extent = (u64::MAX, 0u64);
    let mut code = (u64::MAX, 0u64);
    let mut build_id = &[][..];
    for header in loaded.headers {
        let start = loaded.bias.wrapping_add(header.address);
        let end = start.saturating_add(header.memory_bytes);
        if header.kind == sys::LOAD {
            extent = (extent.0.min(start), extent.1.max(end));
            if header.flags & sys::EXECUTABLE != 0 {
                code = (code.0.min(start), code.1.max(end));
            }
        }
        if header.kind == sys::NOTE
            && let Some(notes) = loaded.segment(header)
            && let Some(found) = build_id_in(notes, header.align)
        {
            build_id = found;
        }
    }
    let mut module = Module {
        bias: loaded.bias,
        base: extent.0.min(extent.1),
        size: extent.1.saturating_sub(extent.0),
        code,
        build_id: [0; BUILD_ID],
        build_id_len: build_id.len().min(BUILD_ID) as u8,
        path: (0, 0),
    };
    for (place, byte) in module.build_id.iter_mut().zip(build_id) {
        *place = *byte;
    }
    module
}

/// The build-id in a segment of notes.
fn build_id_in(notes: &[u8], align: u64) -> Option<&[u8]> {
    const GNU_BUILD_ID: u32 = 3;
    note_in(notes, align, (b"GNU\0", GNU_BUILD_ID))
}

/// The content of a note in a segment of them, by its name (with NUL) and kind: each has the lengths of its
/// name and its content and its kind, then both, padded. Empty ones do not count.
pub(super) fn note_in<'a>(
    mut notes: &'a [u8],
    align: u64,
    (owner, kind): (&[u8], u32),
) -> Option<&'a [u8]> {
    let padded = |len: usize| {
        let mask = if align == 8 { 7 } else { 3 };
        len.checked_add(mask).map(|len| len & !mask)
    };
    loop {
        let (head, rest) = notes.split_first_chunk::<12>()?;
        let number = |at: usize| {
            let mut value = [0u8; 4];
            for (place, byte) in value.iter_mut().zip(head.iter().skip(at)) {
                *place = *byte;
            }
            u32::from_le_bytes(value)
        };
        let (name_len, len) = (number(0) as usize, number(4) as usize);
        // Padding counts from the start of the note, whose head is not a multiple of 8.
        let begin = padded(12usize.checked_add(name_len)?)?.checked_sub(12)?;
        let content = rest.get(begin..begin.checked_add(len)?)?;
        if number(8) == kind && rest.get(..name_len) == Some(owner) && len > 0 {
            return Some(content);
        }
        let next = padded(12usize.checked_add(begin)?.checked_add(len)?)?;
        notes = notes.get(next..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(kind: u32, name: &[u8], content: &[u8], align: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend((name.len() as u32).to_le_bytes());
        bytes.extend((content.len() as u32).to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        for part in [name, content] {
            bytes.extend(part);
            bytes.resize(bytes.len().next_multiple_of(align), 0);
        }
        bytes
    }

    #[test]
    fn build_id_is_found_behind_other_notes() {
        for align in [4, 8] {
            let mut notes = note(5, b"GNU\0", &[1; 20], align);
            notes.extend(note(3, b"Go\0\0", &[2; 7], align));
            notes.extend(note(3, b"GNU\0", &[7; 20], align));
            assert_eq!(build_id_in(&notes, align as u64), Some(&[7; 20][..]));
            for len in 0..notes.len() {
                // Cut anywhere: nothing, or the whole.
                let found = build_id_in(&notes[..len], align as u64);
                assert!(found.is_none_or(|id| id == [7; 20]));
            }
        }
        assert_eq!(build_id_in(&[0xFF; 64], 4), None);
        assert_eq!(build_id_in(&[0; 64], 4), None);
    }

    #[test]
    fn own_code_is_in_the_executable() {
        assert!(!collected().is_empty());
        let here = own_code_is_in_the_executable as fn() as usize as u64;
        assert_eq!(word(here).map(|word| word >> 48), Some(1));
        assert_eq!(word(0x10), None);
        let local = 0u8;
        assert_eq!(
            word(core::ptr::from_ref(&local) as u64),
            None,
            "a stack is no code"
        );
    }
}
