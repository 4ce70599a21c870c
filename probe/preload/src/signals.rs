//! The C library's names for handlers and masks of signals: the program's way with the one signal that trapped calls
//! come by is kept apart. Without a trap they go on as they are.
//!
//! Also of those that block signals for as long as they wait: a handler that runs meanwhile, and makes such a call,
//! has their mask.
//!
//! Some are points where a thread may be cancelled. Nothing here has anything to be dropped, so that the C library
//! may unwind through it.

use core::ffi::{c_int, c_void};

use crate::next;
use crate::trap::handler::{self, Action, BIT, Context, SIGSYS};
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
                handler::without(set)
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

/// Functions that take a set which is blocked, for a while or in a thread to come.
macro_rules! sets {
    ($($name:ident($($argument:ident: $kind:ty),*) -> $result:ty, $set:ident;)*) => {$(
        #[doc = concat!("`", stringify!($name), "`")]
        ///
        /// # Safety
        ///
        /// As for the function.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($argument: $kind),*) -> $result {
            let without = if is_on() { handler::without($set) } else { None };
            let $set = without.as_ref().map_or($set, |set| set.as_ptr().cast());
            // SAFETY: the caller's promise.
            unsafe { next::$name($($argument),*) }
        }
    )*};
}

sets! {
    sigsuspend(set: *const c_void) -> c_int, set;
    __sigsuspend(set: *const c_void) -> c_int, set;
    ppoll(fds: usize, count: usize, timeout: usize, set: *const c_void) -> c_int, set;
    __ppoll_chk(fds: usize, count: usize, timeout: usize, set: *const c_void, size: usize) -> c_int, set;
    pselect(
        count: c_int, read: usize, write: usize, error: usize, timeout: usize, set: *const c_void
    ) -> c_int, set;
    epoll_pwait(
        fd: c_int, events: usize, count: c_int, timeout: c_int, set: *const c_void
    ) -> c_int, set;
    epoll_pwait2(
        fd: c_int, events: usize, count: c_int, timeout: usize, set: *const c_void
    ) -> c_int, set;
    pthread_attr_setsigmask_np(attributes: usize, set: *const c_void) -> c_int, set;
}

/// Functions that take a set as the bits of a number.
macro_rules! numbers {
    ($($name:ident;)*) => {$(
        #[doc = concat!("`", stringify!($name), "`")]
        ///
        /// # Safety
        ///
        /// As for the function.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(set: c_int) -> c_int {
            let set = if is_on() { set & !(BIT as c_int) } else { set };
            // SAFETY: the caller's promise.
            unsafe { next::$name(set) }
        }
    )*};
}

numbers! {
    sigblock;
    sigsetmask;
}

/// `sigpause`, of BSD with a set, of System V with a signal.
///
/// # Safety
///
/// As for the function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __sigpause(number: c_int, is_signal: c_int) -> c_int {
    let number = if is_on() && is_signal == 0 {
        number & !(BIT as c_int)
    } else {
        number
    };
    // SAFETY: the caller's promise.
    unsafe { next::__sigpause(number, is_signal) }
}

/// `sighold`
///
/// # Safety
///
/// As for the function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sighold(number: c_int) -> c_int {
    if is_on() && number == SIGSYS {
        return 0;
    }
    // SAFETY: the caller's promise.
    unsafe { next::sighold(number) }
}

/// `sigignore`
///
/// # Safety
///
/// As for the function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sigignore(number: c_int) -> c_int {
    const IGNORE: usize = 1;
    if is_on() && number == SIGSYS {
        handler::exchange(Some(handler::simple(IGNORE)));
        return 0;
    }
    // SAFETY: the caller's promise.
    unsafe { next::sigignore(number) }
}

/// `sigset`
///
/// # Safety
///
/// As for the function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sigset(number: c_int, new: usize) -> usize {
    const HOLD: usize = 2;
    if is_on() && number == SIGSYS {
        let before = handler::exchange((new != HOLD).then(|| handler::simple(new)));
        return before.as_ref().map_or(0, handler::function);
    }
    // SAFETY: the caller's promise.
    unsafe { next::sigset(number, new) }
}

/// Other names of `signal`, and what they set.
macro_rules! handlers {
    ($($name:ident, $how:ident;)*) => {$(
        #[doc = concat!("`", stringify!($name), "`")]
        ///
        /// # Safety
        ///
        /// As for the function.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(number: c_int, new: usize) -> usize {
            if is_on() && number == SIGSYS {
                let before = handler::exchange(Some(handler::$how(new)));
                return before.as_ref().map_or(0, handler::function);
            }
            // SAFETY: the caller's promise.
            unsafe { next::$name(number, new) }
        }
    )*};
}

handlers! {
    bsd_signal, simple;
    ssignal, simple;
    sysv_signal, once;
    __sysv_signal, once;
}

/// `__sigaction`
///
/// # Safety
///
/// As for `sigaction`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __sigaction(signal: c_int, new: *const c_void, old: *mut c_void) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { sigaction(signal, new, old) }
}

/// A context is about to be continued, with the mask in it. Returns the function that continues it.
extern "C" fn continuing(context: *mut Context) -> *mut c_void {
    unblock(context);
    next::setcontext_address()
}

/// As [`continuing`], for a context that is left for another one.
extern "C" fn swapping(context: *mut Context) -> *mut c_void {
    unblock(context);
    next::swapcontext_address()
}

fn unblock(context: *mut Context) {
    if !is_on() {
        return;
    }
    // SAFETY: the program's context, which the C library is about to read. Written only where it has to be: it may
    // lie in memory that cannot be.
    if let Some(context) = unsafe { context.as_mut() }
        && context.mask & BIT != 0
    {
        context.mask &= !BIT;
    }
}

/// `setcontext`
///
/// # Safety
///
/// As for the function.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn setcontext(_: *mut c_void) -> c_int {
    core::arch::naked_asm!(
        "push rdi",
        "call {continuing}",
        "pop rdi",
        "jmp rax",
        continuing = sym continuing,
    )
}

/// `swapcontext`: it saves whose stack and return address it finds, so that it is gone to by a jump.
///
/// # Safety
///
/// As for the function.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn swapcontext(_: *mut c_void, _: *mut c_void) -> c_int {
    core::arch::naked_asm!(
        "push rdi",
        "push rsi",
        "sub rsp, 8",
        "mov rdi, rsi",
        "call {swapping}",
        "add rsp, 8",
        "pop rsi",
        "pop rdi",
        "jmp rax",
        swapping = sym swapping,
    )
}
