//! Owners that leave as a word and come back.

use std::ffi::c_uint;

use probe::foreign::{self, Owner, Step};

use crate::place::Place;

/// `TRACER_LEAK` and the others: what happens (`enum tracer_step`) to the owner (`enum tracer_owner`)
/// behind a word. Numbers that are not known are taken for a peek, which changes nothing, and for no
/// kind of owner.
///
/// # Safety
///
/// As for [`Place`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tracer_pointer(
    step: c_uint,
    owner: c_uint,
    word: u64,
    place: *const Place,
) {
    let step = match step {
        1 => Step::Leak,
        2 => Step::Reclaim,
        4 => Step::Retain,
        5 => Step::Release,
        6 => Step::LeakForever,
        _ => Step::Peek,
    };
    let owner = Owner::from_u8(u8::try_from(owner).unwrap_or(0));
    // SAFETY: the caller's promise.
    let place = &unsafe { Place::from_c(place) };
    foreign::pointer(step, owner, word, place);
}
