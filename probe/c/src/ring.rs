//! Rings: what C holds as `struct tracer_ring *`, and the hooks for rings that are driven by hand.

use std::ffi::{c_char, c_int, c_uint};
use std::sync::atomic::AtomicU32;

use probe::foreign;
use probe::ring::{Cookies, Entry, Kind};

use crate::place::{self, Place};

/// `struct tracer_ring`.
#[derive(Debug)]
pub struct Ring {
    /// Nothing for a ring that cannot be followed: its events are counted as lost.
    pub(crate) hooks: Option<probe::ring::Ring>,
    /// Position in the completion queue of the first completion that was not recorded yet. For rings
    /// of liburing.
    pub(crate) seen: AtomicU32,
    /// Of the positions from there on so many were given up before their completions came. For rings of liburing.
    pub(crate) early: AtomicU32,
    /// Whether completions waited in the kernel when somebody looked last. For rings of liburing.
    pub(crate) waiting: AtomicU32,
    /// Completions that the kernel had dropped by then. For rings of liburing.
    pub(crate) dropped: AtomicU32,
}

/// The hooks of a ring that C handed in; nothing for null.
///
/// # Safety
///
/// `ring` is null or came from [`tracer_ring_created`] or `tracer_uring`, and is not dropped meanwhile.
pub(crate) unsafe fn hooks<'a>(ring: *const Ring) -> Option<&'a probe::ring::Ring> {
    // SAFETY: the caller's promise.
    unsafe { ring.as_ref() }?.hooks.as_ref()
}

/// `TRACER_RING_CREATED`: to be given back to [`tracer_ring_dropped`].
#[unsafe(no_mangle)]
pub extern "C" fn tracer_ring_created(
    kind: c_uint,
    fd: c_int,
    sq_entries: c_uint,
    cq_entries: c_uint,
    setup: c_uint,
    features: c_uint,
) -> *mut Ring {
    let kind = match kind {
        1 => Kind::InPlace,
        2 => Kind::Simulated,
        _ => Kind::Copied,
    };
    let hooks = probe::ring::Ring::created(kind, fd, sq_entries, cq_entries, setup, features);
    foreign::makes_a_ring();
    Box::into_raw(Box::new(Ring {
        hooks: Some(hooks),
        seen: AtomicU32::new(0),
        early: AtomicU32::new(0),
        waiting: AtomicU32::new(0),
        dropped: AtomicU32::new(0),
    }))
}

/// `TRACER_RING_DROPPED`.
///
/// # Safety
///
/// `ring` is null or came from [`tracer_ring_created`], and is not used from now on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tracer_ring_dropped(ring: *mut Ring) {
    if !ring.is_null() {
        // SAFETY: the caller's promise.
        drop(unsafe { Box::from_raw(ring) });
    }
}

/// `TRACER_RING_ID`: the ring's number in the trace, 0 where it has none.
///
/// # Safety
///
/// As for the other hooks: `ring` is null, or a ring that is not dropped meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tracer_ring_id(ring: *const Ring) -> u32 {
    // SAFETY: the caller's promise.
    unsafe { hooks(ring) }.map_or(0, probe::ring::Ring::id)
}

/// `TRACER_RING_CLAIMED`.
///
/// # Safety
///
/// `ring` as above; `entry` and the caller's thread as for [`probe::ring::Ring::claimed`]; `place` as
/// for [`Place`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tracer_ring_claimed(
    ring: *const Ring,
    slot: c_uint,
    entry: *mut Entry,
    place: *const Place,
) {
    // SAFETY: the caller's promise.
    if let Some(hooks) = unsafe { hooks(ring) } {
        // SAFETY: the caller's promise.
        unsafe { hooks.claimed_at(slot, entry, &Place::from_c(place)) };
    }
}

/// `TRACER_RING_SUBMITTING`.
///
/// # Safety
///
/// `ring` as above; `entry` and the caller's thread as for [`probe::ring::Ring::submitting`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tracer_ring_submitting(
    ring: *const Ring,
    slot: c_uint,
    entry: *mut Entry,
) {
    // SAFETY: the caller's promise.
    if let Some(hooks) = unsafe { hooks(ring) } {
        // SAFETY: the caller's promise.
        unsafe { hooks.submitting(slot, entry) };
        // SAFETY: as above; `user_data`.
        foreign::submitted(unsafe { (*entry)[4] });
    }
}

