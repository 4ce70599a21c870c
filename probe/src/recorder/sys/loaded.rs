//! The files that code of this process was loaded from, as the loader lists them.
//!
//! Holds `unsafe`: a foreign function, and what the loader says of its files.

use core::ffi::{CStr, c_char, c_int, c_void};

unsafe extern "C" {
    fn dl_iterate_phdr(
        callback: unsafe extern "C" fn(*const LoadedInfo, usize, *mut c_void) -> c_int,
        data: *mut c_void,
    ) -> c_int;
}

/// The first fields of `struct dl_phdr_info`.
#[repr(C)]
struct LoadedInfo {
    bias: u64,
    name: *const c_char,
    headers: *const ProgramHeader,
    count: u16,
}

/// `Elf64_Phdr`
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct ProgramHeader {
    pub(crate) kind: u32,
    pub(crate) flags: u32,
    pub(crate) offset: u64,
    pub(crate) address: u64,
    physical: u64,
    pub(crate) file_bytes: u64,
    pub(crate) memory_bytes: u64,
    pub(crate) align: u64,
}

/// `PT_LOAD`
pub(crate) const LOAD: u32 = 1;
/// `PT_NOTE`
pub(crate) const NOTE: u32 = 4;
/// `PF_X`
pub(crate) const EXECUTABLE: u32 = 1;
/// `PF_R`
const READABLE: u32 = 4;

/// A file that code of this process was loaded from.
pub(crate) struct Loaded<'a> {
    /// Where address 0 of the file would be.
    pub(crate) bias: u64,
    /// Its path; empty for the executable.
    pub(crate) name: &'a [u8],
    pub(crate) headers: &'a [ProgramHeader],
}

impl Loaded<'_> {
    /// The bytes of a segment, where all of them were loaded to be read.
    pub(crate) fn segment(&self, header: &ProgramHeader) -> Option<&[u8]> {
        let end = header.address.checked_add(header.memory_bytes)?;
        let holds = |load: &ProgramHeader| {
            load.kind == LOAD
                && load.flags & READABLE != 0
                && load.address <= header.address
                && load
                    .address
                    .checked_add(load.file_bytes)
                    .is_some_and(|last| end <= last)
        };
        if !self.headers.iter().any(holds) {
            return None;
        }
        let start = self.bias.wrapping_add(header.address) as *const u8;
        // SAFETY: the range lies within a segment that the loader mapped for reading, and that stays
        // while `dl_iterate_phdr` holds the loader's lock. Notes are not written to.
        Some(unsafe { core::slice::from_raw_parts(start, header.memory_bytes as usize) })
    }
}

/// Shows all loaded files to `body`, the executable first, until it returns false. Takes the loader's
/// lock: not for code that may have interrupted the loader.
pub(crate) fn each_loaded<F: FnMut(&Loaded<'_>) -> bool>(mut body: F) {
    if cfg!(miri) {
        return;
    }
    unsafe extern "C" fn one<F: FnMut(&Loaded<'_>) -> bool>(
        info: *const LoadedInfo,
        _: usize,
        body: *mut c_void,
    ) -> c_int {
        // SAFETY: the loader passes a valid structure, and what `each_loaded` gave it.
        let (info, body) = unsafe { (&*info, &mut *body.cast::<F>()) };
        let name = if info.name.is_null() {
            &[]
        } else {
            // SAFETY: a name that the loader holds ends in NUL.
            unsafe { CStr::from_ptr(info.name) }.to_bytes()
        };
        let headers = if info.headers.is_null() {
            &[]
        } else {
            // SAFETY: as many headers as the loader says, which stay while it holds its lock.
            unsafe { core::slice::from_raw_parts(info.headers, usize::from(info.count)) }
        };
        let loaded = Loaded {
            bias: info.bias,
            name,
            headers,
        };
        c_int::from(!body(&loaded))
    }
    // SAFETY: the callback is called before this returns, with a pointer to `body`.
    unsafe { dl_iterate_phdr(one::<F>, core::ptr::from_mut(&mut body).cast()) };
}
