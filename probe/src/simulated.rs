//! Recordings that are the same, byte for byte, in every run.
//!
//! For golden files, and for machines where the kernel permits no io_uring. Call [`begin`] before
//! anything is recorded, record from one thread only, and move time with [`advance`]. Hooks lock and allocate then.
//!
//! ```no_run
//! probe::simulated::begin(7);
//! let raw = probe::into_raw(Box::new(1u8)); // at 0 ns, with the first logical address
//! probe::simulated::advance(1_000);
//! // SAFETY: leaked once, taken back once.
//! drop(unsafe { probe::from_raw::<Box<u8>>(raw) }); // at 1,000 ns
//! ```

use crate::recorder::simulated;

/// From here on time stands still, ids derive from `seed`, and pointers are recorded as logical
/// addresses in the order of their first leak.
pub fn begin(seed: u64) {
    simulated::begin(seed);
}

/// Moves the clock forward, by nanoseconds.
pub fn advance(ns: u64) {
    simulated::advance(ns);
}
