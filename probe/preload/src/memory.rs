//! Memory that operations point at, when the program gives it away.
//!
//! A block that nobody watches costs one load, and while anything is watched a look at the count of its page.
//! Before the free of a watched block is recorded, all rings are looked at: what is completed by then is not
//! in flight any more.

use core::ffi::c_void;

use probe::preload;

use crate::{next, rings, uring};

/// Before `free`.
#[inline(always)]
pub(crate) fn freeing(block: *mut c_void) {
    if preload::is_watching() && !block.is_null() {
        may_be_freeing(block);
    }
    giving_back(block);
}

/// A block that a ring's queues may lie in.
#[inline(always)]
fn giving_back(block: *mut c_void) {
    // SAFETY: the program is about to give it to the same allocator, which knows the size of null too.
    uring::giving_back(block as usize, || unsafe { next::usable_size(block) });
}

#[cold]
#[inline(never)]
fn may_be_freeing(block: *mut c_void) {
    if let Some(size) = watched_size(block) {
        rings::each(|ring| ring.look());
        preload::freeing(block as usize, size);
    }
}

/// The size of a block, if it is watched.
fn watched_size(block: *mut c_void) -> Option<usize> {
    // SAFETY: the program is about to give it to the same allocator.
    let size = unsafe { next::usable_size(block) };
    let address = block as usize;
    (preload::may_be_watched(address, size) && preload::is_watched(address, size)).then_some(size)
}

/// `realloc`, which may move a block.
///
/// # Safety
///
/// As for `realloc`.
#[inline(always)]
pub(crate) unsafe fn realloc(block: *mut c_void, size: usize) -> *mut c_void {
    let watched = preload::is_watching() && !block.is_null() && watched_size(block).is_some();
    if watched {
        rings::each(|ring| ring.look());
    }
    giving_back(block);
    // SAFETY: the caller's promise.
    let new = unsafe { next::realloc(block, size) };
    if watched && !new.is_null() {
        preload::resized(block as usize, new as usize, size);
    }
    new
}

/// Before `munmap`.
#[inline(always)]
pub(crate) fn unmapping(start: *mut c_void, len: usize) {
    uring::giving_back(start as usize, || len);
    if preload::is_watching() && preload::may_be_watched(start as usize, len) {
        rings::each(|ring| ring.look());
        probe::memory::unmapping(start, len);
    }
}
