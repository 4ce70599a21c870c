//! Rings of liburing: what `include/tracer_liburing.h` calls around liburing's own functions.
//!
//! A submission is recorded right before liburing publishes it, while the program still owns its slot; a
//! completion once, by its position in the queue, the first time that the program gets to see it,
//! whichever function showed it.
//!
//! The header reads `struct io_uring`, whose layout is liburing's affair, and hands a [`View`] in.

use std::ffi::{c_int, c_uint};
use std::sync::atomic::{AtomicU32, Ordering};

use probe::foreign;
use probe::ring::{Entry, Kind};

use crate::buffers;
use crate::place::{Called, Place};
use crate::ring::Ring;
use crate::rings::RINGS;

/// `IORING_SETUP_*` of queues that this does not follow, from the Linux user API.
const CQE_MIXED: u32 = 1 << 18;
const SQE_MIXED: u32 = 1 << 19;
const SQ_REWIND: u32 = 1 << 20;
/// `IORING_FEAT_EXT_ARG`: without it liburing submits timeouts of its own.
const EXT_ARG: u32 = 1 << 8;
/// `IORING_SETUP_SQPOLL`
const SQPOLL: u32 = 1 << 1;
/// `IORING_SQ_CQ_OVERFLOW`: the kernel keeps completions that found no room, until it is entered.
const CQ_OVERFLOW: u32 = 1 << 1;

/// `struct tracer_uring_view`: the parts of a `struct io_uring`, as they are now.
///
/// # Safety
///
/// Who hands one in promises that its pointers are those of a ring that liburing has set up and that is not
/// exited meanwhile, and that no other thread uses the same queue of the ring meanwhile, as liburing itself
/// demands.
#[repr(C)]
#[derive(Debug)]
pub struct View {
    sq_khead: *const AtomicU32,
    sq_kflags: *const AtomicU32,
    cq_khead: *const AtomicU32,
    cq_ktail: *const AtomicU32,
    cq_koverflow: *const AtomicU32,
    sqes: *mut Entry,
    cqes: *const [u64; 2],
    /// Entries that the program claimed and liburing did not publish yet, for who fills the submission queue: from
    /// here ...
    sqe_head: c_uint,
    /// ... to here.
    sqe_tail: c_uint,
    sq_entries: c_uint,
    cq_entries: c_uint,
    setup: c_uint,
    features: c_uint,
    fd: c_int,
    /// An entry takes `1 << sqe_shift` times 64 bytes.
    sqe_shift: c_uint,
    /// A completion takes `1 << cqe_shift` times 16 bytes.
    cqe_shift: c_uint,
}

/// A view that C handed in.
///
/// # Safety
///
/// As the type says.
pub(crate) unsafe fn view<'a>(parts: *const View) -> &'a View {
    // SAFETY: the caller's promise.
    unsafe { &*parts }
}

impl View {
    /// What a ring is known by.
    pub(crate) fn key(&self) -> usize {
        self.cq_khead as usize
    }

