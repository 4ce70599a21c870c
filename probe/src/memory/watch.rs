//! The one filter of the process, and the records that follow from it.

use std::sync::atomic::{AtomicBool, Ordering};

use wire::record::Kind;

use super::filter::Filter;
use crate::{recorder, sanitizer};

static FILTER: Filter = Filter::new();
/// Whether anybody asks the filter at all.
static INSTALLED: AtomicBool = AtomicBool::new(false);

/// Watches the block that an address points into, if an allocator asks for it.
#[inline(always)]
pub(crate) fn watch(address: u64) {
    if INSTALLED.load(Ordering::Relaxed) {
        keep(address);
    }
}

/// As [`watch`], for what a submission entry points at: its words are those of the kernel's structure. Memory of
/// this thread's stack is watched whether an allocator asks or not.
#[inline(always)]
pub(crate) fn watch_entry(entry: &crate::ring::Entry) {
    if recorder::recording() {
        recorder::frames::pushed(entry);
    }
    if INSTALLED.load(Ordering::Relaxed) {
        keep(entry[2]);
        // IORING_OP_ACCEPT, _STATX, _OPENAT2: here `addr2` is an address too.
        if let 13 | 21 | 28 = entry[0] as u8 {
            keep(entry[1]);
        }
    }
}

#[inline]
fn keep(address: u64) {
    // A simulated recording allocates while it records.
    let wanted = recorder::recording() || sanitizer::present();
    if wanted && !recorder::is_simulated() {
        FILTER.keep(address);
    }
}

/// There is an allocator that asks.
#[inline(always)]
pub(super) fn installed() {
    // Loaded first, so that the line stays shared between processors.
    if !INSTALLED.load(Ordering::Relaxed) {
        INSTALLED.store(true, Ordering::Relaxed);
    }
}

/// A block is about to be given back to its allocator: recorded, if it is watched.
#[inline(always)]
pub(super) fn freeing(address: u64, size: usize) {
    if FILTER.may_hold(address, size as u64) {
        free(address, size as u64);
    }
}

#[cold]
#[inline(never)]
pub(super) fn free(address: u64, size: u64) {
    if FILTER.forget(address, size) {
        recorder::record(Kind::Free, 0, 0, [address, size]);
        sanitizer::freeing(address, size);
    }
}

/// A block that a program says it gives back: recorded whether it is watched or not where nothing is, as nobody asks.
#[cfg(feature = "c")]
pub(crate) fn told_freeing(address: u64, size: u64) {
    if !INSTALLED.load(Ordering::Relaxed) {
        recorder::record(Kind::Free, 0, 0, [address, size]);
    } else if FILTER.may_hold(address, size) {
        free(address, size);
    }
}

/// Whether a block that is about to get a new size may be watched.
#[inline(always)]
pub(super) fn may_be_watched(address: u64, size: usize) -> bool {
    FILTER.may_hold(address, size as u64)
}

/// A block that may be watched has a new size, and maybe another place. Its old addresses stay watched:
/// whoever points at them still does, and the free of their next owner ends it.
#[cold]
#[inline(never)]
pub(super) fn resized(old: u64, old_size: usize, new: u64, new_size: usize) {
    if FILTER.holds(old, old_size as u64) {
        recorder::record(Kind::Realloc, 0, 0, [old, new, new_size as u64]);
    }
}

/// For the probe for C, whose program's frees the shim brings.
#[cfg(feature = "c")]
pub(crate) mod feed {
    use core::sync::atomic::{AtomicU32, AtomicU64};

    use super::FILTER;

    pub(crate) const fn watched() -> &'static AtomicU32 {
        FILTER.count()
    }

    pub(crate) const fn pages() -> &'static [AtomicU64; wire::feed::PAGES] {
        FILTER.pages()
    }

    pub(crate) fn holds(address: u64, size: u64) -> bool {
        FILTER.holds(address, size)
    }

    /// Watches what a cookie points to, where it may be a pointer.
    #[inline(always)]
    pub(crate) fn watch_cookie(cookie: u64) {
        if super::POINTERS.contains(&cookie) {
            super::watch(cookie);
        }
    }
}

/// Lowest and highest address that a cookie must lie between to be watched as a pointer.
#[cfg(any(feature = "c", feature = "preload"))]
const POINTERS: core::ops::Range<u64> = 0x1_0000..1 << 56;

/// For the shim, which is asked for blocks of which it knows the size only from the allocator.
#[cfg(feature = "preload")]
pub(crate) mod shim {
    use super::{FILTER, POINTERS};
    use crate::ring::{Entry, Words};

    #[inline(always)]
    pub(crate) fn watch([head, off, addr, lengths, cookie, sixth]: Words) {
        // Whatever of it may be an address: nothing, for most operations without memory.
        if off | addr | cookie >= POINTERS.start {
            watch_any(&[head, off, addr, lengths, cookie, sixth, 0, 0]);
        }
    }

    #[inline(never)]
    fn watch_any(entry: &Entry) {
        super::installed();
        super::watch_entry(entry);
        let cookie = entry[4];
        if POINTERS.contains(&cookie) {
            super::keep(cookie);
        }
    }

    #[inline(always)]
    pub(crate) fn is_watching() -> bool {
        FILTER.is_watching()
    }

    #[inline(always)]
    pub(crate) fn is_near(address: u64, size: usize) -> bool {
        FILTER.is_near(address, size as u64)
    }

    #[inline(always)]
    pub(crate) fn may_be_watched(address: u64, size: usize) -> bool {
        super::may_be_watched(address, size)
    }

    pub(crate) fn is_watched(address: u64, size: usize) -> bool {
        FILTER.holds(address, size as u64)
    }

    pub(crate) fn freeing(address: u64, size: usize) {
        super::free(address, size as u64);
    }
}
