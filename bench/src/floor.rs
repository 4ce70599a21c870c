//! What nothing that records events can do without: a timestamp for each, and its words, written to 64 MiB in
//! turn. No names, no lanes, no signal handlers, no reader; whoever dies here leaves nothing.
//!
//! A ratio to the bare program says how fast the kernel and the processor are; one to this says what the
//! recorder makes of it.

use std::cell::Cell;

use crate::record::ticks;

const WORDS: usize = (64 << 20) / 8;

std::thread_local! {
    static START: Cell<*mut u64> = const { Cell::new(std::ptr::null_mut()) };
    static NEXT: Cell<*mut u64> = const { Cell::new(std::ptr::null_mut()) };
}

/// Makes the room, on this thread.
pub fn lay() {
    if START.get().is_null() {
        let mut words = vec![0u64; WORDS];
        // So that no page is the kernel's zeros any more.
        words.iter_mut().step_by(512).for_each(|word| *word = 1);
        let start = Box::leak(words.into_boxed_slice()).as_mut_ptr();
        START.set(start);
        NEXT.set(start);
    }
}

/// An event with a time of its own.
#[inline(always)]
pub fn stamped<const N: usize>(payload: [u64; N]) {
    write(ticks(), payload);
}

/// An event without.
#[inline(always)]
pub fn unstamped<const N: usize>(payload: [u64; N]) {
    write(1, payload);
}

#[inline(always)]
fn write<const N: usize>(header: u64, payload: [u64; N]) {
    let start = START.get();
    let mut next = NEXT.get();
    assert!(!start.is_null(), "the floor was not laid");
    if next > start.wrapping_add(WORDS - N - 1) {
        next = start;
    }
    // SAFETY: `lay` made `WORDS` words at `start` for ever, which only this thread knows, and `next` and the `N`
    // words behind it lie within them.
    unsafe {
        next.add(1).cast::<[u64; N]>().write(payload);
        next.write(header);
    }
    NEXT.set(next.wrapping_add(N + 1));
}
