//! System calls that a program makes in line, past the C library: a seccomp filter has the kernel send SIGSYS instead,
//! and the handler makes the call, with a look before and after.
//!
//! # Never another program's
//!
//! A filter stays for good, through `exec` too, where nobody handles the signal any more and it kills. So the
//! filter does not ask which number is called, but first where: it names the very instructions of this image, by
//! address. In another image, which the kernel puts somewhere else, it lets everything through, be it linked
//! statically, with raised privileges, or without the shim; the same image once more has the same chance as any of
//! lying at the same place, one in 2^28. Where addresses are not chosen at random (linked to a fixed address, or
//! randomisation switched off), nothing is trapped unless `--trap=always` asks for it.
//!
//! The handler's own call lies in the shim, which is not named.
//!
//! # What it takes
//!
//! Without privileges, `no_new_privs`, for this process and all that it starts: their setuid bits do nothing.
//! A trapped call costs some microseconds, any other a few nanoseconds. SIGSYS must never be blocked while such a call is
//! made, else it kills: so the shim takes it out of the masks that the program sets through the C library's names
//! (`signals`), through `syscall` and from the very instructions that are trapped (`masks`), and keeps the program's
//! own handler for it, which gets what is not the shim's. Left are a mask that a handler writes into its own frame, for
//! the kernel to take at its return, and calls in line from objects that make none of io_uring's.
//!
//! The handler runs on the stack that the call was made on, which needs room for a signal frame.

#![cfg(target_arch = "x86_64")]

mod filter;
pub(crate) mod handler;
pub(crate) mod masks;
mod number;
mod sites;

use core::sync::atomic::{AtomicBool, Ordering};

use crate::kernel;

/// What `record` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Where the program's code holds such calls, and nothing else could be hit.
    Auto,
    /// Every instruction that makes system calls, wherever it lies.
    Always,
    /// Not at all.
    Never,
}

/// Whether calls of this process are trapped. Read by the code of `syscall` too.
pub(crate) static ON: AtomicBool = AtomicBool::new(false);

#[inline(always)]
pub(crate) fn is_on() -> bool {
    ON.load(Ordering::Relaxed)
}

/// Traps the calls of the image that was just loaded, if it makes any. Returns a word about it for the recording's
/// folder.
pub(crate) fn install(wanted: Wanted) -> Option<&'static [u8]> {
    if wanted == Wanted::Never {
        return None;
    }
    match sites::find(wanted) {
        sites::Found::None => return None,
        sites::Found::Fixed => return Some(b"/trap-fixed\0"),
        sites::Found::TooMany => return Some(b"/trap-failed\0"),
        sites::Found::Some => {}
    }
    if under_valgrind() {
        return Some(b"/trap-valgrind\0");
    }
    if !handler::install() {
        return Some(b"/trap-failed\0");
    }
    // Before the filter: from then on the program's own settings of the signal are kept apart.
    ON.store(true, Ordering::Relaxed);
    match filter::install() {
        Some(filter::Privileges::Kept) => Some(b"/trapped\0"),
        Some(filter::Privileges::GivenUp) => Some(b"/trapped-without-privileges\0"),
        None => {
            ON.store(false, Ordering::Relaxed);
            handler::uninstall();
            Some(b"/trap-failed\0")
        }
    }
}

/// Whether this is Valgrind's processor, which makes all system calls itself, and knows no filter.
pub(crate) fn under_valgrind() -> bool {
    const RUNNING_ON_VALGRIND: u64 = 0x1001;
    let request = [RUNNING_ON_VALGRIND, 0, 0, 0, 0, 0];
    let answer: u64;
    // SAFETY: anywhere else these instructions leave all registers as they were: Valgrind's client requests.
    unsafe {
        core::arch::asm!(
            "rol rdi, 3",
            "rol rdi, 13",
            "rol rdi, 61",
            "rol rdi, 51",
            "xchg rbx, rbx",
            in("rax") request.as_ptr(),
            inlateout("rdx") 0u64 => answer,
            options(nostack)
        );
    }
    answer != 0
}

/// Whether this process chooses addresses at random.
fn is_random() -> bool {
    const ADDR_NO_RANDOMIZE: isize = 0x004_0000;
    let asked = kernel::personality();
    if asked < 0 || asked & ADDR_NO_RANDOMIZE != 0 {
        return false;
    }
    let mut word = [0u8; 1];
    kernel::read_file(b"/proc/sys/kernel/randomize_va_space\0", &mut word) == 1 && word[0] != b'0'
}
