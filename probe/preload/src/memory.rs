//! Memory that operations point at, when the program gives it away.
//!
//! A block that nobody watches costs two loads, and while anything is watched a look at its size and at the words of its
//! page and of the next one, which say near what anything is watched.
//! Before the free of a watched block is recorded, all rings are looked at: what is completed by then is not
//! in flight any more.

use core::ffi::c_void;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use probe::preload::{self, Look};

use crate::{feeds, next, rings, uring};

/// Whether a free of nothing came here.
static ASKED: AtomicBool = AtomicBool::new(false);
/// The process that was asked: a forked child has a recording of its own.
static ASKED_IN: AtomicU32 = AtomicU32::new(0);

/// Says so, once in a process, where what the program frees does not come here: it brings an allocator of its own, a sanitizer that is
/// linked into it does, or Valgrind puts another function in the place of this one.
pub(crate) fn say_if_unseen() {
    let process = preload::process_id();
    if ASKED_IN.swap(process, Ordering::Relaxed) == process {
        return;
    }
    if !sees_frees() {
        preload::not_seen(
            "not recorded: what is freed, as the program's malloc and free are not the C library's (Valgrind, a sanitizer \
             linked statically, an allocator of its own): of T07 and T16 only what is unmapped can be told; record it \
             without those as well",
        );
    }
}

/// Whether what the program frees comes here: it is asked to free nothing.
pub(crate) fn sees_frees() -> bool {
    ASKED.store(false, Ordering::Relaxed);
    next::programs_free(core::ptr::null_mut());
    ASKED.load(Ordering::Relaxed)
}

/// Whether nothing that is watched is near a block, of which nothing else is to be asked: at each `free`, so in a few
/// instructions, and without a call.
///
/// # Safety
///
/// The block is null or the C library's own.
#[inline(always)]
pub(crate) unsafe fn is_far(block: *mut c_void) -> bool {
    // SAFETY: the caller's promise.
    let size = || unsafe { next::plain_block_size(block) };
    !block.is_null() && (!preload::is_watching() || !preload::is_near(block as usize, size()))
}

/// Whether nothing is to be done before `free`, where more is asked.
#[inline(always)]
fn is_nobodys(block: *mut c_void) -> bool {
    let is_far = |size| !preload::is_near(block as usize, size);
    !block.is_null()
        && !uring::has_lent()
        && !feeds::are_watching()
        && (!preload::is_watching() || next::block_size_at_hand(block).is_some_and(is_far))
}

/// `free`, where more is asked.
///
/// # Safety
///
/// As for `free`.
#[inline(always)]
pub(crate) unsafe fn free(block: *mut c_void) {
    match next::free_at_hand() {
        // SAFETY: the caller's promise.
        Some(free) if is_nobodys(block) => unsafe { free(block) },
        // SAFETY: as above.
        _ => unsafe { free_somebodys(block) },
    }
}

/// `free` of a block that may be watched, or lie in the way of something else, or is none.
///
/// # Safety
///
/// As for `free`.
#[cold]
#[inline(never)]
pub(crate) unsafe fn free_somebodys(block: *mut c_void) {
    if block.is_null() {
        ASKED.store(true, Ordering::Relaxed);
        return;
    }
    if preload::is_watching() && is_watched(block) {
        look_at_all();
        preload::freeing(block as usize, next::block_size(block));
    }
    giving_back(block);
    feeds::freeing(block);
    // SAFETY: the caller's promise.
    unsafe { next::free(block) };
}

fn look_at_all() {
    rings::each(|ring| Look::take(|look| ring.look(look)));
}

/// A block that a ring's queues may lie in.
#[inline(always)]
fn giving_back(block: *mut c_void) {
    if !block.is_null() {
        uring::giving_back(block as usize, || next::block_size(block));
    }
}

/// Whether a block is watched.
fn is_watched(block: *mut c_void) -> bool {
    let (address, size) = (block as usize, next::block_size(block));
    preload::may_be_watched(address, size) && preload::is_watched(address, size)
}

/// `realloc`, which may move a block.
///
/// # Safety
///
/// As for `realloc`.
#[inline(always)]
pub(crate) unsafe fn realloc(block: *mut c_void, size: usize) -> *mut c_void {
    if feeds::are_there() {
        // SAFETY: the caller's promise.
        return unsafe { feeds::realloc(block, size) };
    }
    let watched = preload::is_watching() && !block.is_null() && is_watched(block);
    if watched {
        look_at_all();
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
    if feeds::is_offer(start, len) {
        return feeds::offered(start);
    }
    feeds::unmapping(start, len);
    uring::giving_back(start as usize, || len);
    if preload::is_watching() && preload::may_be_watched(start as usize, len) {
        look_at_all();
        probe::memory::unmapping(start, len);
    }
}
