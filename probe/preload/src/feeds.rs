//! Probes beside the shim that cannot see what their program frees (that for C): they offer a [`Feed`], and are told.
//!
//! The shim itself steps aside in their process: it follows no ring there and records nothing.
//!
//! An offer is a call of `munmap` that any kernel refuses. A program may make one like it by mistake: nothing at its
//! address is read before the kernel has said that it can be.

use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};

use wire::feed::{FEEDS_MAX, FREES, Feed, MAGIC, TAKEN, may_be_near};

use crate::lock::Lock;
use crate::{kernel, memory, next};

static FEEDS: [AtomicPtr<Feed>; FEEDS_MAX] =
    [const { AtomicPtr::new(core::ptr::null_mut()) }; FEEDS_MAX];
/// Where to look whether anything is watched: in the one feed that there is, or where that is never so, or always.
static WATCHED: AtomicPtr<AtomicU32> = AtomicPtr::new((&raw const NOTHING).cast_mut());
static NOTHING: AtomicU32 = AtomicU32::new(0);
static ALWAYS: AtomicU32 = AtomicU32::new(1);
/// How many of them there are.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Whether anybody is told of anything.
#[inline(always)]
pub(crate) fn are_there() -> bool {
    COUNT.load(Ordering::Relaxed) != 0
}

fn each() -> impl Iterator<Item = &'static Feed> {
    let feeds = FEEDS.iter().take(COUNT.load(Ordering::Acquire));
    // SAFETY: null, or a feed that was offered, which stays as long as the process does.
    feeds.filter_map(|feed| unsafe { feed.load(Ordering::Acquire).as_ref() })
}

/// Whether a call of `munmap` is an offer, or looks like one: it unmaps nothing, and its address is none of a page.
#[inline(always)]
pub(crate) fn is_offer(start: *mut c_void, len: usize) -> bool {
    len == 0 && start as usize % align_of::<Feed>() == 1
}

/// Takes a feed, if what lies before that address is one.
#[cold]
#[inline(never)]
pub(crate) fn offered(start: *mut c_void) {
    let at = start as usize - 1;
    let end = at.saturating_add(size_of::<Feed>() - size_of::<u64>());
    if !kernel::is_readable(at) || !kernel::is_readable(end) {
        return;
    }
    let feed = at as *mut Feed;
    // SAFETY: eight bytes that can be read, aligned.
    if unsafe { *(at as *const u64) } != MAGIC {
        return;
    }
    // SAFETY: begins as a feed does, which stays as long as the process.
    let it = unsafe { &*feed };
    // One at a time: in a handler of the thread that takes one nothing is taken.
    static ONE: Lock = Lock::new();
    let Some(_held) = ONE.take() else { return };
    let is_known = each().any(|known| core::ptr::eq(known, it));
    if !is_known {
        let free = FEEDS.iter().position(|place| {
            let null = core::ptr::null_mut();
            place
                .compare_exchange(null, feed, Ordering::Release, Ordering::Relaxed)
                .is_ok()
        });
        let Some(place) = free else { return };
        next::ask_more_before_free();
        let before = COUNT.fetch_max(place + 1, Ordering::Release);
        let watched = if place == 0 && before == 0 {
            core::ptr::from_ref(it.watched)
        } else {
            &raw const ALWAYS
        };
        WATCHED.store(watched.cast_mut(), Ordering::Release);
    }
    let frees = if memory::sees_frees() { FREES } else { 0 };
    it.taken.store(TAKEN | frees, Ordering::Release);
}

