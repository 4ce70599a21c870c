//! The C library's names for handlers and masks of signals: the program's way with the one signal that trapped calls
//! come by is kept apart. Without a trap they go on as they are.

use core::ffi::{c_int, c_void};

use crate::next;
use crate::trap::handler::{self, Action, BIT, SIGSYS};
use crate::trap::is_on;

const BLOCK_OR_SET: [c_int; 2] = [0, 2];

/// `sigaction(2)`
///
/// # Safety
///
/// As for the function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sigaction(signal: c_int, new: *const c_void, old: *mut c_void) -> c_int {
    if !is_on() {
        // SAFETY: the caller's promise.
        return unsafe { next::sigaction(signal, new, old) };
    }
    // SAFETY: the caller's promise.
    let mut wanted = unsafe { new.cast::<Action>().as_ref() }.copied();
    if signal == SIGSYS {
        let before = handler::exchange(wanted);
        // SAFETY: the caller's promise.
        if let (Some(place), Some(before)) = (unsafe { old.cast::<Action>().as_mut() }, before) {
            *place = before;
        }
        return 0;
    }
    if let Some(action) = &mut wanted {
        action.mask[0] &= !BIT;
    }
    let new: *const Action = wanted
        .as_ref()
        .map_or(core::ptr::null(), core::ptr::from_ref);
    // SAFETY: the caller's promise.
    unsafe { next::sigaction(signal, new.cast(), old) }
}

/// `signal(2)`
///
/// # Safety
///
/// As for the function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn signal(number: c_int, new: usize) -> usize {
    if is_on() && number == SIGSYS {
        let before = handler::exchange(Some(handler::simple(new)));
        return before.as_ref().map_or(0, handler::function);
    }
    // SAFETY: the caller's promise.
    unsafe { next::signal(number, new) }
}

macro_rules! masks {
    ($($name:ident;)*) => {$(
        #[doc = concat!("`", stringify!($name), "`")]
        ///
        /// # Safety
        ///
        /// As for the function.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(how: c_int, set: *const c_void, old: *mut c_void) -> c_int {
            let without = if is_on() && BLOCK_OR_SET.contains(&how) {
                // SAFETY: the caller's promise.
                unsafe { handler::without(set) }
            } else {
                None
            };
            let set = without.as_ref().map_or(set, |set| set.as_ptr().cast());
            // SAFETY: the caller's promise.
            unsafe { next::$name(how, set, old) }
        }
    )*};
}

masks! {
    sigprocmask;
    pthread_sigmask;
}
