//! Marks and scopes.

use std::ffi::c_char;

use probe::foreign;

use crate::place::{self, Place};

/// `TRACER_MARK`.
///
/// # Safety
///
/// `text` is null or ends with a zero, and is not written to meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tracer_mark(text: *const c_char) {
    // SAFETY: the caller's promise.
    foreign::mark(unsafe { place::bytes(text) });
}

/// `TRACER_SCOPE_BEGIN`: the scope in the low half, the one around it in the high half.
///
/// # Safety
///
/// As for [`Place`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tracer_scope_begin(place: *const Place) -> u64 {
    // SAFETY: the caller's promise.
    let place = &unsafe { Place::from_c(place) };
    let (scope, around) = foreign::scope_begins(place);
    u64::from(scope) | u64::from(around) << 32
}

/// `TRACER_SCOPE_END`.
#[unsafe(no_mangle)]
pub extern "C" fn tracer_scope_end(scope: u64) {
    foreign::scope_ends((scope as u32, (scope >> 32) as u32));
}
