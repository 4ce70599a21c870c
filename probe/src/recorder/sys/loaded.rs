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
    /// The first bytes of a segment, where all of them were loaded to be read.
    pub(crate) fn segment<'b>(
        &self,
        header: &ProgramHeader,
        buffer: &'b mut [u8],
    ) -> Option<&'b [u8]> {
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
        let start = self.bias.wrapping_add(header.address);
        let count = buffer.len().min(header.memory_bytes as usize);
        let buffer = buffer.get_mut(..count)?;
        // SAFETY: the range lies within a segment that the loader mapped for reading, and that stays
        // while `dl_iterate_phdr` holds the loader's lock. Notes are not written to.
        unsafe { copy(start, buffer) };
        Some(buffer)
    }
}

/// Fills a buffer with what lies at an address. By instructions of our own: AddressSanitizer puts red zones between
/// the notes that were compiled with it, and would take the compiler's loads for a mistake.
///
/// # Safety
///
/// As many bytes as there is room for can be read there.
unsafe fn copy(from: u64, to: &mut [u8]) {
    let (place, count) = (to.as_mut_ptr(), to.len());
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the caller's promise; the instruction changes the registers that are named, and the buffer.
    unsafe {
        core::arch::asm!(
            "rep movsb",
            inout("rcx") count => _,
            inout("rdi") place => _,
            inout("rsi") from => _,
            options(nostack, preserves_flags),
        );
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        core::arch::asm!(
            "2:",
            "cbz {count}, 3f",
            "ldrb {byte:w}, [{from}], #1",
            "strb {byte:w}, [{place}], #1",
            "sub {count}, {count}, #1",
            "b 2b",
            "3:",
            count = inout(reg) count => _,
            place = inout(reg) place => _,
            from = inout(reg) from => _,
            byte = out(reg) _,
            options(nostack, preserves_flags),
        );
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
