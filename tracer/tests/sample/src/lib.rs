//! Bugs on purpose. Each function is one bug, small enough to be read at a glance, on a real ring where
//! the kernel has a part in it; what it leaves behind in memory is sound unless it says otherwise.

pub mod cookies;
pub mod memory;
pub mod rules;

/// One more.
///
/// ```
/// assert_eq!(sample::next(1), 2);
/// ```
pub fn next(number: u64) -> u64 {
    number + 1
}
