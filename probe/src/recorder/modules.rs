//! Which files the code of this process was loaded from, and the way from an address to (module,
//! offset).
//!
//! The loader is asked once in the life of an image, when its first recording is opened: its lock must
//! not be taken by a signal handler that may have interrupted it, nor by a forked child whose parent's
//! other threads may have held it. So the answer is kept where a forked child still has it.
//!
//! What is loaded later ([`late_word`]) is found by its address, without that lock ([`super::loader`]), when a call
//! stack leads there. It may be unloaded again and something else lie in its place, so each stack looks at it
//! anew, and only its number is kept. Where the C library has no such call, stacks end there.
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

use crate::recorder::notes::{self, BuildId};
use crate::recorder::process::Process;
use crate::recorder::sys::{self, Loaded, ProgramHeader};

mod late;
pub(crate) use late::{Latest, late_word};

/// Modules that are kept; further ones are left out.
const MODULES: usize = 256;
/// Bytes of all their paths; what does not fit is kept without its path.
const PATHS: usize = 32 * 1024;
/// A file that code was loaded from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Module {
    /// Where address 0 of the file would be.
    bias: u64,
    /// Its lowest address.
    base: u64,
    size: u64,
    /// First and last address of its code.
    code: (u64, u64),
    build_id: BuildId,
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
            build_id: BuildId::NONE,
            path: (0, 0),
        }; MODULES],
        paths_len: 0,
        paths: [0; PATHS],
    }),
};

impl Module {
    pub(crate) fn build_id(&self) -> &[u8] {
        self.build_id.bytes()
    }

    fn has_code(&self, address: u64) -> bool {
        (self.code.0..self.code.1).contains(&address)
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
            let build_id = |header: &ProgramHeader| {
                BuildId::among(
                    loaded.segment(header, &mut [0; notes::BYTES])?,
                    header.align,
                )
            };
            let module = describe(loaded.bias, loaded.headers, build_id);
            // SAFETY: this thread alone took the state to FILLING, and that happens once.
            let kept = unsafe { TABLE.put(module, path_of_loaded(loaded, &mut [0; 1024])) };
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
    let within = |module: &Module| module.has_code(address);
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
        module.build_id().len() as u64,
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
    unsafe fn put(&self, mut module: Module, path: &[u8]) -> Option<usize> {
        let index = self.count.load(Ordering::Relaxed) as usize;
        if index >= MODULES {
            return None;
        }
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

/// The path of a file that the loader lists; the executable, which comes first, has none there.
fn path_of_loaded<'a>(loaded: &Loaded<'a>, buffer: &'a mut [u8]) -> &'a [u8] {
    if loaded.name.is_empty() && TABLE.count.load(Ordering::Relaxed) == 0 {
        sys::link_target(c"/proc/self/exe", buffer)
    } else {
        loaded.name
    }
}

/// What is kept of a file, without its path.
fn describe(
    bias: u64,
    headers: &[ProgramHeader],
    build_id_in: impl Fn(&ProgramHeader) -> Option<BuildId>,
) -> Module {
    let mut extent = (u64::MAX, 0u64);
    let mut code = (u64::MAX, 0u64);
    let mut build_id = BuildId::NONE;
    for header in headers {
        let start = bias.wrapping_add(header.address);
        let end = start.saturating_add(header.memory_bytes);
        if header.kind == sys::LOAD {
            extent = (extent.0.min(start), extent.1.max(end));
            if header.flags & sys::EXECUTABLE != 0 {
                code = (code.0.min(start), code.1.max(end));
            }
        }
        if header.kind == sys::NOTE
            && let Some(found) = build_id_in(header)
        {
            build_id = found;
        }
    }
    Module {
        bias,
        base: extent.0.min(extent.1),
        size: extent.1.saturating_sub(extent.0),
        code,
        build_id,
        path: (0, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