/// `TRACER_RING_PUSHED`.
///
/// # Safety
///
/// `ring` as above; `entry` points to 64 bytes, aligned to 8, that nobody writes to meanwhile; `place` as
/// for [`Place`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tracer_ring_pushed(
    ring: *const Ring,
    entry: *const Entry,
    place: *const Place,
) {
    // SAFETY: the caller's promise.
    if let Some(hooks) = unsafe { hooks(ring) } {
        // SAFETY: the caller's promise.
        unsafe { hooks.pushed_at(&*entry, &Place::from_c(place)) };
        // SAFETY: as above; `user_data`.
        foreign::submitted(unsafe { (*entry)[4] });
    }
}

/// `TRACER_RING_ENTERED`.
///
/// # Safety
///
/// `ring` as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tracer_ring_entered(
    ring: *const Ring,
    to_submit: c_uint,
    min_complete: c_uint,
    result: c_int,
) {
    // SAFETY: the caller's promise.
    if let Some(hooks) = unsafe { hooks(ring) } {
        hooks.entered(to_submit, min_complete, result);
    }
}

/// `TRACER_RING_REAPED`.
///
/// # Safety
///
/// `ring` as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tracer_ring_reaped(
    ring: *const Ring,
    cookie: u64,
    res: c_int,
    flags: c_uint,
) {
    // SAFETY: the caller's promise.
    if let Some(hooks) = unsafe { hooks(ring) } {
        hooks.reaped(cookie, res, flags);
    }
}

/// `TRACER_RING_REAPED_AT`.
///
/// # Safety
///
/// `ring` as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tracer_ring_reaped_at(
    ring: *const Ring,
    index: c_uint,
    cookie: u64,
    res: c_int,
    flags: c_uint,
) {
    // SAFETY: the caller's promise.
    if let Some(hooks) = unsafe { hooks(ring) } {
        hooks.reaped_at(index, cookie, res, flags);
    }
}

/// `TRACER_RING_OVERFLOWED`.
///
/// # Safety
///
/// `ring` as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tracer_ring_overflowed(ring: *const Ring, count: u64) {
    // SAFETY: the caller's promise.
    if let Some(hooks) = unsafe { hooks(ring) } {
        hooks.overflowed(count);
    }
}

/// `TRACER_RING_COOKIES`: an `enum tracer_cookies`, and the bits that are no part of the pointer.
///
/// # Safety
///
/// `ring` as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tracer_ring_cookies(ring: *const Ring, scheme: c_uint, tag_mask: u64) {
    let scheme = match scheme {
        1 => Cookies::Pointers,
        2 => Cookies::TaggedPointers { tag_mask },
        3 => Cookies::Indices,
        _ => return,
    };
    // SAFETY: the caller's promise.
    if let Some(hooks) = unsafe { hooks(ring) } {
        hooks.cookies(scheme);
    }
}

/// `TRACER_RING_SENTINEL`.
///
/// # Safety
///
/// `ring` as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tracer_ring_sentinel(ring: *const Ring, cookie: u64) {
    // SAFETY: the caller's promise.
    if let Some(hooks) = unsafe { hooks(ring) } {
        hooks.sentinel(cookie);
    }
}

/// `TRACER_RING_OWNER`.
///
/// # Safety
///
/// `ring` as above; `name` is null or ends with a zero, and is not written to meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tracer_ring_owner(ring: *const Ring, name: *const c_char) {
    // SAFETY: the caller's promise.
    let (hooks, name) = unsafe { (hooks(ring), place::bytes(name)) };
    if let Some(hooks) = hooks {
        hooks.owner_of_bytes(name);
    }
}

/// `TRACER_RING_SHARED`.
///
/// # Safety
///
/// `ring` as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tracer_ring_shared(ring: *const Ring, cookie: u64) {
    // SAFETY: the caller's promise.
    if let Some(hooks) = unsafe { hooks(ring) } {
        hooks.shared(cookie);
    }
}
