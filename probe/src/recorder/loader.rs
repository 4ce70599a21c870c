//! The loaded file that an address lies in, without the loader's lock: what was loaded since the recording
//! began is found where a call stack leads there, also from a signal handler.
//!
//! `_dl_find_object` (glibc 2.35, 2022) is made for unwinders: it neither waits nor allocates. It is
//! referred to weakly, so that a program still starts where the C library does not have it; then nothing is
//! found.
//!
//! Holds `unsafe`: a call through a weak symbol, and loads from the headers of a loaded file.

use core::arch::asm;
use core::ffi::{CStr, c_char, c_int, c_void};

use crate::recorder::sys::{Loaded, ProgramHeader};

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

/// The public first fields of `struct link_map`.
#[repr(C)]
struct LinkMap {
    bias: u64,
    name: *const c_char,
}

/// The head of a 64-bit ELF file (`Elf64_Ehdr`).
#[repr(C)]
struct ElfHead {
    magic: [u8; 16],
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
}

/// A file that is loaded now.
pub(crate) struct Object {
    bias: u64,
    name: &'static [u8],
    headers: &'static [ProgramHeader],
}

impl Object {
    pub(crate) fn loaded(&self) -> Loaded<'_> {
        Loaded {
            bias: self.bias,
            name: self.name,
            headers: self.headers,
        }
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

/// The loaded file that an address lies in.
///
/// What it gives is valid as long as that file stays loaded. A return address on the stack keeps it so: the
/// program must not unload code that it will return to.
pub(crate) fn object_at(address: u64) -> Option<Object> {
    /// The headers lie in the first page, which is mapped.
    const PAGE: u64 = 4096;
    let mut found = Found::default();
    // SAFETY: the structure is at least as large as the C library's.
    if unsafe { find()?(address as *const c_void, &mut found) } != 0 {
        return None;
    }
    let (start, end) = (found.start, found.end);
    if !start.is_multiple_of(8) || end.saturating_sub(start) < PAGE || found.link_map == 0 {
        return None;
    }
    // SAFETY: a file that is loaded begins with its head, in a page that is mapped: seen by its magic
    // number, which is read first. The loader's own structure stays as long as the file. That no other
    // thread unloads it now is believed: it is on a stack, unless a frame pointer was none.
    unsafe {
        let magic = (start as *const [u8; 4]).read();
        if magic != *b"\x7fELF" {
            return None;
        }
        let head = &*(start as *const ElfHead);
        let count = usize::from(head.header_count);
        let bytes = count as u64 * size_of::<ProgramHeader>() as u64;
        let is_usual = usize::from(head.header_size) == size_of::<ProgramHeader>()
            && head.headers_offset.is_multiple_of(8)
            && head.headers_offset.checked_add(bytes)? <= PAGE;
        if !is_usual {
            return None;
        }
        let headers = (start + head.headers_offset) as *const ProgramHeader;
        let map = &*(found.link_map as *const LinkMap);
        let name = if map.name.is_null() {
            &[]
        } else {
            CStr::from_ptr(map.name).to_bytes()
        };
        Some(Object {
            bias: map.bias,
            name,
            headers: core::slice::from_raw_parts(headers, count),
        })
    }
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
                .headers
                .iter()
                .any(|header| header.kind == crate::recorder::sys::LOAD)
        );
        // The C library's function lies in a file that has a name.
        let library = object_at(libc::getpid as *const () as u64).expect("the C library");
        assert!(library.name.starts_with(b"/"), "{:?}", library.name);
        let heap = Box::new(0u8);
        assert!(object_at(core::ptr::from_ref(&*heap) as u64).is_none());
        assert!(object_at(0).is_none());
        assert!(object_at(u64::MAX).is_none());
    }
}
