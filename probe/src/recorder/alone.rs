//! An exchange for who may know that no other thread runs: it need not lock the bus then, which costs as much as a
//! record.
//!
//! Holds `unsafe`: one instruction.

use core::sync::atomic::{AtomicU64, Ordering};

/// Stores `new` where `old` is found; else says what is found. With `is_alone` nobody but signal handlers of this very
/// thread may touch the word meanwhile: those come before or after the one instruction that it is.
///
/// Acquire where it stores, relaxed where it does not.
#[inline(always)]
pub(crate) fn exchange(is_alone: bool, word: &AtomicU64, old: u64, new: u64) -> Result<u64, u64> {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if is_alone {
        let found: u64;
        // SAFETY: the word is shared with nobody who could run now, and the instruction is whole for signal handlers.
        unsafe {
            core::arch::asm!(
                "cmpxchg qword ptr [{word}], {new}",
                word = in(reg) word.as_ptr(),
                new = in(reg) new,
                inlateout("rax") old => found,
                options(nostack),
            );
        }
        return if found == old { Ok(found) } else { Err(found) };
    }
    let _ = is_alone;
    word.compare_exchange(old, new, Ordering::Acquire, Ordering::Relaxed)
}
