//! liburing's rings of buffers: which group each is, and what is published in it.
//!
//! A buffer counts when the ring's tail moves past it, so that what io_uring_buf_ring_add writes is read from the ring
//! itself, right before that.

use std::ffi::{c_uint, c_void};
use std::sync::atomic::{AtomicU32, Ordering};

use probe::{buffer, foreign};

use crate::rings::{BUFFERS, RINGS};
use crate::uring::{View, view};

/// A ring of buffers that was given to the kernel.
#[derive(Debug)]
pub struct BufferRing {
    /// The ring that picks from it.
    ring: usize,
    group: u16,
    /// Its entries, a power of two, less one.
    mask: u16,
}

/// `struct io_uring_buf`, as the kernel reads it. The tail of the ring lies in the last word of the first.
#[repr(C)]
struct Buffer {
    address: u64,
    bytes: u32,
    id: u16,
    tail: u16,
}

/// Rings of buffers there are, so that rings without any need not look for them.
static COUNT: AtomicU32 = AtomicU32::new(0);

fn remove(at: usize) {
    BUFFERS.remove(at, |gone| {
        // It is kept for good: another thread may just look through those of all rings.
        if !gone.is_null() {
            COUNT.fetch_sub(1, Ordering::Relaxed);
        }
    });
}

fn of(ring: usize, group: Option<u16>) -> impl Iterator<Item = usize> {
    let any = (COUNT.load(Ordering::Relaxed) != 0).then(|| BUFFERS.keys());
    any.into_iter().flatten().filter(move |at| {
        // SAFETY: what was in the table is never given back.
        let found = unsafe { BUFFERS.find(*at).as_ref() };
        found.is_some_and(|it| it.ring == ring && group.is_none_or(|group| it.group == group))
    })
}

/// A ring is exited: the kernel has none of its buffers any more.
pub(crate) fn forget_of(ring: usize) {
    of(ring, None).for_each(remove);
}

/// `io_uring_setup_buf_ring`, `io_uring_register_buf_ring` or `TRACER_URING_BUFFERS`: a ring of buffers is the kernel's, as
/// a group.
///
/// # Safety
///
/// As for [`View`]; `at` points to so many entries until the group is gone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tracer_uring_buffers(
    parts: *const View,
    at: *const c_void,
    entries: c_uint,
    group: c_uint,
) {
    let entries = entries.next_power_of_two().clamp(1, 1 << 15);
    if at.is_null() {
        return;
    }
    // SAFETY: the caller's promise.
    let view = unsafe { view(parts) };
    // What lay there before was not given back through these hooks.
    remove(at as usize);
    let made = Box::into_raw(Box::new(BufferRing {
        ring: view.key(),
        group: group as u16,
        mask: (entries - 1) as u16,
    }));
    COUNT.fetch_add(1, Ordering::Relaxed);
    if !BUFFERS.insert(at as usize, made) {
        COUNT.fetch_sub(1, Ordering::Relaxed);
        foreign::not_recorded("a ring of buffers beyond the 4,096 that can be followed at a time");
        // SAFETY: made above, and known to nobody.
        drop(unsafe { Box::from_raw(made) });
    }
}

/// `io_uring_free_buf_ring`, `io_uring_unregister_buf_ring`.
///
/// # Safety
///
/// As for [`View`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tracer_uring_buffers_gone(parts: *const View, group: c_uint) {
    // SAFETY: the caller's promise.
    let view = unsafe { view(parts) };
    // SAFETY: the caller's promise: the ring is in use, so nobody exits it.
    let ring = unsafe { view.ring().as_ref() };
    of(view.key(), Some(group as u16)).for_each(remove);
    if let Some(hooks) = ring.and_then(|ring| ring.hooks.as_ref()) {
        buffer::withdrawn(hooks, group as u16);
    }
}

/// The next `count` entries of a ring of buffers are about to be published.
///
/// # Safety
///
/// `at` is a ring of buffers that is not given back meanwhile, and the caller's thread alone fills it, as liburing
/// demands.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tracer_uring_buffers_advance(at: *const c_void, count: c_uint) {
    // SAFETY: the caller's promise.
    let Some(found) = (unsafe { BUFFERS.find(at as usize).as_ref() }) else {
        return;
    };
    // SAFETY: its ring is in use, so nobody exits it.
    let ring = unsafe { RINGS.find(found.ring).as_ref() };
    let Some(hooks) = ring.and_then(|ring| ring.hooks.as_ref()) else {
        return;
    };
    let at = at.cast::<Buffer>();
    // SAFETY: the ring has an entry at least; the kernel only reads it.
    let tail = unsafe { (*at).tail };
    // Ids that count up are one record.
    let mut run: Option<(u16, u32)> = None;
    for offset in 0..count.min(u32::from(found.mask) + 1) {
        let index = tail.wrapping_add(offset as u16) & found.mask;
        // SAFETY: within the ring, whose entries up to there the program has filled.
        let id = unsafe { (*at.add(usize::from(index))).id };
        run = match run {
            Some((first, count)) if first.wrapping_add(count as u16) == id => {
                Some((first, count + 1))
            }
            other => {
                if let Some((first, count)) = other {
                    buffer::provided(hooks, found.group, first, count);
                }
                Some((id, 1))
            }
        };
    }
    if let Some((first, count)) = run {
        buffer::provided(hooks, found.group, first, count);
    }
}
