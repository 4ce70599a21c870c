//! Which memory somebody outside points into, and what becomes of it.
//!
//! Addresses that left as cookies, and buffers of operations, are *watched* from then on: where the
//! program's allocator is [`crate::Alloc`], the free of a block with a watched address in it is
//! recorded, and ends the watch. Mappings are told of by hand: [`unmapping`], [`remapped`].
//!
//! Not seen: what an allocator of the program's own does with a block that it keeps, blocks that C
//! code frees by itself, and memory behind an `iovec` or a `msghdr`: of those the description is
//! watched, not what it describes.

#[cfg(all(
    feature = "record",
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod filter;

#[cfg(all(
    feature = "record",
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod watch;
#[cfg(not(all(
    feature = "record",
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
#[path = "inactive.rs"]
mod watch;

#[cfg(all(
    feature = "preload",
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
pub(crate) use watch::shim;
#[cfg(all(
    feature = "c",
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
pub(crate) mod feed;
#[cfg(all(
    feature = "c",
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
pub(crate) use watch::{feed::watch_cookie, told_freeing};
pub(crate) use watch::{watch, watch_entry};

#[expect(unsafe_code, reason = "is an allocator, around another one")]
mod alloc;
pub use alloc::Alloc;

use wire::record::Kind;

use crate::recorder;

/// The program is about to unmap memory (`munmap`), or to map something else over it. Called before,
/// while nobody else can be given the range.
///
/// ```
/// # let (start, bytes) = (std::ptr::null::<u8>(), 0);
/// probe::memory::unmapping(start, bytes);
/// // munmap(start, bytes)
/// ```
#[inline]
pub fn unmapping<T>(start: *const T, bytes: usize) {
    if recorder::recording() {
        recorder::record(Kind::Unmap, 0, 0, [start as u64, bytes as u64]);
    }
}

/// `mremap` has moved or cut a mapping: what no longer belongs to it counts as unmapped. Sizes are bytes.
///
/// ```
/// # let (old, old_bytes, new, new_bytes) = (0x1000 as *const u8, 8192, 0x1000 as *const u8, 4096);
/// // let new = mremap(old, old_bytes, new_bytes, MREMAP_MAYMOVE)
/// probe::memory::remapped(old, old_bytes, new, new_bytes);
/// ```
#[inline]
pub fn remapped<T>(old: *const T, old_bytes: usize, new: *const T, new_bytes: usize) {
    if !core::ptr::eq(old, new) {
        unmapping(old, old_bytes);
    } else if let Some(cut @ 1..) = old_bytes.checked_sub(new_bytes) {
        unmapping(old.cast::<u8>().wrapping_add(new_bytes), cut);
    }
}
