//! Mappings of memory, of files and of none, and what a forked child sees of them.
//!
//! Holds `unsafe`: foreign functions, and stores into words that the caller owns.

use core::ffi::{c_int, c_long, c_ulong, c_void};
use core::sync::atomic::AtomicU64;
#[cfg(not(target_arch = "x86_64"))]
use core::sync::atomic::Ordering;

unsafe extern "C" {
    fn mmap(
        addr: *mut c_void,
        len: usize,
        prot: c_int,
        flags: c_int,
        fd: c_int,
        off: i64,
    ) -> *mut c_void;
    fn munmap(addr: *mut c_void, len: usize) -> c_int;
    fn madvise(addr: *mut c_void, len: usize, advice: c_int) -> c_int;
    fn syscall(number: c_long, ...) -> c_long;
}

const PROT_READ_WRITE: c_int = 3;
const MAP_SHARED: c_int = 1;
const MAP_PRIVATE: c_int = 2;
const MAP_ANONYMOUS: c_int = 0x20;
const MAP_FIXED_NOREPLACE: c_int = 0x10_0000;
const MAP_NORESERVE: c_int = 0x4000;
const MADV_POPULATE_WRITE: c_int = 23;
const MADV_DONTFORK: c_int = 10;
const MADV_DONTDUMP: c_int = 16;
const MADV_WIPEONFORK: c_int = 18;

/// What stands for a mapping where there are none: zeroed memory that nobody gives back.
fn allocate(bytes: usize) -> Option<*mut u8> {
    let layout = std::alloc::Layout::from_size_align(bytes, 4096).ok()?;
    // SAFETY: no mapping has a size of zero.
    Some(unsafe { std::alloc::alloc_zeroed(layout) })
}

