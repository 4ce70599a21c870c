//! What ThreadSanitizer is told: that the kernel is somebody who works at the same time.
//!
//! What was done before an operation was submitted happens before whatever is done after one of its
//! completions was taken, by whichever thread. In between the kernel uses the buffer: told as an access by a
//! *fiber* (ThreadSanitizer's word for a thread of execution that it does not see by itself), which comes
//! after the submission and before the completion, and at the same time as everything else. So whoever
//! touches the buffer in flight, or frees it, races.
//!
//! Holds `unsafe`: calls of the runtime's functions by their documented signatures
//! (`sanitizer/tsan_interface.h`).

use std::ffi::c_void;
use std::sync::atomic::AtomicU8;

use super::tools::functions;

type At = unsafe extern "C" fn(*const c_void);
type OfRange = unsafe extern "C" fn(*const c_void, usize);

functions! {
    acquire: "__tsan_acquire", At;
    release: "__tsan_release", At;
    own_fiber: "__tsan_get_current_fiber", unsafe extern "C" fn() -> *mut c_void;
    create_fiber: "__tsan_create_fiber", unsafe extern "C" fn(u32) -> *mut c_void;
    destroy_fiber: "__tsan_destroy_fiber", unsafe extern "C" fn(*mut c_void);
    switch_to_fiber: "__tsan_switch_to_fiber", unsafe extern "C" fn(*mut c_void, u32);
    read_range: "__tsan_read_range", OfRange;
    write_range: "__tsan_write_range", OfRange;
}

/// `__tsan_switch_to_fiber_no_sync`: what the one did does not come before what the other does.
const NO_SYNC: u32 = 1;

pub(super) fn present() -> bool {
    acquire().is_some() && release().is_some()
}

/// A byte whose address stands for what is handed over. What it holds does not matter.
fn at(place: &AtomicU8) -> *const c_void {
    std::ptr::from_ref(place).cast()
}

/// An operation goes to the kernel.
pub(super) fn submitted(place: &AtomicU8) {
    if let Some(release) = release() {
        // SAFETY: marks the address in the runtime's own tables.
        unsafe { release(at(place)) }
    }
}

/// One of its completions was taken.
pub(super) fn completed(place: &AtomicU8) {
    if let Some(acquire) = acquire() {
        // SAFETY: as above.
        unsafe { acquire(at(place)) }
    }
}

/// This thread is about to have a byte freed: reported, if the kernel still uses it.
pub(super) fn touch(byte: usize) {
    if let Some(write_range) = write_range() {
        // SAFETY: the runtime looks at its shadow of the byte, and marks it there.
        unsafe { write_range(std::ptr::with_exposed_provenance(byte), 1) }
    }
}

/// From the submission on, until the completion at `place`, the kernel writes to a buffer or reads it.
#[inline(never)]
pub(super) fn kernel_uses_buffer_in_flight(
    place: &AtomicU8,
    (start, bytes): (usize, usize),
    writes: bool,
) {
    let access = if writes { write_range() } else { read_range() };
    let (Some(own), Some(create), Some(destroy), Some(switch), Some(access)) = (
        own_fiber(),
        create_fiber(),
        destroy_fiber(),
        switch_to_fiber(),
        access,
    ) else {
        return;
    };
    // SAFETY: the runtime books the access to the fiber, and touches only its shadow of the buffer. This
    // thread is itself again before anything else of the program runs; the fiber ran nothing.
    unsafe {
        let me = own();
        let kernel = create(0);
        switch(kernel, 0);
        access(std::ptr::with_exposed_provenance(start), bytes);
        submitted(place);
        switch(me, NO_SYNC);
        destroy(kernel);
    }
}
