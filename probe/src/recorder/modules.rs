//! Which files the code of this process was loaded from, and the way from an address to (module,
//! offset).
//!
//! The loader is asked once in the life of an image, when its first recording is opened: its lock must
//! not be taken by a signal handler that may have interrupted it, nor by a forked child whose parent's
//! other threads may have held it. So the answer is kept where a forked child still has it. What is
//! loaded later is not known here: call stacks end there.
//!
//! Holds `unsafe`: one table that is written once.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU32, Ordering};

use wire::payload::pair;
use wire::record::Kind;

use crate::recorder::process::Process;
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

struct Table {
    count: usize,
    modules: [Module; MODULES],
    paths_len: usize,
    paths: [u8; PATHS],
}

/// The table, and how far it is: [`EMPTY`], [`FILLING`], [`FILLED`].
struct Once {
    state: AtomicU32,
    table: UnsafeCell<Table>,
}

const EMPTY: u32 = 0;
const FILLING: u32 = 1;
const FILLED: u32 = 2;

// SAFETY: only the one thread that took `state` from EMPTY to FILLING writes the table; others read it
// after FILLED was stored with Release.
unsafe impl Sync for Once {}

static ONCE: Once = Once {
    state: AtomicU32::new(EMPTY),
    table: UnsafeCell::new(Table {
        count: 0,
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
    if ONCE
        .state
        .compare_exchange(EMPTY, FILLING, Ordering::Acquire, Ordering::Relaxed)
        .is_ok()
    {
        // SAFETY: this thread alone took the state to FILLING, and that happens once.
        let table = unsafe { &mut *ONCE.table.get() };
        sys::each_loaded(|loaded| table.add(loaded));
        // Release pairs with the Acquire in `table`.
        ONCE.state.store(FILLED, Ordering::Release);
    }
    known()
}

fn table() -> Option<&'static Table> {
    // Acquire pairs with the Release in `collected`: the table is whole.
    // SAFETY: nobody writes the table after FILLED.
    (ONCE.state.load(Ordering::Acquire) == FILLED).then(|| unsafe { &*ONCE.table.get() })
}

fn known() -> &'static [Module] {
    table()
        .and_then(|table| table.modules.get(..table.count))
        .unwrap_or(&[])
}

/// A code address as module << 48 | address within the module's file; nothing where no module's code
/// is there.
pub(crate) fn word(address: u64) -> Option<u64> {
    let within = |module: &Module| (module.code.0..module.code.1).contains(&address);
    let index = known().iter().position(within)?;
    let offset = address.wrapping_sub(known().get(index)?.bias);
    Some((index as u64 + 1) << 48 | offset & 0xFFFF_FFFF_FFFF)
}

/// Writes all modules into the trace.
pub(crate) fn write(process: &Process) {
    for (index, module) in known().iter().enumerate() {
        let (start, len) = module.path;
        let path = table()
            .and_then(|table| table.paths.get(usize::from(start)..))
            .and_then(|paths| paths.get(..usize::from(len)))
            .unwrap_or(&[]);
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
        if !process.write_name(Kind::Module, &words) {
            return;
        }
    }
}

impl Table {
    /// Keeps what is worth it; false where there is no room for more.
    fn add(&mut self, loaded: &Loaded<'_>) -> bool {
        let mut buffer = [0u8; 1024];
        let path = if loaded.name.is_empty() && self.count == 0 {
            sys::link_target(c"/proc/self/exe", &mut buffer)
        } else {
            loaded.name
        };
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
        let Some(module) = self.modules.get_mut(self.count) else {
            return false;
        };
        let end = self.paths_len.saturating_add(path.len());
        let kept = match self.paths.get_mut(self.paths_len..end) {
            Some(room) => {
                for (place, byte) in room.iter_mut().zip(path) {
                    *place = *byte;
                }
                let kept = (self.paths_len as u16, path.len() as u16);
                self.paths_len = end;
                kept
            }
            None => (0, 0),
        };
        *module = Module {
            bias: loaded.bias,
            base: extent.0.min(extent.1),
            size: extent.1.saturating_sub(extent.0),
            code,
            build_id: [0; BUILD_ID],
            build_id_len: build_id.len().min(BUILD_ID) as u8,
            path: kept,
        };
        for (place, byte) in module.build_id.iter_mut().zip(build_id) {
            *place = *byte;
        }
        self.count += 1;
        true
    }
}

/// The build-id in a segment of notes: each has the lengths of its name and its content and its kind,
/// then both, padded.
fn build_id_in(mut notes: &[u8], align: u64) -> Option<&[u8]> {
    const GNU_BUILD_ID: u32 = 3;
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
        if number(8) == GNU_BUILD_ID && rest.get(..name_len) == Some(b"GNU\0") && len > 0 {
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