/// Where the function that this is inlined into has its frame.
#[inline(always)]
fn frame() -> usize {
    let frame: usize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: reads a register.
    unsafe {
        core::arch::asm!("mov {}, rbp", out(reg) frame, options(nomem, nostack, preserves_flags));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: reads a register.
    unsafe {
        core::arch::asm!("mov {}, x29", out(reg) frame, options(nomem, nostack, preserves_flags));
    }
    frame
}

/// Whether any feed watches anything.
#[inline(always)]
pub(crate) fn are_watching() -> bool {
    // SAFETY: a static, of the shim's or of a feed's, which stays.
    let watched = unsafe { &*WATCHED.load(Ordering::Relaxed) };
    watched.load(Ordering::Relaxed) != 0
}

/// Before `free`.
#[inline(always)]
pub(crate) fn freeing(block: *mut c_void) {
    if are_watching() && !block.is_null() {
        may_be_freeing(block);
    }
}

#[inline(never)]
fn may_be_freeing(block: *mut c_void) {
    let mut size = None;
    for feed in each() {
        if feed.watched.load(Ordering::Relaxed) == 0 {
            continue;
        }
        let block_size =
            || next::block_size_at_hand(block).unwrap_or_else(|| next::block_size(block));
        let bytes = *size.get_or_insert_with(block_size);
        if may_be_near(feed.pages, block as usize, bytes) && (feed.is_near)(block as usize, bytes) {
            (feed.freeing)(block as usize, next::block_size(block), frame());
        }
    }
}

/// `realloc`, where somebody is told.
///
/// # Safety
///
/// As for `realloc`.
#[cold]
#[inline(never)]
pub(crate) unsafe fn realloc(block: *mut c_void, size: usize) -> *mut c_void {
    let mut watching = [None; FEEDS_MAX];
    if !block.is_null() {
        let before = next::block_size(block);
        for (slot, feed) in watching.iter_mut().zip(each()) {
            let is_near =
                feed.watched.load(Ordering::Relaxed) != 0 && (feed.is_near)(block as usize, before);
            *slot = (is_near && (feed.is_watched)(block as usize, before)).then_some(feed);
            if size == 0
                && let Some(feed) = slot.take()
            {
                // The C library frees it.
                (feed.freeing)(block as usize, before, frame());
            }
        }
    }
    // SAFETY: the caller's promise.
    let new = unsafe { next::realloc(block, size) };
    if !new.is_null() {
        for feed in watching.into_iter().flatten() {
            (feed.resized)(block as usize, new as usize, size, frame());
        }
    }
    new
}

/// Before `munmap`.
#[inline(always)]
pub(crate) fn unmapping(start: *mut c_void, len: usize) {
    if are_there() && len != 0 {
        for feed in each() {
            if feed.watched.load(Ordering::Relaxed) != 0 && (feed.is_near)(start as usize, len) {
                (feed.unmapping)(start as usize, len, frame());
            }
        }
    }
}

/// Before `close`.
#[cold]
#[inline(never)]
pub(crate) fn closing(fd: c_int) {
    for feed in each() {
        (feed.closing)(fd);
    }
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::AtomicU64;

    use wire::feed::PAGES;

    use super::*;

    /// Something is watched everywhere.
    static EVERYWHERE: [AtomicU64; PAGES] = [const { AtomicU64::new(u64::MAX) }; PAGES];

    static IS_WATCHED: AtomicU32 = AtomicU32::new(0);
    static TOLD: AtomicU32 = AtomicU32::new(0);

    extern "C" fn is_near(_: usize, _: usize) -> bool {
        true
    }

    extern "C" fn freeing(_: usize, _: usize, _: usize) {
        TOLD.fetch_add(1, Ordering::Relaxed);
    }

    extern "C" fn resized(_: usize, _: usize, _: usize, _: usize) {
        TOLD.fetch_add(100, Ordering::Relaxed);
    }

    extern "C" fn closing(_: i32) {
        TOLD.fetch_add(10_000, Ordering::Relaxed);
    }

    const fn feed(magic: u64) -> Feed {
        Feed {
            magic,
            taken: AtomicU32::new(0),
            reserved: 0,
            watched: &IS_WATCHED,
            pages: &EVERYWHERE,
            is_near,
            freeing,
            is_watched: is_near,
            resized,
            unmapping: freeing,
            closing,
        }
    }

    /// What the program's call of `munmap` does.
    fn offer(at: usize) {
        let start = (at + 1) as *mut c_void;
        assert!(is_offer(start, 0));
        offered(start);
    }

    #[test]
    fn what_is_no_feed_of_this_version_is_not_taken_and_nothing_else_is_read() {
        static OTHER: Feed = feed(MAGIC + (1 << 56));
        static FIRST: Feed = feed(MAGIC);
        offer(&raw const OTHER as usize);
        assert_eq!(OTHER.taken.load(Ordering::Relaxed), 0);
        // Nothing is mapped there; and not behind the first word, whatever that says.
        offer(8);
        offer(usize::MAX & !7);
        // SAFETY: memory of its own, of whose two pages the second one may not be read.
        let page = unsafe {
            const MMAP: i64 = if cfg!(target_arch = "x86_64") { 9 } else { 222 };
            const MPROTECT: i64 = if cfg!(target_arch = "x86_64") {
                10
            } else {
                226
            };
            let page = kernel::call(MMAP, [0, 2 * 4096, 3, 0x22, usize::MAX, 0]);
            assert!(page > 0);
            let closed = kernel::call(MPROTECT, [page as usize + 4096, 4096, 0, 0, 0, 0]);
            assert_eq!(closed, 0);
            page
        };
        let last = (page as usize + 4096 - 8) as *mut u64;
        // SAFETY: the last word of the page.
        unsafe { last.write(MAGIC) };
        offer(last as usize);
        assert!(!are_there());
        for page_like in [0, 4096, 2, 7] {
            assert!(!is_offer(page_like as *mut c_void, 0));
            assert!(!is_offer((page_like | 1) as *mut c_void, 1));
        }

        offer(&raw const FIRST as usize);
        offer(&raw const FIRST as usize);
        assert_eq!(each().count(), 1);
        assert!(FIRST.taken.load(Ordering::Relaxed) & TAKEN != 0);
        let block = Box::into_raw(Box::new([0u64; 4]));
        let block = block.cast::<c_void>();
        freeing_of(block);
        assert_eq!(TOLD.load(Ordering::Relaxed), 0, "nothing is watched");
        IS_WATCHED.store(1, Ordering::Relaxed);
        freeing_of(block);
        unmapping(block, 0);
        unmapping(block, 4096);
        super::closing(3);
        assert_eq!(TOLD.load(Ordering::Relaxed), 10_002);

        // More than there is room for: those that have a place go on.
        static MORE: [Feed; FEEDS_MAX] = [const { feed(MAGIC) }; FEEDS_MAX];
        for feed in &MORE {
            offer(core::ptr::from_ref(feed) as usize);
        }
        let taken = MORE
            .iter()
            .filter(|it| it.taken.load(Ordering::Relaxed) != 0);
        assert_eq!(taken.count(), FEEDS_MAX - 1);
        TOLD.store(0, Ordering::Relaxed);
        freeing_of(block);
        assert_eq!(TOLD.load(Ordering::Relaxed) as usize, FEEDS_MAX);
        // SAFETY: made above.
        drop(unsafe { Box::from_raw(block.cast::<[u64; 4]>()) });
    }

    fn freeing_of(block: *mut c_void) {
        super::freeing(block);
    }
}