    /// Why this ring is not followed, if so.
    fn refusal(&self) -> Option<&'static str> {
        let mixed = self.setup & (CQE_MIXED | SQE_MIXED) != 0;
        if mixed {
            Some("a ring with entries of mixed sizes (IORING_SETUP_CQE_MIXED or _SQE_MIXED)")
        } else if self.setup & SQ_REWIND != 0 {
            Some("a ring whose submission queue is rewound (IORING_SETUP_SQ_REWIND)")
        } else if self.features & EXT_ARG == 0 {
            Some("a ring of a kernel older than 5.11 (no IORING_FEAT_EXT_ARG)")
        } else {
            None
        }
    }

    /// # Safety
    ///
    /// As for [`View`].
    unsafe fn completions_head(&self) -> u32 {
        // SAFETY: the caller's promise; in memory shared with the kernel, which uses it atomically.
        unsafe { &*self.cq_khead }.load(Ordering::Relaxed)
    }

    /// Looks whether the kernel keeps completions that found no room, and says so when that has changed, and behind
    /// each enter that did not fetch them.
    ///
    /// What the kernel counts is another thing: completions that it could not even keep, and dropped.
    ///
    /// # Safety
    ///
    /// As for [`View`].
    unsafe fn note_overflow(&self, ring: &Ring, hooks: &probe::ring::Ring, entered: bool) {
        // SAFETY: the caller's promise.
        let flags = unsafe { &*self.sq_kflags }.load(Ordering::Relaxed);
        // SAFETY: the caller's promise.
        let dropped = unsafe { &*self.cq_koverflow }.load(Ordering::Relaxed);
        // Read before it is written: an exchange locks the line, and neither changes as long as all goes well.
        let is_new = |last: &AtomicU32, now: u32| {
            last.load(Ordering::Relaxed) != now && last.swap(now, Ordering::Relaxed) != now
        };
        if is_new(&ring.dropped, dropped) {
            foreign::mark(
                b"the kernel dropped completions of a ring: it had no memory to keep them",
            );
        }
        let waiting = u32::from(flags & CQ_OVERFLOW != 0);
        let changed = is_new(&ring.waiting, waiting);
        if changed || entered && waiting != 0 {
            hooks.overflowed(u64::from(waiting));
        }
    }

    /// Where a completion lies.
    fn at(&self, position: u32) -> *const [u64; 2] {
        let index = ((position & self.cq_entries.wrapping_sub(1)) as usize) << self.cqe_shift;
        self.cqes.wrapping_add(index)
    }

    /// Records the completion at a position.
    ///
    /// # Safety
    ///
    /// As for [`View`]; the kernel does not write there.
    unsafe fn reaped(&self, hooks: &probe::ring::Ring, position: u32) {
        // SAFETY: the mapping holds `cq_entries` completions of that size. Their first 16 bytes are the cookie, then
        // result and flags.
        let [cookie, result] = unsafe { self.at(position).read() };
        hooks.reaped(cookie, result as u32 as i32, (result >> 32) as u32);
    }

    /// Makes the ring known, as of now.
    ///
    /// # Safety
    ///
    /// As for [`View`].
    unsafe fn introduce(&self) -> *mut Ring {
        let why_not = self.refusal();
        if let Some(why) = why_not {
            foreign::not_recorded(why);
        }
        let hooks = why_not.is_none().then(|| {
            foreign::makes_a_ring();
            probe::ring::Ring::created(
                Kind::InPlace,
                self.fd,
                self.sq_entries,
                self.cq_entries,
                self.setup,
                self.features,
            )
        });
        let ring = Box::into_raw(Box::new(Ring {
            hooks,
            // SAFETY: the caller's promise.
            seen: AtomicU32::new(unsafe { self.completions_head() }),
            early: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
            dropped: AtomicU32::new(0),
        }));
        if RINGS.insert(self.key(), ring) {
            return ring;
        }
        foreign::not_recorded("a ring beyond the 4,096 that can be followed at a time");
        // SAFETY: made a moment ago, and known to nobody.
        drop(unsafe { Box::from_raw(ring) });
        core::ptr::null_mut()
    }

    /// # Safety
    ///
    /// As for [`View`].
    pub(crate) unsafe fn ring(&self) -> *mut Ring {
        let ring = RINGS.find(self.key());
        if ring.is_null() {
            // SAFETY: the caller's promise.
            return unsafe { self.introduce() };
        }
        ring
    }
}

/// Positions from one up to another; none where that lies before it.
fn waiting(from: u32, to: u32) -> u32 {
    u32::try_from(to.wrapping_sub(from).cast_signed()).unwrap_or(0)
}

fn forget(key: usize) {
    buffers::forget_of(key);
    RINGS.remove(key, |ring| {
        // SAFETY: the table had it from `introduce` and gives it away once; nobody uses a ring that is
        // being exited.
        drop(unsafe { Box::from_raw(ring) });
    });
}

/// The ring that stands for a ring of liburing; null where there is no room for it.
///
/// # Safety
///
/// As for [`View`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tracer_uring(parts: *const View) -> *mut Ring {
    // SAFETY: the caller's promise.
    unsafe { view(parts).ring() }
}

/// A ring was set up. What lay at its address before was not exited through these hooks, and is gone.
///
/// # Safety
///
/// As for [`View`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tracer_uring_created(parts: *const View) {
    // SAFETY: the caller's promise.
    let view = unsafe { view(parts) };
    forget(view.key());
    // SAFETY: the caller's promise.
    unsafe { view.introduce() };
}