/// Zeroed memory of this process that reads as zero in a forked child.
pub(crate) fn map_private(bytes: usize) -> Option<*mut u8> {
    if cfg!(miri) {
        return allocate(bytes);
    }
    // SAFETY: a new anonymous mapping; nothing existing is touched.
    let base = unsafe {
        mmap(
            core::ptr::null_mut(),
            bytes,
            PROT_READ_WRITE,
            MAP_PRIVATE | MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if base as isize == -1 {
        return None;
    }
    // SAFETY: the range was just mapped. Without the advice a forked child would go on with the
    // parent's cursor, so a kernel that refuses it (before 4.14) means no recording.
    if unsafe { madvise(base, bytes, MADV_WIPEONFORK) } != 0 {
        unmap(base.cast(), bytes);
        return None;
    }
    // SAFETY: as above; a refusal only makes core dumps larger.
    unsafe { madvise(base, bytes, MADV_DONTDUMP) };
    Some(base.cast())
}

/// Memory that a forked child does not have: of the file, or of no file.
pub(crate) fn map_shared(fd: Option<i32>, bytes: usize) -> Option<*mut u8> {
    if cfg!(miri) {
        return allocate(bytes);
    }
    let flags = MAP_SHARED | if fd.is_none() { MAP_ANONYMOUS } else { 0 };
    // SAFETY: a new mapping; nothing existing is touched. The caller made sure that the file has `bytes`, so that no access is
    // past its end.
    let base = unsafe {
        mmap(
            core::ptr::null_mut(),
            bytes,
            PROT_READ_WRITE,
            flags,
            fd.unwrap_or(-1),
            0,
        )
    };
    if base as isize == -1 {
        return None;
    }
    // SAFETY: the range was just mapped. A child that kept the mapping would overwrite its parent's
    // records, so a refusal means no recording.
    if unsafe { madvise(base, bytes, MADV_DONTFORK) } != 0 {
        unmap(base.cast(), bytes);
        return None;
    }
    // SAFETY: as above.
    unsafe { madvise(base, bytes, MADV_DONTDUMP) };
    Some(base.cast())
}

/// Gives a mapping back.
pub(crate) fn unmap(base: *mut u8, bytes: usize) {
    // SAFETY: callers pass a whole mapping of their own that nothing points into.
    unsafe { munmap(base.cast(), bytes) };
}

/// Calls `munmap` as the program does, in a way that the kernel refuses: for who takes that name (see [`wire::feed`]).
/// `errno` stays.
#[cfg(feature = "c")]
pub(crate) fn offer(address: usize) {
    debug_assert!(address % 2 == 1, "no page begins there");
    if cfg!(miri) {
        return;
    }
    // SAFETY: refused, as no page begins at the address; nothing is unmapped.
    super::keep_errno(|| unsafe { munmap(address as *mut c_void, 0) });
}

/// Gives a part of a shared mapping its pages now, so that records do not have to wait for them, and says whether all are
/// there: where the disk has none left, this is an error, and a store would be a SIGBUS. A kernel that does not know the
/// advice (before 5.14) hands them out at the first touch.
pub(crate) fn populate(base: *mut u8, bytes: usize) -> bool {
    if cfg!(miri) {
        return true;
    }
    // SAFETY: the range is part of a mapping of the caller's; the advice changes no content.
    unsafe { madvise(base.cast(), bytes, MADV_POPULATE_WRITE) == 0 }
}

/// Stores zeros. The processor's own way of doing so is up to twice as fast as a word at a time, and
/// does not read memory first.
pub(crate) fn clear(words: &[AtomicU64]) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the words are ours to write, as atomics; to the compiler the instruction is as opaque as
    // another thread's stores. It changes the two registers that are named, and memory.
    unsafe {
        core::arch::asm!(
            "rep stosb",
            inout("rcx") size_of_val(words) => _,
            inout("rdi") words.as_ptr() => _,
            in("al") 0u8,
            options(nostack, preserves_flags),
        );
    }
    #[cfg(not(target_arch = "x86_64"))]
    for word in words {
        word.store(0, Ordering::Relaxed);
    }
}

/// In a forked child: puts memory that nobody looks at where the parent's file is mapped, for the case
/// that the fork happened in a signal handler that interrupted a record.
pub(crate) fn map_over(base: *mut u8, bytes: usize) {
    let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE;
    // SAFETY: the file's mapping is not there in a child, and the flag keeps anything else that may
    // be there by now.
    unsafe { mmap(base.cast(), bytes, PROT_READ_WRITE, flags, -1, 0) };
}

#[cfg(target_arch = "x86_64")]
const PROCESS_VM_READV: c_long = 310;
#[cfg(target_arch = "aarch64")]
const PROCESS_VM_READV: c_long = 270;

/// Copies ranges of this process's own memory, one behind the other, which other threads may unmap at any time.
/// How many bytes were copied: fewer from the first page on that cannot be read, none where the call is not
/// allowed.
pub(crate) fn copy_own(ranges: &[(u64, usize)], into: &mut [u8]) -> usize {
    /// `struct iovec`, of memory that may not be there.
    #[repr(C)]
    #[derive(Clone, Copy, Default)]
    struct Part {
        start: u64,
        bytes: u64,
    }
    /// `struct iovec`, of memory that is there.
    #[repr(C)]
    struct Room(*mut u8, usize);
    const PAGE: u64 = 4096;
    const NONE: c_ulong = 0;
    if cfg!(miri) {
        return 0;
    }
    // The kernel copies a part as a whole or not at all, so none reaches into another page.
    let mut parts = [Part::default(); 8];
    let mut left = parts.iter_mut();
    for (start, bytes) in ranges {
        let (mut start, mut bytes) = (*start, *bytes as u64);
        while bytes > 0
            && let Some(part) = left.next()
        {
            let here = bytes.min(PAGE - start % PAGE);
            *part = Part { start, bytes: here };
            start = start.wrapping_add(here);
            bytes -= here;
        }
    }
    let room = Room(into.as_mut_ptr(), into.len());
    // SAFETY: the kernel writes at most as many bytes as there is room for, and reads ours through its own tables:
    // what is not mapped there is an error and no fault.
    let copied = unsafe {
        syscall(
            PROCESS_VM_READV,
            super::process_id(),
            &raw const room,
            1 as c_ulong,
            parts.as_ptr(),
            parts.len() as c_ulong,
            NONE,
        )
    };
    usize::try_from(copied).unwrap_or(0)
}
