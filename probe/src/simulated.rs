//! Recordings that are the same, byte for byte, in every run.
//!
//! For golden files, and for machines where the kernel permits no io_uring. Call [`begin`] before
//! anything is recorded, record from one thread only, and move time with [`advance`].

use crate::recorder::simulated;

/// From here on time stands still, ids derive from `seed`, and pointers are recorded as logical
/// addresses in the order of their first leak.
pub fn begin(seed: u64) {
    simulated::begin(seed);
}

/// Moves the clock.
pub fn advance(ns: u64) {
    simulated::advance(ns);
}