/// A ring is about to be exited.
///
/// # Safety
///
/// As for [`View`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tracer_uring_dropped(parts: *const View) {
    // SAFETY: the caller's promise.
    forget(unsafe { view(parts) }.key());
}

/// `io_uring_get_sqe` returned this entry: the one before `sqe_tail`.
///
/// # Safety
///
/// As for [`View`], and for [`Place`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tracer_uring_claimed(
    parts: *const View,
    entry: *mut Entry,
    place: *const Place,
) {
    // SAFETY: the caller's promise.
    let view = unsafe { view(parts) };
    // SAFETY: the caller's promise: the ring is in use, so nobody exits it.
    let Some(ring) = (unsafe { view.ring().as_ref() }) else {
        return foreign::lost(1);
    };
    if let Some(hooks) = &ring.hooks {
        let slot = view.sqe_tail.wrapping_sub(1) & view.sq_entries.wrapping_sub(1);
        // SAFETY: liburing hands out slots that the kernel is done with, and they are the program's until
        // they are published.
        unsafe { hooks.claimed_at(slot, entry, &Place::from_c(place)) };
    }
}

/// liburing is about to publish all entries from `sqe_head` to `sqe_tail`.
///
/// # Safety
///
/// As for [`View`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tracer_uring_submitting(parts: *const View) {
    // SAFETY: the caller's promise.
    let view = unsafe { view(parts) };
    let count = view.sqe_tail.wrapping_sub(view.sqe_head);
    if count == 0 {
        return;
    }
    // SAFETY: the caller's promise: the ring is in use, so nobody exits it.
    let ring = unsafe { view.ring().as_ref() };
    let Some(hooks) = ring.and_then(|ring| ring.hooks.as_ref()) else {
        return foreign::lost(u64::from(count));
    };
    for position in 0..count.min(view.sq_entries) {
        let slot = view.sqe_head.wrapping_add(position) & view.sq_entries.wrapping_sub(1);
        // SAFETY: the mapping holds `sq_entries` entries of that size; those that are not published are
        // the program's, and it is alone with its submission queue.
        unsafe {
            let entry = view.sqes.add((slot as usize) << view.sqe_shift);
            hooks.submitting(slot, entry);
            foreign::submitted((*entry)[4]);
        }
    }
}

/// What was called after [`tracer_uring_submitting`] came back with `result`; the view is of the time
/// before the call.
///
/// How many entries the kernel took is read from the queue's head, not from the result: a call that
/// submits and then waits in vain returns an error all the same. Where a kernel thread takes them, the
/// result stands.
///
/// # Safety
///
/// As for [`View`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tracer_uring_entered(
    parts: *const View,
    head_before: c_uint,
    min_complete: c_uint,
    result: c_int,
) {
    // SAFETY: the caller's promise.
    let view = unsafe { view(parts) };
    // SAFETY: the caller's promise: the ring is in use, so nobody exits it.
    let Some(ring) = (unsafe { view.ring().as_ref() }) else {
        return;
    };
    let Some(hooks) = &ring.hooks else { return };
    let offered = view.sqe_tail.wrapping_sub(head_before);
    // SAFETY: the caller's promise.
    let head = unsafe { &*view.sq_khead }.load(Ordering::Acquire);
    let taken = head.wrapping_sub(head_before);
    let result = if taken == 0 || view.setup & SQPOLL != 0 {
        result
    } else {
        i32::try_from(taken).unwrap_or(i32::MAX)
    };
    hooks.entered(offered, min_complete, result);
    // SAFETY: the caller's promise.
    unsafe { view.note_overflow(ring, hooks, true) };
}

