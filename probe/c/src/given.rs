//! What an operation needs beside its cookie: descriptors, buffers, memory; and who borrows what.

use std::ffi::{c_int, c_uint, c_void};

use probe::{buffer, foreign, memory};

use crate::place::Place;
use crate::ring::{Ring, hooks};

/// `TRACER_FD_OPENED`, `TRACER_FD_CLOSING`.
///
/// # Safety
///
/// As for [`Place`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tracer_descriptor(opened: c_int, fd: c_int, place: *const Place) {
    if fd >= 0 {
        // SAFETY: the caller's promise.
        foreign::descriptor(opened != 0, fd, &unsafe { Place::from_c(place) });
    }
}

/// `TRACER_BUFFERS_PROVIDED`; a count of 0 is `TRACER_BUFFERS_WITHDRAWN`.
///
/// # Safety
///
/// `ring` is null, or a ring that is not dropped meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tracer_buffers_provided(
    ring: *const Ring,
    group: c_uint,
    first: c_uint,
    count: c_uint,
) {
    // SAFETY: the caller's promise.
    if let Some(hooks) = unsafe { hooks(ring) } {
        buffer::provided(hooks, group as u16, first as u16, count);
    }
}

/// `TRACER_BUFFER_INITIALISED`, `TRACER_BUFFER_GONE`.
#[unsafe(no_mangle)]
pub extern "C" fn tracer_buffer_initialised(
    start: *const c_void,
    bytes: usize,
    initialised: usize,
) {
    buffer::initialised(start, bytes, initialised);
}

/// `TRACER_BORROW` and the others: the place's type is that of what is borrowed.
///
/// # Safety
///
/// As for [`Place`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tracer_borrow(
    begins: c_int,
    exclusive: c_int,
    cell: *const c_void,
    place: *const Place,
) {
    // SAFETY: the caller's promise.
    let place = &unsafe { Place::from_c(place) };
    foreign::borrow(begins != 0, exclusive != 0, cell as u64, place);
}

/// `TRACER_FREEING`.
#[unsafe(no_mangle)]
pub extern "C" fn tracer_freeing(block: *const c_void, bytes: usize) {
    foreign::freeing(block as u64, bytes);
}

/// `TRACER_UNMAPPING`.
#[unsafe(no_mangle)]
pub extern "C" fn tracer_unmapping(start: *const c_void, bytes: usize) {
    memory::unmapping(start, bytes);
}
