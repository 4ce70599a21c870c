//! The names of `watch` where nothing is recorded. Every call compiles to nothing.

#[inline(always)]
pub(crate) fn watch(_: u64) {}

#[inline(always)]
pub(crate) fn watch_entry(_: &crate::ring::Entry) {}

#[inline(always)]
pub(super) fn installed() {}

#[inline(always)]
pub(super) fn freeing(_: u64, _: usize) {}

#[inline(always)]
pub(super) fn may_be_watched(_: u64, _: usize) -> bool {
    false
}

#[inline(always)]
pub(super) fn resized(_: u64, _: usize, _: u64, _: usize) {}
