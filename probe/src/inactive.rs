//! The names of [`crate::recorder`] where nothing is recorded: without the `record` feature, and on
//! platforms other than Linux on x86-64 and aarch64. Every call compiles to nothing.

use wire::record::Kind;

/// As the recorder's; never anything but [`Poison::Off`] here.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Poison {
    Keep,
    Off,
}

#[inline(always)]
pub(crate) const fn recording() -> bool {
    false
}

#[inline(always)]
pub(crate) fn record<const N: usize>(_: Kind, _: u8, _: u8, _: [u64; N]) {}

#[inline(always)]
pub(crate) fn record_slice(_: Kind, _: u8, _: u8, _: &[u64]) {}

#[inline(always)]
pub(crate) fn site(_: &'static core::panic::Location<'static>) -> u32 {
    0
}

#[inline(always)]
pub(crate) fn record_typed<T, const N: usize>(
    _: Kind,
    _: u8,
    _: u8,
    _: &'static core::panic::Location<'static>,
    _: impl Fn(u64) -> [u64; N],
) {
}

#[inline(always)]
pub(crate) fn record_at<const N: usize>(
    _: Kind,
    _: u8,
    _: &'static core::panic::Location<'static>,
    _: impl Fn(u64) -> [u64; N],
) {
}

#[inline(always)]
#[expect(
    clippy::extra_unused_type_parameters,
    reason = "the recorder's signature"
)]
pub(crate) fn type_of<T>() -> u32 {
    0
}

#[inline(always)]
pub(crate) fn named_type(_: &'static str, _: usize, _: usize) -> u32 {
    0
}

#[inline(always)]
pub(crate) fn text(_: &str) -> u32 {
    0
}

#[inline(always)]
pub(crate) fn poison() -> Poison {
    Poison::Off
}

pub(crate) mod simulated {
    pub(crate) fn begin(_: u64) {}
    pub(crate) fn advance(_: u64) {}
}
