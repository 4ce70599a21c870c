//! The loaded file that an address lies in, without the loader's lock: what was loaded since the recording
//! began is found where a call stack leads there, also from a signal handler.
//!
//! `_dl_find_object` (glibc 2.35, 2022) is made for unwinders: it neither waits nor allocates. It is
//! referred to weakly, so that a program still starts where the C library does not have it; then nothing is
//! found.
//!
//! Nothing keeps such a file where it is: a return address does, while the program is to return there, but a word
//! that a frame pointer led to by mistake may be of a file that another thread unloads at this moment. So its
//! headers are never touched, but copied by the kernel ([`sys::copy_own`]), which says when there is nothing any
//! more; and afterwards the loader is asked again whether it is still the same. Where a program may not make that
//! system call, nothing is found.
//!
//! Holds `unsafe`: a call through a weak symbol, and what was copied as the structure that it is.

use core::arch::asm;
use core::ffi::{c_int, c_void};

use crate::recorder::sys::{self, ProgramHeader};

/// Headers that a file may have; of one with more nothing is found. Those that there are have about a dozen.
const HEADERS: usize = 32;

/// `struct dl_find_object`, with room for what later versions may append.
#[repr(C)]
#[derive(Default)]
struct Found {
    flags: u64,
    start: u64,
    end: u64,
    link_map: u64,
    rest: [u64; 28],
}

/// What is copied of a file: its head (`Elf64_Ehdr`), the headers right behind it, as every linker puts them, and
/// the public first fields of the loader's `struct link_map`.
#[repr(C)]
#[derive(Default)]
struct Copied {
    magic: [u8; 4],
    class: [u8; 12],
    kind: u16,
    machine: u16,
    version: u32,
    entry: u64,
    headers_offset: u64,
    sections_offset: u64,
    flags: u32,
    size: u16,
    header_size: u16,
    header_count: u16,
    sections: [u16; 3],
    headers: [ProgramHeader; HEADERS],
    bias: u64,
    name: u64,
}

impl Copied {
    /// Whether it is a file's head with its headers behind it.
    fn is_usual(&self) -> bool {
        self.magic == *b"\x7fELF"
            && usize::from(self.header_size) == size_of::<ProgramHeader>()
            && self.headers_offset == HEAD_BYTES as u64
            && usize::from(self.header_count) <= HEADERS
    }
}

/// `sizeof(Elf64_Ehdr)`
const HEAD_BYTES: usize = 64;
/// How much of a file is copied: less than a page, which is mapped as long as the file is.
const FILE_BYTES: usize = HEAD_BYTES + HEADERS * size_of::<ProgramHeader>();
const LINK_MAP_BYTES: usize = 16;
const _: () = assert!(size_of::<Copied>() == FILE_BYTES + LINK_MAP_BYTES && FILE_BYTES < 4096);

/// A file that was loaded when it was looked at.
pub(crate) struct Object {
    found: Found,
    copied: Copied,
}

impl Object {
    /// Where address 0 of the file would be.
    pub(crate) fn bias(&self) -> u64 {
        self.copied.bias
    }

    pub(crate) fn headers(&self) -> &[ProgramHeader] {
        let count = usize::from(self.copied.header_count);
        self.copied.headers.get(..count).unwrap_or(&[])
    }

    /// The first bytes of a segment; fewer, or none, where they cannot be read.
    pub(crate) fn segment<'b>(&self, header: &ProgramHeader, buffer: &'b mut [u8]) -> &'b [u8] {
        let wanted = buffer.len().min(header.memory_bytes as usize);
        let start = self.bias().wrapping_add(header.address);
        let count = sys::copy_own(&[(start, wanted)], buffer);
        buffer.get(..count.min(wanted)).unwrap_or(&[])
    }

    /// Its path; empty where it has none, or one that is too long for the buffer.
    pub(crate) fn path<'b>(&self, buffer: &'b mut [u8]) -> &'b [u8] {
        if self.copied.name == 0 {
            return &[];
        }
        let count = sys::copy_own(&[(self.copied.name, buffer.len())], buffer);
        let text = buffer.get(..count).unwrap_or(&[]);
        let end = text.iter().position(|byte| *byte == 0).unwrap_or(0);
        text.get(..end).unwrap_or(&[])
    }

    /// Whether the loader still has it there: what was read of it by now belongs together.
    pub(crate) fn is_loaded(&self) -> bool {
        let Some(now) = ask(self.found.start) else {
            return false;
        };
        (now.start, now.end, now.link_map)
            == (self.found.start, self.found.end, self.found.link_map)
    }
}

