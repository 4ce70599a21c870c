//! The few calls into the C library that recording needs, declared by hand: the probe has no
//! dependency, and none of these takes a lock or allocates, so that they may run in a signal handler
//! and after a fork; [`each_loaded`] alone takes the loader's.
//!
//! Miri knows neither file mappings nor most of these calls: there (`cfg!(miri)`) memory is allocated, and
//! questions to the kernel have no answer, so that scopes work in memory.
//!
//! Holds `unsafe`, as do its parts: foreign functions. Numbers are those of Linux on x86-64 and aarch64.

use core::ffi::c_int;

mod files;
mod loaded;
mod memory;
mod path;
mod process;

pub(crate) use files::*;
pub(crate) use loaded::*;
pub(crate) use memory::*;
pub(crate) use path::Path;
pub(crate) use process::*;

unsafe extern "C" {
    fn __errno_location() -> *mut c_int;
}

/// The calling thread's error number.
pub(crate) fn errno() -> c_int {
    // SAFETY: the location is the calling thread's own and stays valid for its life.
    unsafe { *__errno_location() }
}

/// No error, before a call that may fail without one.
pub(crate) fn clear_errno() {
    // SAFETY: the location is the calling thread's own and stays valid for its life.
    unsafe { *__errno_location() = 0 };
}

/// Runs `body` and puts the caller's `errno` back.
#[inline]
pub(crate) fn keep_errno<T>(body: impl FnOnce() -> T) -> T {
    // SAFETY: the location is the calling thread's own and stays valid for its life.
    let place = unsafe { __errno_location() };
    // SAFETY: as above.
    let saved = unsafe { *place };
    let result = body();
    // SAFETY: as above.
    unsafe { *place = saved };
    result
}
