//! Coroutines, by their numbers. 0 is one that was made while nothing was recorded: it stays silent.

use std::ffi::c_uint;

use probe::coroutine::Coroutine;

use crate::place::Place;

/// `TRACER_SPAWN`: the place's type is the coroutine's name.
///
/// # Safety
///
/// As for [`Place`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tracer_spawn(parent: u32, place: *const Place) -> u32 {
    // SAFETY: the caller's promise.
    let place = &unsafe { Place::from_c(place) };
    let parent = (parent != 0).then_some(Coroutine::from_id(parent));
    Coroutine::spawned_at(parent, place).id()
}

/// `TRACER_RESUME`: because of this completion; ring 0 says that something else woke it.
#[unsafe(no_mangle)]
pub extern "C" fn tracer_resume(coroutine: u32, ring: u32, cookie: u64) {
    Coroutine::from_id(coroutine).resumed((ring != 0).then_some((ring, cookie)));
}

/// `TRACER_SUSPEND`.
///
/// # Safety
///
/// `cookies` points to `count` words, or is null and `count` is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tracer_suspend(coroutine: u32, cookies: *const u64, count: c_uint) {
    let cookies = if cookies.is_null() {
        &[]
    } else {
        // SAFETY: the caller's promise.
        unsafe { core::slice::from_raw_parts(cookies, count as usize) }
    };
    Coroutine::from_id(coroutine).suspended(cookies);
}

/// `TRACER_DONE`.
#[unsafe(no_mangle)]
pub extern "C" fn tracer_done(coroutine: u32) {
    Coroutine::from_id(coroutine).done();
}

/// `TRACER_DROP`.
#[unsafe(no_mangle)]
pub extern "C" fn tracer_drop(coroutine: u32) {
    Coroutine::from_id(coroutine).dropped();
}

/// `TRACER_WAKE`.
#[unsafe(no_mangle)]
pub extern "C" fn tracer_wake(coroutine: u32) {
    Coroutine::from_id(coroutine).woken();
}
