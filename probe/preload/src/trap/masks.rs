//! System calls that block signals or set their handlers, made past the C library's names: by number through its
//! `syscall`, or in line. The one signal that trapped calls come by is taken out of what they block, and its handler is
//! kept apart.
//!
//! The kernel looks at a set before anything else does, so that an address that leads nowhere is the error that it
//! would have been.

use core::ffi::{c_int, c_long};

use super::handler::{self, BIT, SIGSYS};
use crate::kernel::{self, SignalAction};

const RT_SIGACTION: c_long = 13;
const RT_SIGPROCMASK: c_long = 14;
const RT_SIGSUSPEND: c_long = 130;
const PSELECT6: c_long = 270;
const PPOLL: c_long = 271;
const EPOLL_PWAIT: c_long = 281;
const IO_PGETEVENTS: c_long = 333;
const EPOLL_PWAIT2: c_long = 441;

/// All of them, for the filter, and for the jumps of `syscall` (which has them in text).
pub(crate) const NUMBERS: [u32; 8] = [13, 14, 130, 270, 271, 281, 333, 441];

const _: () = {
    let named = [
        RT_SIGACTION,
        RT_SIGPROCMASK,
        RT_SIGSUSPEND,
        PSELECT6,
        PPOLL,
        EPOLL_PWAIT,
        IO_PGETEVENTS,
        EPOLL_PWAIT2,
    ];
    let mut at = 0;
    while at < named.len() {
        assert!(named[at] == NUMBERS[at] as c_long);
        at += 1;
    }
};

/// Whether the call is one of these.
pub(crate) fn is_one(number: c_long) -> bool {
    NUMBERS.iter().any(|one| c_long::from(*one) == number)
}

/// Where the set of a call is.
enum Set {
    /// An argument leads to it, and another says its size.
    At(usize),
    /// An argument leads to its address and its size.
    Behind(usize),
}

/// Makes such a call by `make`, which gets its arguments.
///
/// # Safety
///
/// The arguments are the program's, of a call that [`is_one`].
pub(crate) unsafe fn call(
    number: c_long,
    mut arguments: [usize; 6],
    make: impl Fn([usize; 6]) -> c_long,
) -> c_long {
    let [how, .., size, _, _] = arguments;
    let set = match number {
        // SAFETY: the caller's promise.
        RT_SIGACTION if size == 8 => return unsafe { action(arguments, make) },
        // What is unblocked does not matter.
        RT_SIGPROCMASK if how as c_int == 1 => return make(arguments),
        RT_SIGPROCMASK => Set::At(1),
        RT_SIGSUSPEND => Set::At(0),
        PPOLL => Set::At(3),
        EPOLL_PWAIT | EPOLL_PWAIT2 => Set::At(4),
        _ => Set::Behind(5),
    };
    // They live as long as the call.
    let (mut room, mut pair);
    match set {
        Set::At(at) => {
            if let Some(set) = without(arguments[at]) {
                room = set;
                arguments[at] = (&raw mut room) as usize;
            }
        }
        Set::Behind(at) => {
            // SAFETY: the caller's promise.
            if let Some([address, size]) = unsafe { kernel::peek::<[usize; 2]>(arguments[at]) }
                && let Some(set) = without(address)
            {
                room = set;
                pair = [(&raw mut room) as usize, size];
                arguments[at] = (&raw mut pair) as usize;
            }
        }
    }
    make(arguments)
}

/// A set without the signal; nothing where there is none, or it is not in it.
pub(crate) fn without(address: usize) -> Option<u64> {
    // SAFETY: any bytes are a set.
    let set = unsafe { kernel::peek::<u64>(address) }?;
    (set & BIT != 0).then_some(set & !BIT)
}

/// `rt_sigaction`
///
/// # Safety
///
/// As for [`call`].
unsafe fn action(mut arguments: [usize; 6], make: impl Fn([usize; 6]) -> c_long) -> c_long {
    let [signal, new, old, ..] = arguments;
    // SAFETY: any bytes are such a structure.
    let wanted = unsafe { kernel::peek::<SignalAction>(new) };
    if new != 0 && wanted.is_none() {
        return make(arguments);
    }
    if signal as c_int == SIGSYS {
        // The kernel writes what it knows first: so it is said whether that can be written.
        arguments[1] = 0;
        let asked = make(arguments);
        if asked != 0 {
            return asked;
        }
        let before = handler::exchange(wanted.map(handler::from_kernel));
        if let Some(before) = before.filter(|_| old != 0) {
            // SAFETY: the kernel just wrote as much there.
            unsafe { (old as *mut SignalAction).write_unaligned(handler::to_kernel(&before)) };
        }
        return 0;
    }
    let mut copy;
    if let Some(wanted) = wanted.filter(|wanted| wanted.mask & BIT != 0) {
        copy = wanted;
        copy.mask &= !BIT;
        arguments[1] = (&raw mut copy) as usize;
    }
    make(arguments)
}
