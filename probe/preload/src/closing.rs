//! All ways to close a descriptor. A ring's has to be known before it is gone: the ring lives on, and what is in flight
//! with it, while the shim has its queues mapped.
//!
//! By name: `close`, `close_range`, `closefrom`, `dup2`, `dup3`, and `fclose`, `freopen` of a `FILE` that was made of it;
//! by number through `syscall`; in line, where calls are trapped. Not known are calls in line of code that makes none of
//! io_uring's. The C library's `fcloseall` closes no descriptor.

use core::ffi::{c_long, c_void};

use crate::kernel::{self, CLOSE_RANGE, number};
use crate::{feeds, next, rings, start, uring};

/// The system calls that close, for the filter, and for the jumps of `syscall` (which has them in text).
#[cfg(target_arch = "x86_64")]
pub(crate) const NUMBERS: [u32; 4] = [3, 33, 292, 436];

#[cfg(target_arch = "x86_64")]
const _: () = {
    let named = [number::CLOSE, number::DUP2, number::DUP3, CLOSE_RANGE];
    let mut at = 0;
    while at < named.len() {
        assert!(named[at] == NUMBERS[at] as i64);
        at += 1;
    }
};

/// Whether the call is one of these.
#[cfg(target_arch = "x86_64")]
pub(crate) fn is_one(number: c_long) -> bool {
    NUMBERS.iter().any(|one| c_long::from(*one) == number)
}

/// Before such a call.
pub(crate) fn by_number(number: c_long, [first, second, third, ..]: [usize; 6]) {
    match number {
        number::CLOSE => one(first as i32),
        number::DUP2 => replaced(first as i32, second as i32, 0),
        number::DUP3 => replaced(first as i32, second as i32, third as i32),
        CLOSE_RANGE => range(first as u32, second as u32, third as i32),
        _ => {}
    }
}

/// Before a descriptor is closed.
pub(crate) fn one(fd: i32) {
    if start::is_on() && rings::find(fd).is_some() && start::is_own_process() {
        uring::gone(fd);
    }
    if feeds::are_there() {
        feeds::closing(fd);
    }
}

/// Before the descriptor of a `FILE` is closed.
///
/// # Safety
///
/// It is one, or null.
pub(crate) unsafe fn stream(file: *mut c_void) {
    let is_anybodys = feeds::are_there() || (start::is_on() && rings::any());
    if is_anybodys && !file.is_null() {
        // One without a descriptor says so by `errno`.
        let error = next::errno();
        // SAFETY: the caller's promise.
        let fd = unsafe { next::fileno(file) };
        next::set_errno(error);
        one(fd);
    }
}

/// Before `new` becomes another name of what `old` is.
pub(crate) fn replaced(old: i32, new: i32, flags: i32) {
    const F_GETFD: usize = 1;
    /// `O_CLOEXEC`, the one flag that there is.
    const CLOEXEC: i32 = 0o2_000_000;
    let is_anybodys = feeds::are_there() || (start::is_on() && rings::find(new).is_some());
    if old != new && flags & !CLOEXEC == 0 && is_anybodys {
        // SAFETY: plain numbers.
        let is_open = unsafe { kernel::call(number::FCNTL, [old as usize, F_GETFD, 0, 0, 0, 0]) };
        if is_open >= 0 {
            one(new);
        }
    }
}

/// Before a range of descriptors is closed, both ends included.
pub(crate) fn range(first: u32, last: u32, flags: i32) {
    /// `CLOSE_RANGE_UNSHARE`: of the others one closes nothing yet (`CLOSE_RANGE_CLOEXEC`), and the rest is refused.
    const UNSHARE: i32 = 2;
    if start::is_on() && flags & !UNSHARE == 0 && start::is_own_process() {
        for fd in rings::between(first, last) {
            uring::gone(fd);
        }
    }
}