type Find = unsafe extern "C" fn(*const c_void, *mut Found) -> c_int;

/// The C library's function, where it has it.
fn find() -> Option<Find> {
    let address: usize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: loads an entry of the table of global offsets, which is 0 where nobody defines the symbol.
    unsafe {
        asm!(
            ".weak _dl_find_object",
            "mov {}, qword ptr [rip + _dl_find_object@GOTPCREL]",
            out(reg) address,
            options(pure, readonly, nostack, preserves_flags)
        );
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        asm!(
            ".weak _dl_find_object",
            "adrp {0}, :got:_dl_find_object",
            "ldr {0}, [{0}, :got_lo12:_dl_find_object]",
            out(reg) address,
            options(pure, readonly, nostack, preserves_flags)
        );
    }
    // SAFETY: null is no function; what is not null is glibc's, whose signature this is.
    (address != 0).then(|| unsafe { core::mem::transmute::<usize, Find>(address) })
}

fn ask(address: u64) -> Option<Found> {
    let mut found = Found::default();
    // SAFETY: the structure is at least as large as the C library's.
    let result = unsafe { find()?(address as *const c_void, &mut found) };
    (result == 0 && found.link_map != 0).then_some(found)
}

/// The loaded file that an address lies in. Everything is known of it as it was a moment ago: what is made of it
/// counts if it [is still loaded](Object::is_loaded) afterwards.
pub(crate) fn object_at(address: u64) -> Option<Object> {
    let found = ask(address)?;
    let copied = usual(&found)?;
    Some(Object { found, copied })
}

/// The head of a file that the loader found. Where there is a gap between its segments it tells of one of them, and the
/// head is in the first: where the file was moved to, if its own addresses begin at 0, as those of all do that can be moved.
fn usual(found: &Found) -> Option<Copied> {
    let at = |head| copy(head, found).filter(Copied::is_usual);
    at(found.start).or_else(|| at(bias(found)?))
}

/// How far a file was moved from its own addresses.
fn bias(found: &Found) -> Option<u64> {
    let mut bias = [0; 8];
    let is_read = sys::copy_own(&[(found.link_map, 8)], &mut bias) == 8;
    is_read.then(|| u64::from_ne_bytes(bias))
}

/// Copies a file's head from where it lies, and what the loader says of the file.
fn copy(head: u64, found: &Found) -> Option<Copied> {
    let mut copied = Copied::default();
    // SAFETY: plain numbers of whatever value, without padding (their sizes are added up above).
    let bytes = unsafe {
        core::slice::from_raw_parts_mut((&raw mut copied).cast::<u8>(), size_of::<Copied>())
    };
    let ranges = [(head, FILE_BYTES), (found.link_map, LINK_MAP_BYTES)];
    (sys::copy_own(&ranges, bytes) == size_of::<Copied>()).then_some(copied)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_found_with_its_headers_and_data_on_the_heap_is_not() {
        if find().is_none() {
            // An older C library, or another one.
            return;
        }
        let here =
            code_is_found_with_its_headers_and_data_on_the_heap_is_not as fn() as usize as u64;
        let object = object_at(here).expect("the executable");
        assert!(
            object
                .headers()
                .iter()
                .any(|header| header.kind == sys::LOAD)
        );
        // Told of a segment behind the first, and of one that is shorter than a head.
        let found = ask(here).expect("the executable");
        for start in [found.start + 4096, 8] {
            let elsewhere = Found { start, ..found };
            assert!(usual(&elsewhere).is_some_and(|copied| copied.bias == bias(&found).unwrap()));
        }
        // The C library's function lies in a file that has a name.
        let library = object_at(libc::getpid as *const () as u64).expect("the C library");
        let mut buffer = [0; 1024];
        let path = library.path(&mut buffer);
        assert!(path.starts_with(b"/"), "{path:?}");
        assert!(library.is_loaded());
        let heap = Box::new(0u8);
        assert!(object_at(core::ptr::from_ref(&*heap) as u64).is_none());
        assert!(object_at(0).is_none());
        assert!(object_at(u64::MAX).is_none());
    }
}
