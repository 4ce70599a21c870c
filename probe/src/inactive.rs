//! The names of [`crate::recorder`] where nothing is recorded: without the `record` feature, and on
//! platforms other than Linux on x86-64 and aarch64. Every call compiles to nothing.

use wire::record::Kind;

/// Nothing is recorded here.
pub(crate) const COMPILED_IN: bool = false;

/// What inline code in C looks at: always off.
#[cfg(feature = "c")]
#[unsafe(export_name = "tracer_state")]
pub(crate) static STATE: core::sync::atomic::AtomicU8 = core::sync::atomic::AtomicU8::new(0);

/// As the recorder's; never anything but [`Poison::Off`] here.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Poison {
    Restore,
    Keep,
    Off,
}

#[inline(always)]
pub(crate) const fn recording() -> bool {
    false
}

pub(crate) const fn is_there() -> bool {
    false
}

#[inline(always)]
pub(crate) fn record<const N: usize>(_: Kind, _: u8, _: u8, _: [u64; N]) {}

#[inline(always)]
pub(crate) fn record_lasting(_: Kind, _: u8, _: [u64; 3]) {}

#[inline(always)]
pub(crate) fn record_known<const N: usize>(_: Kind, _: [u64; N]) {}

#[inline(always)]
pub(crate) fn record_slice(_: Kind, _: u8, _: u8, _: &[u64]) {}

#[inline(always)]
pub(crate) fn site(_: &'static core::panic::Location<'static>) -> u32 {
    0
}

#[inline(always)]
pub(crate) fn record_typed<const N: usize>(
    _: Kind,
    _: u8,
    _: u8,
    _: (&'static str, usize, usize),
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
pub(crate) fn stop(_: &str) {}

#[inline(always)]
pub(crate) fn poison() -> Poison {
    Poison::Off
}

pub(crate) mod simulated {
    pub(crate) fn begin(_: u64) {}
    pub(crate) fn advance(_: u64) {}
}

#[cfg(feature = "c")]
pub(crate) fn scope() -> u32 {
    0
}

#[cfg(feature = "c")]
pub(crate) fn next_scope() -> u32 {
    0
}

#[cfg(feature = "c")]
pub(crate) fn enter_scope(_: u32) {}

#[cfg(feature = "c")]
pub(crate) mod foreign {
    use crate::foreign::AsPlace;
    use wire::record::Kind;

    pub(crate) fn site(_: &impl AsPlace) -> u32 {
        0
    }

    pub(crate) fn site_and_type(_: &impl AsPlace) -> (u32, u32) {
        (0, 0)
    }

    pub(crate) fn record(_: Kind, _: u8, _: u64, _: &impl AsPlace) {}

    pub(crate) fn text(_: &[u8]) -> u32 {
        0
    }

    pub(crate) fn complain(_: &[&[u8]]) {}
}

/// The names of `recorder::frames`.
pub(crate) mod frames {
    #[inline(always)]
    pub(crate) fn look() {}
}