/// The program sees the first `count` completions of the queue, or less where there are less.
///
/// # Safety
///
/// As for [`View`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tracer_uring_saw(parts: *const View, count: c_uint) {
    // SAFETY: the caller's promise.
    let view = unsafe { view(parts) };
    // SAFETY: as above.
    let head = unsafe { view.completions_head() };
    // Acquire pairs with the kernel's Release: who sees the tail also sees the completions before it.
    // SAFETY: as above.
    let tail = unsafe { &*view.cq_ktail }.load(Ordering::Acquire);
    let end = head.wrapping_add(count.min(waiting(head, tail)));
    // SAFETY: the caller's promise: the ring is in use, so nobody exits it.
    let Some(ring) = (unsafe { view.ring().as_ref() }) else {
        return foreign::lost(u64::from(end.wrapping_sub(head)));
    };
    if let Some(hooks) = &ring.hooks {
        // SAFETY: the caller's promise.
        unsafe { view.note_overflow(ring, hooks, false) };
    }
    let mut seen = ring.seen.load(Ordering::Relaxed);
    let mut early = ring.early.load(Ordering::Relaxed);
    // What came into places that had been given up: the head stood behind it, and nobody looks at it.
    while early > 0 && waiting(seen, head) > 0 && waiting(seen, tail) > 0 {
        match &ring.hooks {
            // The kernel took the place for free, and may have used it again.
            Some(hooks) if tail.wrapping_sub(seen) <= view.cq_entries => {
                foreign::passed(hooks, 1, 0, None::<&Called<'_>>);
                // SAFETY: as above.
                unsafe { view.reaped(hooks, seen) };
            }
            _ => foreign::lost(1),
        }
        seen = seen.wrapping_add(1);
        early -= 1;
    }
    ring.early.store(early, Ordering::Relaxed);
    if waiting(tail, head) > 0 {
        return ring.seen.store(seen, Ordering::Relaxed);
    }
    let behind = head.wrapping_sub(seen);
    if behind.cast_signed() > 0 {
        // The head was moved by code that does not use the header: those are overwritten by now.
        foreign::lost(u64::from(behind));
        seen = head;
    }
    while end.wrapping_sub(seen).cast_signed() > 0 {
        if let Some(hooks) = &ring.hooks {
            // SAFETY: those before the tail are not written to until the head has passed them.
            unsafe { view.reaped(hooks, seen) };
        } else {
            foreign::lost(1);
        }
        seen = seen.wrapping_add(1);
    }
    ring.seen.store(seen, Ordering::Relaxed);
}

/// The program is about to give `count` completions back, or less where there are less; `seen` is the one that it says it
/// has looked at, or null. Those that nothing showed to it are told apart, and so is what it gives back and does not have.
///
/// # Safety
///
/// As for [`View`], and for [`Place`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tracer_uring_passing(
    parts: *const View,
    count: c_uint,
    seen: *const [u64; 2],
    place: *const Place,
) {
    // SAFETY: the caller's promise.
    let view = unsafe { view(parts) };
    // SAFETY: as above.
    let head = unsafe { view.completions_head() };
    // SAFETY: as above.
    let tail = unsafe { &*view.cq_ktail }.load(Ordering::Acquire);
    let there = waiting(head, tail);
    // SAFETY: the caller's promise: the ring is in use, so nobody exits it.
    if let Some(ring) = unsafe { view.ring().as_ref() }
        && ring.early.load(Ordering::Relaxed) == 0
        && waiting(head, ring.seen.load(Ordering::Relaxed)) >= count
        && there >= count
    {
        // All of them were shown, and are recorded.
        return;
    }
    // What came into places that had been given up is recorded by that.
    // SAFETY: the caller's promise.
    unsafe { tracer_uring_saw(parts, 0) };
    // SAFETY: the caller's promise: the ring is in use, so nobody exits it.
    if let Some(ring) = unsafe { view.ring().as_ref() }
        && let Some(hooks) = &ring.hooks
    {
        let shown = waiting(head, ring.seen.load(Ordering::Relaxed));
        let unread = count.min(there).saturating_sub(shown);
        let is_in_hand = shown == 0 && there > 0 && seen == view.at(head);
        let unread = unread.saturating_sub(u32::from(is_in_hand));
        let beyond = count.saturating_sub(there);
        if unread > 0 || beyond > 0 {
            // SAFETY: the caller's promise.
            let place = unsafe { Place::from_c(place) };
            foreign::passed(hooks, unread, beyond, Some(&place));
            ring.early.fetch_add(beyond, Ordering::Relaxed);
        }
    }
    // SAFETY: the caller's promise.
    unsafe { tracer_uring_saw(parts, count) };
}
